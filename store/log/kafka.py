"""The Kafka engine: a stream whose commit is the broker's `acks=all`.

It promises order within an aggregate (one partition a key) and nothing more: repeats keep their place, so there are no
conditions, no versions and no atomic commands. `recorded_at` is the broker's append time (see store/topics.py).
"""

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from schema.cursor import Cursor
from schema.errors import ErrorCode
from schema.event import MAX_PAGE, Event
from schema.stream import Stream
from store.log.foreign import NotAnEvent, decode_for
from store.log.kafka_append import KafkaAppender, Placed, Placement, unavailable
from store.log.kafka_read import UNKNOWN, KafkaReader, open_reader
from store.log.kafka_records import Record
from store.log.partitioner import Sticky, partition
from store.log.port import Batch, Command, Draft, Outcome, Promises, Receipt, Refusal

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

    async def append(self, commands: Sequence[Command]) -> list[Outcome]:
        """Commit each one-event command; refuse what Kafka cannot promise. See `port.Log.append`."""
        outcomes: list[Outcome] = []
        drafts: list[Draft] = []
        records: list[Record] = []
        now_ms = time.time_ns() // 1_000_000
        for command in commands:
            refusal = _unsupported(command)
            outcomes.append(refusal or [])
            if refusal is None and command.events:
                drafts.append(command.events[0])
                records.append(self._record(command.events[0], now_ms))
        if not records:
            return outcomes
        placements = await self._appender.append(records)
        _raise_if_all_failed(placements)
        rest = iter(self._receipts(drafts, records, placements))
        return [
            next(rest) if command.events and not isinstance(outcome, Refusal) else outcome
            for command, outcome in zip(commands, outcomes, strict=True)
        ]

    async def read(self, start: Cursor, limit: int) -> Batch:
        """Up to `limit` events that were committed when the call began. See `port.Log.read`."""
        async with self._reader() as reader:
            await self._seek(reader, start)
            ends = await reader.ends()
            events: list[Event] = []
            at_ms = start.at_ms
            deadline = time.monotonic() + self._deadline_s
            while len(events) < limit and any(now < end for now, end in zip(reader.offsets, ends, strict=True)):
                records = await reader.poll(min(limit - len(events), MAX_PAGE), 1.0)
                if records:
                    events += self.decode(records)
                    at_ms = max(at_ms, max(record.timestamp for record in records))
                    deadline = time.monotonic() + self._deadline_s
                elif time.monotonic() > deadline:
                    raise unavailable(TimeoutError("no records in time"))
            return Batch(events, self._cursor(reader.offsets, at_ms))

    async def head(self) -> Cursor:
        """The cursor after the last committed event of every partition."""
        async with self._reader() as reader:
            return self._cursor(await reader.ends(), time.time_ns() // 1_000_000)

    async def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        """All events from `start` on, by one consumer of its own, without a group. While Kafka is away it waits."""
        async with self._reader() as reader:
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
        await self._appender.close()

    def decode(self, records: Sequence[Any]) -> list[Event]:
        """The records as events. What is none is left out here; the indexer puts it to the dead letters."""
        events = []
        for record in records:
            with contextlib.suppress(NotAnEvent):
                events.append(event_of(record, self._stream))
        return events

    def _record(self, draft: Draft, now_ms: int) -> Record:
        aggregate_id = draft.envelope.aggregate_id
        if aggregate_id is None:
            return Record(self._sticky.next(len(draft.body)), None, draft.body, now_ms)
        key = aggregate_id.encode()
        return Record(partition(key, self._stream.partitions), key, draft.body, now_ms)

    def _receipts(
        self, drafts: Sequence[Draft], records: Sequence[Record], placements: Sequence[Placement]
    ) -> list[Outcome]:
        key, name, partitions = self._stream.key, self._stream.stream_name, self._stream.partitions
        nothing = [UNKNOWN] * partitions
        seen_ms, recorded_at = -1, datetime.now(UTC)
        outcomes: list[Outcome] = []
        for draft, record, placed in zip(drafts, records, placements, strict=True):
            if not isinstance(placed, Placed):
                outcomes.append(_refusal(placed))
                continue
            offset, at_ms = placed
            if at_ms != seen_ms:
                seen_ms, recorded_at = at_ms, from_ms(at_ms)
            place = nothing.copy()
            place[record.partition] = offset + 1
            cursor = Cursor(0, 0, at_ms, ((key, tuple(place)),))
            outcomes.append(
                [Receipt(draft.envelope.event_id, name, None, record.partition, offset, None, cursor, recorded_at)]
            )
        return outcomes

    def _cursor(self, offsets: Sequence[int], at_ms: int) -> Cursor:
        return Cursor(0, 0, at_ms, ((self._stream.key, tuple(offsets)),))

    async def _seek(self, reader: KafkaReader, start: Cursor) -> None:
        await reader.seek(dict(start.kafka).get(self._stream.key, ()), start.at_ms)

    def _reader(self) -> contextlib.AbstractAsyncContextManager[KafkaReader]:
        return open_reader(self._servers, self._stream.topic, self._stream.partitions, deadline_s=self._deadline_s)


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


def _raise_if_all_failed(placements: Sequence[Placement]) -> None:
    failures = [placed for placed in placements if isinstance(placed, Exception)]
    if len(failures) == len(placements) and not any(isinstance(failure, _TOO_LARGE) for failure in failures):
        raise unavailable(failures[0])


def _refusal(failure: Exception) -> Refusal:
    if isinstance(failure, _TOO_LARGE):
        return Refusal(0, ErrorCode.PAYLOAD_TOO_LARGE, "the topic's broker takes no record of this size")
    error = unavailable(failure)
    return Refusal(0, error.code, error.message)
