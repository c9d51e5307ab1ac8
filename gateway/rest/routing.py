"""Routing rules: `/api/v1/routes`, and which stream would take an event: `POST /api/v1/routes/explain`."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.problems import BODY_JSON
from gateway.rest.body import decoded, read_json
from gateway.rest.guard import Guard
from gateway.rest.publishing import MAX_EVENT_BODY
from processors.admission.admission import Admission
from processors.stream_admin import StreamAdmin
from schema.input import EventInput
from schema.principal import Principal
from schema.stream import Route as Rule

_MAX_BODY = 64 * 1024


class RouteInput(msgspec.Struct, forbid_unknown_fields=True):
    """A rule to create: events without a stream that match `where` go to `stream`; the highest `priority` is asked
    first."""

    name: str
    where: dict[str, Any]
    stream: str
    priority: int = 0


class RouteBody(msgspec.Struct):
    """A routing rule."""

    route_id: str
    name: str
    where: dict[str, Any]
    stream: str
    priority: int


class RouteListBody(msgspec.Struct):
    """The rules, in the order they are asked."""

    routes: list[RouteBody]


class ExplanationBody(msgspec.Struct):
    """The stream that would take the event, and why."""

    stream: str
    why: str


_encoder = msgspec.json.Encoder()
_input_decoder = msgspec.json.Decoder(RouteInput)
_event_decoder = msgspec.json.Decoder(EventInput)


class RoutingApi:
    """The endpoints about routing."""

    def __init__(self, streams: StreamAdmin, admission: Admission) -> None:
        self._streams = streams
        self._admission = admission

    def routes(self, guard: Guard) -> list[Route]:
        """The routes, guarded."""
        return [
            Route("/routes", guard(self.list_routes), methods=["GET"]),
            Route("/routes", guard(self.create_route), methods=["POST"]),
            Route("/routes/explain", guard(self.explain), methods=["POST"]),
            Route("/routes/{route_id}", guard(self.delete_route), methods=["DELETE"]),
        ]

    async def list_routes(self, principal: Principal, _request: Request) -> Response:
        """The rules to streams the caller may do something with."""
        return _answer(RouteListBody([_shown(rule) for rule in await self._streams.routes(principal)]))

    async def create_route(self, principal: Principal, request: Request) -> Response:
        """201 with the new rule."""
        said = decoded(_input_decoder, await read_json(request, _MAX_BODY), "the route")
        made = await self._streams.create_route(
            principal, name=said.name, where=said.where, stream=said.stream, priority=said.priority
        )
        return _answer(_shown(made), 201)

    async def delete_route(self, principal: Principal, request: Request) -> Response:
        """Deletes a rule."""
        return _answer(_shown(await self._streams.delete_route(principal, request.path_params["route_id"])))

    async def explain(self, principal: Principal, request: Request) -> Response:
        """Which stream would take this event, and why; nothing is committed."""
        said = decoded(_event_decoder, await read_json(request, MAX_EVENT_BODY), "the event")
        decision = await self._admission.explain(principal, said)
        return _answer(ExplanationBody(decision.stream.stream_name, decision.why))


def _shown(rule: Rule) -> RouteBody:
    return RouteBody(rule.route_id, rule.name, rule.where, rule.stream, rule.priority)


def _answer(body: msgspec.Struct, status: int = 200) -> Response:
    return Response(_encoder.encode(body), status, media_type=BODY_JSON)
