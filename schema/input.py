"""What a publisher may say of an event, in the two spellings of the same words.

snake_case for REST, camelCase for GraphQL.

Only structure and types are checked here; meaning is checked by `processors.admission`.
"""

from datetime import datetime
from typing import TYPE_CHECKING, cast

import msgspec

EMPTY_OBJECT = msgspec.Raw(b"{}")
_NULL = msgspec.Raw(b"null")

if TYPE_CHECKING:
    _OptionalRaw = msgspec.Raw | None
else:
    # msgspec decodes `Raw | None` as if only null were allowed; a plain Raw takes any value, null included
    _OptionalRaw = msgspec.Raw


class EventInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One event as published, in snake_case. `tenant_id` may only repeat the token's."""

    event_type: str
    payload: msgspec.Raw
    event_id: str | None = None
    event_version: str | None = None
    source_capability: str | None = None
    aggregate_id: str | None = None
    aggregate_type: str | None = None
    timestamp: datetime | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    user_id: str | None = None
    metadata: _OptionalRaw = None
    schema_version: str | None = None
    expected_sequence: int | None = None
    stream: str | None = None
    tenant_id: str | None = None

    def __post_init__(self) -> None:
        """Metadata said to be null is metadata not said."""
        if self.metadata is not None and self.metadata == _NULL:
            self.metadata = None


def _in_camel_case() -> type[EventInput]:
    # `rename` reaches only the fields a class declares itself, so they are declared once more, from the same source
    fields = [
        (field.name, field.type) if field.required else (field.name, field.type, field.default)
        for field in msgspec.structs.fields(EventInput)
    ]
    struct = msgspec.defstruct(
        "GraphQLEventInput",
        fields,
        bases=(EventInput,),
        module=__name__,
        rename="camel",
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    return cast(type[EventInput], struct)


GraphQLEventInput = _in_camel_case()
"""The same in camelCase, decoded straight from a request's variables."""


class ClientContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge knows of the sender; goes to `metadata` where the publisher left it out."""

    ip_address: str | None = None
    user_agent: str | None = None
    session_id: str | None = None
