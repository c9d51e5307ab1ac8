"""Reducers as declared: on which events, and which operations they do on the state."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from schema.errors import EsbError, bad_input
from schema.filter import limits as filter_limits
from schema.filter.expression import Expression, parse_expression
from schema.filter.pattern import validate_pattern
from schema.folding import limits

NAMES = frozenset({"event", "state"})
"""What expressions of reducers speak of."""


class Kind(StrEnum):
    """What an operation does; docs/reference/reducers.md says it exactly."""

    SET = "set"
    MERGE = "merge"
    APPEND = "append"
    INCREMENT = "increment"
    MIN = "min"
    MAX = "max"
    REMOVE = "remove"
    DROP = "drop"


_WHOLE = frozenset({Kind.SET, Kind.MERGE})
"""The operations whose path may be empty: the whole state."""


class Operation(msgspec.Struct, frozen=True):
    """One change of the state. `path`: the way into it, empty for the whole. `value` or `expression`, exactly one, says
    what with (neither for REMOVE and DROP)."""

    kind: Kind
    path: tuple[str, ...] = ()
    value: Any = msgspec.UNSET
    expression: Expression | None = None


class Reducer(msgspec.Struct, frozen=True):
    """What is done, in order, for an event whose type matches the pattern `on` where `where` is true."""

    on: str
    where: Expression | None
    operations: tuple[Operation, ...]


def parse_reducers(said: Sequence[Mapping[str, Any]], *, drop: bool, where: str = "reducers") -> tuple[Reducer, ...]:
    """The reducers of the contract's `[ReducerInput!]`, keys that are null counting as left out (but `value`).

    `drop`: whether the `drop` operation makes sense here. `where`: how messages call the list. Raises BAD_INPUT with
    the path of what is wrong, and for an expression the position in it.
    """
    if not isinstance(said, Sequence) or isinstance(said, str):
        raise _refuse(where, "a list was expected")
    if len(said) > limits.MAX_REDUCERS:
        raise _refuse(where, f"at most {limits.MAX_REDUCERS} reducers")
    reducers = tuple(_reducer(item, f"{where}[{number}]", drop) for number, item in enumerate(said))
    if sum(len(reducer.operations) for reducer in reducers) > limits.MAX_OPERATIONS:
        raise _refuse(where, f"at most {limits.MAX_OPERATIONS} operations in all")
    return reducers


def parse_operations(said: Sequence[Mapping[str, Any]], *, drop: bool, where: str) -> tuple[Operation, ...]:
    """The operations of the contract's `[OperationInput!]`; parameters and errors as `parse_reducers`."""
    if not isinstance(said, Sequence) or isinstance(said, str) or not said:
        raise _refuse(where, "a list of at least one operation was expected")
    if len(said) > limits.MAX_OPERATIONS:
        raise _refuse(where, f"at most {limits.MAX_OPERATIONS} operations")
    return tuple(_operation(item, f"{where}[{number}]", drop) for number, item in enumerate(said))


def to_document(reducers: Sequence[Reducer]) -> list[dict[str, Any]]:
    """The reducers as JSON that `parse_reducers` reads back alike: what is stored and shown."""
    return [
        {
            "on": reducer.on,
            **({"where": reducer.where.text} if reducer.where else {}),
            "operations": operations_document(reducer.operations),
        }
        for reducer in reducers
    ]


def operations_document(operations: Sequence[Operation]) -> list[dict[str, Any]]:
    """The operations as JSON that `parse_operations` reads back alike."""
    return [_shown(operation) for operation in operations]


def _shown(operation: Operation) -> dict[str, Any]:
    if operation.kind is Kind.DROP:
        return {"drop": True}
    body: dict[str, Any] = {"path": ".".join(operation.path)}
    if operation.expression is not None:
        body["expression"] = operation.expression.text
    elif operation.value is not msgspec.UNSET:
        body["value"] = operation.value
    return {operation.kind.value: body}


def _refuse(where: str, problem: str, **details: Any) -> EsbError:
    return bad_input(f"{where}: {problem}", **{**details, "path": where})


def _entries(said: Any, known: Collection[str], where: str) -> dict[str, Any]:
    if not isinstance(said, Mapping):
        raise _refuse(where, "an object was expected")
    for key in said:
        if key not in known:
            raise _refuse(where, f"unknown key {str(key)[:80]!r}; known: {', '.join(known)}")
    return {key: value for key, value in said.items() if value is not None}


def _reducer(said: Any, where: str, drop: bool) -> Reducer:
    entries = _entries(said, ("on", "where", "operations"), where)
    try:
        validate_pattern(entries.get("on", ""))
    except EsbError as error:
        raise _refuse(f"{where}.on", error.message) from None
    condition = entries.get("where")
    return Reducer(
        on=entries["on"],
        where=None if condition is None else _expression(condition, f"{where}.where"),
        operations=parse_operations(entries.get("operations", ()), drop=drop, where=f"{where}.operations"),
    )


def _expression(text: Any, where: str) -> Expression:
    try:
        return parse_expression(text, NAMES)
    except EsbError as error:
        raise _refuse(where, error.message, **(error.details or {})) from None


def _operation(said: Any, where: str, drop: bool) -> Operation:
    entries = _entries(said, tuple(Kind) if drop else tuple(kind for kind in Kind if kind is not Kind.DROP), where)
    if len(entries) != 1:
        raise _refuse(where, "give exactly one operation an entry")
    ((name, body),) = entries.items()
    kind, at = Kind(name), f"{where}.{name}"
    if kind is Kind.DROP:
        if body is not True:
            raise _refuse(at, "drop is true or left out")
        return Operation(kind)
    if kind is Kind.REMOVE:
        return Operation(kind, _path(_entries(body, ("path",), at), kind, at))
    given = _entries(body, ("path", "value", "expression"), at)
    path, expression = _path(given, kind, at), given.get("expression")
    # Clients with typed variables send null for what they leave out, so null next to an expression says nothing.
    valued = "value" in given or ("value" in body and expression is None)
    if valued == (expression is not None):
        raise _refuse(at, "give value or expression, exactly one")
    if expression is not None:
        return Operation(kind, path, expression=_expression(expression, f"{at}.expression"))
    return Operation(kind, path, value=_value(kind, body["value"], f"{at}.value"))


def _path(entries: Mapping[str, Any], kind: Kind, where: str) -> tuple[str, ...]:
    text = entries.get("path")
    if not isinstance(text, str):
        raise _refuse(f"{where}.path", "a dotted path such as customer.name was expected")
    if not text and kind in _WHOLE:
        return ()
    segments = tuple(text.split("."))
    if problem := filter_limits.text_problem(text):
        raise _refuse(f"{where}.path", problem)
    if not all(segments) or len(segments) > filter_limits.MAX_PATH_SEGMENTS:
        most = filter_limits.MAX_PATH_SEGMENTS
        raise _refuse(f"{where}.path", f"a path is 1 to {most} names between dots, such as customer.name")
    return segments


def _value(kind: Kind, value: Any, where: str) -> Any:
    if problem := filter_limits.constant_problem(value):
        raise _refuse(where, problem)
    if kind is Kind.INCREMENT and type(value) not in (int, float):
        raise _refuse(where, "increment takes a number")
    if kind in (Kind.MIN, Kind.MAX) and type(value) not in (int, float, str):
        raise _refuse(where, f"{kind} takes a number or a text")
    return value
