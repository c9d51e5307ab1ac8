"""Why an expression has no value, and how that is said."""

from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn

from schema.errors import ErrorCode, EsbError


class Failure(StrEnum):
    """Why an expression has no value."""

    MISSING_PATH = "MISSING_PATH"
    WRONG_TYPE = "WRONG_TYPE"
    DIVISION_BY_ZERO = "DIVISION_BY_ZERO"
    OVERFLOW = "OVERFLOW"
    BAD_CONVERSION = "BAD_CONVERSION"
    TOO_LARGE = "TOO_LARGE"


class ExpressionError(EsbError):
    """An expression that has no value for this event; `kind` says why."""

    def __init__(self, kind: Failure, message: str) -> None:
        super().__init__(ErrorCode.BAD_INPUT, message, details={"kind": kind.value})
        self.kind = kind


def fail(kind: Failure, message: str) -> NoReturn:
    """Raise an ExpressionError."""
    raise ExpressionError(kind, f"the expression has no value: {message}")


def kind_of(value: Any) -> str:
    """The name of a value's type, as messages say it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "a map"
        case datetime():
            return "a time"
    return "an event"
