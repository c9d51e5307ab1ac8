"""Reading: `GET /api/v1/events/{event_id}` and `GET /api/v1/streams/{stream_id}/events`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.problems import BODY_JSON
from gateway.rest.encoding import event_with_cursor, page_of_events
from gateway.rest.guard import Guard
from gateway.rest.query import limit_of, order_of, where_of
from gateway.rest.stream_ids import StreamIds
from processors.query import EventQueries
from schema.cursor import CursorCodec
from schema.errors import ErrorCode, EsbError
from schema.principal import Principal


class ReadingApi:
    """The endpoints that read events."""

    def __init__(self, events: EventQueries, streams: StreamIds, codec: CursorCodec) -> None:
        self._events = events
        self._streams = streams
        self._codec = codec

    def routes(self, guard: Guard) -> list[Route]:
        """The routes, guarded."""
        return [
            Route("/events/{event_id}", guard(self.event), methods=["GET"]),
            Route("/streams/{stream_id}/events", guard(self.stream_events), methods=["GET"]),
        ]

    async def event(self, principal: Principal, request: Request) -> Response:
        """One event by its id; NOT_FOUND for what is not there, or another tenant's."""
        event_id = request.path_params["event_id"]
        found = (await self._events.placed(principal, [event_id])).get(event_id)
        if found is None:
            raise EsbError(ErrorCode.NOT_FOUND, "there is no event of that id that this token may read")
        cursor = self._codec.encode(principal.tenant, found.place)
        return Response(event_with_cursor(found.event, cursor), media_type=BODY_JSON)

    async def stream_events(self, principal: Principal, request: Request) -> Response:
        """A page of a stream's events: `limit`, `after`, `where` (a filter as JSON), `order` asc or desc."""
        stream = await self._streams.find(principal, request.path_params["stream_id"])
        asked = request.query_params
        page = await self._events.page(
            principal,
            streams=[stream.stream_name],
            where=where_of(asked),
            first=limit_of(asked),
            after=asked.get("after"),
            order=order_of(asked),
        )
        sign, tenant = self._codec.encode, principal.tenant
        shown = [
            event_with_cursor(event, sign(tenant, place)) for event, place in zip(page.events, page.places, strict=True)
        ]
        after = page.end_cursor if page.has_next else None
        return Response(page_of_events(shown, after, sign(tenant, page.as_of)), media_type=BODY_JSON)
