"""GraphQL over HTTP (graphql.github.io/graphql-over-http): who may ask, in which media type, with which status."""

import time

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway.auth.credentials import Credentials
from gateway.client import client_context
from gateway.graphql.accept import preferred
from gateway.graphql.connections import Connections
from gateway.graphql.documents import Operation
from gateway.graphql.event_stream import EVENT_STREAM, EventStream
from gateway.graphql.operations import Answer, Caller, Operations, refusal
from gateway.graphql.page import Page
from gateway.graphql.request import GraphQLRequest, decode_request, request_from_query
from gateway.problems import STATUS, HttpRefusal, problem_headers, status_of
from gateway.rest.body import read_json
from gateway.telemetry import logs
from gateway.telemetry.tracing import Tracing
from schema.errors import ErrorCode, EsbError
from schema.principal import Principal

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
HTML = "text/html"

_OFFERED = (JSON, GRAPHQL_JSON, EVENT_STREAM)
# under application/json a well-formed request is answered 200 whatever became of it; clients act on these before that
_ALWAYS = frozenset({ErrorCode.UNAUTHENTICATED, ErrorCode.RATE_LIMITED, ErrorCode.PAYLOAD_TOO_LARGE})


class GraphQLHttp:
    """The ASGI application at /graphql for plain requests and event streams."""

    def __init__(
        self,
        *,
        operations: Operations,
        connections: Connections,
        credentials: Credentials,
        page: Page,
        tracing: Tracing,
        body_bytes: int,
    ) -> None:
        self._operations = operations
        self._connections = connections
        self._credentials = credentials
        self._page = page
        self._tracing = tracing
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        accept = request.headers.get("accept")
        if request.method == "GET" and preferred(accept, (*_OFFERED, HTML)) == HTML:
            await self._page.response(request)(scope, receive, send)
            return
        media = preferred(accept, _OFFERED)
        try:
            if request.method not in ("GET", "POST"):
                raise HttpRefusal(405, ErrorCode.BAD_INPUT, "send GET or POST")
            if media is None:
                raise HttpRefusal(406, ErrorCode.BAD_INPUT, f"the answer is one of {', '.join(_OFFERED)}")
            streamed = media == EVENT_STREAM
            principal = await (
                self._credentials.of_stream(request) if streamed else self._credentials.of_request(request)
            )
            logs.tenant.set(principal.tenant)
            with self._tracing.span("graphql", headers=request.headers):
                await self._answer(request, principal, media, send)
        except EsbError as error:
            await _send(send, refusal(error), media or JSON, status_of(error), error)

    async def _answer(self, request: Request, principal: Principal, media: str, send: Send) -> None:
        said = await self._said(request)
        _ = said.document  # a request without one is malformed, which is not an answer of the operation
        caller = Caller(principal, client_context(request))
        found = self._operations.find(said)
        if request.method == "GET" and isinstance(found, Operation) and found.is_mutation:
            raise HttpRefusal(405, ErrorCode.BAD_INPUT, "a mutation is sent by POST")
        if media == EVENT_STREAM:
            said.resume_from(request.headers.get("last-event-id"))
            stream = EventStream(
                request.receive,
                send,
                operations=self._operations,
                connections=self._connections,
                expires_in=principal.expires_at - time.time(),
            )
            await stream.serve(found, said, caller)
            return
        answer = await self._operations.answer(found, said, caller) if isinstance(found, Operation) else found
        await _send(send, answer, media, _status(answer, media))

    async def _said(self, request: Request) -> GraphQLRequest:
        if request.method == "GET":
            return request_from_query(dict(request.query_params))
        return decode_request(await read_json(request, self._body_bytes))


def _status(answer: Answer, media: str) -> int:
    if answer.executed:
        return 200
    code = ErrorCode(answer.errors[0]["extensions"]["code"])
    return STATUS[code] if media == GRAPHQL_JSON or code in _ALWAYS else 200


async def _send(send: Send, answer: Answer, media: str, status: int, error: EsbError | None = None) -> None:
    kind = GRAPHQL_JSON if media == GRAPHQL_JSON else JSON
    headers = [
        (b"content-type", f"{kind}; charset=utf-8".encode()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    for name, value in (problem_headers(error) if error is not None else {}).items():
        headers.append((name.encode(), value.encode()))
    if status == 405:
        headers.append((b"allow", b"GET, POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
