"""`Stream` and its connections: what a stream's fields ask its log."""

import strawberry
from strawberry import UNSET, Info

from resolvers.arguments import count_of, given, order_of, where_of
from resolvers.context import Context
from resolvers.event import DEFAULT_PAGE, EventConnection
from schema.cursor import CursorInvalid, PageCursor
from schema.errors import bad_input
from schema.event import MAX_PAGE
from schema.graphql.enums import Order
from schema.graphql.filters import EventFilter
from schema.graphql.interfaces import PageInfo
from schema.graphql.scalars import CursorText, Long
from schema.graphql.streams import StreamFields
from schema.stream import Stream as Configured


@strawberry.type(description="a named, configured log of events")
class Stream(StreamFields):
    """A stream."""

    def __init__(self, stream: Configured) -> None:
        super().__init__(stream)  # said here, or the decorator writes one that takes every field

    @strawberry.field(description="where a live subscription of it would begin now")
    async def head(self, info: Info[Context, None]) -> CursorText:
        """After the newest committed event."""
        context = info.context
        return CursorText(context.sign(await context.services.events.head(context.principal, self.stream)))

    @strawberry.field(description="Kafka: as far as indexed; Redis: what is still kept")
    async def event_count(self, info: Info[Context, None]) -> Long:
        """How many events it has."""
        context = info.context
        return Long(await context.services.events.count(context.principal, self.stream))

    @strawberry.field(description="its past")
    async def events(
        self,
        info: Info[Context, None],
        where: EventFilter | None = UNSET,
        first: int | None = DEFAULT_PAGE,
        after: str | None = UNSET,
        order: Order | None = Order.ASC,
    ) -> EventConnection:
        """A page of its events."""
        context = info.context
        page = await context.services.events.page(
            context.principal,
            streams=[self.stream.stream_name],
            where=where_of(where),
            first=count_of(first, DEFAULT_PAGE),
            after=given(after),
            order=order_of(order),
        )
        return EventConnection(page, context.sign)


@strawberry.type
class StreamEdge:
    """A stream in a page."""

    node: Stream
    cursor: str


@strawberry.type
class StreamConnection:
    """A page of streams, by name."""

    nodes: list[Stream]
    edges: list[StreamEdge]
    page_info: PageInfo


@strawberry.type
class DeleteStreamResult:
    """What was deleted; its events stay readable."""

    stream: Stream


async def stream_page(context: Context, first: int | None, after: str | None) -> StreamConnection:
    """A page of the streams the caller may read, by name."""
    count = count_of(first, DEFAULT_PAGE)
    if count > MAX_PAGE:
        raise bad_input(f"first must be between 1 and {MAX_PAGE}, not {count}", field="first")
    codec, tenant = context.services.codec, context.principal.tenant
    streams = sorted(await context.services.streams.list(context.principal), key=lambda stream: stream.stream_name)
    last = "" if after is None else _name(codec.decode_page(tenant, after))
    left = [stream for stream in streams if stream.stream_name > last]
    edges = [
        StreamEdge(node=Stream(stream), cursor=codec.encode_page(tenant, PageCursor(0, 0, (stream.stream_name,))))
        for stream in left[:count]
    ]
    return StreamConnection(
        nodes=[edge.node for edge in edges],
        edges=edges,
        page_info=PageInfo(
            has_next_page=len(left) > count,
            has_previous_page=bool(after),
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


def _name(page: PageCursor) -> str:
    match page.last:
        case (str(name),):
            return name
    raise CursorInvalid("it is from another list")
