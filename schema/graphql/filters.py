"""The filter language as GraphQL input, and back into the one document `schema.filter` parses."""

import dataclasses
from datetime import datetime
from typing import Any

import strawberry
from strawberry import UNSET

from schema.graphql.scalars import JSON, CursorText, ExpressionText, Long


@strawberry.input(
    description=(
        "fields given must all hold."
        " `pattern`: dot-separated segments, * is exactly one, ** any number: user.*, order.**"
    )
)
class StringMatch:
    """Conditions on a text."""

    eq: str | None = UNSET
    ne: str | None = UNSET
    in_: list[str] | None = strawberry.field(name="in", default=UNSET)
    pattern: str | None = UNSET
    starts_with: str | None = UNSET
    exists: bool | None = UNSET


@strawberry.input
class LongMatch:
    """Conditions on an integer."""

    eq: Long | None = UNSET
    gt: Long | None = UNSET
    gte: Long | None = UNSET
    lt: Long | None = UNSET
    lte: Long | None = UNSET


@strawberry.input
class TimeMatch:
    """Conditions on a moment."""

    gt: datetime | None = UNSET
    gte: datetime | None = UNSET
    lt: datetime | None = UNSET
    lte: datetime | None = UNSET


@strawberry.input(description="path is relative to payload or metadata: amount, customer.name, items.0.sku")
class ValueMatch:
    """Conditions on a value inside a document."""

    path: str
    eq: JSON | None = UNSET
    ne: JSON | None = UNSET
    in_: list[JSON] | None = strawberry.field(name="in", default=UNSET)
    gt: JSON | None = UNSET
    gte: JSON | None = UNSET
    lt: JSON | None = UNSET
    lte: JSON | None = UNSET
    contains: JSON | None = UNSET
    starts_with: str | None = UNSET
    exists: bool | None = UNSET


@strawberry.input
class EventFilter:
    """Which events: everything given must hold."""

    and_: list["EventFilter"] | None = strawberry.field(name="and", default=UNSET)
    or_: list["EventFilter"] | None = strawberry.field(name="or", default=UNSET)
    not_: "EventFilter | None" = strawberry.field(name="not", default=UNSET)
    event_id: StringMatch | None = UNSET
    event_type: StringMatch | None = UNSET
    event_version: StringMatch | None = UNSET
    source_capability: StringMatch | None = UNSET
    aggregate_id: StringMatch | None = UNSET
    aggregate_type: StringMatch | None = UNSET
    correlation_id: StringMatch | None = UNSET
    causation_id: StringMatch | None = UNSET
    user_id: StringMatch | None = UNSET
    sequence_number: LongMatch | None = UNSET
    timestamp: TimeMatch | None = UNSET
    recorded_at: TimeMatch | None = UNSET
    payload: list[ValueMatch] | None = strawberry.field(description="all must hold", default=UNSET)
    metadata: list[ValueMatch] | None = UNSET
    expression: ExpressionText | None = UNSET


@strawberry.input(
    description=(
        "a dynamic consistency boundary over all the tenant's ledger streams:"
        " commit only if no matching event came after the cursor"
    )
)
class AppendCondition:
    """A dynamic consistency boundary."""

    none_matching: EventFilter
    after: CursorText | None = UNSET


def filter_document(said: EventFilter | ValueMatch) -> dict[str, Any]:
    """The input as the snake_case document that `schema.filter.typed.parse_filter` takes, with only what was given."""
    return {
        field.name.rstrip("_"): _plain(value)
        for field in dataclasses.fields(said)
        if (value := getattr(said, field.name)) is not UNSET
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        return filter_document(value)  # type: ignore[arg-type]
    return value
