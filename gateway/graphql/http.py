"""GraphQL over HTTP (graphql.github.io/graphql-over-http): who may ask, in which media type, with which status."""

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway.auth.credentials import Credentials
from gateway.client import client_context
from gateway.graphql.accept import GRAPHQL_JSON, JSON, JSON_TYPES, preferred
from gateway.graphql.connections import Connections
from gateway.graphql.documents import Operation
from gateway.graphql.event_stream import EVENT_STREAM, EventStream
from gateway.graphql.incoming import find, read_request
from gateway.graphql.multipart import MULTIPART, Multipart
from gateway.graphql.operations import Answer, Caller, Operations, refusal
from gateway.graphql.page import Page
from gateway.graphql.request import GraphQLRequest
from gateway.graphql.reservations import Reservations
from gateway.graphql.shared_http import SharedHttp
from gateway.graphql.streamed import Format, Streamed
from gateway.headers import IndexedRequest
from gateway.problems import STATUS, HttpRefusal, problem_headers, status_of
from gateway.telemetry import logs
from gateway.telemetry.tracing import Tracing
from schema.errors import ErrorCode, EsbError
from schema.principal import Principal

HTML = "text/html"

_STREAMS = (EVENT_STREAM, MULTIPART)
_OFFERED = (*JSON_TYPES, *_STREAMS)
# under application/json a well-formed request is answered 200 whatever became of it; clients act on these before that
_ALWAYS = frozenset({ErrorCode.UNAUTHENTICATED, ErrorCode.RATE_LIMITED, ErrorCode.PAYLOAD_TOO_LARGE})


class GraphQLHttp:
    """The ASGI application at /graphql for plain requests, event streams and multipart answers."""

    def __init__(
        self,
        *,
        operations: Operations,
        connections: Connections,
        reservations: Reservations,
        credentials: Credentials,
        page: Page,
        tracing: Tracing,
        body_bytes: int,
    ) -> None:
        self._operations = operations
        self._streamed = Streamed(operations, connections)
        self._shared = SharedHttp(operations, reservations, credentials, body_bytes)
        self._credentials = credentials
        self._page = page
        self._tracing = tracing
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = IndexedRequest(scope, receive)
        accept = request.headers.get("accept")
        if request.method == "GET" and preferred(accept, (*_OFFERED, HTML)) == HTML:
            await self._page.response(request)(scope, receive, send)
            return
        media = preferred(accept, _OFFERED)
        try:
            if self._shared.concerns(request):
                answer = await self._shared.answer(request, send)
                if answer is not None:
                    await _send(send, answer, GRAPHQL_JSON, _status(answer, GRAPHQL_JSON))
                return
            if request.method not in ("GET", "POST"):
                raise HttpRefusal(405, ErrorCode.BAD_INPUT, "send GET, POST, PUT or DELETE")
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
        said = await read_request(request, self._body_bytes)
        self._credentials.still(principal)  # a body may take longer to arrive than its sender's token has to live
        caller = Caller(principal, client_context(request))
        found = find(self._operations, request, said)
        form = _format(request, media, found, said)
        if form is not None:
            await self._streamed.answer(request.scope, request.receive, send, form, found, said, caller)
            return
        answer = await self._operations.answer(found, said, caller) if isinstance(found, Operation) else found
        whole = preferred(request.headers.get("accept"), JSON_TYPES) or JSON
        await _send(send, answer, whole, _status(answer, whole))


def _format(request: Request, media: str, found: Operation | Answer, said: GraphQLRequest) -> Format | None:
    """How to stream the answer, or None where it is one document.

    A subscription is streamed to whoever names a media type for that, wherever in the header; urql and Apollo name them
    beside others. Of multipart answers only subscriptions have several parts.
    """
    if isinstance(found, Operation) and found.is_subscription:
        media = preferred(request.headers.get("accept"), _STREAMS, wildcards=False) or media
    elif media == MULTIPART:
        return None
    if media == EVENT_STREAM:
        with_cursors = said.extensions is not None and said.extensions.resume is not None
        said.resume_from(request.headers.get("last-event-id"))
        return EventStream(with_cursors=with_cursors)
    return Multipart() if media == MULTIPART else None


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
        headers.append((b"allow", b"GET, POST, PUT, DELETE"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
