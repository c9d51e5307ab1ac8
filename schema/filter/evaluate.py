"""Expressions as Python functions: generated source, compiled once a shape.

Only node kinds choose the source; every text, key and number enters as a bound constant, so nothing a caller wrote is
ever read as Python, and expressions that differ only in their constants are compiled once.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

from schema.filter import computing, values
from schema.filter.ast import FIELDS, FieldKind
from schema.filter.expression import Expression
from schema.filter.failure import ExpressionError
from schema.filter.syntax import (
    Binary,
    Call,
    Conditional,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Node,
    Path,
    Unary,
)

Evaluate = Callable[[Mapping[str, Any]], Any]

_OPERATORS = {sign: f"operator{number}" for number, sign in enumerate(computing.BINARY)}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{function.__name__: function for function in (values.given, values.walk, values.present, values.index)},
    **{function.__name__: function for function in (values.truth, values.all_of, values.any_of, computing.negate)},
    **{_OPERATORS[sign]: function for sign, function in computing.BINARY.items()},
    **{f"call_{name}": function for name, function in computing.CALLS.items()},
}
"""What the source calls, by the name it uses."""

FUNCTION_NAMES: dict[str, str] = {**_OPERATORS, **{name: f"call_{name}" for name in computing.CALLS}}
"""Of an operator's sign, or of a function of the language: the name the source calls it by."""


def evaluate(expression: Expression, context: Mapping[str, Any]) -> Any:
    """The value of `expression`; ExpressionError where it has none. `context`: `event` as an Event, others as JSON."""
    return compile_expression(expression)(context)


def compile_expression(expression: Expression) -> Evaluate:
    """A function from variables to the expression's value, to be kept; it raises ExpressionError where there is none.
    What it returns may be part of the event or of the expression: callers must not change it."""
    return compile_tree(expression.tree)


def compile_tree(tree: Node) -> Evaluate:
    """The same for a tree."""
    constants: list[Any] = []
    value = _Source(constants).value(tree)
    function: Evaluate = _factory(len(constants), value)(*constants)
    return function


def compile_with(tree: Node, functions: Mapping[str, Callable[..., Any]]) -> Evaluate:
    """The same, with `functions` (by the names of `FUNCTION_NAMES`) in place of those that operators and calls have."""
    constants: list[Any] = []
    value = _Source(constants).value(tree)
    factory = eval(_code(len(constants), value), {"__builtins__": {}, **_FUNCTIONS, **functions})  # noqa: S307
    function: Evaluate = factory(*constants)
    return function


@lru_cache(maxsize=1024)
def _factory(constants: int, value: str) -> Callable[..., Evaluate]:
    """From the constants of a shape to the function."""
    factory: Callable[..., Evaluate] = eval(  # noqa: S307
        _code(constants, value), {"__builtins__": {}, **_FUNCTIONS}
    )
    return factory


@lru_cache(maxsize=1024)
def _code(constants: int, value: str) -> CodeType:
    names = ", ".join(f"c{number}" for number in range(constants))
    return compile(f"lambda {names}: lambda context: {value}", "<expression>", "eval")


def true_for_event(tree: Node) -> Callable[[Any], bool]:
    """Whether the expression is true for an event; failing ones are not."""
    function = compile_tree(tree)

    def is_true(event: Any) -> bool:
        try:
            return function({"event": event}) is True
        except ExpressionError:
            return False

    return is_true


class _Source:
    """Writes the source; `constants` receives what it calls c0, c1 and so on."""

    def __init__(self, constants: list[Any]) -> None:
        self._constants = constants

    def _bind(self, value: Any) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(value)
        return name

    def _call(self, function: Callable[..., Any], *arguments: str) -> str:
        return f"{function.__name__}({', '.join(arguments)})"

    def value(self, node: Node) -> str:
        """Source whose value is the node's."""
        match node:
            case Literal(value):
                return self._bind(value)
            case Path():
                root, keys = self._root(node)
                text = self._bind(".".join((node.name, *node.segments)))
                if keys is None:
                    return self._call(values.given, root, text)
                return self._call(values.walk, root, self._bind(keys), text)
            case Has(path):
                root, keys = self._root(path)
                return f"({root} is not None)" if keys is None else self._call(values.present, root, self._bind(keys))
            case Index(target, key):
                return self._call(values.index, self.value(target), self.value(key))
            case Unary("-", operand):
                return self._call(computing.negate, self.value(operand))
            case Unary(_, operand):
                return f"(not {self._call(values.truth, self.value(operand))})"
            case Binary(op, left, right):
                return f"{_OPERATORS[op]}({self.value(left)}, {self.value(right)})"
            case Logic(op, items):
                function = values.all_of if op == "&&" else values.any_of
                return self._call(function, *(f"lambda: {self.value(item)}" for item in items))
            case Conditional(test, then, other):
                condition = self._call(values.truth, self.value(test))
                return f"({self.value(then)} if {condition} else {self.value(other)})"
            case Call(function_name, arguments):
                return f"call_{function_name}({', '.join(map(self.value, arguments))})"
            case ListOf(items):
                return "[" + ", ".join(map(self.value, items)) + "]"
            case MapOf(entries):
                return "{" + ", ".join(f"{self._bind(key)}: {self.value(value)}" for key, value in entries) + "}"

    def _root(self, path: Path) -> tuple[str, tuple[str, ...] | None]:
        """Source of the value a path starts from, and the keys that remain; None: it is a field that may be null,
        which means missing, whereas null in a document is a value. Names come from closed lists."""
        variable = f"context[{self._bind(path.name)}]"
        if path.name != "event":
            return variable, path.segments
        field, keys = path.segments[0], path.segments[1:]
        if FIELDS[field] is FieldKind.JSON:
            return f"{variable}.{field}_document", keys
        return f"{variable}.{field}", None
