"""What stands before every REST endpoint: who calls, in which tenant, on which trace; and how failures are said."""

from collections.abc import Awaitable, Callable

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.auth.credentials import Credentials
from gateway.headers import IndexedRequest
from gateway.problems import STATUS, HttpRefusal, problem, status_of
from gateway.telemetry import logs
from gateway.telemetry.tracing import Tracing
from schema.errors import ErrorCode, EsbError
from schema.principal import Principal

Handler = Callable[[Principal, Request], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]

_log = structlog.get_logger(__name__)


class Guard:
    """Wraps handlers that want a principal into Starlette endpoints."""

    def __init__(self, credentials: Credentials, tracing: Tracing) -> None:
        self._credentials = credentials
        self._tracing = tracing

    def __call__(self, handler: Handler) -> Endpoint:
        """The endpoint: authenticates, names the tenant in logs, opens a span, and calls the handler."""
        name = f"rest.{handler.__name__}"

        async def endpoint(request: Request) -> Response:
            principal = await self._credentials.of_request(request)
            logs.tenant.set(principal.tenant)
            # a body may take longer to arrive than its sender's token has to live
            checked = IndexedRequest(request.scope, self._credentials.while_valid(principal, request.receive))
            with self._tracing.span(name, headers=checked.headers):
                return await handler(principal, checked)

        return endpoint


async def esb_error(_request: Request, error: Exception) -> Response:
    """Answers an EsbError as a problem."""
    assert isinstance(error, EsbError)
    if status_of(error) >= 500:
        _log.warning("request refused", code=error.code.value, reason=error.message)
    return problem(error)


async def http_exception(_request: Request, error: Exception) -> Response:
    """Answers Starlette's own refusals (no such path, wrong method) as problems too."""
    assert isinstance(error, HTTPException)
    code = {404: ErrorCode.NOT_FOUND, 413: ErrorCode.PAYLOAD_TOO_LARGE}.get(error.status_code, ErrorCode.BAD_INPUT)
    if error.status_code >= 500:
        code = ErrorCode.INTERNAL
    said = "there is nothing at this path" if error.status_code == 404 else error.detail
    refusal = EsbError(code, said) if STATUS[code] == error.status_code else HttpRefusal(error.status_code, code, said)
    response = problem(refusal)
    response.headers.update(error.headers or {})
    return response
