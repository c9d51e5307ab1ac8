"""`Event` and its connections: what an event's fields ask the log."""

from typing import Annotated

import strawberry
from strawberry import UNSET, Info

from processors.pages import EventPage
from processors.query import EffectsOf
from resolvers.arguments import given
from resolvers.context import Context
from schema.cursor import Cursor
from schema.event import Event as Committed
from schema.graphql.event import EventFields, SignCursor
from schema.graphql.interfaces import PageInfo
from schema.graphql.scalars import CursorText

DEFAULT_PAGE = 50


@strawberry.type(description="one committed event")
class Event(EventFields):
    """One committed event."""

    def __init__(self, event: Committed, place: Cursor, sign: SignCursor) -> None:
        super().__init__(event, place, sign)  # said here, or the decorator writes one that takes every field

    @strawberry.field(description="the event its causationId names, where the caller may read it")
    async def cause(self, info: Info[Context, None]) -> Annotated["Event", strawberry.lazy("resolvers.event")] | None:
        """The causing event; the causes of one result are looked up together."""
        if self.event.causation_id is None:
            return None
        return await event_of(info.context, self.event.causation_id)

    @strawberry.field(
        description="the events that name this one as their cause; `streams` left out: in all ledger streams"
    )
    async def effects(
        self,
        info: Info[Context, None],
        first: int | None = DEFAULT_PAGE,
        after: str | None = UNSET,
        streams: list[str] | None = UNSET,
    ) -> Annotated["EventConnection", strawberry.lazy("resolvers.event")]:
        """A page of effects; the first pages of the events of one result are read together."""
        context, count = info.context, DEFAULT_PAGE if first is None else first
        names = given(streams)
        if not after:
            asked = EffectsOf(self.event.event_id, count, None if names is None else tuple(names))
            return EventConnection(await context.loaders.effects.load(asked), context.sign)
        page = await context.services.events.effects(
            context.principal, self.event.event_id, streams=names, first=count, after=after
        )
        return EventConnection(page, context.sign)


@strawberry.type
class EventEdge:
    """An event in a page."""

    node: Event
    cursor: str


@strawberry.type
class EventConnection:
    """A page of events (relay.dev/graphql/connections.htm). Cursors are signed only where they are selected."""

    def __init__(self, page: EventPage, sign: SignCursor) -> None:
        self.page = page
        self.sign = sign

    @strawberry.field
    def edges(self) -> list[EventEdge]:
        """The events, each with the text for `after`."""
        return [
            EventEdge(node=node, cursor=cursor) for node, cursor in zip(self._shown(), self.page.cursors, strict=True)
        ]

    @strawberry.field
    def nodes(self) -> list[Event]:
        """The events."""
        return self._shown()

    @strawberry.field
    def page_info(self) -> PageInfo:
        """Where the page stands in its read."""
        return PageInfo(
            has_next_page=self.page.has_next,
            has_previous_page=self.page.has_previous,
            start_cursor=self.page.start_cursor,
            end_cursor=self.page.end_cursor,
        )

    @strawberry.field(description="where this read stands: a subscription from here goes on without gap")
    def as_of(self) -> CursorText:
        """The log's head as the first page saw it."""
        return CursorText(self.sign(self.page.as_of))

    def _shown(self) -> list[Event]:
        return [Event(event, place, self.sign) for event, place in zip(self.page.events, self.page.places, strict=True)]


async def event_of(context: Context, event_id: str) -> Event | None:
    """The event of that id, if there is one and the caller may read it."""
    found = await context.loaders.events.load(event_id)
    return None if found is None else Event(found.event, found.place, context.sign)
