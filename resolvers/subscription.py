"""`Subscription`: the log, live and from any place in its past."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET, Info

from processors.live import items as said
from processors.live.request import DEFAULT_BUFFER_BYTES, DEFAULT_ITEMS, Edge, LiveRequest, Start
from processors.live.request import Overflow as Policy
from processors.live.subscription import LiveSubscription
from resolvers.arguments import given, where_of
from resolvers.context import Context
from resolvers.event import Event
from resolvers.event_batch import EventBatch
from schema.errors import bad_input
from schema.graphql.enums import Overflow
from schema.graphql.event import SignCursor
from schema.graphql.filters import EventFilter
from schema.graphql.interfaces import FeedItem
from schema.graphql.live import CaughtUp, From, Gap, Progress

_From = Annotated[From | None, strawberry.argument(name="from")]


@strawberry.type
class Subscription:
    """What a client can follow."""

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
        if overflow is Overflow.DROP_OLDEST:
            raise bad_input("DROP_OLDEST needs `feed` or `eventBatches`, which say what was dropped", field="overflow")
        live = await _subscribe(info.context, streams, where, from_, overflow, buffer_bytes)
        return _events(live, info.context.sign)

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
        live = await _subscribe(info.context, streams, where, from_, overflow, buffer_bytes)
        return _feed(live, info.context.sign)

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
        live = await _subscribe(
            info.context,
            streams,
            where,
            from_,
            overflow,
            buffer_bytes,
            max_events=100 if max_events is None else max_events,
            max_wait_ms=50 if max_wait_ms is None else max_wait_ms,
        )
        return _batches(live, info.context.sign)


async def _subscribe(
    context: Context,
    streams: list[str] | None,
    where: EventFilter | None,
    start: From | None,
    overflow: Overflow | None,
    buffer_bytes: int | None,
    *,
    max_events: int = DEFAULT_ITEMS,
    max_wait_ms: int = 0,
) -> LiveSubscription:
    services, principal = context.services, context.principal
    names, size = given(streams), given(buffer_bytes)
    return await services.live.subscribe(
        LiveRequest(
            principal=principal,
            streams=None if names is None else await services.readable.named(principal, names),
            where=where_of(where),
            start=_start(context, given(start)),
            overflow=Policy((overflow or Overflow.DISCONNECT).value),
            buffer_bytes=DEFAULT_BUFFER_BYTES if size is None else size,
            max_events=max_events,
            max_wait_ms=max_wait_ms,
        )
    )


def _start(context: Context, start: From | None) -> Start:
    """Where to begin: the cursor a reconnecting client resumes from goes before what its old variables say."""
    decode, tenant = context.services.codec.decode, context.principal.tenant
    if context.resume is not None:
        return decode(tenant, context.resume)
    if start is None:
        return Edge.LIVE
    if start.cursor is not UNSET and start.cursor is not None:
        return decode(tenant, start.cursor)
    if isinstance(start.time, datetime):
        return start.time
    if start.beginning is True:
        return Edge.BEGINNING
    if start.live is True:
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
                yield _item(item, sign)


async def _batches(live: LiveSubscription, sign: SignCursor) -> AsyncGenerator[EventBatch, None]:
    caught_up = False
    async with live:
        async for items in live:
            caught_up = caught_up or any(isinstance(item, said.CaughtUp) for item in items)
            yield EventBatch(_of(items, sign), items[-1].cursor, sign, _dropped(items), caught_up)


def _of(items: Sequence[said.Item], sign: SignCursor) -> list[Event]:
    return [Event(item.event, item.cursor, sign) for item in items if isinstance(item, said.Delivered)]


def _dropped(items: Sequence[said.Item]) -> int:
    return sum(item.dropped for item in items if isinstance(item, said.Gap))


def _item(item: said.Item, sign: SignCursor) -> FeedItem:
    match item:
        case said.Delivered(event, cursor):
            return Event(event, cursor, sign)
        case said.Gap(cursor, dropped):
            return Gap(cursor, sign, dropped)
        case said.CaughtUp(cursor):
            return CaughtUp(cursor, sign)
        case said.Progress(cursor, at):
            return Progress(cursor, sign, at)
