"""Projections in GraphQL: what there are, their rows, what changes them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, NamedTuple

import msgspec
import strawberry
from strawberry import UNSET, Info

from processors.projections import queries
from processors.projections.queries import RowPage, row_place
from processors.projections.subscription import ChangeSubscription
from resolvers.arguments import count_of, given
from resolvers.context import Context
from resolvers.event import DEFAULT_PAGE
from resolvers.subscription import start_of
from schema.cursor import Cursor, CursorInvalid, PageCursor
from schema.errors import bad_input
from schema.event import MAX_PAGE
from schema.filter.ast import Filter
from schema.filter.typed import parse_filter
from schema.graphql.enums import Order, Overflow
from schema.graphql.event import SignCursor
from schema.graphql.filters import ValueMatch, filter_document
from schema.graphql.interfaces import Node, PageInfo
from schema.graphql.live import From
from schema.graphql.moments import Moment
from schema.graphql.projections import (
    ChangeKind,
    ProjectionBuild,
    ProjectionChange,
    ProjectionError,
    ProjectionInput,
    ProjectionRow,
    ProjectionRowEdge,
    ProjectionStatus,
)
from schema.graphql.scalars import JSON, CursorText, Long
from schema.projections.declared import Mode, path_problem, to_document
from store.projections.reading import Row
from store.projections.registry import Projection as Stored
from store.projections.registry import Version, no_projection

_decode = msgspec.json.Decoder().decode


@strawberry.type
class ProjectionRowConnection:
    """A page of rows."""

    def __init__(self, page: RowPage, nodes: list[ProjectionRow], sign: SignCursor, asked: "_Asked") -> None:
        self.page = page
        self.sign = sign
        self._nodes = nodes
        self._asked = asked

    @strawberry.field
    def edges(self) -> list[ProjectionRowEdge]:
        """The rows, each with the text for `after`."""
        return [
            ProjectionRowEdge(node=node, cursor=cursor)
            for node, cursor in zip(self._nodes, self.page.cursors, strict=True)
        ]

    @strawberry.field
    def nodes(self) -> list[ProjectionRow]:
        """The rows."""
        return self._nodes

    @strawberry.field
    def page_info(self) -> PageInfo:
        """Where the page stands in its read."""
        cursors = self.page.cursors
        return PageInfo(
            has_next_page=self.page.has_next,
            has_previous_page=self.page.has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        )

    @strawberry.field(description="how many rows match; null: too many to count")
    async def total_count(self, info: Info[Context, None]) -> Long | None:
        """Counted when it is selected."""
        context, asked = info.context, self._asked
        found = await context.services.projections.queries.count(context.principal, asked.name, asked.where, asked.at)
        return None if found is None else Long(found)

    @strawberry.field(description="where this read stands: a subscription from here goes on without gap")
    def as_of(self) -> CursorText:
        """The place up to which events are in these rows."""
        return CursorText(self.sign(self.page.as_of))


class _Asked(NamedTuple):
    name: str
    where: Filter | None
    at: queries.Moment | None


@strawberry.type(description="rows folded from many events")
class Projection(Node):
    """A projection, as it stood when it was asked for."""

    id: strawberry.ID
    name: str
    version: int = strawberry.field(description="of the rows that are read; grows with every rebuild")
    status: ProjectionStatus
    declaration: JSON = strawberry.field(description="of the version that is read, as it was given")
    mode: Mode
    history: bool = strawberry.field(description="whether the past of rows can be read")
    error: ProjectionError | None = strawberry.field(
        description="the event that the version that is read, or else the one being built, stands still at"
    )
    stored: strawberry.Private[Stored]

    @classmethod
    def of(cls, stored: Stored) -> "Projection":
        """A projection as GraphQL shows it."""
        active = stored.active
        return cls(
            id=strawberry.ID(stored.projection_id),
            name=stored.name,
            version=active.number,
            status=_status(active),
            declaration=JSON(to_document(active.declaration)),
            mode=active.declaration.mode,
            history=active.declaration.history,
            error=_error(active) or _error(stored.candidate),
            stored=stored,
        )

    @strawberry.field(description="up to where the log is applied; `consistentWith` waits for it")
    async def applied(self, info: Info[Context, None]) -> CursorText:
        """As of when the projection was asked for."""
        context = info.context
        place = await context.services.projections.queries.place(context.principal, self.stored.active)
        return CursorText(context.sign(place))

    @strawberry.field(description="how many places of the log it has still to look at")
    async def lag(self, info: Info[Context, None]) -> Long:
        """Against the log's head now."""
        context = info.context
        return Long(await context.services.projections.queries.lag(context.principal, self.stored.active))

    @strawberry.field(description="the rebuild under way; null: none")
    async def building(self, info: Info[Context, None]) -> ProjectionBuild | None:
        """The version that is to take over."""
        context, candidate = info.context, self.stored.candidate
        if candidate is None:
            return None
        asked = context.services.projections.queries
        return ProjectionBuild(
            version=candidate.number,
            status=_status(candidate),
            applied=CursorText(context.sign(await asked.place(context.principal, candidate))),
            lag=Long(await asked.lag(context.principal, candidate)),
        )

    @strawberry.field(description="the row of that key, as it is or as it was; null: there is none")
    async def row(
        self, info: Info[Context, None], key: strawberry.ID, at: Moment | None = UNSET
    ) -> ProjectionRow | None:
        """One row."""
        context, moment = info.context, _moment(given(at))
        found = await context.services.projections.queries.row(context.principal, self.name, key, moment)
        return None if found is None else row_of(self.stored, found[0], found[1], context.sign, past=moment is not None)

    @strawberry.field(description="rows by key, or by the values at a path (missing and null first)")
    async def rows(
        self,
        info: Info[Context, None],
        where: list[ValueMatch] | None = UNSET,
        order_by: str | None = UNSET,
        order: Order | None = Order.ASC,
        first: int | None = DEFAULT_PAGE,
        after: str | None = UNSET,
        at: Moment | None = UNSET,
    ) -> ProjectionRowConnection:
        """A page of rows."""
        context, moment, path = info.context, _moment(given(at)), given(order_by)
        if path is not None and (problem := path_problem(path)):
            raise bad_input(f"orderBy: {problem}", field="orderBy")
        wanted = row_filter(given(where))
        page = await context.services.projections.queries.rows(
            context.principal,
            self.name,
            where=wanted,
            order=path,
            descending=order is Order.DESC,
            first=count_of(first, DEFAULT_PAGE),
            after=given(after),
            at=moment,
        )
        nodes = [
            row_of(self.stored, row, row_place(page.epoch, row), context.sign, past=moment is not None)
            for row in page.rows
        ]
        return ProjectionRowConnection(page, nodes, context.sign, _Asked(self.name, wanted, moment))


def row_of(stored: Stored, row: Row, place: Cursor, sign: SignCursor, *, past: bool) -> ProjectionRow:
    """A row as GraphQL shows it."""
    return ProjectionRow(
        id=strawberry.ID(stored.projection_id + (f"@{row.position}:" if past else ":") + row.key),
        key=strawberry.ID(row.key),
        value=JSON(_decode(row.value)),
        updated_at=row.recorded_at,
        cursor=CursorText(sign(place)),
    )


def row_filter(said: list[ValueMatch] | None) -> Filter | None:
    """The conditions on a row's value: all must hold."""
    return None if not said else parse_filter({"payload": [filter_document(one) for one in said]})


async def projection_node(context: Context, id: str) -> Projection | ProjectionRow | None:
    """What `prj_…` (a projection), `prj_…:key` (a row) or `prj_…@position:key` (as that event left it) names."""
    place, separator, key = id.partition(":")
    identity, _, position = place.partition("@")
    asked, principal = context.services.projections.queries, context.principal
    stored = await asked.by_id(principal, identity)
    if stored is None or (position and not (position.isascii() and position.isdigit() and len(position) < 16)):
        return None
    if not separator:
        return None if position else Projection.of(stored)
    found = await asked.row_by_id(principal, stored, key, int(position) + 1 if position else None)
    return None if found is None else row_of(stored, found[0], found[1], context.sign, past=bool(position))


def _moment(said: Moment | None) -> queries.Moment | None:
    if said is None:
        return None
    if given(said.sequence_number) is not None:
        raise bad_input("at: a row is made from many aggregates: sequenceNumber says no moment of it", field="at")
    if given(said.happened_at) is not None:
        raise bad_input(
            "at: rows are kept as they came to be known: give recordedAt or cursor; for what had happened by then, fold"
            " the events (aggregate, or events with a filter on timestamp)",
            field="at",
        )
    return queries.Moment(given(said.cursor), given(said.recorded_at))


def _status(version: Version) -> ProjectionStatus:
    if version.paused:
        return ProjectionStatus.PAUSED
    if version.error is not None:
        return ProjectionStatus.FAILED
    return ProjectionStatus.LIVE if version.live else ProjectionStatus.BUILDING


def _error(version: Version | None) -> ProjectionError | None:
    if version is None or version.error is None:
        return None
    error = version.error
    return ProjectionError(
        version=version.number,
        code=error.code,
        message=error.message,
        event_id=None if error.event_id is None else strawberry.ID(error.event_id),
        position=None if error.position is None else Long(error.position),
    )


@strawberry.type
class ProjectionEdge:
    """A projection in a page."""

    node: Projection
    cursor: str


@strawberry.type
class ProjectionConnection:
    """A page of projections, by name."""

    nodes: list[Projection]
    edges: list[ProjectionEdge]
    page_info: PageInfo


@strawberry.type
class ProjectionQuery:
    """What a client can ask of projections."""

    @strawberry.field(description="the projections the caller may read, by name")
    async def projections(
        self, info: Info[Context, None], first: int | None = DEFAULT_PAGE, after: str | None = UNSET
    ) -> ProjectionConnection:
        """A page of them."""
        context, count = info.context, count_of(first, DEFAULT_PAGE)
        if count > MAX_PAGE:
            raise bad_input(f"first must be between 1 and {MAX_PAGE}, not {count}", field="first")
        codec, tenant = context.services.codec, context.principal.tenant
        last = "" if not given(after) else _name(codec.decode_page(tenant, str(after)))
        found = await context.services.projections.queries.list(context.principal)
        left = [one for one in found if one.name > last]
        edges = [
            ProjectionEdge(
                node=Projection.of(one), cursor=codec.encode_page(tenant, PageCursor(0, 0, ("projections", one.name)))
            )
            for one in left[:count]
        ]
        return ProjectionConnection(
            nodes=[edge.node for edge in edges],
            edges=edges,
            page_info=PageInfo(
                has_next_page=len(left) > count,
                has_previous_page=bool(last),
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )

    @strawberry.field(description="the projection of that name, where the caller may read it")
    async def projection(
        self, info: Info[Context, None], name: str, consistent_with: CursorText | None = UNSET
    ) -> Projection | None:
        """One projection; `consistentWith` waits until what lies before the cursor is in its rows."""
        context = info.context
        found = await context.services.projections.queries.find(context.principal, name, given(consistent_with))
        return None if found is None else Projection.of(found)


@strawberry.type
class ProjectionMutation:
    """What a client can change of projections."""

    @strawberry.mutation(description="rows are made in the background, from the beginning of the log")
    async def create_projection(self, info: Info[Context, None], projection: ProjectionInput) -> Projection:
        """Make one."""
        context = info.context
        return Projection.of(await context.services.projections.admin.create(context.principal, projection.said()))

    @strawberry.mutation(description="builds the new version beside the old one, then swaps")
    async def update_projection(self, info: Info[Context, None], projection: ProjectionInput) -> Projection:
        """Rebuild it, by the same declaration or another."""
        context = info.context
        return Projection.of(await context.services.projections.admin.update(context.principal, projection.said()))

    @strawberry.mutation(description="gives up a rebuild under way; else goes back to the version before")
    async def rollback_projection(self, info: Info[Context, None], name: str) -> Projection:
        """Take back."""
        context = info.context
        return Projection.of(await context.services.projections.admin.roll_back(context.principal, name))

    @strawberry.mutation(description="applies nothing from the answer on; rows stay readable")
    async def pause_projection(self, info: Info[Context, None], name: str) -> Projection:
        """Stand still."""
        context = info.context
        return Projection.of(await context.services.projections.admin.pause(context.principal, name))

    @strawberry.mutation(description="goes on; an event it stood still at is tried again")
    async def resume_projection(self, info: Info[Context, None], name: str) -> Projection:
        """Go on."""
        context = info.context
        return Projection.of(await context.services.projections.admin.resume(context.principal, name))

    @strawberry.mutation(description="deletes it and all its rows; the name is free again")
    async def delete_projection(self, info: Info[Context, None], name: str) -> Projection:
        """Delete."""
        context = info.context
        return Projection.of(await context.services.projections.admin.delete(context.principal, name))


def _name(page: PageCursor) -> str:
    match page.last:
        case ("projections", str(name)):
            return name
    raise CursorInvalid("it is from another list")


@strawberry.type
class ProjectionSubscription:
    """What a client can follow of projections."""

    @strawberry.subscription(
        description=(
            "a row that leaves `where` is a DELETE; a rebuilt projection says RESET. From the beginning: all rows as"
            " they are, then what becomes of them"
        )
    )
    async def projection(
        self,
        info: Info[Context, None],
        name: str,
        where: list[ValueMatch] | None = UNSET,
        from_: Annotated[From | None, strawberry.argument(name="from")] = UNSET,
        overflow: Overflow | None = Overflow.DISCONNECT,
    ) -> AsyncGenerator[ProjectionChange, None]:
        """Rows, live."""
        context = info.context
        if overflow is Overflow.DROP_OLDEST:
            raise bad_input("DROP_OLDEST would leave rows that are not there: take CONFLATE", field="overflow")
        projection = await context.services.projections.queries.find(context.principal, name)
        if projection is None:
            raise no_projection(name)
        subscription = await context.services.projections.live.subscribe(
            context.principal.tenant,
            name,
            where=row_filter(given(where)),
            start=start_of(context, given(from_)),
            conflate=overflow is Overflow.CONFLATE,
            principal=lambda: context.principal,
        )
        context.place = subscription.place
        return _changes(subscription, projection, context.sign)


async def _changes(
    subscription: ChangeSubscription, stored: Stored, sign: SignCursor
) -> AsyncGenerator[ProjectionChange, None]:
    async with aclosing(subscription.told()) as told:
        async for one in told:
            row = one.row
            yield ProjectionChange(
                kind=ChangeKind(one.kind.value),
                key=None if one.key is None else strawberry.ID(one.key),
                row=None if row is None else row_of(stored, row, row_place(one.place.epoch, row), sign, past=False),
                place=one.place,
                sign=sign,
            )
