"""The Kafka engine: a stream whose commit is the broker's `acks=all`.

It promises order within an aggregate (one partition a key) and nothing more: repeats keep their place, so there are no
conditions, no versions and no atomic commands. `recorded_at` is the broker's append time (see store/topics.py).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from schema.cursor import Cursor
from schema.errors import ErrorCode
from schema.event import MAX_PAGE, Event
from schema.stream import Stream
from store.log.foreign import NotAnEvent, decode_for
from store.log.kafka_append import KafkaAppender, Placements, unavailable
from store.log.kafka_pool import ReaderPool
from store.log.kafka_read import UNKNOWN, KafkaReader, connect, open_reader
from store.log.kafka_records import NO_HEADERS, Record
from store.log.partitioner import Sticky, partition
from store.log.port import Batch, Command, Draft, Outcome, Promises, Receipt, Refusal

# Short: the broker holds up the next one who reads by what the last one still waits for at the end of the topic.
_POOLED_FETCH_WAIT_MS = 20

_new = tuple.__new__
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class KafkaLog:
    """The log of one Kafka stream. `servers`: `host:port,…`. `deadline_s` bounds every wait for a broker."""

    promises = Promises(gapless=False, idempotent=False, atomic=False)

    def __init__(self, stream: Stream, servers: str, *, deadline_s: float = 10.0) -> None:
        self._stream = stream
        self._servers = servers
        self._deadline_s = deadline_s
        self._sticky = Sticky(stream.partitions)
        self._appender = KafkaAppender(
            servers, stream.topic, stream.partitions, stream.compression, deadline_s=deadline_s
        )
        self._readers = ReaderPool(self._connect)

    async def append(self, commands: Sequence[Command]) -> list[Outcome]:
        """Commit each one-event command; refuse what Kafka cannot promise. See `port.Log.append`."""
        outcomes: list[Outcome] = []
        drafts: list[Draft] = []
        places: list[int] = []
        for place, command in enumerate(commands):
            events = command.events
            if len(events) == 1 and command.condition is None and events[0].expected_sequence is None:
                outcomes.append([])
                places.append(place)
                drafts.append(events[0])
            else:
                outcomes.append(_unsupported(command) or [])
        if not drafts:
            return outcomes
        records = self._records(drafts)
        placements = await self._appender.append(records)
        _raise_if_all_failed(placements)
        for place, outcome in zip(places, self._outcomes(drafts, records, placements), strict=True):
            outcomes[place] = outcome
        return outcomes

    async def read(self, start: Cursor, limit: int) -> Batch:
        """Up to `limit` events that were committed when the call began. See `port.Log.read`."""
        async with self._readers.reader() as reader:
            ends = await self._seek(reader, start)
            events: list[Event] = []
            at_ms = start.at_ms
            deadline = time.monotonic() + self._deadline_s
            # Beyond the committed end lies an open transaction, or nothing: only a fetch tells which.
            beyond = any(now > end for now, end in zip(reader.offsets, ends, strict=True))
            while len(events) < limit and (
                beyond or any(now < end for now, end in zip(reader.offsets, ends, strict=True))
            ):
                records = await reader.poll(min(limit - len(events), MAX_PAGE), 1.0)
                if records:
                    events += self.decode(records)
                    at_ms = max(at_ms, max(record.timestamp for record in records))
                    deadline = time.monotonic() + self._deadline_s
                elif beyond:
                    beyond = False
                elif time.monotonic() > deadline:
                    raise unavailable(TimeoutError("no records in time"))
            return Batch(events, self._cursor(reader.offsets, at_ms))

    async def head(self) -> Cursor:
        """The cursor after the last committed event of every partition."""
        async with self._readers.reader() as reader:
            return self._cursor(await reader.ends(), time.time_ns() // 1_000_000)

    async def before(self, place: Cursor, count: int) -> tuple[Cursor, Sequence[Event]]:
        """See `port.Backward.before`: as many of each partition."""
        ends = self._offsets(place)
        events: list[Event] = []
        async with self._readers.reader() as reader:
            each = max(1, count // self._stream.partitions)
            starts = [min(end, max(first, end - each)) for end, first in zip(ends, await reader.firsts(), strict=True)]
            await reader.seek(starts, 0)
            deadline = time.monotonic() + self._deadline_s
            while not reader.reached(ends):
                records = await reader.poll(MAX_PAGE, 1.0)
                events += self.decode([record for record in records if record.offset < ends[record.partition]])
                if not records and time.monotonic() > deadline:
                    raise unavailable(TimeoutError("no records in time"))
                await asyncio.sleep(0)  # what is fetched is polled without a pause
        return self._cursor(starts, 0), events

    async def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        """All events from `start` on, by one consumer of its own, without a group. While Kafka is away it waits."""
        stream = self._stream
        async with open_reader(self._servers, stream.topic, stream.partitions, deadline_s=self._deadline_s) as reader:
            await self._seek(reader, start)
            at_ms = start.at_ms
            while True:
                before = list(reader.offsets)
                records = await reader.poll(MAX_PAGE, 60.0)
                if records:
                    at_ms = max(at_ms, max(record.timestamp for record in records))
                if records or before != reader.offsets:
                    yield Batch(self.decode(records), self._cursor(reader.offsets, at_ms))

    async def close(self) -> None:
        """Answer what is under way and disconnect. May be called twice."""
        await asyncio.gather(self._appender.close(), self._readers.close())

    def decode(self, records: Sequence[Any]) -> list[Event]:
        """The records as events. What is none is left out here; the indexer puts it to the dead letters."""
        events = []
        for record in records:
            with contextlib.suppress(NotAnEvent):
                events.append(event_of(record, self._stream))
        return events

    def _records(self, drafts: Sequence[Draft]) -> list[Record]:
        partitions, now_ms = self._stream.partitions, time.time_ns() // 1_000_000
        records: list[Record] = []
        for draft in drafts:
            body = draft.body
            aggregate_id = draft.envelope.aggregate_id
            if aggregate_id is None:
                records.append((self._sticky.next(len(body)), None, body, now_ms, NO_HEADERS))
            else:
                key = aggregate_id.encode()
                records.append((partition(key, partitions), key, body, now_ms, NO_HEADERS))
        return records

    def _outcomes(
        self, drafts: Sequence[Draft], records: Sequence[Record], placements: Placements
    ) -> Iterator[Outcome]:
        key, name, partitions = self._stream.key, self._stream.stream_name, self._stream.partitions
        before = [(UNKNOWN,) * number for number in range(partitions)]
        after = [(UNKNOWN,) * (partitions - number - 1) for number in range(partitions)]
        failures = placements.failures
        moments: dict[int, datetime] = {}
        for index, (draft, record, offset, at_ms) in enumerate(
            zip(drafts, records, placements.offsets, placements.times_ms, strict=True)
        ):
            if failures and index in failures:
                yield _refusal(failures[index])
                continue
            recorded_at = moments.get(at_ms) or moments.setdefault(at_ms, from_ms(at_ms))
            number = record[0]
            # Without their constructors, which would be a quarter of an append's cost.
            next_offsets = ((key, (*before[number], offset + 1, *after[number])),)
            cursor = _new(Cursor, (0, 0, at_ms, next_offsets, ()))
            event_id = draft.envelope.event_id
            yield [_new(Receipt, (event_id, name, None, number, offset, None, cursor, recorded_at, False, None))]

    def _cursor(self, offsets: Sequence[int], at_ms: int) -> Cursor:
        return Cursor(0, 0, at_ms, ((self._stream.key, tuple(offsets)),))

    def _offsets(self, cursor: Cursor) -> Sequence[int]:
        return dict(cursor.kafka).get(self._stream.key, ())

    async def _seek(self, reader: KafkaReader, start: Cursor) -> tuple[int, ...]:
        return await reader.seek(self._offsets(start), start.at_ms)

    async def _connect(self) -> KafkaReader:
        topic, partitions = self._stream.topic, self._stream.partitions
        return await connect(
            self._servers, topic, partitions, deadline_s=self._deadline_s, fetch_wait_ms=_POOLED_FETCH_WAIT_MS
        )


def event_of(record: Any, stream: Stream) -> Event:
    """The event in a record, with its place. Raises NotAnEvent."""
    event = decode_for(stream, record.value)
    event.partition = record.partition
    event.offset = record.offset
    event.recorded_at = from_ms(record.timestamp)
    return event


def from_ms(at_ms: int) -> datetime:
    """A moment in milliseconds since 1970, as Kafka keeps it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _unsupported(command: Command) -> Refusal | None:
    if command.condition is not None:
        return Refusal(0, ErrorCode.UNSUPPORTED_BY_ENGINE, "a Kafka stream cannot keep a condition")
    if len(command.events) > 1:
        return Refusal(
            0, ErrorCode.UNSUPPORTED_BY_ENGINE, "a Kafka stream cannot commit a batch as one; use atomic: false"
        )
    if command.events and command.events[0].expected_sequence is not None:
        return Refusal(0, ErrorCode.UNSUPPORTED_BY_ENGINE, "a Kafka stream has no sequence numbers to expect")
    return None


def _raise_if_all_failed(placements: Placements) -> None:
    failures = list(placements.failures.values())
    if len(failures) == len(placements.offsets) and not any(isinstance(failure, _TOO_LARGE) for failure in failures):
        raise unavailable(failures[0])


def _refusal(failure: Exception) -> Refusal:
    if isinstance(failure, _TOO_LARGE):
        return Refusal(0, ErrorCode.PAYLOAD_TOO_LARGE, "the topic's broker takes no record of this size")
    error = unavailable(failure)
    return Refusal(0, error.code, error.message)
