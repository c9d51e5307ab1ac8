"""Leaves: values that need no more than to be encoded, if they are of the type that graphql-core passes on unchanged.

msgspec writes them as the scalars' `serialize` does (schema.graphql.scalars). Anything else is `Unfit`.
"""

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any

from graphql import GraphQLEnumType, GraphQLLeafType

from gateway.graphql.compiled.run import Unfit

Leaf = Callable[[Any], Any]

_EXACT: dict[str, type] = {
    "String": str,
    "ID": str,
    "Cursor": str,
    "Expression": str,
    "Boolean": bool,
    "Long": int,
    "DateTime": datetime,
}
_INT_BITS = 31


def leaf(kind: GraphQLLeafType, nullable: bool) -> Leaf:
    """How values of that type are passed on. Raises Unfit for a type that is not known here."""
    if isinstance(kind, GraphQLEnumType):
        return _enum(kind, nullable)
    if kind.name == "JSON":
        return _same if nullable else _present
    if kind.name == "Int":
        return _int(nullable)
    exact = _EXACT.get(kind.name)
    if exact is None:
        raise Unfit(kind.name)
    return _exactly(exact, nullable)


def exact_types(kind: GraphQLLeafType, nullable: bool) -> frozenset[type] | None:
    """The types whose values are all passed on as they are, and no others; None where the type does not tell."""
    exact = _EXACT.get(kind.name)
    if exact is None:
        return None
    return frozenset((exact, type(None))) if nullable else frozenset((exact,))


def _exactly(wanted: type, nullable: bool) -> Leaf:
    def same(value: Any) -> Any:
        if type(value) is wanted or (nullable and value is None):
            return value
        raise Unfit

    return same


def _int(nullable: bool) -> Leaf:
    def same(value: Any) -> Any:
        if (type(value) is int and value.bit_length() <= _INT_BITS) or (nullable and value is None):
            return value
        raise Unfit

    return same


def _same(value: Any) -> Any:
    return value


def _present(value: Any) -> Any:
    if value is None:
        raise Unfit
    return value


def _enum(kind: GraphQLEnumType, nullable: bool) -> Leaf:
    names = {member.value: name for name, member in kind.values.items()}

    def name(value: Any) -> Any:
        if value is None and nullable:
            return None
        found = names.get(value.value) if isinstance(value, Enum) else None
        if found is None:
            raise Unfit
        return found

    return name
