"""Aggregates in GraphQL: their types, and their states now, at any moment of the past, and live."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET, Info

from processors.aggregates.aggregates import AggregateInput, AggregateState
from resolvers.arguments import count_of, given, order_of
from resolvers.context import Context
from resolvers.event import DEFAULT_PAGE, EventConnection
from resolvers.subscription import start_of
from schema.aggregate import (
    AggregateName,
    AtHappened,
    AtPosition,
    AtRecorded,
    AtSequence,
    Moment,
    global_id,
    parse_global_id,
)
from schema.errors import bad_input
from schema.filter.typed import parse_filter
from schema.graphql import moments
from schema.graphql.aggregates import AggregateType, AggregateTypeInput
from schema.graphql.enums import Order
from schema.graphql.event import SignCursor
from schema.graphql.folding import reducer_documents
from schema.graphql.interfaces import Node
from schema.graphql.live import From
from schema.graphql.scalars import JSON, CursorText, Long


@strawberry.type(description="state folded from one aggregate's events")
class Aggregate(Node):
    """An aggregate, now or as of a moment. The cursor is signed only where it is selected."""

    id: strawberry.ID = strawberry.field(
        description="now: type:id; past: type:id@version, so that caches keep both; as of happenedAt: type:id@time"
    )
    aggregate_type: str
    aggregate_id: strawberry.ID
    version: Long = strawberry.field(description="the sequenceNumber of the last event in the state")
    state: JSON
    as_of: datetime = strawberry.field(description="recordedAt of that event")

    def __init__(self, state: AggregateState, sign: SignCursor) -> None:
        self._shown, self._sign = state, sign
        self.place = state.place
        self.id = strawberry.ID(global_id(AggregateName(state.type, state.id, _named(state))))
        self.aggregate_type = state.type
        self.aggregate_id = strawberry.ID(state.id)
        self.version = Long(state.version)
        self.state = JSON(state.state)
        self.as_of = state.recorded_at

    @strawberry.field(description="right after the last event in the state: a subscription from here misses nothing")
    def cursor(self) -> CursorText:
        """Where to go on."""
        return CursorText(self._sign(self._shown.place))

    @strawberry.field(description="its events, up to this moment")
    async def history(
        self,
        info: Info[Context, None],
        first: int | None = DEFAULT_PAGE,
        after: str | None = UNSET,
        order: Order | None = Order.ASC,
    ) -> EventConnection:
        """A page of them."""
        context, shown = info.context, self._shown
        where = {
            "aggregate_type": {"eq": shown.type},
            "aggregate_id": {"eq": shown.id},
            "sequence_number": {"lte": shown.version},
        }
        if isinstance(shown.at, AtHappened):
            where["timestamp"] = {"lte": shown.at.moment}
        page = await context.services.events.page(
            context.principal,
            where=parse_filter(where),
            first=count_of(first, DEFAULT_PAGE),
            after=given(after),
            order=order_of(order),
        )
        return EventConnection(page, context.sign)


def _named(state: AggregateState) -> AtSequence | AtHappened | None:
    if state.at is None or isinstance(state.at, AtHappened):
        return state.at
    return AtSequence(state.version)


def moment_of(context: Context, said: moments.Moment | None) -> Moment | None:
    """The moment; None: now. Raises BAD_INPUT, CURSOR_INVALID."""
    if said is None:
        return None
    if (number := given(said.sequence_number)) is not None:
        return AtSequence(number)
    if (cursor := given(said.cursor)) is not None:
        place = context.services.codec.decode(context.principal.tenant, cursor)
        return AtPosition(place.position, place.epoch)
    for moment, kind in ((given(said.recorded_at), AtRecorded), (given(said.happened_at), AtHappened)):
        if moment is not None:
            if moment.tzinfo is None:
                raise bad_input("a moment needs its zone, such as 2026-01-31T12:00:00Z", field="at")
            return kind(moment)
    return None


async def aggregate_of(context: Context, name: AggregateName) -> Aggregate | None:
    """The aggregate of a global id, where the caller may read it."""
    found = await context.services.aggregates.state(context.principal, name.type, name.id, name.at)
    return None if found is None else Aggregate(found, context.sign)


async def aggregate_node(context: Context, id: str) -> Aggregate | None:
    """The same for the id's text."""
    name = parse_global_id(id)
    return None if name is None else await aggregate_of(context, name)


async def aggregate_type_node(context: Context, id: str) -> AggregateType | None:
    """The declared type of that id, where the caller may read it."""
    found = await context.services.aggregates.by_id(context.principal, id)
    return None if found is None else AggregateType.of(*found)


@strawberry.type
class AggregateQuery:
    """What a client can ask of aggregates."""

    @strawberry.field(description="its state now, or at a moment; null where it had no event")
    async def aggregate(
        self, info: Info[Context, None], type: str, id: strawberry.ID, at: moments.Moment | None = UNSET
    ) -> Aggregate | None:
        """One aggregate."""
        context = info.context
        moment = moment_of(context, given(at))
        found = await context.services.aggregates.state(context.principal, type, id, moment)
        return None if found is None else Aggregate(found, context.sign)

    @strawberry.field(description="how a type's events are folded; null where nobody declared it")
    async def aggregate_type(self, info: Info[Context, None], type: str) -> AggregateType | None:
        """One declared type."""
        found = await info.context.services.aggregates.declared(info.context.principal, type)
        return None if found is None else AggregateType.of(*found)


@strawberry.type
class AggregateMutation:
    """What a client can change of aggregates."""

    @strawberry.mutation(description="declare how a type's events are folded; a change applies to the whole past")
    async def define_aggregate(self, info: Info[Context, None], aggregate: AggregateTypeInput) -> AggregateType:
        """Declare a type, or change it."""
        reducers = given(aggregate.reducers)
        said = AggregateInput(
            type=aggregate.type,
            reducers=None if reducers is None else reducer_documents(reducers),
            plugin=given(aggregate.plugin),
            snapshot_every=aggregate.snapshot_every,
            snapshot_max_age_ms=given(aggregate.snapshot_max_age_ms),
        )
        return AggregateType.of(*await info.context.services.aggregates.define(info.context.principal, said))


@strawberry.type
class AggregateSubscription:
    """What a client can follow of aggregates."""

    @strawberry.subscription(
        description=(
            "the first message is the state now (or as of `from`), once there is one; then one an event. Whoever reads"
            " more slowly than events come is not cut off: messages between are left out, the last state never is"
        )
    )
    async def aggregate(
        self,
        info: Info[Context, None],
        type: str,
        id: strawberry.ID,
        from_: Annotated[From | None, strawberry.argument(name="from")] = UNSET,
    ) -> AsyncGenerator[Aggregate, None]:
        """The state, live."""
        context = info.context
        following = await context.services.following.follow(
            context.principal, type, id, start_of(context, given(from_))
        )
        context.live = following.live
        return _shown(following.states(), context.sign)


async def _shown(states: AsyncGenerator[AggregateState, None], sign: SignCursor) -> AsyncGenerator[Aggregate, None]:
    try:
        async for state in states:
            yield Aggregate(state, sign)
    finally:
        await states.aclose()
