"""Reading the contract's `EventFilter`, in camelCase or snake_case, as the one filter tree.

A key that is null counts as left out, but for `eq`, `ne` and `contains` of a ValueMatch, where null is a JSON value.
"""

import difflib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from schema.errors import EsbError, bad_input
from schema.filter import limits
from schema.filter.ast import EVERYTHING, FIELDS, And, FieldKind, Filter, Holds, Not, Op, Or, Test
from schema.filter.expression import parse_expression
from schema.filter.pattern import validate_pattern
from schema.filter.syntax import Binary, Call, ListOf, Literal, MapOf, Node, Path, Unary
from schema.filter.times import parse_time

MAX_LONG = 2**53 - 1

FILTER_FIELDS = tuple(field for field in FIELDS if field not in ("tenant_id", "schema_version"))
_KNOWN = ("and", "or", "not", "expression", *FILTER_FIELDS)

_OPS = {
    "eq": Op.EQ,
    "ne": Op.NE,
    "in": Op.IN,
    "gt": Op.GT,
    "gte": Op.GTE,
    "lt": Op.LT,
    "lte": Op.LTE,
    "contains": Op.CONTAINS,
    "starts_with": Op.STARTS_WITH,
    "pattern": Op.PATTERN,
    "exists": Op.EXISTS,
}
OPS_OF = {
    FieldKind.TEXT: ("eq", "ne", "in", "pattern", "starts_with", "exists"),
    FieldKind.LONG: ("eq", "gt", "gte", "lt", "lte"),
    FieldKind.TIME: ("gt", "gte", "lt", "lte"),
    FieldKind.JSON: ("eq", "ne", "in", "gt", "gte", "lt", "lte", "contains", "starts_with", "exists"),
}
_NULL_IS_A_VALUE = ("eq", "ne", "contains")


def parse_filter(document: Mapping[str, Any]) -> Filter:
    """The filter of a document; {} matches everything. BAD_INPUT names the path of what is wrong."""
    return _Reader().filter(document, "where", 0)


def _refuse(where: str, problem: str, **details: Any) -> EsbError:
    return bad_input(f"{where}: {problem}", path=where, **details)


def _keys(document: Any, known: tuple[str, ...], where: str) -> dict[str, Any]:
    """The entries by snake_case key, unknown and doubled ones refused."""
    if not isinstance(document, Mapping):
        raise _refuse(where, "an object was expected")
    spelled = _spellings(known)
    entries: dict[str, Any] = {}
    for key, value in document.items():
        name = spelled.get(key, key)
        if name not in known:
            close = difflib.get_close_matches(str(key), (*spelled, *known), 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(spelled)}"
            raise _refuse(where, f"unknown key {str(key)[:80]!r}; {hint}")
        if name in entries:
            raise _refuse(where, f"{key!r} is given twice")
        entries[name] = value
    return entries


@cache
def _spellings(known: tuple[str, ...]) -> dict[str, str]:
    return {camel(key): key for key in known}


def camel(snake: str) -> str:
    """The GraphQL spelling of a snake_case name."""
    head, *rest = snake.split("_")
    return head + "".join(word.capitalize() for word in rest)


class _Reader:
    """Reads one document and counts its tests."""

    def __init__(self) -> None:
        self._tests = 0

    def filter(self, document: Any, where: str, depth: int) -> Filter:
        if depth > limits.MAX_FILTER_DEPTH:
            raise _refuse(where[:80], f"filters are nested at most {limits.MAX_FILTER_DEPTH} deep")
        parts: list[Filter] = []
        for key, value in _keys(document, _KNOWN, where).items():
            if value is None:
                continue
            at = f"{where}.{camel(key)}"
            if key in ("and", "or"):
                items = tuple(
                    self.filter(item, f"{at}[{index}]", depth + 1)
                    for index, item in enumerate(self._list(value, at, limits.MAX_TESTS))
                )
                parts.append(And(items) if key == "and" else Or(items))
            elif key == "not":
                parts.append(Not(self.filter(value, at, depth + 1)))
            elif key == "expression":
                parts.append(self._expression(value, at))
            elif FIELDS[key] is FieldKind.JSON:
                # GraphQL takes one item for a list of one.
                matches = [value] if isinstance(value, Mapping) else self._list(value, at, limits.MAX_TESTS)
                parts.extend(self._value_match(item, key, f"{at}[{index}]") for index, item in enumerate(matches))
            else:
                parts.append(self._tests_of(Path("event", (key,)), FIELDS[key], value, at))
        return parts[0] if len(parts) == 1 else And(tuple(parts)) if parts else EVERYTHING

    def _list(self, value: Any, where: str, most: int) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise _refuse(where, "a list was expected")
        if len(value) > most:
            raise _refuse(where, f"at most {most} items")
        return list(value)

    def _count(self, where: str) -> None:
        self._tests += 1
        if self._tests > limits.MAX_TESTS:
            raise _refuse(where, f"a filter has at most {limits.MAX_TESTS} tests")

    def _expression(self, text: Any, where: str) -> Filter:
        self._count(where)
        if not isinstance(text, str):
            raise _refuse(where, "an expression is a text")
        try:
            tree = parse_expression(text).tree
        except EsbError as error:
            raise _refuse(where, error.message, **(error.details or {})) from None
        if not _may_be_true(tree):
            raise _refuse(where, "the expression is never true or false; compare its value with something")
        return Holds(tree, text)

    def _value_match(self, document: Any, field: str, where: str) -> Filter:
        if not isinstance(document, Mapping) or not isinstance(document.get("path"), str):
            raise _refuse(where, 'give {"path": …} and at least one comparison')
        text = document["path"]
        problem = limits.text_problem(text)
        segments = text.split(".")
        if problem or not all(segments) or len(segments) > limits.MAX_PATH_SEGMENTS:
            why = f"a path is 1 to {limits.MAX_PATH_SEGMENTS} names between dots, such as items.0.sku"
            raise _refuse(f"{where}.path", problem or why)
        rest = {key: value for key, value in document.items() if key != "path"}
        return self._tests_of(Path("event", (field, *segments)), FieldKind.JSON, rest, where)

    def _tests_of(self, path: Path, kind: FieldKind, document: Any, where: str) -> Filter:
        tests: list[Filter] = []
        for key, value in _keys(document, OPS_OF[kind], where).items():
            if value is None and not (kind is FieldKind.JSON and key in _NULL_IS_A_VALUE):
                continue
            self._count(where)
            at = f"{where}.{camel(key)}"
            if key == "exists":
                if not isinstance(value, bool):
                    raise _refuse(at, "true or false was expected")
                test = Test(path, Op.EXISTS)
                tests.append(test if value else Not(test))
            else:
                tests.append(Test(path, _OPS[key], self._value(kind, key, value, at)))
        if not tests:
            # An empty match usually is a variable that was left out; matching everything would be a bad surprise.
            raise _refuse(where, f"give at least one of {', '.join(map(camel, OPS_OF[kind]))}")
        return tests[0] if len(tests) == 1 else And(tuple(tests))

    def _value(self, kind: FieldKind, key: str, value: Any, where: str) -> Any:
        if key == "in":
            items = self._list(value, where, limits.MAX_LIST)
            return [self._value(kind, "eq", item, f"{where}[{index}]") for index, item in enumerate(items)]
        if key == "pattern":
            try:
                validate_pattern(value)
            except EsbError as error:
                raise _refuse(where, error.message) from None
            return value
        return _READ[FieldKind.TEXT if key == "starts_with" else kind](key, value, where)


def _text(key: str, value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _refuse(where, "a text was expected")
    if problem := limits.text_problem(value):
        raise _refuse(where, problem)
    return value


def _long(key: str, value: Any, where: str) -> int:
    if type(value) is not int or abs(value) > MAX_LONG:
        raise _refuse(where, "a whole number within ±(2^53 - 1) was expected")
    return value


def _time(key: str, value: Any, where: str) -> datetime:
    moment = parse_time(value.isoformat() if isinstance(value, datetime) else value) if value is not None else None
    if moment is None:
        raise _refuse(where, "a time such as 2026-01-31T12:00:00Z was expected")
    return moment


def _json(key: str, value: Any, where: str) -> Any:
    if problem := limits.constant_problem(value):
        raise _refuse(where, problem)
    if key in ("gt", "gte", "lt", "lte") and type(value) not in (int, float, str):
        raise _refuse(where, "only numbers and texts have an order")
    return value


_READ: dict[FieldKind, Callable[[str, Any, str], Any]] = {
    FieldKind.TEXT: _text,
    FieldKind.LONG: _long,
    FieldKind.TIME: _time,
    FieldKind.JSON: _json,
}


def _may_be_true(tree: Node) -> bool:
    match tree:
        case Literal(value):
            return isinstance(value, bool)
        case ListOf() | MapOf() | Unary("-", _):
            return False
        case Binary(op, _, _):
            return op not in "+-*/%"
        case Call(function, _):
            return function not in ("size", "string", "int", "double", "timestamp")
    return True
