"""Signals over PostgreSQL's NOTIFY, for installations without Redis.

Broadcaster's own PostgreSQL backend fails when two publish at once (one connection, no lock) and never learns that its
connection died. NOTIFY takes a lock for its commit, so it has a connection of its own and never shares a transaction
with an append.
"""

import asyncio
from typing import Any

import asyncpg
from broadcaster._backends.base import BroadcastBackend
from broadcaster._base import Event

from store.signals.broadcast import CHANNEL, LOST, BroadcastSignals

_DEADLINE_S = 2.0


def postgres_signals(dsn: str) -> BroadcastSignals:
    """For several gateways on one PostgreSQL."""
    return BroadcastSignals(lambda: NotifyBackend(dsn))


class NotifyBackend(BroadcastBackend):
    """A backend of broadcaster: LISTEN and NOTIFY on one connection of its own."""

    def __init__(self, url: str) -> None:
        self._dsn = url
        self._connection: asyncpg.Connection | None = None
        self._publishing = asyncio.Lock()
        self._received: asyncio.Queue[Event] = asyncio.Queue()

    async def connect(self) -> None:
        """Open the connection."""
        self._connection = await asyncpg.connect(
            self._dsn,
            timeout=_DEADLINE_S,
            command_timeout=_DEADLINE_S,
            server_settings={
                "application_name": "esb-signals",
                "synchronous_commit": "off",  # a NOTIFY commits, and nobody needs that commit on disk
                "tcp_keepalives_idle": "5",
            },
        )
        self._connection.add_termination_listener(self._lost)

    async def disconnect(self) -> None:
        """Close the connection, by force when it does not answer; may be called twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.remove_termination_listener(self._lost)
            connection.terminate()

    async def subscribe(self, group: str) -> None:
        """Listen."""
        await self._open().add_listener(group, self._hear)

    async def unsubscribe(self, group: str) -> None:
        """Stop listening."""
        await self._open().remove_listener(group, self._hear)

    async def publish(self, channel: str, message: Any) -> None:
        """Send one message, of less than 8,000 bytes."""
        async with self._publishing:  # one command at a time is all a connection takes
            await self._open().execute("select pg_notify($1, $2)", channel, message)

    async def next_published(self) -> Event:
        """The next message, which is LOST after the connection broke."""
        return await self._received.get()

    def _open(self) -> asyncpg.Connection:
        if self._connection is None:
            raise ConnectionError("the connection is closed")
        return self._connection

    def _hear(self, _connection: object, _pid: int, channel: str, message: object) -> None:
        self._received.put_nowait(Event(channel, str(message)))

    def _lost(self, _connection: object) -> None:
        self._received.put_nowait(Event(CHANNEL, LOST))
