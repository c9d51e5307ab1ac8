"""The open sockets and event streams of this process: counted, looked after, and told when the process goes away."""

import asyncio
from collections import Counter
from typing import Protocol

from gateway.auth.sessions import Sessions
from gateway.drain import Drain
from gateway.graphql.limits import ConnectionLimits
from schema.errors import ErrorCode, EsbError

_LOOK_EVERY_S = 1.0
_LOOKED_AT_ONCE = 500


class Open(Protocol):
    """A connection that is held open."""

    def drain(self) -> None:
        """Tell the client to come back, and end."""

    def look(self, now: float) -> None:
        """Called every second with the loop's time: end when the peer has stopped reading."""


class Connections:
    """One instance a process. `start` before the first connection, `stop` after the last.

    `sessions`: what stays open opens a session there, and is ended with its token.
    """

    def __init__(self, limits: ConnectionLimits, drain: Drain, sessions: Sessions) -> None:
        self.limits = limits
        self.sessions = sessions
        self._drain = drain
        self._open: set[Open] = set()
        self._subscriptions: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to look after what is open. May be called again after `stop`."""
        self._tasks = [asyncio.create_task(self._look()), asyncio.create_task(self._wait_for_drain())]

    async def stop(self) -> None:
        """Stop looking. May be called twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def enter(self, connection: Open) -> None:
        """A connection has opened; one that opens while the process drains is told so at once."""
        self._open.add(connection)
        if self._drain.begun:
            connection.drain()

    def leave(self, connection: Open) -> None:
        """A connection has closed."""
        self._open.discard(connection)

    def take(self, tenant: str) -> None:
        """Count a live subscription of the tenant; raises RATE_LIMITED beyond its limit."""
        if self._subscriptions[tenant] >= self.limits.subscriptions_per_tenant:
            raise EsbError(
                ErrorCode.RATE_LIMITED,
                f"the tenant has {self.limits.subscriptions_per_tenant} live subscriptions here; end one first",
                retry_after_ms=1000,
            )
        self._subscriptions[tenant] += 1

    def give_back(self, tenant: str) -> None:
        """A live subscription has ended."""
        self._subscriptions[tenant] -= 1
        if not self._subscriptions[tenant]:
            del self._subscriptions[tenant]

    def subscriptions(self) -> int:
        """Live subscriptions of all tenants."""
        return self._subscriptions.total()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            for number, connection in enumerate(list(self._open)):
                if connection in self._open:
                    connection.look(loop.time())
                if number % _LOOKED_AT_ONCE == _LOOKED_AT_ONCE - 1:
                    await asyncio.sleep(0)

    async def _wait_for_drain(self) -> None:
        await self._drain.wait()
        for connection in list(self._open):
            connection.drain()


class SendClock:
    """How long the oldest unfinished send of a connection has been waiting."""

    def __init__(self) -> None:
        self._unfinished = 0
        self._since = 0.0

    def begin(self, now: float) -> None:
        """A send begins."""
        if not self._unfinished:
            self._since = now
        self._unfinished += 1

    def end(self, now: float) -> None:
        """A send has finished: the peer reads."""
        self._unfinished -= 1
        self._since = now

    def waiting(self, now: float) -> float:
        """Seconds without progress; 0 where nothing waits."""
        return now - self._since if self._unfinished else 0.0
