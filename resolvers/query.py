"""The part of `Query` about events and streams: the past."""

import strawberry
from strawberry import UNSET, Info

from resolvers.arguments import count_of, given, order_of, where_of
from resolvers.context import Context
from resolvers.event import DEFAULT_PAGE, Event, EventConnection, event_of
from resolvers.nodes import node_of
from resolvers.stream import Stream, StreamConnection, stream_page
from schema.graphql.enums import Order
from schema.graphql.filters import EventFilter
from schema.graphql.interfaces import Node
from schema.graphql.publishing import EventInput
from schema.graphql.scalars import CursorText
from schema.graphql.streams import Route


@strawberry.type
class RouteExplanation:
    """Which stream would take an event, and why."""

    stream: Stream
    why: str


@strawberry.type
class EventsQuery:
    """What a client can ask of the log."""

    @strawberry.field(description="whatever has that global id, where the caller may read it")
    async def node(self, info: Info[Context, None], id: strawberry.ID) -> Node | None:
        """Ids begin with what they name: evt_, str_, rte_ and so on; an aggregate's is its type and id."""
        return await node_of(info.context, id)

    @strawberry.field(description="the event of that id, where the caller may read it")
    async def event(self, info: Info[Context, None], event_id: strawberry.ID) -> Event | None:
        """One event."""
        return await event_of(info.context, event_id)

    @strawberry.field(description="events in the order they were committed; `streams` left out: all ledger streams")
    async def events(
        self,
        info: Info[Context, None],
        streams: list[str] | None = UNSET,
        where: EventFilter | None = UNSET,
        first: int | None = DEFAULT_PAGE,
        after: str | None = UNSET,
        order: Order | None = Order.ASC,
        consistent_with: CursorText | None = UNSET,
    ) -> EventConnection:
        """A page of events."""
        context = info.context
        page = await context.services.events.page(
            context.principal,
            streams=given(streams),
            where=where_of(where),
            first=count_of(first, DEFAULT_PAGE),
            after=given(after),
            order=order_of(order),
            consistent_with=given(consistent_with),
        )
        return EventConnection(page, context.sign)

    @strawberry.field(
        description="the events of one conversation, as committed; `cause` and `effects` of each make it a tree."
        " `streams` left out: all ledger streams"
    )
    async def correlation(
        self,
        info: Info[Context, None],
        correlation_id: strawberry.ID,
        first: int | None = DEFAULT_PAGE,
        after: str | None = UNSET,
        streams: list[str] | None = UNSET,
    ) -> EventConnection:
        """A page of the events with that correlationId."""
        context = info.context
        page = await context.services.events.correlation(
            context.principal,
            correlation_id,
            streams=given(streams),
            first=count_of(first, DEFAULT_PAGE),
            after=given(after),
        )
        return EventConnection(page, context.sign)

    @strawberry.field(description="the streams the caller may read, by name")
    async def streams(
        self, info: Info[Context, None], first: int | None = DEFAULT_PAGE, after: str | None = UNSET
    ) -> StreamConnection:
        """A page of streams."""
        return await stream_page(info.context, first, given(after))

    @strawberry.field(description="the stream of that name, where the caller may read it")
    async def stream(self, info: Info[Context, None], name: str) -> Stream | None:
        """One stream."""
        found = await info.context.services.streams.get(info.context.principal, name)
        return None if found is None else Stream(found)

    @strawberry.field(description="the routing rules, in the order they are asked")
    async def routes(self, info: Info[Context, None]) -> list[Route]:
        """All of them: they are few."""
        return [Route.of(rule) for rule in await info.context.services.streams.routes(info.context.principal)]

    @strawberry.field(description="which stream would take the event, and why; nothing is committed")
    async def explain_route(self, info: Info[Context, None], event: EventInput) -> RouteExplanation:
        """Refuses what publishing would refuse."""
        decision = await info.context.services.admission.explain(info.context.principal, event.said())
        return RouteExplanation(stream=Stream(decision.stream), why=decision.why)
