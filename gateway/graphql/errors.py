"""Failures as a GraphQL response says them: each with the contract's extensions."""

from collections.abc import Sequence
from typing import Any

import structlog
from graphql import GraphQLError

from gateway.problems import graphql_extensions, internal
from schema.errors import EsbError, bad_input

MAX_MESSAGE_CHARS = 1000

_log = structlog.get_logger(__name__)
_BAD_INPUT = bad_input("")


def formatted_all(errors: Sequence[GraphQLError]) -> list[dict[str, Any]]:
    """Each error as it stands in a response."""
    return [formatted(error) for error in errors]


def formatted_refusal(error: EsbError) -> list[dict[str, Any]]:
    """The `errors` of a request that was refused before anything ran."""
    return [formatted(GraphQLError(error.message, original_error=error))]


def formatted(error: GraphQLError) -> dict[str, Any]:
    """One error as it stands in a response. What nobody foresaw is logged, and told by its request id only."""
    cause = _cause(error)
    said, message = _BAD_INPUT, error.message
    if isinstance(cause, EsbError):
        said, message = cause, cause.message
    elif cause is not None and error.path is not None:
        # without a path, or without a cause, it is the specification's own: syntax, validation, coercion
        _log.error("graphql field failed", path=error.path, exc_info=cause)
        said = internal()
        message = said.message
    out: dict[str, Any] = {"message": _shortened(message)}
    if error.locations:
        out["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path:
        out["path"] = error.path
    out["extensions"] = graphql_extensions(said)
    return out


def _cause(error: GraphQLError) -> BaseException | None:
    """What was raised underneath: graphql-core wraps an error once for each layer that adds a place to it."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _shortened(message: str) -> str:
    """graphql-core repeats the refused value, which may be a megabyte."""
    return message if len(message) <= MAX_MESSAGE_CHARS else message[: MAX_MESSAGE_CHARS - 1] + "…"
