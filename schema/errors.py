"""What can go wrong, said once for GraphQL, REST, sockets and the command line.

The names are the contract's `ErrorCode`; how a code looks on a wire (HTTP status, close code) is the edge's business.
"""

from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """The machine-readable reason of a failure a caller can act on."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    RATE_LIMITED = "RATE_LIMITED"
    TOO_COMPLEX = "TOO_COMPLEX"
    BAD_INPUT = "BAD_INPUT"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    SCHEMA_VIOLATION = "SCHEMA_VIOLATION"
    SEQUENCE_CONFLICT = "SEQUENCE_CONFLICT"
    CONDITION_FAILED = "CONDITION_FAILED"
    DUPLICATE_CONFLICT = "DUPLICATE_CONFLICT"
    UNKNOWN_STREAM = "UNKNOWN_STREAM"
    UNSUPPORTED_BY_ENGINE = "UNSUPPORTED_BY_ENGINE"
    CURSOR_INVALID = "CURSOR_INVALID"
    CURSOR_EXPIRED = "CURSOR_EXPIRED"
    SLOW_CONSUMER = "SLOW_CONSUMER"
    LOG_UNAVAILABLE = "LOG_UNAVAILABLE"
    TIMEOUT = "TIMEOUT"
    ERASED = "ERASED"
    INTERNAL = "INTERNAL"


RETRYABLE = frozenset(
    {ErrorCode.RATE_LIMITED, ErrorCode.LOG_UNAVAILABLE, ErrorCode.TIMEOUT, ErrorCode.SLOW_CONSUMER, ErrorCode.INTERNAL}
)


class EsbError(Exception):
    """A failure with a code, told to the caller as it stands: the message must say what to do and hold no secret.

    `retry_after_ms`: how long to wait before the same request may succeed. `details`: JSON-able facts for programs.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retry_after_ms: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.details = details

    @property
    def retryable(self) -> bool:
        """Whether the same request, sent again unchanged, may succeed."""
        return self.code in RETRYABLE


def bad_input(message: str, **details: Any) -> EsbError:
    """The commonest refusal: what was sent cannot mean anything; nothing was done."""
    return EsbError(ErrorCode.BAD_INPUT, message, details=details or None)
