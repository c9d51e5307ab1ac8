"""A frozen or killed Redis blocks nobody: signals are only late."""

import asyncio
import time

from store.signals.broadcast import BroadcastSignals
from store.signals.port import EVERYTHING
from store.signals.redis import redis_signals
from tests.services.external import Service


async def _eventually_connected(signals: BroadcastSignals, wanted: bool, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while signals.connected is not wanted:  # noqa: ASYNC110 -- polling is what shows it
            await asyncio.sleep(0.02)


async def test_a_frozen_redis_holds_up_neither_start_nor_notify_nor_stop(redis_service: Service) -> None:
    await asyncio.to_thread(redis_service.pause)
    signals = redis_signals(redis_service.url)
    heard: list[str] = []
    signals.listen(heard.append)
    began = time.monotonic()
    await signals.start()
    assert time.monotonic() - began < 3
    assert not signals.connected
    signals.notify("log:acme")
    await asyncio.sleep(0)
    assert heard == ["log:acme"]
    began = time.monotonic()
    await signals.stop()
    assert time.monotonic() - began < 3


async def test_signals_come_back_when_redis_does(redis_service: Service) -> None:
    one, other = redis_signals(redis_service.url), redis_signals(redis_service.url)
    arrived: asyncio.Queue[str] = asyncio.Queue()
    other.listen(arrived.put_nowait)
    await asyncio.gather(one.start(), other.start())
    for end, begin in ((redis_service.pause, redis_service.resume), (redis_service.kill, redis_service.start)):
        await asyncio.to_thread(end)
        await _eventually_connected(one, False, 8)
        await _eventually_connected(other, False, 8)
        began = time.monotonic()
        one.notify("log:meanwhile")
        assert time.monotonic() - began < 0.1
        await asyncio.to_thread(begin)
        await _eventually_connected(one, True, 8)
        await _eventually_connected(other, True, 8)
        one.notify("log:after")
        async with asyncio.timeout(5):
            seen = set()
            while not {"log:after", EVERYTHING} <= seen:
                seen.add(await arrived.get())
    await asyncio.gather(one.stop(), other.stop())


async def test_a_redis_that_freezes_under_load_does_not_hold_up_stop(redis_service: Service) -> None:
    signals = redis_signals(redis_service.url)
    await signals.start()
    await asyncio.to_thread(redis_service.pause)
    for number in range(1000):
        signals.notify(f"log:{number}")
        await asyncio.sleep(0)
    began = time.monotonic()
    await signals.stop()
    assert time.monotonic() - began < 3
