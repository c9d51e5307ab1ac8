"""Events to try things on."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from schema.event import Envelope, Event, decode_body, encode_body


def event(event_type: str = "order.made", **payload: Any) -> Event:
    return decode_body(
        encode_body(
            Envelope(
                event_id="evt_01J2X3Y4Z5A6B7C8D9E0F1G2H3",
                event_type=event_type,
                event_version="1.0",
                source_capability=None,
                aggregate_id=None,
                aggregate_type=None,
                timestamp=datetime(2026, 1, 1, tzinfo=UTC),
                correlation_id=None,
                causation_id=None,
                tenant_id="t",
                user_id=None,
                metadata=msgspec.Raw(b"{}"),
                payload=msgspec.Raw(msgspec.json.encode(payload)),
                schema_version=None,
            )
        )
    )
