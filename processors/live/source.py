"""The logs a subscription can follow: a tenant's ledger, or one Kafka or Redis stream."""

from collections.abc import AsyncIterator, Callable, Collection, Hashable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from processors.live.handover import Handover
from processors.live.ports import Reader
from processors.live.request import Edge, Start
from processors.live.track import KafkaTrack, LedgerTrack, RedisTrack, Track
from schema.cursor import Cursor, CursorInvalid
from schema.event import NEVER, Event
from schema.filter.ast import Filter
from schema.stream import Stream, StreamEngine
from store.log.port import Backward, Batch, Log
from store.signals.port import log_topic
from store.tenants import Tenant

SLICE_EVENTS = 500


class Query(Protocol):
    """What a subscriber wants of one log, and may see of it.

    `streams`: keys, for the reader beside the data; `names`: the same by name, None: any. `readable`: whether an event
    may be seen, where the names do not say it. `key`: equal for equal queries.
    """

    streams: Collection[int] | None
    names: frozenset[str] | None
    where: Filter | None
    readable: Callable[[Event], bool] | None

    @property
    def key(self) -> Hashable:
        """Equal for queries that want and see the same."""

    def accepts(self, event: Event) -> bool:
        """Whether an event is wanted and may be seen."""


class Stretch(NamedTuple):
    """A part of a log that was looked through: what matched, the place reached, how many events were passed."""

    events: Sequence[Event]
    place: Cursor
    scanned: int


class Source(Protocol):
    """One log, as the live path reads it. `key`: a ledger's signal topic, or a stream's id."""

    key: str
    log: Log
    track: Track

    async def place(self, start: Start, head: Cursor) -> Cursor:
        """The place a start means. Raises CURSOR_INVALID for one that lies beyond the head or in a forked log."""

    async def scan(self, query: Query, start: Cursor, end: Cursor, limit: int) -> Stretch:
        """Up to `limit` matching events from `start` on; looks at least at something, and not past `end` where the
        log knows to stop there.
        """

    async def before(self, end: Cursor) -> tuple[Cursor, Sequence[Event]]:
        """Some of the events right before `end`, all up to it, and the place before them; none where there are none, or
        the log cannot tell cheaply.
        """

    def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        """All events from `start` on and then new ones, for ever."""


class LedgerSource:
    """A tenant's ledger. Filters are evaluated by PostgreSQL while catching up."""

    def __init__(self, tenant: Tenant, log: Log, reader: Reader, handover: Handover) -> None:
        self.key = log_topic(tenant.name)
        self.log = log
        self.track: Track = LedgerTrack()
        self.handover = handover
        self._tenant = tenant
        self._reader = reader

    async def place(self, start: Start, head: Cursor) -> Cursor:
        """See `Source.place`."""
        if start is Edge.LIVE:
            return head
        if start is Edge.BEGINNING:
            return Cursor(head.epoch, 1)
        if isinstance(start, datetime):
            return await self._at(start, head)
        assert isinstance(start, Cursor)
        if not start.position:
            return await self._at(NEVER + timedelta(milliseconds=start.at_ms), head)
        if start.epoch != head.epoch:
            raise CursorInvalid("the log was forked or restored since")
        if start.position > head.position:
            raise CursorInvalid("it lies beyond the head of the log")
        return Cursor(start.epoch, start.position, start.at_ms)

    async def scan(self, query: Query, start: Cursor, end: Cursor, limit: int) -> Stretch:
        """See `Source.scan`."""
        found = await self._reader.scan(
            self._tenant,
            streams=query.streams,
            where=query.where,
            start=start.position,
            end=end.position,
            limit=limit,
        )
        events = [event for event in found.events if query.accepts(event)]
        return Stretch(events, Cursor(start.epoch, found.reached, start.at_ms), found.reached - start.position)

    async def before(self, end: Cursor) -> tuple[Cursor, Sequence[Event]]:
        """See `Source.before`."""
        start = Cursor(end.epoch, max(1, end.position - SLICE_EVENTS))
        place, events = start, list[Event]()
        while place.position < end.position:
            batch = await self.log.read(place, end.position - place.position)
            if not batch.events:
                break
            events += batch.events
            place = batch.cursor
        if not events or events[0].position != start.position or events[-1].position != end.position - 1:
            return end, ()  # cut off, or truncated meanwhile: then there is no past without a hole
        return start, events

    def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        """What is committed here by hand-over, the rest read from the log."""
        return self.handover.tail(start)

    async def _at(self, recorded_at: datetime, head: Cursor) -> Cursor:
        position = await self._reader.position_at(self._tenant, recorded_at)
        # The head was read a little earlier: beyond it nothing has been looked at yet.
        return Cursor(head.epoch, min(position, head.position), _ms(recorded_at))


class StreamSource:
    """One Kafka or Redis stream. Filters are evaluated here: the brokers know none."""

    def __init__(self, stream: Stream, log: Log) -> None:
        self.key = stream.stream_id
        self.log = log
        kafka = stream.engine is StreamEngine.KAFKA
        self.track: Track = KafkaTrack(stream.key, stream.partitions) if kafka else RedisTrack(stream.key)
        self._stream = stream.key

    async def place(self, start: Start, head: Cursor) -> Cursor:
        """See `Source.place`. What a cursor does not know of this stream, the log finds by the cursor's time."""
        if start is Edge.LIVE:
            return head
        if start is Edge.BEGINNING:
            return Cursor(0, 0)
        if isinstance(start, datetime):
            return Cursor(0, 0, _ms(start))
        assert isinstance(start, Cursor)
        place = Cursor(
            0,
            0,
            start.at_ms,
            kafka=tuple(part for part in start.kafka if part[0] == self._stream),
            redis=tuple(part for part in start.redis if part[0] == self._stream),
        )
        if (place.kafka or place.redis) and not self.track.covers(head, place):
            raise CursorInvalid("it lies beyond the head of the stream")
        return place

    async def scan(self, query: Query, start: Cursor, end: Cursor, limit: int) -> Stretch:
        """See `Source.scan`. May read past `end`: what is live by then is passed over there."""
        batch = await self.log.read(start, limit)
        events = [event for event in batch.events if query.accepts(event)]
        return Stretch(events, batch.cursor, len(batch.events))

    async def before(self, end: Cursor) -> tuple[Cursor, Sequence[Event]]:
        """See `Source.before`."""
        if not isinstance(self.log, Backward):
            return end, ()
        return await self.log.before(end, SLICE_EVENTS)

    def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        """The log's own tail: one consumer for all subscribers of this process."""
        return self.log.tail(start)


def _ms(moment: datetime) -> int:
    return int((moment - NEVER).total_seconds() * 1000)
