"""The OpenAPI 3.1 description of the REST interface, made from the types that read and write it."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.auth.tickets import Ticket
from gateway.problems import PROBLEM_JSON
from gateway.rest.publishing import BatchBody, ReceiptBody, ReportBody
from gateway.rest.routing import ExplanationBody, RouteInput, RouteListBody
from gateway.rest.streams import StreamListBody
from processors.stream_admin import StreamInput, StreamPatch
from schema.errors import ErrorCode
from schema.event import MAX_BATCH_BYTES, MAX_EVENT_BYTES, MAX_PAGE, Envelope
from schema.input import EventInput

_TEMPLATE = "#/components/schemas/{name}"
_TYPES = (
    EventInput,
    Envelope,
    ReceiptBody,
    BatchBody,
    ReportBody,
    StreamInput,
    StreamPatch,
    StreamListBody,
    Ticket,
    RouteInput,
    RouteListBody,
    ExplanationBody,
)

_PLACE = {
    "stream": {"type": "string"},
    "position": {"type": ["integer", "null"], "description": "the gapless place in the tenant's log (ledger)"},
    "partition": {"type": ["integer", "null"]},
    "offset": {"type": ["integer", "null"]},
    "sequence_number": {"type": ["integer", "null"], "description": "gapless within the aggregate, from 1 (ledger)"},
    "recorded_at": {"type": "string", "format": "date-time"},
    "cursor": {"type": "string", "description": "going on from here continues right after this event"},
}

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457; batches that were refused as a whole also carry receipts and rejections",
    "required": ["type", "title", "status", "detail", "code", "retryable"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"enum": [code.value for code in ErrorCode]},
        "retryable": {"type": "boolean"},
        "retry_after_ms": {"type": "integer"},
        "request_id": {"type": "string"},
        "details": {"type": "object"},
    },
}


def openapi_route() -> Route:
    """`GET /openapi.json`; the document is made when first asked for."""
    made: list[bytes] = []

    async def openapi(_request: Request) -> Response:
        if not made:
            made.append(msgspec.json.encode(openapi_document()))
        return Response(made[0], media_type="application/json")

    return Route("/openapi.json", openapi)


def openapi_document() -> dict[str, Any]:
    """The whole description."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=_TEMPLATE)
    schemas["Event"] = _event(schemas.pop("Envelope"))
    schemas["Problem"] = _PROBLEM
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Event Streaming Bus",
            "version": "1.0.0",
            "description": f"Limits: an event at most {MAX_EVENT_BYTES} bytes, a batch {MAX_BATCH_BYTES} bytes, "
            f"a page {MAX_PAGE} items. Failures are RFC 9457 problems with a code.",
        },
        "security": [{"bearer": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _event(envelope: dict[str, Any]) -> dict[str, Any]:
    return envelope | {"title": "Event", "properties": {**envelope["properties"], **_PLACE}}


def _paths() -> dict[str, Any]:
    page = [
        _parameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 50}),
        _parameter("after", {"type": "string"}, "the page after this one: `after` of the answer before"),
    ]
    where = _parameter("where", {"type": "string"}, "an EventFilter as JSON, in snake_case or camelCase")
    order = _parameter("order", {"enum": ["asc", "desc"], "default": "asc"})
    stream = _path("stream_id")
    return {
        "/api/v1/events": {
            "post": _operation("Publish one event", {"201": "ReceiptBody", "200": "ReceiptBody"}, body="EventInput")
        },
        "/api/v1/events/batch": {
            "post": _operation("Publish a batch", {"200": "ReportBody", "207": "ReportBody"}, body="BatchBody")
        },
        "/api/v1/events/{event_id}": {"get": _operation("One event", {"200": "Event"}, parameters=[_path("event_id")])},
        "/api/v1/streams": {
            "get": _operation("The streams", {"200": "StreamListBody"}, parameters=page),
            "post": _operation("Create a stream", {"201": "StreamBody"}, body="StreamInput"),
        },
        "/api/v1/streams/{stream_id}": {
            "get": _operation("One stream", {"200": "StreamBody"}, parameters=[stream]),
            "patch": _operation("Change it", {"200": "StreamBody"}, parameters=[stream], body="StreamPatch"),
            "delete": _operation("Delete it; its events stay", {"200": "StreamBody"}, parameters=[stream]),
        },
        "/api/v1/streams/{stream_id}/events": {
            "get": _operation(
                "A page of its events, in log order",
                {"200": _list("events", "Event", as_of={"type": "string"})},
                parameters=[stream, *page, where, order],
            )
        },
        "/api/v1/routes": {
            "get": _operation("The routing rules, in the order they are asked", {"200": "RouteListBody"}),
            "post": _operation("Create a routing rule", {"201": "RouteBody"}, body="RouteInput"),
        },
        "/api/v1/routes/{route_id}": {
            "delete": _operation("Delete a routing rule", {"200": "RouteBody"}, parameters=[_path("route_id")])
        },
        "/api/v1/routes/explain": {
            "post": _operation(
                "Which stream would take this event, and why", {"200": "ExplanationBody"}, body="EventInput"
            )
        },
        "/api/v1/tickets": {
            "post": _operation("A single-use ticket for /ws/* and EventSource, as ?ticket=", {"201": "Ticket"})
        },
    }


def _operation(
    summary: str,
    answers: dict[str, str | dict[str, Any]],
    *,
    body: str | None = None,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            **{status: _content(shape, "application/json") for status, shape in answers.items()},
            "default": _content("Problem", PROBLEM_JSON),
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {"required": True} | _content(body, "application/json")
    return operation


def _content(shape: str | dict[str, Any], media_type: str) -> dict[str, Any]:
    schema = {"$ref": _TEMPLATE.format(name=shape)} if isinstance(shape, str) else shape
    return {"description": shape if isinstance(shape, str) else "a page", "content": {media_type: {"schema": schema}}}


def _list(name: str, item: str, **more: Any) -> dict[str, Any]:
    items = {"type": "array", "items": {"$ref": _TEMPLATE.format(name=item)}}
    return {"type": "object", "properties": {name: items, "after": {"type": ["string", "null"]}, **more}}


def _parameter(name: str, schema: dict[str, Any], description: str | None = None) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema} | ({"description": description} if description else {})


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
