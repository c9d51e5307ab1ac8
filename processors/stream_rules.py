"""What a stream's or route's configuration may say. Each rule refuses with BAD_INPUT and names the field."""

import re
from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from schema.errors import EsbError, bad_input
from schema.filter.pattern import validate_pattern
from schema.stream import Retention
from schema.stream_input import RetentionInput

MAX_PATTERNS = 100
MAX_PARTITIONS = 1000
MAX_REPLICATION = 16
MAX_LONG = 2**53 - 1

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}\Z")
# Kafka takes 249 characters (org.apache.kafka.common.internals.Topic); a tenant's name and a dot stand before
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,184}\Z")


def check_name(name: str, field: str) -> None:
    """Names of streams and routes: they stand in paths and on command lines."""
    if not _NAME.match(name):
        raise bad_input(
            f"{field} is 1 to 128 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit", field=field
        )


def check_topic(name: str) -> None:
    """Kafka's own rule for topics."""
    if not _TOPIC.match(name) or name in (".", ".."):
        raise bad_input("topic_name is 1 to 184 of a-z, A-Z, 0-9, '.', '_' and '-'", field="topic_name")


def check_range(value: int, least: int, most: int, field: str) -> None:
    """A whole number within its limits."""
    if not least <= value <= most:
        raise bad_input(f"{field} is {least} to {most}", field=field)


def check_duration(value: int | None, field: str) -> int | None:
    """Milliseconds or bytes of a retention; None is without limit."""
    if value is not None:
        check_range(value, 1, MAX_LONG, field)
    return value


def retention(said: RetentionInput | UnsetType | None, now: Retention) -> Retention:
    """The retention after a change: None takes both limits away, a limit that is left out stays."""
    if said is UNSET:
        return now
    if said is None:
        return Retention()
    return Retention(
        time_ms=now.time_ms if said.time_ms is UNSET else check_duration(said.time_ms, "retention_policy.time_ms"),
        size_bytes=now.size_bytes
        if said.size_bytes is UNSET
        else check_duration(said.size_bytes, "retention_policy.size_bytes"),
    )


def patterns(said: Sequence[str]) -> tuple[str, ...]:
    """Event patterns, each once, in the order given."""
    if len(said) > MAX_PATTERNS:
        raise bad_input(f"a stream has at most {MAX_PATTERNS} event patterns", field="event_patterns")
    for index, text in enumerate(said):
        try:
            validate_pattern(text)
        except EsbError as error:
            raise bad_input(
                f"event_patterns[{index}]: {error.message}", **{**(error.details or {}), "field": "event_patterns"}
            ) from None
    return tuple(dict.fromkeys(said))
