"""Reading the past: pages of events, single events, causes and effects; only what the caller may read.

A page is pinned: the log's head at the first page travels with `after`, so later pages see what the first one saw, and
`as_of` hands over to a live subscription without gap. Ledger events come by position, those of named Kafka streams from
the index by place; a read of both merges them by `recorded_at`, and its cursors carry both bounds.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

from processors.merging import is_done, merge, walk
from processors.pages import Bounds, EventPage, Order, check_first
from processors.readable import ReadableStreams
from schema.cursor import Cursor, CursorCodec, CursorInvalid
from schema.errors import ErrorCode, EsbError
from schema.event import MAX_PAGE, Event
from schema.filter.ast import Filter
from schema.filter.typed import parse_filter
from schema.principal import Action, Principal
from schema.stream import Stream, StreamEngine
from store.ledger.reader import EventReader
from store.ledger.walk import Order as WalkOrder
from store.ledger.walk import Scan
from store.log.port import Log
from store.tenants import Tenant, Tenants

WALK_SECONDS = 6.0
CONSISTENCY_SECONDS = 5.0
_POLL_SECONDS = 0.05
_WALK = {Order.ASC: WalkOrder.ASCENDING, Order.DESC: WalkOrder.DESCENDING}


class Logs(Protocol):
    """Where the logs of streams come from."""

    async def of(self, stream: Stream) -> Log:
        """The log; raises UNSUPPORTED_BY_ENGINE when the engine is not configured here."""


@runtime_checkable
class _Counted(Protocol):
    """A log that knows how many events it holds."""

    async def length(self) -> int:
        """How many."""
        ...


class Placed(NamedTuple):
    """An event, and where a live subscription goes on right after it."""

    event: Event
    place: Cursor


class EffectsOf(NamedTuple):
    """The first page of an event's effects, as asked for. `streams`: None means every ledger stream."""

    event_id: str
    first: int
    streams: tuple[str, ...] | None = None


class _Sources(NamedTuple):
    """What a read walks: ledger streams by key (None: all; empty: no ledger), and Kafka streams."""

    ledger: Collection[int] | None
    kafka: tuple[Stream, ...]


class EventQueries:
    """Answers readers of the past. `walk_seconds`: how long one page may look through events that do not match."""

    def __init__(
        self,
        reader: EventReader,
        streams: ReadableStreams,
        tenants: Tenants,
        logs: Logs,
        codec: CursorCodec,
        *,
        walk_seconds: float = WALK_SECONDS,
        consistency_seconds: float = CONSISTENCY_SECONDS,
    ) -> None:
        self._reader = reader
        self._streams = streams
        self._tenants = tenants
        self._logs = logs
        self._codec = codec
        self._walk_seconds = walk_seconds
        self._consistency_seconds = consistency_seconds

    async def page(
        self,
        principal: Principal,
        *,
        streams: Sequence[str] | None = None,
        where: Filter | None = None,
        first: int = 50,
        after: str | None = None,
        order: Order = Order.ASC,
        consistent_with: str | None = None,
    ) -> EventPage:
        """A page of matching events. `streams` left out: every ledger stream the caller may read.

        `after`: a page's cursor; `consistent_with`: a live cursor whose events must be visible before the read begins.
        Raises BAD_INPUT, FORBIDDEN, UNKNOWN_STREAM, UNSUPPORTED_BY_ENGINE (Redis), CURSOR_INVALID, TIMEOUT (not
        consistent in time), and TOO_COMPLEX when nothing was found within the walking budget; `details["cursor"]` then
        goes on from there.
        """
        check_first(first)
        sources = await self._sources(principal, streams)
        tenant = await self._tenants.get(principal.tenant)
        if consistent_with is not None:
            await self._wait_for(tenant, sources, self._codec.decode(tenant.name, consistent_with))
        bounds = await self._bounds(tenant, sources, after, order)
        deadline = time.monotonic() + self._walk_seconds
        ledger = await self._ledger(tenant, sources, where, bounds, first + 1, deadline)
        index = await self._index(tenant, sources, where, bounds, first + 1, deadline)
        return await self._merged(tenant, sources, bounds, ledger, index, first, has_previous=after is not None)

    async def event(self, principal: Principal, event_id: str) -> Event | None:
        """The event of that id; None where there is none, or none this caller may read."""
        found = (await self.placed(principal, [event_id])).get(event_id)
        return found.event if found else None

    async def placed(self, principal: Principal, event_ids: Collection[str]) -> dict[str, Placed]:
        """The events of these ids that the caller may read, by id."""
        principal.require(Action.READ)
        tenant = await self._tenants.get(principal.tenant)
        # PostgreSQL cannot even be asked for a NUL, so no event has one in its id
        found = await self._reader.by_ids(tenant, [text for text in event_ids if "\0" not in text])
        return {
            event_id: Placed(event, await self._place(tenant, event))
            for event_id, event in found.items()
            if principal.may(Action.READ, event.stream)
        }

    async def correlation(
        self,
        principal: Principal,
        correlation_id: str,
        *,
        streams: Sequence[str] | None = None,
        first: int = 50,
        after: str | None = None,
    ) -> EventPage:
        """The events of one conversation, as committed; `streams` as in `page`."""
        where = parse_filter({"correlation_id": {"eq": correlation_id}})
        return await self.page(principal, streams=streams, where=where, first=first, after=after)

    async def effects(
        self,
        principal: Principal,
        event_id: str,
        *,
        streams: Sequence[str] | None = None,
        first: int = 50,
        after: str | None = None,
    ) -> EventPage:
        """The events that name this one as their cause; `streams` as in `page`."""
        where = parse_filter({"causation_id": {"eq": event_id}})
        return await self.page(principal, streams=streams, where=where, first=first, after=after)

    async def effects_of_each(self, principal: Principal, asked: Collection[EffectsOf]) -> dict[EffectsOf, EventPage]:
        """The first page of effects of each: one read for those of the same streams, where they all fit in it."""
        found: dict[EffectsOf, EventPage] = {}
        for streams in {each.streams for each in asked}:
            found |= await self._effects_of_each(
                principal, streams, [each for each in asked if each.streams == streams]
            )
        return found

    async def _effects_of_each(
        self, principal: Principal, streams: tuple[str, ...] | None, asked: Sequence[EffectsOf]
    ) -> dict[EffectsOf, EventPage]:
        for each in asked:
            check_first(each.first)
        ids = sorted({each.event_id for each in asked})
        if 1 < len(ids) <= MAX_PAGE:
            where = parse_filter({"causation_id": {"in": ids}})
            whole = await self.page(principal, streams=streams, where=where, first=MAX_PAGE)
            if not whole.has_next:
                return {each: _part(whole, each.event_id, each.first) for each in asked}
        return {each: await self.effects(principal, each.event_id, streams=streams, first=each.first) for each in asked}

    async def head(self, principal: Principal, stream: Stream) -> Cursor:
        """Where a subscription of the stream would begin now."""
        principal.require(Action.READ, stream.stream_name)
        return await (await self._logs.of(stream)).head()

    async def count(self, principal: Principal, stream: Stream) -> int:
        """How many events the stream has: of Kafka as far as they are indexed, of Redis what it still keeps."""
        principal.require(Action.READ, stream.stream_name)
        if stream.engine is StreamEngine.REDIS:
            log = await self._logs.of(stream)
            return await log.length() if isinstance(log, _Counted) else 0
        tenant = await self._tenants.get(principal.tenant)
        return await self._reader.count(tenant, stream.key, indexed=stream.engine is StreamEngine.KAFKA)

    async def _sources(self, principal: Principal, names: Sequence[str] | None) -> _Sources:
        if names is None:
            return _Sources(await self._streams.ledger_keys(principal), ())
        found = await self._streams.named(principal, names)
        for stream in found:
            if stream.engine is StreamEngine.REDIS:
                raise _not_indexed(stream)
        kafka = tuple(stream for stream in found if stream.engine is StreamEngine.KAFKA)
        return _Sources([stream.key for stream in found if stream.engine is StreamEngine.LEDGER], kafka)

    async def _bounds(self, tenant: Tenant, sources: _Sources, after: str | None, order: Order) -> Bounds:
        if after is not None:
            page = self._codec.decode_page(tenant.name, after)
            if page.epoch != tenant.epoch:
                raise CursorInvalid("it is from another epoch of the log")
            return Bounds.of(page, order)
        position, recorded_at = await self._reader.end(tenant)
        place = await self._reader.place_head(tenant) if sources.kafka else 1
        at_ms = int(recorded_at.timestamp() * 1000)
        if order is Order.ASC:
            return Bounds(tenant.epoch, order, 1, position, 1, place, at_ms)
        return Bounds(tenant.epoch, order, position, position, place, place, at_ms)

    async def _ledger(
        self, tenant: Tenant, sources: _Sources, where: Filter | None, bounds: Bounds, limit: int, deadline: float
    ) -> Scan:
        if sources.ledger is not None and not sources.ledger:
            return Scan([], bounds.ledger_end if bounds.order is Order.ASC else 1, [])
        scan = partial(self._reader.scan, tenant, streams=sources.ledger, where=where, order=_WALK[bounds.order])
        return await walk(scan, bounds.order, bounds.ledger, bounds.ledger_end, limit, deadline)

    async def _index(
        self, tenant: Tenant, sources: _Sources, where: Filter | None, bounds: Bounds, limit: int, deadline: float
    ) -> Scan:
        if not sources.kafka:
            return Scan([], bounds.indexed_end if bounds.order is Order.ASC else 1, [])
        keys = [stream.key for stream in sources.kafka]
        scan = partial(self._reader.scan_indexed, tenant, streams=keys, where=where, order=_WALK[bounds.order])
        return await walk(scan, bounds.order, bounds.indexed, bounds.indexed_end, limit, deadline)

    async def _merged(
        self,
        tenant: Tenant,
        sources: _Sources,
        bounds: Bounds,
        ledger: Scan,
        index: Scan,
        first: int,
        *,
        has_previous: bool,
    ) -> EventPage:
        chosen, marks = merge(bounds, ledger, index, first)
        found = len(ledger.events) + len(index.events)
        if found > len(chosen):
            end, has_next = marks[-1], True
        else:
            end = bounds._replace(ledger=ledger.reached, indexed=index.reached)
            has_next = not is_done(end)
        sign = partial(self._codec.encode_page, tenant.name)
        if has_next and not chosen:
            raise EsbError(
                ErrorCode.TOO_COMPLEX,
                "nothing matched among the events looked through so far; go on with `after` set to details.cursor,"
                " or ask for fewer streams or an indexed field",
                details={"cursor": sign(end.page_cursor())},
            )
        by_name = {stream.stream_name: stream for stream in sources.kafka}
        return EventPage(
            events=chosen,
            places=[_place_of(tenant, event, by_name.get(event.stream)) for event in chosen],
            marks=marks,
            end=end,
            has_next=has_next,
            has_previous=has_previous,
            as_of=await self._as_of(tenant, sources, bounds),
            sign=sign,
        )

    async def _as_of(self, tenant: Tenant, sources: _Sources, bounds: Bounds) -> Cursor:
        kafka = [
            (stream.key, await self._reader.offsets_before(tenant, stream.key, stream.partitions, bounds.indexed_end))
            for stream in sources.kafka
        ]
        return Cursor(bounds.epoch, bounds.ledger_end, bounds.at_ms, tuple(kafka))

    async def _place(self, tenant: Tenant, event: Event) -> Cursor:
        stream = None if event.position is not None else await self._streams.of_name(tenant.name, event.stream)
        return _place_of(tenant, event, stream)

    async def _wait_for(self, tenant: Tenant, sources: _Sources, cursor: Cursor) -> None:
        """Until what lies before the cursor can be read: at once for the ledger, once it is indexed for Kafka."""
        if cursor.position and cursor.epoch != tenant.epoch:
            raise CursorInvalid("it is from another epoch of the log")
        wanted = dict(cursor.kafka)
        try:
            async with asyncio.timeout(self._consistency_seconds):
                # asked again and again: what is waited for may be committed or indexed by another process
                while cursor.position and await self._reader.head(tenant) < cursor.position:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
                for stream in sources.kafka:
                    while not await self._is_indexed(tenant, stream, wanted.get(stream.key, ())):  # noqa: ASYNC110
                        await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise EsbError(
                ErrorCode.TIMEOUT,
                f"what the cursor names could not be read within {self._consistency_seconds:g} seconds",
                retry_after_ms=1000,
            ) from None

    async def _is_indexed(self, tenant: Tenant, stream: Stream, offsets: Sequence[int]) -> bool:
        if not offsets:
            return True
        head = await self._reader.place_head(tenant)
        known = await self._reader.offsets_before(tenant, stream.key, stream.partitions, head)
        return all(there >= wanted for there, wanted in zip(known, offsets, strict=False))


def _place_of(tenant: Tenant, event: Event, stream: Stream | None) -> Cursor:
    """Right after the event. `stream`: the Kafka stream it is from; None where that was deleted: by time only."""
    at_ms = int(event.recorded_at.timestamp() * 1000)
    if event.position is not None:
        return Cursor(tenant.epoch, event.position + 1, at_ms)
    if stream is None or event.partition is None or event.offset is None:
        return Cursor(0, 0, at_ms)
    offsets = [-1] * stream.partitions
    offsets[event.partition] = event.offset + 1
    return Cursor(0, 0, at_ms, ((stream.key, tuple(offsets)),))


def _part(whole: EventPage, event_id: str, first: int) -> EventPage:
    """The effects of one event out of those of several, all of which were read to the end."""
    return whole.part([place for place, event in enumerate(whole.events) if event.causation_id == event_id], first)


def _not_indexed(stream: Stream) -> EsbError:
    return EsbError(
        ErrorCode.UNSUPPORTED_BY_ENGINE,
        f"stream {stream.stream_name!r} is of the Redis engine, which keeps no index: follow it live",
    )
