"""JSON Schema (json-schema.org, drafts 4 to 2020-12): reading a definition, and applying it.

jsonschema-rs does both. What it is kept from: fetching anything, and definitions that would take a payload apart
without end.
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from schema.errors import bad_input
from schema.payloads.declared import Definition, SchemaFormat, Violation
from schema.payloads.limits import MAX_NODES, check_shape, check_size

MAX_STEPS = 1000
"""The most schemas one value may be held against, as anyOf, allOf and $ref multiply them."""

_BACKTRACKS = 10_000
_MAX_VIOLATIONS = 10
_MAX_MESSAGE = 300

# Keywords by what their values hold. Anything else is no schema: a "$ref" in an example is a value.
ONE = frozenset(
    {
        *("additionalProperties", "unevaluatedProperties", "items", "additionalItems", "unevaluatedItems"),
        *("contains", "propertyNames", "not", "if", "then", "else", "contentSchema"),
    }
)
LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
NAMED = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"},
)
# those that apply to the same value as the schema they stand in, not to a part of it
_IN_PLACE = frozenset(["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"])
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def read(text: str) -> Definition:
    """A definition from its text. Raises BAD_INPUT, PAYLOAD_TOO_LARGE."""
    check_size(text)
    document = document_of(text)
    check_shape(document)
    for schema in subschemas(document):
        for keyword in _REFERENCES:
            target = schema.get(keyword)
            if isinstance(target, str) and not target.startswith("#"):
                raise bad_input(
                    f"{keyword} {target[:200]!r} leaves the definition; a definition must hold all it needs:"
                    " use '#/$defs/…'",
                    field="definition",
                )
    try:
        _check_steps(document)
    except RecursionError:
        raise bad_input("the definition's $refs are chained too far", field="definition") from None
    validator(document)  # refuses what is no JSON Schema
    return Definition(
        format=SchemaFormat.JSON_SCHEMA,
        text=text,
        canonical=orjson.dumps(document, option=orjson.OPT_SORT_KEYS),
        personal_paths=personal_paths(document),
    )


def document_of(text: str) -> Any:
    """A definition's text as JSON. Raises BAD_INPUT."""
    try:
        document = orjson.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad_input(f"the definition is not JSON: {error}", field="definition") from None
    if not isinstance(document, dict | bool):
        raise bad_input("a JSON Schema is an object, true or false", field="definition")
    return document


def validator(document: Any) -> "JsonValidator":
    """What applies a definition. Raises BAD_INPUT for what is no JSON Schema."""
    import jsonschema_rs  # 6 MB, and only where a schema is used

    try:
        made = jsonschema_rs.validator_for(
            document,
            validate_formats=True,
            offline=True,
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        said = getattr(error, "message", None) or str(error)
        raise bad_input(f"the definition is not a JSON Schema: {said[:_MAX_MESSAGE]}", field="definition") from None
    return JsonValidator(made.is_valid, made.iter_errors)


class JsonValidator:
    """Applies one definition to payloads, decoded."""

    def __init__(self, is_valid: Callable[[Any], bool], errors: Callable[[Any], Iterator[Any]]) -> None:
        self.accepts = is_valid
        self._errors = errors

    def violations(self, payload: Any) -> list[Violation]:
        """What is wrong with it, the first ten; nothing where all is well."""
        found = []
        for error in self._errors(payload):
            path = ".".join(str(part) for part in error.instance_path)
            found.append(Violation(path, error.message[:_MAX_MESSAGE]))
            if len(found) == _MAX_VIOLATIONS:
                break
        return found


def subschemas(document: Any) -> Iterator[dict[str, Any]]:
    """Every schema of a definition that is an object, itself first."""
    waiting = [document]
    while waiting:
        schema = waiting.pop()
        if not isinstance(schema, dict):
            continue
        yield schema
        for keyword, value in schema.items():
            if keyword in ONE and isinstance(value, dict):
                waiting.append(value)
            elif keyword in LISTED and isinstance(value, list):
                waiting.extend(value)
            elif keyword in NAMED and isinstance(value, dict):
                waiting.extend(value.values())


class References:
    """What a definition's own `$ref`s name."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._anchors = {
            "#" + schema["$anchor"]: schema for schema in subschemas(document) if isinstance(schema.get("$anchor"), str)
        }

    def target(self, reference: str) -> Any:
        """The schema a reference beginning with # names (RFC 6901, or an anchor); None where it names nothing."""
        if reference == "#" or reference in self._anchors:
            return self._anchors.get(reference, self._document)
        found = self._document
        for part in reference.removeprefix("#/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
        return found


def _check_steps(document: Any) -> None:
    """Raise BAD_INPUT where one value may be held against too many schemas: each level of allOf may double them."""
    references = References(document)
    steps: dict[int, int] = {}
    under_way: set[int] = set()

    def count(schema: Any) -> int:
        if not isinstance(schema, dict):
            return 1
        if id(schema) in under_way:
            raise bad_input("a $ref of the definition leads back to itself without end", field="definition")
        if id(schema) not in steps:
            under_way.add(id(schema))
            steps[id(schema)] = total = 1 + sum(count(inner) for inner in _in_place(schema, references))
            under_way.discard(id(schema))
            if total > MAX_STEPS:
                raise bad_input(
                    f"the definition holds one value against more than {MAX_STEPS} schemas, by $ref, allOf, anyOf"
                    " and oneOf inside each other",
                    field="definition",
                )
        return steps[id(schema)]

    for schema in list(subschemas(document)):
        count(schema)


def _in_place(schema: dict[str, Any], references: References) -> Iterator[Any]:
    for keyword in _REFERENCES:
        if isinstance(schema.get(keyword), str):
            yield references.target(schema[keyword])
    for keyword in _IN_PLACE & schema.keys():
        value = schema[keyword]
        if isinstance(value, list):
            yield from value
        elif keyword in NAMED and isinstance(value, dict):
            yield from value.values()
        else:
            yield value


def personal_paths(document: Any) -> tuple[str, ...]:
    """The dotted paths of properties marked `"x-personal": true`; `[]` stands for the items of a list."""
    references, found = References(document), dict[str, None]()
    left = MAX_NODES if any(schema.get("x-personal") is True for schema in subschemas(document)) else 0

    def walk(schema: Any, path: str, inside: frozenset[int]) -> None:
        nonlocal left
        if not isinstance(schema, dict) or id(schema) in inside or not left:
            return
        left -= 1
        if schema.get("x-personal") is True:
            found[path] = None
        inside = inside | {id(schema)}
        for inner in _in_place(schema, references):
            walk(inner, path, inside)
        for name, inner in (schema.get("properties") or {}).items():
            walk(inner, f"{path}.{name}" if path else name, inside)
        items = schema.get("items")
        for inner in items if isinstance(items, list) else [items]:
            walk(inner, f"{path}[]", inside)

    walk(document, "", frozenset())
    return tuple(found)
