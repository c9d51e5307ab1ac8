"""The requests of graphql-sse's "single connection mode": reserve a stream, open it, run and stop operations on it.

    PUT                                     201, the token of a reserved stream as text
    GET, POST with the token, Accept: text/event-stream      the stream itself; 409 where it is open already
    GET, POST with the token                202; the operation named by `extensions.operationId` answers on the stream
    DELETE with the token, ?operationId=    200; the operation has ended

The token comes in the header X-GraphQL-Event-Stream-Token, or as `?token=` where a browser cannot set one.
"""

from starlette.requests import Request
from starlette.types import Send

from gateway.auth.credentials import Credentials
from gateway.client import client_context
from gateway.graphql.accept import GRAPHQL_JSON, JSON_TYPES, preferred
from gateway.graphql.event_stream import EVENT_STREAM
from gateway.graphql.incoming import find, read_request
from gateway.graphql.operations import Answer, Caller, Operations
from gateway.graphql.reservations import Reservations
from gateway.graphql.shared_stream import Asked
from gateway.graphql.stream_token import new_token, token_of
from gateway.problems import HttpRefusal
from gateway.telemetry import logs
from schema.errors import ErrorCode, bad_input
from schema.principal import Principal

_PLAIN = "text/plain"
_MAX_ID_CHARS = 256


class SharedHttp:
    """Answers them; what it raises is for the caller to say."""

    def __init__(
        self, operations: Operations, reservations: Reservations, credentials: Credentials, body_bytes: int
    ) -> None:
        self._operations = operations
        self._reservations = reservations
        self._credentials = credentials
        self._body_bytes = body_bytes

    def concerns(self, request: Request) -> bool:
        """Whether a request is one of these."""
        return request.method in ("PUT", "DELETE") or token_of(request) is not None

    async def answer(self, request: Request, send: Send) -> Answer | None:
        """Answer it, or return what the caller is to answer with: why a document cannot be run, where the client takes
        statuses for that (GraphQL over HTTP, application/graphql-response+json). For all others it is a message of the
        operation: graphql-sse takes any status but 202 for a broken connection, and tries again.

        Raises EsbError for whatever is refused.
        """
        accept = request.headers.get("accept")
        if request.method in ("GET", "POST") and preferred(accept, (EVENT_STREAM,), wildcards=False):
            await self._open(request, send)
            return None
        principal = await self._credentials.of_request(request)
        logs.tenant.set(principal.tenant)
        match request.method:
            case "PUT":
                if preferred(accept, (_PLAIN,)) is None:
                    raise HttpRefusal(406, ErrorCode.BAD_INPUT, f"the token is {_PLAIN}")
                token = new_token(request.scope)
                self._reservations.make(token, principal)
                await _say(send, 201, token)
            case "DELETE":
                operation_id = request.query_params.get("operationId")
                stream = self._reservations.find(token_of(request) or "", principal)
                if not operation_id:
                    raise bad_input("name the operation to stop: ?operationId=")
                stream.stop(operation_id)
                await _say(send, 200)
            case "GET" | "POST":
                return await self._run(request, principal, send)
            case _:
                raise HttpRefusal(405, ErrorCode.BAD_INPUT, "send GET, POST, PUT or DELETE")
        return None

    async def _open(self, request: Request, send: Send) -> None:
        principal = await self._credentials.of_stream(request)
        logs.tenant.set(principal.tenant)
        await self._reservations.open(token_of(request) or "", principal, request.scope, request.receive, send)

    async def _run(self, request: Request, principal: Principal, send: Send) -> Answer | None:
        stream = self._reservations.find(token_of(request) or "", principal)
        said = await read_request(request, self._body_bytes)
        self._credentials.still(principal)
        operation_id = said.extensions.operation_id if said.extensions is not None else None
        if not operation_id or len(operation_id) > _MAX_ID_CHARS:
            raise bad_input(f"an operation needs an id of at most {_MAX_ID_CHARS} characters: extensions.operationId")
        found = find(self._operations, request, said)
        if isinstance(found, Answer) and preferred(request.headers.get("accept"), JSON_TYPES) == GRAPHQL_JSON:
            return found
        stream.ask(operation_id, Asked(found, said, Caller(principal, client_context(request))))
        await _say(send, 202)
        return None


async def _say(send: Send, status: int, text: str = "") -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
