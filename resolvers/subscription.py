"""The part of `Subscription` about events: the log, live and from any place in its past."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import strawberry
from strawberry import UNSET, Info

from processors.live import items as said
from processors.live.request import DEFAULT_BUFFER_BYTES, DEFAULT_ITEMS, Edge, LiveRequest, Start
from processors.live.request import Overflow as Policy
from processors.live.shape import Shape
from processors.live.subscription import LiveSubscription
from resolvers.arguments import given, where_of
from resolvers.context import Context
from resolvers.event import Event
from resolvers.event_batch import EventBatch
from schema.errors import bad_input
from schema.filter.ast import Filter
from schema.filter.typed import parse_filter
from schema.graphql.enums import Overflow
from schema.graphql.event import SignCursor
from schema.graphql.filters import EventFilter
from schema.graphql.interfaces import FeedItem
from schema.graphql.live import CaughtUp, From, Gap, Progress

_From = Annotated[From | None, strawberry.argument(name="from")]


@strawberry.type
class EventsSubscription:
    """What a client can follow of the log."""

    @strawberry.subscription(description="matching events, as they are committed")
    async def events(
        self,
        info: Info[Context, None],
        streams: list[str] | None = UNSET,
        where: EventFilter | None = UNSET,
        from_: _From = UNSET,
        overflow: Overflow | None = Overflow.DISCONNECT,
        buffer_bytes: int | None = UNSET,
    ) -> AsyncGenerator[Event, None]:
        """Events and nothing else: so a gap could not be told, and DROP_OLDEST is refused."""
        asked = _asked("events", streams, where, from_, overflow, buffer_bytes)
        return _events(await subscribe(info.context, asked), info.context.sign)

    @strawberry.subscription(description="the same, with gaps, progress and the end of backfill said out loud")
    async def feed(
        self,
        info: Info[Context, None],
        streams: list[str] | None = UNSET,
        where: EventFilter | None = UNSET,
        from_: _From = UNSET,
        overflow: Overflow | None = Overflow.DISCONNECT,
        buffer_bytes: int | None = UNSET,
    ) -> AsyncGenerator[FeedItem, None]:
        """Events, and what stands between them."""
        asked = _asked("feed", streams, where, from_, overflow, buffer_bytes)
        return _feed(await subscribe(info.context, asked), info.context.sign)

    @strawberry.subscription(description="many events a message: one render for a backfill")
    async def event_batches(
        self,
        info: Info[Context, None],
        streams: list[str] | None = UNSET,
        where: EventFilter | None = UNSET,
        from_: _From = UNSET,
        max_events: int | None = 100,
        max_wait_ms: int | None = 50,
        overflow: Overflow | None = Overflow.DISCONNECT,
        buffer_bytes: int | None = UNSET,
    ) -> AsyncGenerator[EventBatch, None]:
        """Events by the batch; a batch may be empty where only the cursor moved on."""
        asked = _asked("eventBatches", streams, where, from_, overflow, buffer_bytes, max_events, max_wait_ms)
        return _batches(await subscribe(info.context, asked), info.context.sign)


class Asked(NamedTuple):
    """What a subscription field was asked, read as far as that goes without its caller. `start`: the contract's `From`
    by its GraphQL names.
    """

    field: str
    streams: list[str] | None
    where: Filter | None
    start: Mapping[str, Any] | None
    overflow: Policy
    buffer_bytes: int
    max_events: int
    max_wait_ms: int

    @classmethod
    def of(cls, field: str, arguments: Mapping[str, Any]) -> "Asked":
        """From arguments as GraphQL coerces them: lists, and dicts by GraphQL names. Raises BAD_INPUT."""
        where, size = arguments.get("where"), arguments.get("bufferBytes")
        overflow = arguments.get("overflow")
        return cls(
            field,
            arguments.get("streams"),
            None if where is None else parse_filter(where),
            arguments.get("from"),
            _policy(field, overflow),
            DEFAULT_BUFFER_BYTES if size is None else size,
            *_gathering(field, arguments.get("maxEvents"), arguments.get("maxWaitMs")),
        )


def _asked(
    field: str,
    streams: list[str] | None,
    where: EventFilter | None,
    start: From | None,
    overflow: Overflow | None,
    buffer_bytes: int | None,
    max_events: int | None = None,
    max_wait_ms: int | None = None,
) -> Asked:
    size = given(buffer_bytes)
    policy = _policy(field, overflow)
    return Asked(
        field,
        given(streams),
        where_of(where),
        _said(given(start)),
        policy,
        DEFAULT_BUFFER_BYTES if size is None else size,
        *_gathering(field, max_events, max_wait_ms),
    )


_STARTS = ("cursor", "time", "beginning", "live")


def _said(start: From | None) -> Mapping[str, Any] | None:
    return None if start is None else {name: getattr(start, name) for name in _STARTS}


def start_of(context: Context, start: From | None) -> Start:
    """Where a subscription of the log begins; raises BAD_INPUT, CURSOR_INVALID."""
    return _start(context, _said(start))


def _policy(field: str, overflow: Overflow | None) -> Policy:
    if field == "events" and overflow is Overflow.DROP_OLDEST:
        raise bad_input("DROP_OLDEST needs `feed` or `eventBatches`, which say what was dropped", field="overflow")
    return Policy((overflow or Overflow.DISCONNECT).value)


def _gathering(field: str, max_events: int | None, max_wait_ms: int | None) -> tuple[int, int]:
    if field != "eventBatches":
        return DEFAULT_ITEMS, 0
    return (100 if max_events is None else max_events), (50 if max_wait_ms is None else max_wait_ms)


async def subscribe(context: Context, asked: Asked, shape: Shape | None = None) -> LiveSubscription:
    """Begin to follow, as the caller of the context."""
    services, principal = context.services, context.principal
    context.live = await services.live.subscribe(
        LiveRequest(
            principal=principal,
            streams=None if asked.streams is None else await services.readable.named(principal, asked.streams),
            where=asked.where,
            start=_start(context, asked.start),
            overflow=asked.overflow,
            buffer_bytes=asked.buffer_bytes,
            max_events=asked.max_events,
            max_wait_ms=asked.max_wait_ms,
            shape=shape,
        )
    )
    return context.live


def _start(context: Context, start: Mapping[str, Any] | None) -> Start:
    """Where to begin: the cursor a reconnecting client resumes from goes before what its old variables say."""
    decode, tenant = context.services.codec.decode, context.principal.tenant
    if context.resume is not None:
        return decode(tenant, context.resume)
    if start is None:
        return Edge.LIVE
    cursor, time = start.get("cursor"), start.get("time")
    if isinstance(cursor, str):
        return decode(tenant, cursor)
    if isinstance(time, datetime):
        return time
    if start.get("beginning") is True:
        return Edge.BEGINNING
    if start.get("live") is True:
        return Edge.LIVE
    raise bad_input("from says where to start: `false` says nothing", field="from")


async def _events(live: LiveSubscription, sign: SignCursor) -> AsyncGenerator[Event, None]:
    async with live:
        async for items in live:
            for item in items:
                if isinstance(item, said.Delivered):
                    yield Event(item.event, item.cursor, sign)


async def _feed(live: LiveSubscription, sign: SignCursor) -> AsyncGenerator[FeedItem, None]:
    async with live:
        async for items in live:
            for item in items:
                yield item_of(item, sign)


async def _batches(live: LiveSubscription, sign: SignCursor) -> AsyncGenerator[EventBatch, None]:
    async with live:
        async for items in live:
            yield batch_of(items, sign, live.caught_up)


def batch_of(items: Sequence[said.Item], sign: SignCursor, caught_up: bool) -> EventBatch:
    """Items of one step, which are never empty, as one message."""
    events = [Event(item.event, item.cursor, sign) for item in items if isinstance(item, said.Delivered)]
    dropped = sum(item.dropped for item in items if isinstance(item, said.Gap))
    return EventBatch(events, items[-1].cursor, sign, dropped, caught_up)


def item_of(item: said.Item, sign: SignCursor) -> FeedItem:
    """An item as `feed` says it."""
    match item:
        case said.Delivered(event, cursor):
            return Event(event, cursor, sign)
        case said.Gap(cursor, dropped):
            return Gap(cursor, sign, dropped)
        case said.CaughtUp(cursor):
            return CaughtUp(cursor, sign)
        case said.Progress(cursor, at):
            return Progress(cursor, sign, at)
