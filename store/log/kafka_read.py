"""Reading one Kafka topic: every partition, no consumer group, only what is committed.

Positions are ours, in cursors and checkpoints; nothing is kept at the broker, so a reader costs a connection and
leaves nothing behind.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from schema.errors import ErrorCode, EsbError
from store.log.kafka_append import unavailable
from store.log.kafka_client import start, stop

UNKNOWN = -1
FETCH_WAIT_MS = 500


def expired() -> EsbError:
    """What a reader is told whose place the topic no longer has."""
    return EsbError(ErrorCode.CURSOR_EXPIRED, "events after the cursor are gone: the stream's retention passed it")


class KafkaReader:
    """Reads the partitions of one topic from given offsets. Made by `connect`, or `open_reader`."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, partitions: int, deadline_s: float) -> None:
        self._consumer = consumer
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]
        self._deadline_s = deadline_s
        self.offsets = [0] * partitions

    async def seek(self, offsets: Sequence[int], at_ms: int) -> tuple[int, ...]:
        """Go to the next offset of each partition; where it is `UNKNOWN`, to the first record not older than `at_ms`.
        Returns the offset after the last committed record of each.

        Raises CURSOR_EXPIRED when records after an offset are gone. That one lies beyond the end, `poll` tells.
        """
        async with self._answering():
            # The ends are asked before the times: a record that comes in between is then read, never skipped.
            first, end = await asyncio.gather(
                self._consumer.beginning_offsets(self._partitions), self._consumer.end_offsets(self._partitions)
            )
            unknown = [tp for tp in self._partitions if self._given(offsets, tp) == UNKNOWN]
            found: dict[Any, Any] = {}
            if unknown and at_ms > 0:
                found = await self._consumer.offsets_for_times(dict.fromkeys(unknown, at_ms))
        for tp in self._partitions:
            offset = self._given(offsets, tp)
            if offset == UNKNOWN:
                place = found.get(tp)
                offset = first[tp] if at_ms <= 0 else place.offset if place is not None else end[tp]
            elif offset < first[tp]:
                raise expired()
            self.offsets[tp.partition] = offset
            self._consumer.seek(tp, offset)
        self._consumer.resume(*self._partitions)
        return tuple(end[tp] for tp in self._partitions)

    async def firsts(self) -> tuple[int, ...]:
        """The oldest offset of each partition that is still there."""
        async with self._answering():
            first = await self._consumer.beginning_offsets(self._partitions)
        return tuple(first[tp] for tp in self._partitions)

    async def ends(self) -> tuple[int, ...]:
        """The offset after the last committed record of each partition."""
        async with self._answering():
            end = await self._consumer.end_offsets(self._partitions)
        return tuple(end[tp] for tp in self._partitions)

    async def poll(self, limit: int, wait_s: float) -> list[Any]:
        """Up to `limit` records, in order within a partition; none when `wait_s` seconds passed without one.

        `offsets` has moved on also where only markers and aborted records were read.
        """
        try:
            fetched = await self._consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=limit)
        except OffsetOutOfRangeError as error:
            await self._explain(error)
            raise
        except KafkaError as error:
            raise unavailable(error) from error
        for tp in self._partitions:
            self.offsets[tp.partition] = await self._consumer.position(tp)
        return [record for records in fetched.values() for record in records]

    def behind(self) -> int:
        """Offsets between here and the end of the topic, as of the last answer from Kafka."""
        return sum(max(0, (self._consumer.highwater(tp) or 0) - self.offsets[tp.partition]) for tp in self._partitions)

    def reached(self, ends: Sequence[int]) -> bool:
        """Whether it is at or behind these offsets; of partitions that are, no more is read until the next `seek`."""
        there = [tp for tp in self._partitions if self.offsets[tp.partition] >= ends[tp.partition]]
        self._consumer.pause(*there)
        return len(there) == len(self._partitions)

    def rest(self) -> None:
        """Fetch nothing, and hold nothing that was fetched, until the next `seek`."""
        self._consumer.pause(*self._partitions)
        for tp in self._partitions:
            self._consumer.seek(tp, self.offsets[tp.partition])

    async def close(self) -> None:
        """Disconnect."""
        await stop(self._consumer, within_s=self._deadline_s)

    async def _explain(self, error: OffsetOutOfRangeError) -> None:
        """Raise what an offset outside the topic means to the cursor it came from."""
        async with self._answering():
            first = await self._consumer.beginning_offsets(self._partitions)
        if any(self.offsets[tp.partition] < first[tp] for tp in self._partitions):
            raise expired() from error
        raise EsbError(ErrorCode.CURSOR_INVALID, "the cursor lies beyond the end of the topic") from error

    @staticmethod
    def _given(offsets: Sequence[int], tp: TopicPartition) -> int:
        return offsets[tp.partition] if tp.partition < len(offsets) else UNKNOWN

    @contextlib.asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._deadline_s):
                yield
        except (KafkaError, OSError, TimeoutError) as error:
            raise unavailable(error) from error


async def connect(
    servers: str, topic: str, partitions: int, *, deadline_s: float, fetch_wait_ms: int = FETCH_WAIT_MS
) -> KafkaReader:
    """A reader of a topic's first `partitions` partitions, to be closed. Raises LOG_UNAVAILABLE after `deadline_s`
    seconds. `fetch_wait_ms`: how long the broker waits for a record before it answers; it answers in order.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        request_timeout_ms=int(deadline_s * 1000),
        metadata_max_age_ms=60_000,
        fetch_max_wait_ms=fetch_wait_ms,
    )
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    try:
        await start(consumer, deadline_s=deadline_s)
    except BaseException as error:
        await stop(consumer, within_s=deadline_s)
        if isinstance(error, (KafkaError, OSError, TimeoutError)):
            raise unavailable(error) from error
        raise
    return KafkaReader(consumer, topic, partitions, deadline_s)


@contextlib.asynccontextmanager
async def open_reader(servers: str, topic: str, partitions: int, *, deadline_s: float) -> AsyncIterator[KafkaReader]:
    """A reader for oneself, see `connect`; closed at the end."""
    reader = await connect(servers, topic, partitions, deadline_s=deadline_s)
    try:
        yield reader
    finally:
        await reader.close()
