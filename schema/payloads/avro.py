"""Avro (avro.apache.org, specification 1.12): reading a definition, and applying it to JSON payloads.

fastavro reads the definition. A payload is held against the same said as a JSON Schema, so that the two formats cost
the same: a union takes its value as it is, or in Avro's JSON encoding as an object with the branch's name; bytes and
fixed are texts of U+0000 to U+00FF; a field that has a default may be left out; what no field declares is refused.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from schema.errors import bad_input
from schema.payloads import json_schema
from schema.payloads.declared import Definition, SchemaFormat
from schema.payloads.json_schema import JsonValidator
from schema.payloads.limits import MAX_NODES, check_shape, check_size

PRIMITIVES = frozenset(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])
_RANGES = {"int": 2**31, "long": 2**63}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
_BYTES = "^[\\u0000-\\u00ff]*$"
_DOCUMENTING = frozenset({"doc", "__fastavro_parsed", "__named_schemas"})


class AvroSchema:
    """A parsed definition. `root`: with full names; `named`: what the names stand for."""

    def __init__(self, root: Any, named: Mapping[str, Any]) -> None:
        self.root = root
        self.named = named

    def resolved(self, schema: Any) -> Any:
        """The type itself where a name, or a primitive in its long form, stands for it."""
        if isinstance(schema, str):
            return self.named.get(schema, schema)
        if isinstance(schema, dict) and schema["type"] in PRIMITIVES:
            return schema["type"]
        return schema


def read(text: str) -> Definition:
    """A definition from its text. Raises BAD_INPUT, PAYLOAD_TOO_LARGE."""
    check_size(text)
    schema = parsed(text)
    json_schema.validator(as_json_schema(schema))
    return Definition(
        format=SchemaFormat.AVRO,
        text=text,
        canonical=orjson.dumps(_without_docs(schema.root), option=orjson.OPT_SORT_KEYS),
        personal_paths=_personal_paths(schema),
    )


def parsed(text: str) -> AvroSchema:
    """A definition's text, understood. Raises BAD_INPUT."""
    from fastavro import parse_schema  # 8 MB, and only where a schema is used
    from fastavro.schema import SchemaParseException, UnknownType

    try:
        document = orjson.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad_input(f"the definition is not JSON: {error}", field="definition") from None
    check_shape(document)
    named: dict[str, Any] = {}
    try:
        root = parse_schema(document, named_schemas=named)
    except UnknownType as error:
        raise _refused(f"it knows no type {error}; a definition must hold all it needs") from None
    except SchemaParseException as error:
        raise _refused(str(error)) from None
    except KeyError as error:
        raise _refused(f"{error} is missing") from None
    except (TypeError, ValueError, AttributeError, RecursionError):
        raise _refused("its shape is not that of a type") from None
    schema = AvroSchema(root, named)
    _check(schema)
    return schema


def validator(text: str) -> JsonValidator:
    """What applies a definition that was read before."""
    return json_schema.validator(as_json_schema(parsed(text)))


def as_json_schema(schema: AvroSchema) -> dict[str, Any]:
    """A JSON Schema that takes the payloads the definition describes."""
    # a name is a key of $defs, and its dots mean nothing to a JSON pointer
    definitions = {name: _defined(schema, said) for name, said in schema.named.items()}
    return {**_said(schema, schema.root), "$defs": definitions}


def _said(schema: AvroSchema, said: Any) -> dict[str, Any]:
    if isinstance(said, list):
        branches = [_said(schema, branch) for branch in said]
        tagged = [
            {"type": "object", "properties": {name: one}, "required": [name], "additionalProperties": False}
            for name, one in ((branch_name(branch), one) for branch, one in zip(said, branches, strict=True))
            if name != "null"
        ]
        return {"anyOf": branches + tagged}
    name = said if isinstance(said, str) else said.get("name", said["type"])
    if name in schema.named:
        return {"$ref": f"#/$defs/{name}"}
    return _unnamed(schema, said if isinstance(said, dict) else {"type": said})


def _unnamed(schema: AvroSchema, said: Mapping[str, Any]) -> dict[str, Any]:
    match said["type"]:
        case "array":
            return {"type": "array", "items": _said(schema, said["items"])}
        case "map":
            return {"type": "object", "additionalProperties": _said(schema, said["values"])}
        case "int" | "long" as kind:
            # as an integer has no fraction in JSON either: 5.0 is one
            return {"type": "integer", "minimum": -_RANGES[kind], "maximum": _RANGES[kind] - 1}
        case "float" | "double":
            return {"type": "number"}
        case "bytes":
            return {"type": "string", "pattern": _BYTES}
        case kind:
            return {"type": kind}


def _defined(schema: AvroSchema, said: Mapping[str, Any]) -> dict[str, Any]:
    match said["type"]:
        case "enum":
            return {"enum": list(said["symbols"])}
        case "fixed":
            return {"type": "string", "pattern": _BYTES, "minLength": said["size"], "maxLength": said["size"]}
        case _:
            fields = said.get("fields", [])
            return {
                "type": "object",
                "properties": {field["name"]: _said(schema, field["type"]) for field in fields},
                "required": [field["name"] for field in fields if "default" not in field],
                "additionalProperties": False,
            }


def branch_name(branch: Any) -> str:
    """What a branch of a union is called in Avro's JSON encoding."""
    return str(branch if isinstance(branch, str) else branch.get("name", branch["type"]))


def _check(schema: AvroSchema) -> None:
    """What fastavro lets through and the specification does not."""
    waiting = [schema.root]
    while waiting:
        said = waiting.pop()
        if isinstance(said, list):
            names = ["a union" if isinstance(branch, list) else branch_name(branch) for branch in said]
            if "a union" in names or len(set(names)) < len(names) or not said:
                raise _refused("a union holds each type once, and no union")
            waiting += said
        elif isinstance(said, dict):
            _check_named(said)
            waiting += [field["type"] for field in said.get("fields", ())]
            waiting += [said[part] for part in ("items", "values") if part in said]


def _check_named(said: Mapping[str, Any]) -> None:
    names = [field["name"] for field in said.get("fields", ())]
    if len(set(names)) < len(names):
        raise _refused(f"the record {said['name']!r} has two fields of one name")
    for name in (*names, *([said["name"]] if "name" in said else [])):
        if not isinstance(name, str) or not _NAME.match(name):
            raise _refused(f"{name!r} is not a name")
    if said["type"] == "fixed" and not (isinstance(said["size"], int) and 0 <= said["size"] <= 2**20):
        raise _refused("the size of a fixed is 0 to 1048576")


def _personal_paths(schema: AvroSchema) -> tuple[str, ...]:
    """The dotted paths of fields marked `"x-personal": true`."""
    found: dict[str, None] = {}
    left = MAX_NODES

    def walk(said: Any, path: str, inside: frozenset[str]) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            return
        if isinstance(said, list):
            for branch in said:
                walk(branch, path, inside)
            return
        name = said if isinstance(said, str) else said.get("name")
        if name in inside:
            return
        full = schema.resolved(said)
        if isinstance(full, str):
            return
        for field in full.get("fields", ()):
            below = f"{path}.{field['name']}" if path else field["name"]
            if field.get("x-personal") is True:
                found[below] = None
            walk(field["type"], below, inside | {full["name"]})
        if "items" in full:
            walk(full["items"], f"{path}[]", inside)
        if "values" in full:
            walk(full["values"], f"{path}.*", inside)

    walk(schema.root, "", frozenset())
    return tuple(found)


def _without_docs(said: Any) -> Any:
    if isinstance(said, list):
        return [_without_docs(item) for item in said]
    if isinstance(said, dict):
        return {name: _without_docs(value) for name, value in said.items() if name not in _DOCUMENTING}
    return said


def _refused(why: str) -> Exception:
    return bad_input(f"the definition is not an Avro schema: {why[:300]}", field="definition")
