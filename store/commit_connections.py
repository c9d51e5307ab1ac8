"""The connections that commit. A pool as asyncpg's is, for one call a use.

asyncpg's own resets and guards a connection at each return, in a task of its own: a tenth of what a single publish
costs. A call is one statement outside of any transaction, so there is nothing to reset; where it may have been left
half-way the connection is not used again.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg

IDLE_SECONDS = 300.0

_Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]
# Said by the server, or by the driver before it sent anything: the connection waits for the next call.
_WHOLE = (asyncpg.PostgresError, asyncpg.DataError)


class CommitConnections:
    """At most `most` connections, made by `connect` when wanted; of those nobody used for five minutes one is kept."""

    def __init__(self, connect: _Connect, most: int) -> None:
        self._connect = connect
        self._free = asyncio.Semaphore(most)
        self._idle: deque[tuple[float, asyncpg.Connection[asyncpg.Record]]] = deque()
        self._used: set[asyncpg.Connection[asyncpg.Record]] = set()
        self._closed = False

    async def start(self) -> None:
        """Make the first; raises what connecting raises."""
        self._keep(await self._connect())

    @asynccontextmanager
    async def use(self, seconds: float) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """One for the time of the block; raises TimeoutError when none is to be had within `seconds`, and what
        connecting raises."""
        if self._free.locked():
            async with asyncio.timeout(seconds):
                await self._free.acquire()
        else:
            await self._free.acquire()  # at once: no time need be kept
        try:
            connection = self._ready() or await self._made(seconds)
            self._used.add(connection)
            try:
                yield connection
            except _WHOLE:
                raise
            except BaseException:
                # its answer may still come: never to be read as the answer to the next call
                _end(connection)
                raise
            finally:
                self._used.discard(connection)
                self._keep(connection)
        finally:
            self._free.release()

    async def close(self, seconds: float) -> None:
        """Close all, those that do not end within `seconds` by force. May be called twice."""
        self._closed = True
        idle = [connection for _, connection in self._idle]
        self._idle.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*[connection.close() for connection in idle], return_exceptions=True)
        for connection in (*idle, *self._used):
            _end(connection)

    def _ready(self) -> "asyncpg.Connection[asyncpg.Record] | None":
        """The idle one that was used last. One whose server went away while it lay here has noticed."""
        while self._idle:
            _, connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _made(self, seconds: float) -> "asyncpg.Connection[asyncpg.Record]":
        async with asyncio.timeout(seconds):
            return await self._connect()

    def _keep(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        if self._closed:
            _end(connection)
        elif not connection.is_closed():
            now = time.monotonic()
            self._idle.append((now, connection))
            while len(self._idle) > 1 and now - self._idle[0][0] > IDLE_SECONDS:
                _end(self._idle.popleft()[1])


def _end(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Never use it again. One that broke says that it has."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()
