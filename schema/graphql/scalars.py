"""The contract's scalars: how each looks on the wire, and what is refused.

What a scalar refuses raises ValueError or TypeError; graphql-core adds where it stood, and the edge answers BAD_INPUT.
"""

from datetime import datetime
from math import isfinite
from typing import Any, NewType

import msgspec
import strawberry
from graphql import ValueNode, value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

MAX_LONG = 2**53 - 1

Long = NewType("Long", int)
JSON = NewType("JSON", object)
CursorText = NewType("CursorText", str)
ExpressionText = NewType("ExpressionText", str)

_encoder = msgspec.json.Encoder()


def datetime_text(moment: datetime) -> str:
    """RFC 3339 in UTC with a trailing Z, the same text JSON answers of the other edges carry."""
    return _encoder.encode(moment)[1:-1].decode()


def _parse_long(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("Long cannot represent a value that is not an integer")
    if not -MAX_LONG <= value <= MAX_LONG:
        raise ValueError("Long cannot represent an integer beyond 2^53 - 1")
    return value


def _parse_datetime(value: Any) -> datetime:
    if not isinstance(value, str):
        raise TypeError("DateTime must be an RFC 3339 text such as 2025-01-26T10:30:00Z")
    try:
        return msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        raise ValueError("DateTime must be an RFC 3339 text such as 2025-01-26T10:30:00Z") from None


def _parse_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is wanted here")
    return value


def _parse_json(value: Any) -> Any:
    return value


def _parse_json_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    """A JSON value written into the document: GraphQL takes 1e999 for a number, which would be stored as null."""
    value = value_from_ast_untyped(node, variables)
    _refuse_infinite(value)
    return value


def _refuse_infinite(value: Any) -> None:
    match value:
        case float() if not isfinite(value):
            raise ValueError("JSON cannot represent a number beyond the range of a double")
        case list():
            for item in value:
                _refuse_infinite(item)
        case dict():
            for item in value.values():
                _refuse_infinite(item)


SCALARS: dict[object, ScalarDefinition] = {
    Long: strawberry.scalar(
        name="Long",
        description="64-bit integer as a JSON number, at most 2^53 − 1",
        serialize=int,
        parse_value=_parse_long,
    ),
    datetime: strawberry.scalar(
        name="DateTime", description="RFC 3339, UTC", serialize=datetime_text, parse_value=_parse_datetime
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="any JSON value",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        parse_value=_parse_json,
        parse_literal=_parse_json_literal,
    ),
    CursorText: strawberry.scalar(
        name="Cursor",
        description="opaque, signed, bound to the tenant, at most 512 bytes; says where to go on",
        serialize=str,
        parse_value=_parse_text,
    ),
    ExpressionText: strawberry.scalar(
        name="Expression",
        description=(
            "an expression (a documented subset of CEL) over `event`, fields in snake_case as in the specification;"
            " a missing path does not match"
        ),
        serialize=str,
        parse_value=_parse_text,
    ),
}
