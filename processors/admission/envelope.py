"""Checks what a publisher said and turns it into an envelope. Everything refused here names its field."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import orjson

from schema.errors import ErrorCode, EsbError, bad_input
from schema.event import MAX_EVENT_BYTES, Envelope
from schema.filter.storable import document_problem
from schema.identifier import EVENT_ID
from schema.input import EMPTY_OBJECT, ClientContext, EventInput
from schema.principal import Action, Principal

MAX_AHEAD = timedelta(minutes=5)

_EVENT_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*\Z")
_FREE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*\Z")

_RULES: tuple[tuple[str, re.Pattern[str], int, str], ...] = (
    ("event_type", _EVENT_TYPE, 255, "letters, digits, - and _ in segments joined by dots, such as user.created"),
    ("event_version", _VERSION, 64, "such as 1.0"),
    ("schema_version", _VERSION, 64, "such as 1.0"),
    ("event_id", EVENT_ID, 30, "evt_ and a ULID of 26 characters in upper case"),
    ("aggregate_type", _NAME, 128, "letters, digits and _ . : / -"),
    ("aggregate_id", _FREE, 256, "text without control characters"),
    ("correlation_id", _FREE, 256, "text without control characters"),
    ("causation_id", _FREE, 256, "text without control characters"),
    ("user_id", _FREE, 256, "text without control characters"),
    ("source_capability", _FREE, 256, "text without control characters"),
)


class Checked(msgspec.Struct):
    """An input whose meaning was checked, with its documents decoded once for all later steps."""

    said: EventInput
    payload: Any
    metadata: dict[str, Any] | None


def check(said: EventInput, principal: Principal) -> Checked:
    """Raise BAD_INPUT or PAYLOAD_TOO_LARGE for what can never be an event, FORBIDDEN for another tenant."""
    for name, pattern, longest, rule in _RULES:
        value = getattr(said, name)
        if value is not None and (len(value) > longest or not pattern.match(value)):
            raise bad_input(f"{name} must be {rule}, at most {longest} characters", field=name)
    if (said.aggregate_id is None) != (said.aggregate_type is None):
        raise bad_input("aggregate_id and aggregate_type come together or not at all", field="aggregate_id")
    _check_sequence(said)
    if said.tenant_id is not None and said.tenant_id != principal.tenant:
        raise EsbError(ErrorCode.FORBIDDEN, "tenant_id may only repeat the tenant of the token")
    size = len(memoryview(said.payload)) + (len(memoryview(said.metadata)) if said.metadata is not None else 0)
    if size > MAX_EVENT_BYTES:
        raise too_large(size)
    metadata = None if said.metadata is None else document(said.metadata, "metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise bad_input("metadata must be a JSON object", field="metadata")
    return Checked(said, document(said.payload, "payload"), metadata)


def too_large(size: int) -> EsbError:
    """The refusal of an event over the limit."""
    return EsbError(
        ErrorCode.PAYLOAD_TOO_LARGE,
        f"the event has {size} bytes; at most {MAX_EVENT_BYTES} are taken",
        details={"bytes": size, "limit": MAX_EVENT_BYTES},
    )


def document(raw: msgspec.Raw, field: str) -> Any:
    """Decode a JSON document a client sent; what PostgreSQL or another reader could not hold is BAD_INPUT."""
    text = bytes(raw)
    try:
        value = orjson.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad_input(f"{field} is not JSON: {error}", field=field) from None
    if problem := document_problem(text, value):
        raise bad_input(f"{field} {problem}", field=field)
    return value


def instant(said: EventInput, now: datetime) -> datetime:
    """When the event happened, in UTC: what the publisher says, else now."""
    if said.timestamp is None:
        return now
    if said.timestamp.tzinfo is None:
        raise bad_input(
            "timestamp needs an offset from UTC, such as 2025-01-26T10:30:00Z (RFC 3339)", field="timestamp"
        )
    try:
        moment = said.timestamp.astimezone(UTC)
    except OverflowError:
        raise bad_input("timestamp is outside of the calendar", field="timestamp") from None
    if moment > now + MAX_AHEAD:
        # one event far in the future would make every later one late for windows and watermarks
        raise bad_input("timestamp is more than 5 minutes ahead of the server's clock", field="timestamp")
    return moment


def seal(checked: Checked, principal: Principal, client: ClientContext, event_id: str, now: datetime) -> Envelope:
    """The envelope: what was said, stamped with what the token and the connection say."""
    said = checked.said
    return Envelope(
        event_id=event_id,
        event_type=said.event_type,
        event_version=said.event_version or "1.0",
        source_capability=said.source_capability or principal.client,
        aggregate_id=said.aggregate_id,
        aggregate_type=said.aggregate_type,
        timestamp=instant(said, now),
        correlation_id=said.correlation_id,
        causation_id=said.causation_id,
        tenant_id=principal.tenant,
        user_id=said.user_id or principal.subject,
        metadata=_stamped(said, checked.metadata, client),
        payload=said.payload,
        schema_version=said.schema_version,
    )


def check_identity(said: EventInput, principal: Principal, stream: str) -> None:
    """Raise FORBIDDEN where the input names another user or source than the token, without the right to."""
    for field, spoken, true in (
        ("user_id", said.user_id, principal.subject),
        ("source_capability", said.source_capability, principal.client),
    ):
        if spoken is not None and spoken != true and not principal.may(Action.MANAGE, stream):
            raise EsbError(
                ErrorCode.FORBIDDEN,
                f"{field} comes from the token; to say another one the token must grant 'manage' on {stream!r}",
                details={"field": field},
            )


def _check_sequence(said: EventInput) -> None:
    if said.expected_sequence is None:
        return
    if said.expected_sequence < 0:
        raise bad_input("expected_sequence is 0 (new) or the version seen", field="expected_sequence")
    if said.aggregate_id is None:
        raise bad_input("expected_sequence needs aggregate_id and aggregate_type", field="expected_sequence")


def _stamped(said: EventInput, metadata: dict[str, Any] | None, client: ClientContext) -> msgspec.Raw:
    known = metadata or {}
    added = {
        name: value
        for name in ClientContext.__struct_fields__
        if name not in known and (value := getattr(client, name)) is not None
    }
    if not added:
        return said.metadata or EMPTY_OBJECT
    return msgspec.Raw(orjson.dumps({**known, **added}))
