"""The wheel that pings all sockets of a server."""

import asyncio

import pytest

from gateway.ws.keepalive import Keepalive
from tests.integration.gateway.ws.conftest import WITHIN_S


class Peer:
    """Answers, or does not."""

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers
        self.unanswered: bytes | None = None
        self.pings = 0
        self.given_up = 0
        self.happened = asyncio.Event()

    def ping(self, frame: bytes) -> None:
        self.pings += 1
        assert frame == b"\x89\x04" + (self.unanswered or b"")
        if self._answers:
            self.unanswered = None
        if self.pings == 3:
            self.happened.set()

    def lost(self) -> None:
        self.given_up += 1
        self.happened.set()


async def test_all_are_pinged_and_only_who_does_not_answer_is_given_up() -> None:
    wheel = Keepalive(asyncio.get_running_loop(), 0.05, 0.05)
    peers = [Peer(answers=bool(number % 4)) for number in range(100)]
    spokes = [wheel.add(peer) for peer in peers]
    async with asyncio.timeout(WITHIN_S):
        for peer in peers:
            await peer.happened.wait()
    assert {(bool(number % 4), peer.given_up > 0) for number, peer in enumerate(peers)} == {
        (True, False),
        (False, True),
    }
    assert all(peer.pings == 1 for peer in peers[::4])
    for peer, spoke in zip(peers, spokes, strict=True):
        assert spoke is not None
        wheel.remove(peer, spoke)


async def test_who_comes_all_at_once_is_not_pinged_all_at_once() -> None:
    wheel = Keepalive(asyncio.get_running_loop(), 20.0, 20.0)
    peers = [Peer(answers=True) for _ in range(1600)]
    spokes = [wheel.add(peer) for peer in peers]
    assert {len(spoke) for spoke in spokes if spoke is not None} == {100}
    for peer, spoke in zip(peers, spokes, strict=True):
        assert spoke is not None
        wheel.remove(peer, spoke)


@pytest.mark.parametrize("interval", [None, 0.0])
async def test_there_may_be_no_pings(interval: float | None) -> None:
    assert Keepalive(asyncio.get_running_loop(), interval, 1.0).add(Peer(answers=True)) is None
