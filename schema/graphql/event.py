"""An event as GraphQL shows it: nothing is decoded or signed before it is selected.

The fields that ask the log (cause, effects) are added by `resolvers.event`.
"""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any

import strawberry

from schema.cursor import Cursor
from schema.errors import bad_input
from schema.event import Event
from schema.graphql.interfaces import FeedItem, Node
from schema.graphql.scalars import JSON, CursorText, Long

SignCursor = Callable[[Cursor], str]


@strawberry.type
class EventFields(Node, FeedItem):
    """The envelope and its place. Fields left out here are read from the committed event as they are."""

    id: strawberry.ID = strawberry.field(description="equals eventId")
    event_id: strawberry.ID
    event_type: str
    event_version: str
    source_capability: str | None
    aggregate_id: strawberry.ID | None
    aggregate_type: str | None
    sequence_number: Long | None
    timestamp: datetime = strawberry.field(description="when it happened, said by the publisher")
    recorded_at: datetime = strawberry.field(description="when it was committed; never goes back within a tenant")
    correlation_id: strawberry.ID | None
    causation_id: strawberry.ID | None
    tenant_id: strawberry.ID
    user_id: strawberry.ID | None
    metadata: JSON
    payload: JSON
    schema_version: str | None
    erased_paths: list[str] = strawberry.field(
        description="dotted paths of personal fields that were erased; they read null"
    )
    stream: str
    position: Long | None = strawberry.field(description="ledger: the gapless place in the tenant's log")
    partition: int | None = strawberry.field(description="Kafka engine only")
    offset: Long | None
    cursor: CursorText = strawberry.field(description="going on from here continues right after this event")

    def __init__(self, event: Event, place: Cursor, sign: SignCursor) -> None:
        """`place`: where to go on after `event`; `sign` writes it for the caller's tenant, when it is selected."""
        self.event = event
        self.place = place
        self.sign = sign

    def __getattr__(self, name: str) -> Any:
        # reached only for the fields above: the instance itself holds nothing but the event
        try:
            return event_field(name)(self)
        except KeyError:
            raise AttributeError(name) from None

    @strawberry.field(description="one value, by dotted path: payload.amount")
    def value(self, path: str) -> JSON | None:
        """The value, or null where the path leads nowhere; raises BAD_INPUT for a root that is no field."""
        return JSON(value_at(self.event, path))


def event_field(name: str) -> Callable[[Any], Any]:
    """How the field of that (snake_case) name is read from an `EventFields`; raises KeyError for what is no field."""
    return _READ[name]


_READ: dict[str, Callable[[Any], Any]] = {
    name: attrgetter(f"event.{name}")
    for name in Event.__struct_fields__
    if name not in ("body", "entry_id", "_payload", "_metadata")
} | {
    "id": attrgetter("event.event_id"),
    "erased_paths": lambda shown: [],
    "cursor": lambda shown: shown.sign(shown.place),
}

EVENT_FIELDS = tuple(_READ)

# no list in an event is longer, and Python refuses to read integers of thousands of digits
_INDEX_DIGITS = 9


def value_at(event: Event, path: str) -> Any:
    """Walk a dotted path: the first segment names a field in snake_case, the others keys, or indexes of lists."""
    root, *rest = path.split(".")
    if not all(rest):
        raise bad_input("a path is names between dots, such as payload.items.0.sku", field="path")
    if root == "payload":
        value = event.payload_document
    elif root == "metadata":
        value = event.metadata_document
    elif root in _READ and root not in ("id", "cursor"):
        value = getattr(event, root, None)
    else:
        raise bad_input(f"a path starts with a field of the event in snake_case, such as payload, not {root!r}")
    for key in rest:
        if isinstance(value, dict):
            value = value.get(key)
        elif (
            isinstance(value, list)
            and key.isascii()
            and key.isdigit()
            and len(key) <= _INDEX_DIGITS
            and int(key) < len(value)
        ):
            value = value[int(key)]
        else:
            return None
    return value
