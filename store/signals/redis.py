"""Signals over Redis pub/sub.

With redis-py 8 broadcaster delivers nothing, without a word: the pin below 8 matters.
"""

import asyncio

from broadcaster._backends.redis import RedisBackend
from broadcaster._base import Event
from redis import asyncio as redis

from store.signals.broadcast import CHANNEL, LOST, BroadcastSignals

_DEADLINE_S = 2.0


def redis_signals(url: str) -> BroadcastSignals:
    """For several gateways that share a Redis."""
    return BroadcastSignals(lambda: BoundedRedisBackend(url))


class BoundedRedisBackend(RedisBackend):
    """Broadcaster's Redis backend, with deadlines on its commands and an end that is noticed and leaves no task."""

    def __init__(self, url: str) -> None:
        self._conn = redis.Redis.from_url(url, socket_timeout=_DEADLINE_S, socket_connect_timeout=_DEADLINE_S)
        self._pubsub = self._conn.pubsub()
        self._ready = asyncio.Event()
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._listener: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Connect, and have the end of listening told."""
        await super().connect()
        assert self._listener is not None
        self._listener.add_done_callback(self._lost)

    async def subscribe(self, channel: str) -> None:
        """Subscribe, then let the listener look: broadcaster lets it look first, and it gives up when it is early."""
        await self._pubsub.subscribe(channel)
        self._ready.set()

    async def disconnect(self) -> None:
        """End listening first, or it would wait on a connection that is gone; may be called twice."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.wait({listener}, timeout=_DEADLINE_S / 8)
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await self._conn.aclose()

    def _lost(self, listener: asyncio.Task[None]) -> None:
        if not listener.cancelled() and listener.exception() is not None:
            self._queue.put_nowait(Event(CHANNEL, LOST))
