"""What a publisher may say of an event, in the two spellings of the same words.

snake_case for REST, camelCase for GraphQL.

Only structure and types are checked here; meaning is checked by `processors.admission`.
"""

from datetime import datetime

import msgspec

EMPTY_OBJECT = msgspec.Raw(b"{}")


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
    metadata: msgspec.Raw | None = None
    schema_version: str | None = None
    expected_sequence: int | None = None
    stream: str | None = None
    tenant_id: str | None = None


class GraphQLEventInput(EventInput, kw_only=True, forbid_unknown_fields=True, rename="camel", gc=False):
    """The same in camelCase, decoded straight from a request's variables."""


class ClientContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge knows of the sender; goes to `metadata` where the publisher left it out."""

    ip_address: str | None = None
    user_agent: str | None = None
    session_id: str | None = None
