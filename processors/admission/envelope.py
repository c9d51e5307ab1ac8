"""Checks what a publisher said and turns it into an envelope. Everything refused here names its field."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import orjson

from schema.errors import ErrorCode, EsbError, bad_input
from schema.event import MAX_EVENT_BYTES
from schema.filter.storable import document_problem
from schema.identifier import EVENT_ID
from schema.input import EventInput
from schema.principal import Action, Principal

MAX_AHEAD = timedelta(minutes=5)

_EVENT_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*\Z")
_FREE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*\Z")


class _Rule(NamedTuple):
    field: str
    pattern: re.Pattern[str]
    longest: int
    words: str

    def check(self, value: str) -> None:
        """Raise BAD_INPUT unless the value keeps the rule."""
        if len(value) > self.longest or not self.pattern.match(value):
            message = f"{self.field} must be {self.words}, at most {self.longest} characters"
            raise bad_input(message, field=self.field)


_TEXT = "text without control characters"
_NAMES = (
    _Rule("event_type", _EVENT_TYPE, 255, "letters, digits, - and _ in segments joined by dots, such as user.created"),
    _Rule("event_version", _VERSION, 64, "such as 1.0"),
    _Rule("schema_version", _VERSION, 64, "such as 1.0"),
    _Rule("aggregate_type", _NAME, 128, "letters, digits and _ . : / -"),
    _Rule("user_id", _FREE, 256, _TEXT),
    _Rule("source_capability", _FREE, 256, _TEXT),
)
_EVENT_ID = _Rule("event_id", EVENT_ID, 30, "evt_ and a ULID of 26 characters in upper case")
_LONGEST_ID = 256
_AGGREGATE = _Rule("aggregate_id", _FREE, _LONGEST_ID, _TEXT)
_CORRELATION = _Rule("correlation_id", _FREE, _LONGEST_ID, _TEXT)
_CAUSATION = _Rule("causation_id", _FREE, _LONGEST_ID, _TEXT)
_MAX_GOOD_NAMES = 10_000
# publishers say the same names again and again: combinations found good are not looked at twice
_good_names: set[tuple[str | None, ...]] = set()


class Checked(msgspec.Struct):
    """An input whose meaning was checked, with its documents decoded once for all later steps."""

    said: EventInput
    payload: Any
    metadata: dict[str, Any] | None


def check(said: EventInput, principal: Principal) -> Checked:
    """Raise BAD_INPUT or PAYLOAD_TOO_LARGE for what can never be an event, FORBIDDEN for another tenant."""
    _check_names(said)
    if said.event_id is not None:
        _EVENT_ID.check(said.event_id)
    _check_ids(said)
    if (said.aggregate_id is None) != (said.aggregate_type is None):
        raise bad_input("aggregate_id and aggregate_type come together or not at all", field="aggregate_id")
    if said.expected_sequence is not None:
        _check_sequence(said, said.expected_sequence)
    if said.tenant_id is not None and said.tenant_id != principal.tenant:
        raise EsbError(ErrorCode.FORBIDDEN, "tenant_id may only repeat the tenant of the token")
    payload = bytes(said.payload)
    if said.metadata is None:
        if len(payload) > MAX_EVENT_BYTES:
            raise too_large(len(payload))
        return Checked(said, document(payload, "payload"), None)
    spoken = bytes(said.metadata)
    if len(payload) + len(spoken) > MAX_EVENT_BYTES:
        raise too_large(len(payload) + len(spoken))
    metadata = document(spoken, "metadata")
    if not isinstance(metadata, dict):
        raise bad_input("metadata must be a JSON object", field="metadata")
    return Checked(said, document(payload, "payload"), metadata)


def too_large(size: int) -> EsbError:
    """The refusal of an event over the limit."""
    return EsbError(
        ErrorCode.PAYLOAD_TOO_LARGE,
        f"the event has {size} bytes; at most {MAX_EVENT_BYTES} are taken",
        details={"bytes": size, "limit": MAX_EVENT_BYTES},
    )


def document(text: bytes, field: str) -> Any:
    """Decode a JSON document a client sent; what PostgreSQL or another reader could not hold is BAD_INPUT."""
    try:
        value = orjson.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad_input(f"{field} is not JSON: {error}", field=field) from None
    if problem := document_problem(text, value):
        raise bad_input(f"{field} {problem}", field=field)
    return value


def instant(timestamp: datetime, now: datetime) -> datetime:
    """When the event happened, in UTC."""
    if timestamp.tzinfo is None:
        raise bad_input(
            "timestamp needs an offset from UTC, such as 2025-01-26T10:30:00Z (RFC 3339)", field="timestamp"
        )
    try:
        moment = timestamp.astimezone(UTC)
    except OverflowError:
        raise bad_input("timestamp is outside of the calendar", field="timestamp") from None
    if moment > now + MAX_AHEAD:
        # one event far in the future would make every later one late for windows and watermarks
        raise bad_input("timestamp is more than 5 minutes ahead of the server's clock", field="timestamp")
    return moment


def check_identity(said: EventInput, principal: Principal, stream: str) -> None:
    """Raise FORBIDDEN where the input names another user or source than the token, without the right to."""
    if said.user_id is None and said.source_capability is None:
        return
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


def _check_ids(said: EventInput) -> None:
    if said.aggregate_id is not None:
        _check_id(_AGGREGATE, said.aggregate_id)
    if said.correlation_id is not None:
        _check_id(_CORRELATION, said.correlation_id)
    if said.causation_id is not None:
        _check_id(_CAUSATION, said.causation_id)


def _check_id(rule: _Rule, spoken: str) -> None:
    # printable text holds no control character: that is known without the expression, at a fifth of its time
    if not (spoken.isprintable() and 0 < len(spoken) <= _LONGEST_ID):
        rule.check(spoken)


def _check_sequence(said: EventInput, expected: int) -> None:
    if expected < 0:
        raise bad_input("expected_sequence is 0 (new) or the version seen", field="expected_sequence")
    if said.aggregate_id is None:
        raise bad_input("expected_sequence needs aggregate_id and aggregate_type", field="expected_sequence")


def _check_names(said: EventInput) -> None:
    names = (
        said.event_type,
        said.event_version,
        said.schema_version,
        said.aggregate_type,
        said.user_id,
        said.source_capability,
    )
    if names in _good_names:
        return
    for rule, value in zip(_NAMES, names, strict=True):
        if value is not None:
            rule.check(value)
    if len(_good_names) >= _MAX_GOOD_NAMES:
        _good_names.clear()
    _good_names.add(names)


def check_name(field: str, value: str) -> None:
    """Raise BAD_INPUT unless `value` may stand in an event as that field: event_type, schema_version …"""
    next(rule for rule in _NAMES if rule.field == field).check(value)
