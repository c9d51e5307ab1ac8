"""Signals within a process: everybody hears, many calls become one, nothing grows."""

import asyncio
import logging
from typing import Any

import pytest
from broadcaster._backends.memory import MemoryBackend
from hypothesis import given
from hypothesis import strategies as st

from store.signals import broadcast
from store.signals.broadcast import BroadcastSignals, _messages
from store.signals.memory import memory_signals
from store.signals.port import EVERYTHING


class Published(MemoryBackend):
    """The memory backend with a record of what went out, and a hand on its delivery."""

    def __init__(self) -> None:
        super().__init__("memory://")
        self.messages: list[str] = []
        self.frozen = False
        self.disconnected = 0

    async def publish(self, channel: str, message: Any) -> None:
        self.messages.append(message)
        if not self.frozen:
            await super().publish(channel, message)

    async def disconnect(self) -> None:
        self.disconnected += 1


async def test_every_listener_hears_and_many_calls_within_a_tick_become_one() -> None:
    backend = Published()
    signals = BroadcastSignals(lambda: backend)
    heard: list[str] = []
    also: list[str] = []
    signals.listen(heard.append)
    signals.listen(also.append)
    await signals.start()
    heard.clear()
    for _ in range(1000):
        signals.notify("log:acme")
        signals.notify("log:globex")
    await asyncio.sleep(0)
    assert sorted(heard) == ["log:acme", "log:globex"]
    assert sorted(also[-2:]) == ["log:acme", "log:globex"]
    for _ in range(20):
        await asyncio.sleep(0)
    sent = [message for message in backend.messages if "log:" in message]
    assert len(sent) == 1
    assert sorted(sent[0].split(" ")[1:]) == ["log:acme", "log:globex"]
    assert len(heard) == 2, "what comes back over the wire was heard already"
    await signals.stop()


async def test_a_listener_may_leave_out_what_its_own_process_says() -> None:
    signals = BroadcastSignals(Published)
    others: list[str] = []
    signals.listen(others.append, own=False)
    await signals.start()
    assert others == [EVERYTHING], "what may have been lost concerns it all the same"
    signals.notify("log:acme")
    for _ in range(20):
        await asyncio.sleep(0)
    assert others == [EVERYTHING]
    await signals.stop()


async def test_a_listener_that_fails_does_not_deafen_the_others(caplog: pytest.LogCaptureFixture) -> None:
    signals = memory_signals()
    heard: list[str] = []

    def fails(topic: str) -> None:
        raise ValueError(topic)

    signals.listen(fails)
    signals.listen(heard.append)
    await signals.start()
    with caplog.at_level(logging.ERROR):
        signals.notify("log:acme")
        await asyncio.sleep(0)
    assert heard == [EVERYTHING, "log:acme"]
    assert "a listener failed" in caplog.text
    await signals.stop()


async def test_listeners_here_hear_while_the_wire_is_dead_and_what_waits_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broadcast, "_DEADLINE_S", 0.05)

    class Refusing(MemoryBackend):
        async def connect(self) -> None:
            raise ConnectionRefusedError("nobody there")

    signals = BroadcastSignals(lambda: Refusing("memory://"))
    heard: list[str] = []
    signals.listen(heard.append)
    await signals.start()
    assert not signals.connected
    for number in range(25_000):
        signals.notify(f"log:{number}")
    await asyncio.sleep(0)
    assert len(heard) == 25_000
    assert len(signals._far) <= 10_000
    assert EVERYTHING in signals._far
    await signals.stop()


async def test_who_no_longer_hears_itself_connects_anew_and_says_that_anything_may_have_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broadcast, "_DEADLINE_S", 0.05)
    made: list[Published] = []

    def backend() -> Published:
        made.append(Published())
        return made[-1]

    signals = BroadcastSignals(backend, echo_every_s=0.01)
    heard: list[str] = []
    again = asyncio.Event()

    def listen(topic: str) -> None:
        heard.append(topic)
        if heard.count(EVERYTHING) == 2:
            again.set()

    signals.listen(listen)
    await signals.start()
    made[0].frozen = True
    async with asyncio.timeout(5):
        await again.wait()
    assert len(made) == 2
    assert made[0].disconnected
    assert signals.connected
    await signals.stop()
    assert not signals.connected


async def test_starting_and_stopping_twice_is_harmless() -> None:
    signals = memory_signals()
    await signals.stop()
    await signals.start()
    await signals.start()
    await signals.stop()
    await signals.stop()
    await signals.start()
    assert signals.connected
    await signals.stop()


@given(st.lists(st.from_regex(r"[a-z]{1,8}:[a-z0-9_-]{1,64}", fullmatch=True), max_size=500))
def test_messages_carry_every_topic_and_fit(topics: list[str]) -> None:
    messages = list(_messages("me", topics))
    assert [topic for message in messages for topic in message.split(" ")[1:]] == topics
    assert all(len(message.encode()) < 8000 for message in messages)
