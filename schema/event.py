"""The event: an immutable envelope said by a publisher, and the place the log gave it.

Fields are those of the capability specification ("Core Event Structure"), in its order.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

MAX_EVENT_BYTES = 900 * 1024
MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_PAGE = 1000

NEVER = datetime(1970, 1, 1, tzinfo=UTC)

_document_decoder = msgspec.json.Decoder()


class Envelope(msgspec.Struct, kw_only=True, gc=False):
    """What an event is before the log places it: the specification's fields, encoded once as `body`, never changed."""

    event_id: str
    event_type: str
    event_version: str
    source_capability: str | None
    aggregate_id: str | None
    aggregate_type: str | None
    timestamp: datetime
    correlation_id: str | None
    causation_id: str | None
    tenant_id: str
    user_id: str | None
    metadata: msgspec.Raw
    payload: msgspec.Raw
    schema_version: str | None


class Event(Envelope, kw_only=True, gc=False):
    """One committed event: the envelope, and the place the log gave it (never part of `body`).

    `payload` and `metadata` are raw JSON views into `body`; the `*_document` properties decode once and keep
    the result.
    """

    stream: str = ""
    sequence_number: int | None = None
    position: int | None = None
    partition: int | None = None
    offset: int | None = None
    entry_id: str | None = None
    recorded_at: datetime = NEVER
    body: bytes = b""
    _payload: Any = msgspec.UNSET
    _metadata: Any = msgspec.UNSET

    @property
    def payload_document(self) -> Any:
        """The payload as Python values, decoded at the first use. Callers must not change it."""
        if self._payload is msgspec.UNSET:
            self._payload = _document_decoder.decode(self.payload)
        return self._payload

    @property
    def metadata_document(self) -> Any:
        """The metadata as Python values, decoded at the first use. Callers must not change it."""
        if self._metadata is msgspec.UNSET:
            self._metadata = _document_decoder.decode(self.metadata)
        return self._metadata


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


def encode_body(envelope: Envelope) -> bytes:
    """The envelope as JSON in snake_case, without the place: what is stored and relayed."""
    return _encoder.encode(envelope)


def decode_body(body: bytes) -> Event:
    """An event whose place is still to be filled in by the log that read `body`."""
    event = _decoder.decode(body)
    event.body = body
    return event


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where the log put an event: what `encode_event` puts in front of the stored body."""

    stream: str
    position: int | None = None
    partition: int | None = None
    offset: int | None = None
    sequence_number: int | None = None
    recorded_at: datetime


def splice_place(place: Place, body: bytes) -> bytes:
    """A stored body as the whole event's JSON: the place spliced in front, nothing decoded or encoded twice."""
    return _encoder.encode(place)[:-1] + b"," + body[1:]


def encode_event(event: Event) -> bytes:
    """The whole event as JSON."""
    place = Place(
        stream=event.stream,
        position=event.position,
        partition=event.partition,
        offset=event.offset,
        sequence_number=event.sequence_number,
        recorded_at=event.recorded_at,
    )
    return splice_place(place, event.body)
