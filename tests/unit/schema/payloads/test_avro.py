import json
from typing import Any

import pytest

from schema.errors import ErrorCode, EsbError
from schema.payloads import avro
from schema.payloads.avro_reading import problems


def record(*fields: dict[str, Any], name: str = "User", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


NAME = {"name": "name", "type": "string"}
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "5",
        '{"type": "array"}',
        '{"type": "record", "fields": []}',
        '{"type": "record", "name": "a b", "fields": []}',
        '{"type": "fixed", "name": "F"}',
        '{"type": "fixed", "name": "F", "size": -1}',
        '{"type": "enum", "name": "E", "symbols": ["A", "A"]}',
        '["null", "null"]',
        '["null", ["string"]]',
        "[]",
        json.dumps(record(NAME, NAME)),
        json.dumps(record({"name": "x", "type": "Elsewhere"})),
        json.dumps(record({"name": "x", "type": "int", "default": "a"})),
    ],
)
def test_what_is_no_definition_is_bad_input(text: str) -> None:
    with pytest.raises(EsbError) as refused:
        avro.read(text)
    assert refused.value.code is ErrorCode.BAD_INPUT


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int", [0, -(2**31), 2**31 - 1], [2**31, 1.5, "1", True, None]),
        ("long", [2**62], [2**63, "1"]),
        ("double", [1, 1.5], ["1.5", True]),
        ("boolean", [True], [1, "true"]),
        ("bytes", ["", "a\u00ff"], ["\u0100", 5]),
        (["null", "string"], [None, "a", {"string": "a"}], [5, {"int": 5}, {"string": "a", "more": 1}]),
        (COLOUR, ["RED"], ["GREEN", 0]),
        ({"type": "fixed", "name": "F", "size": 2}, ["ab"], ["a", "abc"]),
        ({"type": "array", "items": "int"}, [[], [1]], [["1"], {}]),
        ({"type": "map", "values": "int"}, [{}, {"a": 1}], [{"a": "1"}, []]),
        (record(NAME, {"name": "n", "type": "int", "default": 0}), [{"name": "a"}], [{}, {"name": "a", "other": 1}]),
    ],
)
def test_payloads_are_taken_as_avro_means_them(kind: Any, good: list[Any], bad: list[Any]) -> None:
    checked = avro.validator(json.dumps(record({"name": "it", "type": kind}, name="Holder")))
    assert [value for value in good if not checked.accepts({"it": value})] == []
    assert [value for value in bad if checked.accepts({"it": value})] == []


def test_a_type_may_hold_itself_and_is_told_by_its_full_name() -> None:
    text = json.dumps(record(NAME, {"name": "next", "type": ["null", "User"], "default": None}, namespace="com.acme"))
    checked = avro.validator(text)
    assert checked.accepts({"name": "a", "next": {"name": "b", "next": {"com.acme.User": {"name": "c"}}}})
    assert [one.path for one in checked.violations({"name": "a", "next": {"name": 5}})] == ["next"]


@pytest.mark.parametrize(
    ("reader", "writer", "path", "rule"),
    [
        ("long", "int", None, None),
        ("int", "long", "it", "TYPE_MISMATCH"),
        ("bytes", "string", None, None),
        (["null", "int"], "int", None, None),
        ("int", ["null", "int"], "it", "TYPE_MISMATCH"),
        (["null", "string"], "int", "it", "MISSING_UNION_BRANCH"),
        (COLOUR, {**COLOUR, "symbols": ["RED", "GREEN"]}, "it", "MISSING_ENUM_SYMBOLS"),
        ({**COLOUR, "default": "RED"}, {**COLOUR, "symbols": ["RED", "GREEN"]}, None, None),
        (record(NAME), record(name="Person"), "it", "NAME_MISMATCH"),
        (record(NAME, aliases=["Person"]), record(NAME, name="Person"), None, None),
        (record(NAME), record(), "it.name", "READER_FIELD_MISSING_DEFAULT_VALUE"),
        (record({**NAME, "default": ""}), record(), None, None),
        (record({"name": "full", "type": "string", "aliases": ["name"]}), record(NAME), None, None),
        ({"type": "array", "items": "int"}, {"type": "array", "items": "string"}, "it[]", "TYPE_MISMATCH"),
        (
            {"type": "fixed", "name": "F", "size": 2},
            {"type": "fixed", "name": "F", "size": 3},
            "it",
            "FIXED_SIZE_MISMATCH",
        ),
    ],
)
def test_resolution_follows_the_specification(reader: Any, writer: Any, path: str | None, rule: str | None) -> None:
    now, was = (
        avro.parsed(json.dumps(record({"name": "it", "type": kind}, name="Holder"))) for kind in (reader, writer)
    )
    found = [(one.path, one.rule) for one in problems(now, was)]
    assert found == ([] if path is None else [(path, rule)])


def test_personal_fields_are_found() -> None:
    inner = record({**NAME, "x-personal": True}, name="Inner")
    outer = record({"name": "list", "type": {"type": "array", "items": inner}}, {"name": "one", "type": "Inner"})
    assert avro.read(json.dumps(outer)).personal_paths == ("list[].name", "one.name")
