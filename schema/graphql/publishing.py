"""Publishing as GraphQL says it: inputs, receipts, reports."""

from datetime import datetime

import msgspec
import strawberry
from strawberry import UNSET

from schema.graphql.enums import ErrorCode
from schema.graphql.scalars import JSON, CursorText, Long
from schema.input import EventInput as Said
from schema.input import GraphQLEventInput


@strawberry.input(description="one event as published")
class EventInput:
    """One event as published. Meaning is checked by admission, in one place for every way in."""

    event_id: strawberry.ID | None = strawberry.field(default=UNSET, description="given: makes the publish idempotent")
    event_type: str
    event_version: str | None = "1.0"
    source_capability: str | None = UNSET
    aggregate_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="aggregateId and aggregateType come together or not at all"
    )
    aggregate_type: str | None = UNSET
    timestamp: datetime | None = UNSET
    correlation_id: strawberry.ID | None = UNSET
    causation_id: strawberry.ID | None = UNSET
    user_id: strawberry.ID | None = UNSET
    tenant_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="may only repeat the tenant of the token"
    )
    metadata: JSON | None = UNSET
    payload: JSON
    schema_version: str | None = UNSET
    expected_sequence: Long | None = strawberry.field(
        default=UNSET,
        description=(
            "the aggregate's version the publisher saw; 0: it must be new."
            " Checked after earlier events of the same batch. Ledger only"
        ),
    )
    stream: str | None = strawberry.field(default=UNSET, description="left out: routed by the routing rules")

    def said(self) -> Said:
        """The same in the vocabulary's words, for admission."""
        given = {name: value for name in _NAMES if (value := getattr(self, name)) is not UNSET and value is not None}
        if "metadata" in given:
            given["metadata"] = msgspec.Raw(_encoder.encode(given["metadata"]))
        return GraphQLEventInput(payload=msgspec.Raw(_encoder.encode(self.payload)), **given)


_NAMES = [name for name in Said.__struct_fields__ if name != "payload"]
_encoder = msgspec.json.Encoder()


@strawberry.type
class Receipt:
    """Where an event came to rest."""

    index: int
    event_id: strawberry.ID
    stream: str
    position: Long | None
    partition: int | None
    offset: Long | None
    sequence_number: Long | None
    cursor: CursorText
    recorded_at: datetime
    duplicate: bool


@strawberry.type
class Rejection:
    """Why an event was not committed."""

    index: int
    event_id: strawberry.ID | None
    code: ErrorCode
    message: str
    details: JSON | None


@strawberry.type(
    description=(
        "in input order. A refused atomic batch has no receipts and at least one rejection: no top-level error"
    )
)
class PublishReport:
    """What became of a batch."""

    receipts: list[Receipt]
    rejections: list[Rejection]
