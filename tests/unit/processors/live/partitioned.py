"""A partitioned log in memory, with holes between offsets, as Kafka's transactions leave them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.event import NEVER, Event
from schema.stream import Stream
from store.log.port import Batch, Command, Outcome, Promises
from tests.unit.processors.live.world import event


class PartitionedLog:
    """`ends`: the next offset of each partition. `failures`: so many of the next answers are failures."""

    promises = Promises(gapless=False, idempotent=False, atomic=False)

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.records: list[list[Event]] = [[] for _ in range(stream.partitions)]
        self.ends = [0] * stream.partitions
        self.count = 0
        self.failures = 0
        self._grown = asyncio.Event()

    def commit(self, partition: int, *, hole: int = 0) -> Event:
        """A record after `hole` offsets that no reader ever sees; it is recorded a second after the one before."""
        self.count += 1
        made = event(self.count)
        made.position, made.stream = None, self.stream.stream_name
        made.partition, made.offset = partition, self.ends[partition] + hole
        made.recorded_at = NEVER + timedelta(seconds=self.count)
        self.records[partition].append(made)
        self.ends[partition] = made.offset + 1
        self.grow()
        return made

    def end_with_hole(self, partition: int) -> None:
        """An aborted transaction: the end moves, and there is nothing to read."""
        self.ends[partition] += 1
        self.grow()

    def grow(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    async def append(self, commands: Sequence[Command]) -> list[Outcome]:
        raise NotImplementedError

    async def head(self) -> Cursor:
        await self._answer()
        return self._cursor(self.ends)

    async def read(self, start: Cursor, limit: int) -> Batch:
        await self._answer()
        offsets = self._resolve(start)
        events: list[Event] = []
        for partition, records in enumerate(self.records):
            rest = [one for one in records if (one.offset or 0) >= offsets[partition]]
            taken = rest[: limit - len(events)]
            events += taken
            offsets[partition] = self.ends[partition] if taken == rest else (taken or rest)[-1 if taken else 0].offset
            if taken and taken != rest:
                offsets[partition] += 1
        return Batch(events, self._cursor(offsets))

    async def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        while True:
            grown = self._grown
            batch = await self.read(start, 2)
            if batch.cursor != start:
                start = batch.cursor
                yield batch
            else:
                await grown.wait()

    def _resolve(self, start: Cursor) -> list[int]:
        given = dict(start.kafka).get(self.stream.key, ())
        offsets = list(given) + [-1] * (len(self.records) - len(given))
        for partition, offset in enumerate(offsets):
            if offset == -1:
                since = NEVER + timedelta(milliseconds=start.at_ms)
                later = (one.offset for one in self.records[partition] if one.recorded_at >= since)
                offsets[partition] = next(later, self.ends[partition]) or 0
        return offsets

    def _cursor(self, offsets: Sequence[int]) -> Cursor:
        return Cursor(0, 0, self.count * 1000, kafka=((self.stream.key, tuple(offsets)),))

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise EsbError(ErrorCode.LOG_UNAVAILABLE, "away")
