"""Whether payloads of one JSON Schema can be read with another: what the reader may refuse that the writer allows.

Rules and their names after Confluent's Schema Registry ("Schema Evolution and Compatibility"), with its lenient policy:
a property nobody declared is taken not to occur, so an optional one may be added to an open schema. What cannot be
shown to be readable counts as a problem: never the other way round.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from schema.errors import ErrorCode, EsbError
from schema.payloads.declared import Incompatibility
from schema.payloads.json_schema import References, validator

_MAX_COMPARISONS = 20_000
_TYPES = frozenset(["null", "boolean", "object", "array", "number", "integer", "string"])
_MISSING = object()
_SORTED = orjson.OPT_SORT_KEYS


def _at_most(reader: Any, writer: Any) -> bool:
    return bool(writer <= reader)


def _at_least(reader: Any, writer: Any) -> bool:
    return bool(writer >= reader)


# type → keyword → whether the reader's value, which is there, takes all that the writer's does
_BOUNDS: Mapping[str, Mapping[str, Callable[[Any, Any], bool]]] = {
    "integer": {
        "maximum": _at_most,
        "exclusiveMaximum": _at_most,
        "minimum": _at_least,
        "exclusiveMinimum": _at_least,
        "multipleOf": lambda reader, writer: bool(writer % reader == 0),
    },
    "string": {"maxLength": _at_most, "minLength": _at_least},
    "array": {"maxItems": _at_most, "minItems": _at_least, "uniqueItems": _at_least},
    "object": {"maxProperties": _at_most, "minProperties": _at_least},
}
# what can only be shown to be readable by being the same
_SAME = [
    "pattern",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
    "unevaluatedItems",
    "if",
    "then",
    "else",
    "patternProperties",
    "$dynamicRef",
    "$recursiveRef",
]
_HARMLESS = {"minLength": 0, "minItems": 0, "minProperties": 0, "uniqueItems": False}


def problems(reader: Any, writer: Any) -> list[Incompatibility]:
    """Why payloads that `writer` allows may be refused by `reader`; both as documents. Raises TOO_COMPLEX."""
    try:
        return list(dict.fromkeys(_Comparison(reader, writer).of(reader, writer, "")))
    except RecursionError:
        raise _too_complex() from None


class _Comparison:
    def __init__(self, reader: Any, writer: Any) -> None:
        self._reader = reader
        self._reading, self._writing = References(reader), References(writer)
        # a pair that is being compared further up is taken to fit: its problems are found there
        self._seen: set[tuple[int, int]] = set()
        self._definitions_alike = _alike(_definitions(reader), _definitions(writer))
        self._made: list[Any] = []  # keeps what was put together alive, or its id would be another's
        self._left = _MAX_COMPARISONS

    def of(self, reader: Any, writer: Any, path: str) -> list[Incompatibility]:
        self._left -= 1
        if self._left < 0:
            raise _too_complex()
        if reader is True or reader == {} or writer is False:
            return []
        if self._definitions_alike and _alike(reader, writer):
            return []
        if reader is False:
            return [_problem(path, "NOT_ALLOWED", "is not allowed any more, and older payloads may have it")]
        if (pair := (id(reader), id(writer))) in self._seen:
            return []
        self._seen.add(pair)
        writer = {} if writer is True else self._whole(writer)
        for keyword in ("anyOf", "oneOf"):
            if keyword in writer and not self._same(reader, writer, keyword):
                return self._each(reader, writer, keyword, path)
        return self._conjuncts(reader, writer, path)

    def _each(self, reader: Any, writer: dict[str, Any], keyword: str, path: str) -> list[Incompatibility]:
        """A writer's choice: whichever it took must be readable."""
        base = {name: value for name, value in writer.items() if name != keyword}
        found: list[Incompatibility] = []
        for branch in writer[keyword]:
            found += self.of(reader, self._kept({**base, "allOf": [branch]}), path)
        return found

    def _conjuncts(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[Incompatibility]:
        by_values = self._by_values(reader, writer, path)
        if by_values is not None:
            return by_values
        found = self._keywords(reader, writer, path)
        if isinstance(reader.get("$ref"), str):
            found += self.of(self._reading.target(reader["$ref"]), writer, path)
        for part in reader.get("allOf", ()):
            found += self.of(part, writer, path)
        for keyword in ("anyOf", "oneOf"):
            if keyword in reader and not self._same(reader, writer, keyword):
                found += self._choice(reader[keyword], writer, keyword, path)
        if "not" in reader and not self._same(reader, writer, "not"):
            found.append(_problem(path, "NOT_CHANGED", "`not` was added or changed"))
        return found

    def _choice(self, branches: list[Any], writer: Any, keyword: str, path: str) -> list[Incompatibility]:
        closest: list[Incompatibility] | None = None
        for branch in branches:
            seen = set(self._seen)
            found = self.of(branch, writer, path)
            if not found:
                return []
            self._seen = seen  # what did not fit in this branch must be looked at again in the next
            if closest is None or len(found) < len(closest):
                closest = found
        why = f": {closest[0].path or 'it'} {closest[0].message}" if closest else ""
        return [_problem(path, "SUM_TYPE_NARROWED", f"fits no branch of `{keyword}` any more{why}")]

    def _by_values(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[Incompatibility] | None:
        """A writer that lists its values is compared by them. None: it does not."""
        values = [writer["const"]] if "const" in writer else writer.get("enum")
        if values is None:
            return None
        try:
            checked = validator({**_definitions(self._reader), **reader})
        except EsbError:
            return None  # it refers to what does not stand among the definitions
        left = [value for value in values if not checked.accepts(value)]
        return [_problem(path, "ENUM_NARROWED", f"does not take {left[0]!r} any more")] if left else []

    def _keywords(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[Incompatibility]:
        types, written = _types(reader), _types(writer)
        if lost := sorted(written - types):
            now, was = _words(reader), _words(writer)
            rule = "TYPE_NARROWED" if written & types else "TYPE_CHANGED"
            return [_problem(path, rule, f"is {now}, and was {was}: {', '.join(lost)} cannot be read")]
        found = self._values(reader, writer, path)
        if "object" in written:
            found += self._object(reader, writer, path)
        if "array" in written:
            found += self._array(reader, writer, path)
        return found

    def _values(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[Incompatibility]:
        found = []
        for keyword in ("enum", "const"):
            if keyword in reader and not _alike(reader[keyword], writer.get(keyword)):
                found.append(_problem(path, f"{keyword.upper()}_ADDED", f"`{keyword}` was added"))
        bounds = {word: takes for name in _types(writer) & _BOUNDS.keys() for word, takes in _BOUNDS[name].items()}
        for keyword, takes in bounds.items():
            now = reader.get(keyword, _MISSING)
            was = writer.get(keyword, _HARMLESS.get(keyword, _MISSING))
            if now is _MISSING or now is False or now == _HARMLESS.get(keyword, _MISSING):
                continue
            if isinstance(now, bool) != isinstance(was, bool) and was is not _MISSING:
                was = _MISSING  # draft 4's exclusiveMaximum is a flag
            if was is _MISSING or not takes(now, was):
                said = "was added" if was is _MISSING else f"is {now}, and was {was}"
                found.append(_problem(path, f"{_upper(keyword)}_NARROWED", f"`{keyword}` {said}"))
        for keyword in _SAME:
            if keyword in reader and not self._same(reader, writer, keyword):
                said = "was changed" if keyword in writer else "was added"
                found.append(_problem(path, f"{_upper(keyword)}_CHANGED", f"`{keyword}` {said}"))
        return found

    def _object(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[Incompatibility]:
        now, was = reader.get("properties", {}), writer.get("properties", {})
        found = []
        for name in reader.get("required", ()):
            if name not in writer.get("required", ()) and not _has_default(now.get(name)):
                found.append(
                    _problem(
                        _below(path, name),
                        "REQUIRED_ATTRIBUTE_ADDED",
                        f"{name!r} is required and has no default: older payloads may be without it",
                    )
                )
        rest, written_rest = reader.get("additionalProperties", True), writer.get("additionalProperties", True)
        for name, written in was.items():
            found += self.of(now.get(name, rest), written, _below(path, name))
        if written_rest is not True and written_rest != {}:  # else: what nobody declared does not occur
            for name in now.keys() - was.keys():
                found += self.of(now[name], written_rest, _below(path, name))
        if rest is not True and rest != {}:
            for problem in self.of(rest, written_rest, _below(path, "*")):
                closed = rest is False
                rule = "ADDITIONAL_PROPERTIES_REMOVED" if closed else "ADDITIONAL_PROPERTIES_NARROWED"
                message = "undeclared properties are not taken any more" if closed else problem.message
                found.append(_problem(problem.path, rule, message))
        return found

    def _array(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[Incompatibility]:
        now, rest = _items(reader)
        was, written_rest = _items(writer)
        most = writer.get("maxItems", float("inf"))
        found: list[Incompatibility] = []
        for index in range(max(len(now), len(was))):
            if index >= most:
                return found
            written = was[index] if index < len(was) else written_rest
            found += self.of(now[index] if index < len(now) else rest, written, f"{path}[{index}]")
        if len(was) < most:
            found += self.of(rest, written_rest, f"{path}[]")
        return found

    def _whole(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A writer's schema with what its $ref and allOf say put in. Of two that say the same keyword the first is
        kept: the writer then seems to allow more than it does, which is the safe side.
        """
        whole, waiting, inside = dict[str, Any](), list[Any]([schema]), set[int]()
        while waiting:
            part = waiting.pop(0)
            if not isinstance(part, dict) or id(part) in inside:
                if part is False:
                    return {"enum": []}
                continue
            inside.add(id(part))
            waiting += part.get("allOf", ())
            if isinstance(part.get("$ref"), str):
                waiting.append(self._writing.target(part["$ref"]))
            for name, value in part.items():
                if name not in ("allOf", "$ref"):
                    whole[name] = _both(name, whole[name], value) if name in whole else value
        return self._kept(whole) if waiting or len(inside) > 1 else schema

    def _same(self, reader: Mapping[str, Any], writer: Mapping[str, Any], keyword: str) -> bool:
        """Whether both say the same by a keyword, and mean the same by what they refer to."""
        if keyword not in reader or keyword not in writer or not _alike(reader[keyword], writer[keyword]):
            return False
        return self._definitions_alike or b'"$' not in orjson.dumps(reader[keyword])

    def _kept(self, made: dict[str, Any]) -> dict[str, Any]:
        self._made.append(made)
        return made


def _both(name: str, first: Any, second: Any) -> Any:
    """What two schemas that both hold say by one keyword."""
    if name == "properties":
        shared = {key: {"allOf": [first[key], second[key]]} for key in first.keys() & second.keys()}
        return {**second, **first, **shared}
    if name == "required":
        return [*first, *second]
    if name == "type":
        return sorted(_types({"type": first}) & _types({"type": second}))
    return first


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    said = schema.get("type", _MISSING)
    if said is _MISSING:
        return _TYPES
    types = frozenset([said] if isinstance(said, str) else said)
    return types | {"integer"} if "number" in types else types


def _words(schema: Mapping[str, Any]) -> str:
    said = schema.get("type", "any type")
    return said if isinstance(said, str) else "/".join(said)


def _items(schema: Mapping[str, Any]) -> tuple[list[Any], Any]:
    """The schemas of the first items, and that of the rest, in the drafts' two ways to say it."""
    items = schema.get("items", True)
    if isinstance(items, list):
        return items, schema.get("additionalItems", True)
    return schema.get("prefixItems", []), items


def _definitions(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        return {}
    return {name: document[name] for name in ("$schema", "$defs", "definitions") if name in document}


def _alike(one: Any, other: Any) -> bool:
    """Equal as JSON, where 1 is not true."""
    return one == other and orjson.dumps(one, option=_SORTED) == orjson.dumps(other, option=_SORTED)


def _has_default(schema: Any) -> bool:
    return isinstance(schema, dict) and "default" in schema


def _upper(keyword: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in keyword.lstrip("$")).upper()


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _problem(path: str, rule: str, message: str) -> Incompatibility:
    return Incompatibility(path, rule, message)


def _too_complex() -> EsbError:
    return EsbError(ErrorCode.TOO_COMPLEX, "the definitions are too large to be compared")
