import json
from typing import Any

import pytest

from schema.errors import ErrorCode, EsbError
from schema.payloads import json_schema
from schema.payloads.json_reading import problems
from schema.payloads.limits import MAX_DEFINITION_BYTES

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"first": {"type": "string"}, "last": {"type": "string"}},
    "required": ["first", "last"],
}


def with_property(name: str, schema: Any, **more: Any) -> dict[str, Any]:
    return {**PERSON, "properties": {**PERSON["properties"], name: schema}, **more}


def nested(schema: Any, depth: int) -> Any:
    for _ in range(depth):
        schema = {"properties": {"x": schema}}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    """Each level of allOf holds a value against twice as many schemas."""
    definitions = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**definitions, f"a{levels}": {"type": "object"}}}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        '"string"',
        '{"type": "nonsense"}',
        '{"pattern": "("}',
        '{"$ref": "http://example.invalid/x.json"}',
        '{"properties": {"a": {"$ref": "other.json#/a"}}}',
        '{"$ref": "#/$defs/nowhere"}',
        '{"$ref": "#"}',
        '{"allOf": [{"anyOf": [{"$ref": "#"}]}]}',
        '{"$schema": "http://example.invalid/own"}',
        json.dumps(nested({}, 40)),
        json.dumps(doubling(12)),
        json.dumps({"$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(3000)} | {"a3000": {}}}),
        json.dumps({"enum": list(range(30_000))}),
    ],
)
def test_what_is_no_definition_is_bad_input(text: str) -> None:
    with pytest.raises(EsbError) as refused:
        json_schema.read(text)
    assert refused.value.code is ErrorCode.BAD_INPUT
    assert refused.value.details == {"field": "definition"}


def test_large_definitions_are_refused() -> None:
    with pytest.raises(EsbError) as refused:
        json_schema.read(json.dumps({"description": "x" * MAX_DEFINITION_BYTES}))
    assert refused.value.code is ErrorCode.PAYLOAD_TOO_LARGE


def test_a_ref_in_an_example_is_a_value() -> None:
    json_schema.read('{"examples": [{"$ref": "http://example.invalid/x"}], "const": {"$ref": "http://x"}}')


def test_a_property_may_be_called_ref() -> None:
    json_schema.read('{"properties": {"$ref": {"type": "string"}}}')


def test_definitions_that_differ_in_writing_are_one() -> None:
    one, other = '{"type": "object", "title": "A"}', '{"title":"A",\n"type":"object"}'
    assert json_schema.read(one).canonical == json_schema.read(other).canonical


def test_violations_name_the_place() -> None:
    checked = json_schema.validator(with_property("lines", {"items": {"properties": {"sku": {"type": "string"}}}}))
    payload = {"first": "Ada", "last": "Lovelace", "lines": [{"sku": "a"}, {"sku": 5}]}
    assert not checked.accepts(payload)
    assert [one.path for one in checked.violations(payload)] == ["lines.1.sku"]
    assert checked.accepts({"first": "Ada", "last": "Lovelace"})


def test_personal_paths_are_found_through_references_and_lists() -> None:
    definition = {
        "properties": {
            "email": {"x-personal": True},
            "home": {"$ref": "#/$defs/address"},
            "homes": {"items": {"allOf": [{"$ref": "#/$defs/address"}]}},
            "parent": {"$ref": "#"},
        },
        "$defs": {"address": {"properties": {"street": {"x-personal": True}, "city": {}}}},
    }
    found = json_schema.read(json.dumps(definition)).personal_paths
    assert found == ("email", "home.street", "homes[].street")


@pytest.mark.parametrize(
    "reader",
    [
        PERSON,
        with_property("full_name", {"type": "string"}),
        {**PERSON, "required": ["first"]},
        with_property("first", {"type": ["string", "null"]}),
        with_property("first", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        with_property("first", {"$ref": "#/$defs/name", "x": 1}, **{"$defs": {"name": {"type": "string"}}}),
        with_property("age", {"type": "integer", "default": 0}, required=["first", "last", "age"]),
        True,
        {},
    ],
)
def test_what_can_read_the_person(reader: Any) -> None:
    assert problems(reader, PERSON) == []


@pytest.mark.parametrize(
    ("reader", "path", "rule"),
    [
        (with_property("age", {"type": "integer"}, required=["age"]), "age", "REQUIRED_ATTRIBUTE_ADDED"),
        (with_property("first", {"type": "integer"}), "first", "TYPE_CHANGED"),
        (with_property("first", {"type": "string", "maxLength": 3}), "first", "MAX_LENGTH_NARROWED"),
        (with_property("first", {"type": "string", "pattern": "^A"}), "first", "PATTERN_CHANGED"),
        (with_property("first", {"enum": ["Ada"]}), "first", "ENUM_ADDED"),
        (with_property("first", False), "first", "NOT_ALLOWED"),
        (with_property("first", {"not": {"const": "x"}}), "first", "NOT_CHANGED"),
        (with_property("first", {"anyOf": [{"type": "integer"}]}), "first", "SUM_TYPE_NARROWED"),
        ({**PERSON, "additionalProperties": False}, "*", "ADDITIONAL_PROPERTIES_REMOVED"),
        ({"type": "array"}, "", "TYPE_CHANGED"),
        ({**PERSON, "minProperties": 3}, "", "MIN_PROPERTIES_NARROWED"),
    ],
)
def test_what_cannot_read_the_person_says_where_and_why(reader: Any, path: str, rule: str) -> None:
    assert [(one.path, one.rule) for one in problems(reader, PERSON)] == [(path, rule)]


def test_recursive_definitions_are_compared_once_around() -> None:
    def tree(kind: str) -> dict[str, Any]:
        node = {"type": "object", "properties": {"value": {"type": kind}, "left": {"$ref": "#/$defs/node"}}}
        return {"$ref": "#/$defs/node", "$defs": {"node": node}}

    assert problems(tree("number"), tree("integer")) == []
    assert [one.path for one in problems(tree("integer"), tree("number"))] == ["value"]


def test_the_same_ref_to_another_definition_is_a_change() -> None:
    def choice(kind: str) -> dict[str, Any]:
        return {"anyOf": [{"$ref": "#/$defs/it"}, {"type": "null"}], "$defs": {"it": {"type": kind}}}

    assert problems(choice("string"), choice("string")) == []
    assert problems(choice("string"), choice("integer")) != []
