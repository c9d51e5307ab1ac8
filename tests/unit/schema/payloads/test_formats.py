import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schema.payloads import avro, json_schema
from schema.payloads.declared import Compatibility, Definition, SchemaVersion
from schema.payloads.formats import problems

OPEN: dict[str, Any] = {"type": "object"}


def requiring(*names: str) -> Definition:
    return json_schema.read(json.dumps({**OPEN, "required": list(names)}))


def version(number: int, definition: Definition) -> SchemaVersion:
    return SchemaVersion(
        key=number,
        tenant="acme",
        schema_id=f"sch_{number}",
        event_type="user.created",
        version=f"{number}.0",
        number=number,
        definition_id=number,
        fingerprint=b"",
        definition=definition,
        compatibility=Compatibility.BACKWARD,
        registered_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("level", "against"),
    [
        (Compatibility.NONE, []),
        (Compatibility.BACKWARD, []),
        (Compatibility.BACKWARD_TRANSITIVE, ["1.0"]),
        (Compatibility.FORWARD, ["2.0"]),
        (Compatibility.FORWARD_TRANSITIVE, ["2.0"]),
        (Compatibility.FULL, ["2.0"]),
        (Compatibility.FULL_TRANSITIVE, ["2.0", "1.0"]),
    ],
)
def test_levels_say_who_must_read_whom(level: Compatibility, against: list[str]) -> None:
    older = [version(1, requiring()), version(2, requiring("a", "b"))]
    assert [one.against_version for one in problems(requiring("a"), older, level)] == against


def test_the_first_version_owes_nothing() -> None:
    assert problems(requiring("a"), [], Compatibility.FULL_TRANSITIVE) == []


def test_another_format_is_never_compatible() -> None:
    (found,) = problems(avro.read('"string"'), [version(1, requiring())], Compatibility.BACKWARD)
    assert (found.rule, found.against_version) == ("FORMAT_CHANGED", "1.0")
