"""What the gateway refuses, in the words of its `ErrorCode`."""

from collections.abc import Mapping
from typing import Any


class GatewayError(Exception):
    """A failure the gateway named.

    `code`: of the schema's `ErrorCode`, or UNREACHABLE where no answer came. `retryable`: the same request may succeed
    when it is sent again unchanged, after `retry_after` seconds. `details`: facts for programs.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float = 0.0,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.details = dict(details or {})

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> "GatewayError":
        """From an entry of a response's `errors`."""
        more = error.get("extensions") or {}
        return cls(
            more.get("code") or "INTERNAL",
            error.get("message") or "refused",
            retryable=bool(more.get("retryable")),
            retry_after=(more.get("retryAfterMs") or 0) / 1000,
            details=more.get("details"),
        )


RETRYABLE = frozenset({"RATE_LIMITED", "LOG_UNAVAILABLE", "TIMEOUT", "SLOW_CONSUMER", "INTERNAL", "UNREACHABLE"})
"""Codes after which the same request may succeed; rejections of a batch carry no more than their code."""
