"""Pings for all sockets of a server (RFC 6455, section 5.5.2) from one timer: one a socket takes memory and time."""

import asyncio
from collections import deque
from typing import Final, Protocol

_SPOKES: Final = 32
_SHORTEST_TICK_S: Final = 0.01
_PING: Final = b"\x89\x04"


class Pinged(Protocol):
    """A socket that is kept alive. `unanswered`: the payload of the ping it has not answered."""

    unanswered: bytes | None

    def ping(self, frame: bytes) -> None:
        """Send a ping."""

    def lost(self) -> None:
        """The peer has not answered in time."""


class Keepalive:
    """A wheel: each tick pings the sockets of one spoke.

    Time is counted in ticks that ran, so that after the process was frozen nobody is taken for dead unasked.

    Parameters
    ----------
    interval_s:
        Seconds between two pings of a socket; None or 0: no pings.
    timeout_s:
        Seconds a peer has for its answer; None: for ever.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interval_s: float | None, timeout_s: float | None) -> None:
        self._loop = loop
        self._tick_s = max((interval_s or 0) / _SPOKES, _SHORTEST_TICK_S)
        spokes = max(1, round((interval_s or 0) / self._tick_s))
        self._spokes: list[set[Pinged]] = [set() for _ in range(spokes)] if interval_s else []
        self._patience = max(1, round(timeout_s / self._tick_s)) if timeout_s is not None else None
        self._asked: deque[tuple[int, bytes, list[Pinged]]] = deque()
        self._now = 0
        self._added = 0
        self._sockets = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, socket: Pinged) -> set[Pinged] | None:
        """Ping it from now on; what `remove` wants to know."""
        if not self._spokes:
            return None
        # spread over the second half of the interval: those who come back all at once are not pinged all at once
        later = len(self._spokes) // 2
        self._added += 1
        spoke = self._spokes[(self._now - self._added % (later or 1)) % len(self._spokes)]
        spoke.add(socket)
        self._sockets += 1
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_s, self._tick)
        return spoke

    def remove(self, socket: Pinged, spoke: set[Pinged]) -> None:
        """Leave it alone."""
        spoke.discard(socket)
        self._sockets -= 1

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._tick_s, self._tick) if self._sockets else None
        self._now += 1
        self._give_up()
        payload = (self._now & 0xFFFFFFFF).to_bytes(4)
        spoke = self._spokes[self._now % len(self._spokes)]
        asked = [socket for socket in spoke if socket.unanswered is None or self._patience is None]
        for socket in asked:
            socket.unanswered = payload
            socket.ping(_PING + payload)
        if asked and self._patience is not None:
            self._asked.append((self._now + self._patience, payload, asked))

    def _give_up(self) -> None:
        while self._asked and self._asked[0][0] <= self._now:
            _, payload, asked = self._asked.popleft()
            for socket in asked:
                if socket.unanswered == payload:
                    socket.lost()
