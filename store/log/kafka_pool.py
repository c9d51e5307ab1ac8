"""Readers of one topic kept for the next who reads: connecting costs more than reading, and readers come in storms."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from store.log.kafka_read import KafkaReader

KEPT = 4
IDLE_S = 5.0


class ReaderPool:
    """Lends readers that `connect` makes, each to one at a time. At most `kept` wait, `idle_s` seconds."""

    def __init__(
        self, connect: Callable[[], Awaitable[KafkaReader]], *, kept: int = KEPT, idle_s: float = IDLE_S
    ) -> None:
        self._connect = connect
        self._kept = kept
        self._idle_s = idle_s
        self._idle: deque[tuple[float, KafkaReader]] = deque()
        self._reaping: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._idle)

    @contextlib.asynccontextmanager
    async def reader(self) -> AsyncIterator[KafkaReader]:
        """A reader that is anywhere: it must be told where to read. Raises LOG_UNAVAILABLE."""
        # The last one used: the others may grow old.
        reader = self._idle.pop()[1] if self._idle else await self._connect()
        try:
            yield reader
        except BaseException:
            await reader.close()  # whoever was cut off may have left half an answer in it
            raise
        if self._closed or len(self._idle) >= self._kept:
            await reader.close()
            return
        reader.rest()
        self._idle.append((time.monotonic(), reader))
        if self._reaping is None or self._reaping.done():
            self._reaping = asyncio.create_task(self._reap(), name="kafka-readers")

    async def close(self) -> None:
        """Close those that wait; the others are closed when they are given back. May be called twice."""
        self._closed = True
        if self._reaping is not None:
            self._reaping.cancel()
            await asyncio.wait([self._reaping])
        await asyncio.gather(*(reader.close() for _, reader in self._idle))
        self._idle.clear()

    async def _reap(self) -> None:
        while self._idle:
            left_s = self._idle[0][0] + self._idle_s - time.monotonic()
            if left_s > 0:
                await asyncio.sleep(left_s)
            else:
                await self._idle.popleft()[1].close()
