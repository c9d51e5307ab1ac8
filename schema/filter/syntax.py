"""The nodes of an expression, as parsed."""

from typing import Any, TypeAlias

import msgspec


class Literal(msgspec.Struct, frozen=True):
    """A constant: a JSON value or an aware datetime."""

    value: Any


class Path(msgspec.Struct, frozen=True):
    """A variable (`event`, later `state`) and the way into it."""

    name: str
    segments: tuple[str, ...] = ()


class Index(msgspec.Struct, frozen=True):
    """`target[key]` where one of them is computed; what is constant is part of a `Path`."""

    target: "Node"
    key: "Node"


class Unary(msgspec.Struct, frozen=True):
    """`!` or `-`."""

    op: str
    operand: "Node"


class Binary(msgspec.Struct, frozen=True):
    """Arithmetic, a comparison or `in`."""

    op: str
    left: "Node"
    right: "Node"


class Logic(msgspec.Struct, frozen=True):
    """`&&` or `||` over two or more."""

    op: str
    items: tuple["Node", ...]


class Conditional(msgspec.Struct, frozen=True):
    """`test ? then : other`."""

    test: "Node"
    then: "Node"
    other: "Node"


class Has(msgspec.Struct, frozen=True):
    """`has(path)`."""

    path: Path


class Call(msgspec.Struct, frozen=True):
    """A function; a method's receiver is its first argument."""

    function: str
    arguments: tuple["Node", ...]


class ListOf(msgspec.Struct, frozen=True):
    """A list with computed items."""

    items: tuple["Node", ...]


class MapOf(msgspec.Struct, frozen=True):
    """A map with computed values."""

    entries: tuple[tuple[str, "Node"], ...]


Node: TypeAlias = Literal | Path | Index | Unary | Binary | Logic | Conditional | Has | Call | ListOf | MapOf

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    match node:
        case Index(target, key):
            return (target, key)
        case Unary(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case Logic(_, items) | ListOf(items):
            return items
        case Conditional(test, then, other):
            return (test, then, other)
        case Has(path):
            return (path,)
        case Call(_, arguments):
            return arguments
        case MapOf(entries):
            return tuple(value for _, value in entries)
    return ()
