"""Expressions whose work is counted: what takes longer for larger values says so before it does it.

Counting needs no clock, so the same expression over the same values runs too long on every machine or on none.
"""

from collections.abc import Callable
from typing import Any

from schema.filter import computing, values
from schema.filter.evaluate import FUNCTION_NAMES, Evaluate, compile_with
from schema.filter.syntax import Node

Spend = Callable[[int], None]
"""Told the units of work that come next: about a value visited, or 64 characters; it raises when they are too many."""

_CHARACTERS = 6  # a shift: 64 characters a unit


def compile_counted(tree: Node, spend: Spend) -> Evaluate:
    """As `schema.filter.evaluate.compile_tree`; whatever `spend` raises comes out of the function."""
    return compile_with(tree, counted_functions(spend))


def counted_functions(spend: Spend) -> dict[str, Callable[..., Any]]:
    """The functions whose work grows with their operands, counted; the others cost the same for every value."""
    equal = _equal(spend)
    named = {
        "==": equal,
        "!=": lambda left, right: not equal(left, right),
        "in": _contained(spend, equal),
        "+": _joined(spend),
        **{sign: _by_length(spend, computing.BINARY[sign]) for sign in ("<", "<=", ">", ">=")},
        **{name: _by_length(spend, computing.CALLS[name]) for name in ("startsWith", "endsWith", "contains")},
    }
    return {FUNCTION_NAMES[name]: function for name, function in named.items()}


def _equal(spend: Spend) -> Callable[[Any, Any], bool]:
    def equal(left: Any, right: Any) -> bool:
        kind = type(left)
        if kind is str:
            spend(len(left) >> _CHARACTERS)
        elif kind is list and type(right) is list and len(left) == len(right):
            spend(1 + len(left))
            return all(map(equal, left, right))
        elif kind is dict and type(right) is dict and len(left) == len(right):
            spend(1 + len(left))
            return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
        return values.equal(left, right)

    return equal


def _contained(spend: Spend, equal: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def contained(value: Any, container: Any) -> bool:
        if type(container) is list:
            spend(1 + len(container))
            return any(equal(value, item) for item in container)
        return values.contained(value, container)

    return contained


def _joined(spend: Spend) -> Callable[[Any, Any], Any]:
    def added(left: Any, right: Any) -> Any:
        if type(left) in (str, list) and type(right) is type(left):
            spend((len(left) + len(right)) >> (_CHARACTERS if type(left) is str else 3))
        return computing.add(left, right)

    return added


def _by_length(spend: Spend, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def called(left: Any, right: Any) -> Any:
        if type(left) is str:
            spend(len(left) >> _CHARACTERS)
        return function(left, right)

    return called
