"""Filters as Python functions: generated source, compiled once a shape.

The source holds nothing but names of this file's choosing; every constant is bound. So filters that differ only in
their constants have one source, and Python compiles it once for all of them: the hundredth costs microseconds.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from schema.event import Event
from schema.filter import values
from schema.filter.ast import FIELDS, ORDERING, And, FieldKind, Filter, Holds, Not, Op, Or, Test
from schema.filter.evaluate import compile_expression, evaluate, true_for_event
from schema.filter.normal import normal_form
from schema.filter.pattern import ANY, ONE, parse_pattern

__all__ = ["compile_expression", "compile_filter", "evaluate"]

Predicate = Callable[[Event], bool]

_CACHED = 4096
_SIGNS = {Op.GT: ">", Op.GTE: ">=", Op.LT: "<", Op.LTE: "<="}
_HELPERS = {
    "MISSING": values.MISSING,
    "among": values.among,
    "datetime": datetime,
    "equal": values.equal,
    "holds": values.holds,
    "step": values.step,
    "type": type,
    "str": str,
    "int": int,
    "float": float,
    "dict": dict,
}


class _Meaning:
    """A normalised filter that is equal to every other of the same bytes (the tree itself takes 1 for true)."""

    __slots__ = ("filter", "key")

    def __init__(self, filter: Filter) -> None:
        self.filter, self.key = normal_form(filter)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Meaning) and self.key == other.key


def compile_filter(filter: Filter) -> Predicate:
    """Whether an event matches. Filters of one meaning share one function; the last 4096 are kept."""
    return _compile(_Meaning(filter))


@lru_cache(maxsize=_CACHED)
def _compile(meaning: _Meaning) -> Predicate:
    return compile_normalised(meaning.filter)


def compile_normalised(filter: Filter) -> Predicate:
    """The same for what `schema.filter.normal.normalise` returned, and not kept."""
    constants: list[Any] = []
    condition = _Source(constants).condition(filter)
    predicate: Predicate = _factory(len(constants), condition)(*constants)
    return predicate


@lru_cache(maxsize=_CACHED)
def _factory(constants: int, condition: str) -> Callable[..., Predicate]:
    """From the constants of a shape to the predicate."""
    names = ", ".join(f"c{number}" for number in range(constants))
    factory: Callable[..., Predicate] = eval(  # noqa: S307
        f"lambda {names}: lambda e: {condition}", {"__builtins__": {}, **_HELPERS}
    )
    return factory


class _Source:
    """Writes the source of a condition over `e`; `constants` receives what it calls c0, c1 and so on."""

    def __init__(self, constants: list[Any]) -> None:
        self._constants = constants
        self._names = 0

    def _bind(self, value: Any) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(value)
        return name

    def _fresh(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def condition(self, node: Filter) -> str:
        """Source that is true or false."""
        match node:
            case And(items):
                return "(" + " and ".join(map(self.condition, items)) + ")" if items else "True"
            case Or(items):
                return "(" + " or ".join(map(self.condition, items)) + ")" if items else "False"
            case Not(item):
                return f"(not {self.condition(item)})"
            case Holds(tree):
                return f"{self._bind(true_for_event(tree))}(e)"
            case Test():
                return self._document_test(node) if FIELDS[node.field] is FieldKind.JSON else self._field_test(node)

    def _field_test(self, test: Test) -> str:
        field = f"e.{test.field}"
        if test.op is Op.EXISTS:
            return f"({field} is not None)"
        name = self._fresh()
        given = f"({name} := {field}) is not None"
        match test.op, test.value:
            case Op.EQ, None:
                return "False"  # a field that is null is missing
            case Op.EQ, _:
                return self._equals(field, test.value)
            case Op.NE, _:
                return f"({given} and not {self._equals(name, test.value)})"
            case Op.PATTERN, pattern:
                return f"({given} and {self._pattern(name, pattern)})"
            case Op.STARTS_WITH, str(text) if FIELDS[test.field] is FieldKind.TEXT:
                return f"({given} and {name}.startswith({self._bind(text)}))"
            case op, value if op in ORDERING and _orders(FIELDS[test.field], value):
                return f"({given} and {name} {_SIGNS[op]} {self._bind(value)})"
        return f"({given} and {self._compare(name, test.op, test.value)})"

    def _document_test(self, test: Test) -> str:
        reached, guards = f"e.{test.field}_document", []
        for key in test.keys:
            outer, inner = self._fresh(), self._fresh()
            if values.is_index(key):
                guards.append(f"({inner} := step({reached}, {self._bind(key)})) is not MISSING")
            else:
                guards.append(f"type({outer} := {reached}) is dict")
                guards.append(f"({inner} := {outer}.get({self._bind(key)}, MISSING)) is not MISSING")
            reached = inner
        if test.op is not Op.EXISTS:
            if not guards:
                guards.append(f"(({(name := self._fresh())} := {reached}),)")
                reached = name
            guards.append(self._compare(reached, test.op, test.value))
        return "(" + " and ".join(guards) + ")" if guards else "True"

    def _compare(self, name: str, op: Op, value: Any) -> str:
        """Source that compares the value in the variable `name`, of whatever type, with a constant."""
        match op:
            case Op.EQ:
                return self._equals(name, value)
            case Op.NE:
                return f"not {self._equals(name, value)}"
            case Op.IN:
                return self._among(name, value)
            case Op.CONTAINS:
                return f"holds({name}, {self._bind(value)})"
            case Op.STARTS_WITH:
                return f"(type({name}) is str and {name}.startswith({self._bind(value)}))"
            case Op.ENDS_WITH:
                return f"(type({name}) is str and {name}.endswith({self._bind(value)}))"
        if isinstance(value, str | datetime):
            guard = f"type({name}) is {type(value).__name__}"
        else:
            guard = f"(type({name}) is int or type({name}) is float)"
        return f"({guard} and {name} {_SIGNS[op]} {self._bind(value)})"

    def _equals(self, name: str, value: Any) -> str:
        if value is None or isinstance(value, bool):
            return f"({name} is {value!r})"
        if isinstance(value, str):
            return f"({name} == {self._bind(value)})"
        if isinstance(value, int | float) and value not in (0, 1):
            return f"({name} == {self._bind(value)})"
        return f"equal({name}, {self._bind(value)})"  # 0 and 1 equal false and true in Python

    def _among(self, name: str, items: list[Any]) -> str:
        kinds = {type(item) for item in items}
        if kinds == {str}:
            return f"(type({name}) is str and {name} in {self._bind(frozenset(items))})"
        if kinds <= {int, float}:
            return f"((type({name}) is int or type({name}) is float) and {name} in {self._bind(frozenset(items))})"
        return f"among({name}, {self._bind(items)})"

    def _pattern(self, name: str, text: str) -> str:
        pattern = parse_pattern(text)
        head = ".".join(pattern.prefix) + "."
        match pattern.segments[len(pattern.prefix) :]:
            case (last,) if last == ANY and pattern.prefix:
                return f"({name} == {self._bind(head[:-1])} or {name}.startswith({self._bind(head)}))"
            case (last,) if last == ONE and pattern.prefix:
                start, dot = self._bind(head), self._bind(len(head))
                return f"({name}.startswith({start}) and {name}.find('.', {dot}) < 0)"
        if pattern.segments.count(ANY) <= 1:  # with more, a regular expression can take very long
            return f"({self._bind(re.compile(pattern.regex, re.DOTALL).fullmatch)}('.' + {name}) is not None)"
        return f"{self._bind(pattern.matches)}({name})"


def _orders(kind: FieldKind, value: Any) -> bool:
    """Whether a field of this kind has an order with the constant: no need to ask each value."""
    match kind:
        case FieldKind.TEXT:
            return isinstance(value, str)
        case FieldKind.LONG:
            return isinstance(value, int | float)
        case FieldKind.TIME:
            return isinstance(value, datetime)
    return False
