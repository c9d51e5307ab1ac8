"""Reading: `GET /api/v1/events/{event_id}` and `GET /api/v1/streams/{stream_id}/events`."""

from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.problems import BODY_JSON
from gateway.rest.body import decoded
from gateway.rest.encoding import event_with_cursor, page_of_events
from gateway.rest.guard import Guard
from processors.query import EventQueries
from processors.stream_admin import StreamAdmin
from schema.cursor import CursorCodec
from schema.errors import ErrorCode, EsbError, bad_input
from schema.event import MAX_PAGE
from schema.filter.ast import Filter
from schema.filter.typed import parse_filter
from schema.principal import Principal

DEFAULT_PAGE = 50

_filter_decoder = msgspec.json.Decoder(dict[str, Any])


class ReadingApi:
    """The endpoints that read events."""

    def __init__(self, events: EventQueries, streams: StreamAdmin, codec: CursorCodec) -> None:
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
        found = await self._events.event(principal, event_id)
        if found is None:
            raise EsbError(ErrorCode.NOT_FOUND, f"there is no event {event_id[:64]!r} that this token may read")
        cursor = self._codec.encode(principal.tenant, self._events.cursor_after(found))
        return Response(event_with_cursor(found, cursor), media_type=BODY_JSON)

    async def stream_events(self, principal: Principal, request: Request) -> Response:
        """A page of a stream's events in log order: `limit`, `after`, `where` (a filter as JSON), `order` asc or desc."""
        stream = await self._streams.get_by_id(principal, request.path_params["stream_id"])
        asked = request.query_params
        page = await self._events.page(
            principal,
            streams=[stream.stream_name],
            where=where_of(asked),
            first=limit_of(asked),
            after=asked.get("after"),
            order=_order(asked),
        )
        sign, tenant = self._codec.encode, principal.tenant
        shown = [event_with_cursor(event, sign(tenant, self._events.cursor_after(event))) for event in page.events]
        after = page.cursors[-1] if page.has_next and page.cursors else None
        return Response(page_of_events(shown, after, sign(tenant, page.as_of)), media_type=BODY_JSON)


def limit_of(asked: QueryParams) -> int:
    """How many items a page holds; raises BAD_INPUT outside of 1 to 1000."""
    text = asked.get("limit")
    if text is None:
        return DEFAULT_PAGE
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 4 and 1 <= int(text) <= MAX_PAGE):
        raise bad_input(f"limit must be 1 to {MAX_PAGE}", field="limit")
    return int(text)


def where_of(asked: QueryParams) -> Filter | None:
    """The filter of a query string, written as JSON; raises BAD_INPUT."""
    text = asked.get("where")
    if not text:
        return None
    document: dict[str, Any] = decoded(_filter_decoder, text.encode(), "where")
    return parse_filter(document)
