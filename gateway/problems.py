"""How failures look on the wire: RFC 9457 problems for REST, `extensions` for GraphQL, close codes for sockets."""

from typing import Any

import msgspec
from starlette.responses import Response

from gateway.telemetry.logs import current_request_id
from schema.errors import ErrorCode, EsbError

PROBLEM_JSON = "application/problem+json"
BODY_JSON = "application/json"

STATUS: dict[ErrorCode, int] = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.TOO_COMPLEX: 400,
    ErrorCode.BAD_INPUT: 400,
    ErrorCode.PAYLOAD_TOO_LARGE: 413,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.ALREADY_EXISTS: 409,
    ErrorCode.PERSISTED_QUERY_NOT_FOUND: 404,
    ErrorCode.SCHEMA_VIOLATION: 422,
    ErrorCode.SEQUENCE_CONFLICT: 409,
    ErrorCode.CONDITION_FAILED: 412,
    ErrorCode.DUPLICATE_CONFLICT: 409,
    ErrorCode.UNKNOWN_STREAM: 404,
    ErrorCode.UNSUPPORTED_BY_ENGINE: 400,
    ErrorCode.CURSOR_INVALID: 400,
    ErrorCode.CURSOR_EXPIRED: 410,
    ErrorCode.SLOW_CONSUMER: 429,
    ErrorCode.LOG_UNAVAILABLE: 503,
    ErrorCode.TIMEOUT: 504,
    ErrorCode.ERASED: 410,
    ErrorCode.INTERNAL: 500,
}

_encoder = msgspec.json.Encoder()


class HttpRefusal(EsbError):
    """A refusal HTTP has a status of its own for (405, 415 …), which the code's usual status would hide."""

    def __init__(self, status: int, code: ErrorCode, message: str) -> None:
        super().__init__(code, message)
        self.status = status


def internal() -> EsbError:
    """What a caller learns of a failure that is ours: that it was logged, and under which request id."""
    return EsbError(ErrorCode.INTERNAL, "something went wrong here; it was logged under the request id")


def status_of(error: EsbError) -> int:
    """The HTTP status of an error."""
    return error.status if isinstance(error, HttpRefusal) else STATUS[error.code]


def problem(error: EsbError, **members: Any) -> Response:
    """The error as an RFC 9457 problem. `members`: further JSON-able members beside the standard ones."""
    status = status_of(error)
    body = {
        "type": f"urn:esb:error:{error.code.value.lower().replace('_', '-')}",
        "title": error.code.value.replace("_", " ").capitalize(),
        "status": status,
        "detail": error.message,
        "code": error.code.value,
        "retryable": error.retryable,
        "retry_after_ms": error.retry_after_ms,
        "request_id": current_request_id(),
        "details": error.details,
        **members,
    }
    content = _encoder.encode({name: value for name, value in body.items() if value is not None})
    return Response(content, status, problem_headers(error), PROBLEM_JSON)


def problem_headers(error: EsbError) -> dict[str, str]:
    """The headers an error's status calls for (RFC 9110, RFC 6750)."""
    headers = {}
    if error.retry_after_ms is not None:
        headers["retry-after"] = str(-(-error.retry_after_ms // 1000))
    if error.code is ErrorCode.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    if error.code is ErrorCode.PAYLOAD_TOO_LARGE:
        # the rest of the body is still on its way: the connection cannot be used again
        headers["connection"] = "close"
    return headers


def graphql_extensions(error: EsbError) -> dict[str, Any]:
    """The contract's `extensions` of a GraphQL error."""
    return {
        "code": error.code.value,
        "retryable": error.retryable,
        "retryAfterMs": error.retry_after_ms,
        "requestId": current_request_id(),
        "details": error.details,
    }


def close_code(error: EsbError) -> int:
    """The WebSocket close code (RFC 6455): 4000 + HTTP status for what the client can act on, else a standard one.

    An expired token is 4403 and never 4401, after which graphql-ws does not connect again.
    """
    if error.code is ErrorCode.INTERNAL:
        return 1011
    if error.code in (ErrorCode.LOG_UNAVAILABLE, ErrorCode.TIMEOUT):
        return 1013
    return 4403 if error.code is ErrorCode.UNAUTHENTICATED else 4000 + status_of(error)
