"""Parsing expressions: a subset of CEL (the Common Expression Language), documented in docs/reference/filters.md."""

from collections.abc import Callable, Collection
from typing import NoReturn

import msgspec

from schema.errors import bad_input
from schema.filter import limits
from schema.filter.ast import FIELDS, FieldKind
from schema.filter.calls import FUNCTIONS, METHODS
from schema.filter.syntax import (
    COMPARISONS,
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
    children,
)
from schema.filter.times import parse_time
from schema.filter.tokens import Token, refuse, tokenize

EVENT_ONLY = frozenset({"event"})


class Expression(msgspec.Struct, frozen=True):
    """A parsed expression. `text`: as written."""

    text: str
    tree: Node


def parse_expression(text: str, names: Collection[str] = EVENT_ONLY) -> Expression:
    """The expression of `text`, which may speak of the variables `names`; BAD_INPUT with the position otherwise."""
    if not isinstance(text, str):
        raise bad_input("an expression is a text")
    if len(text) > limits.MAX_EXPRESSION_CHARS:
        raise bad_input(f"an expression has at most {limits.MAX_EXPRESSION_CHARS} characters, not {len(text)}")
    if problem := limits.text_problem(text):
        raise bad_input(f"expression: {problem}")
    tree = _Parser(text, names).whole()
    if _depth(tree) > limits.MAX_EXPRESSION_DEPTH:
        raise bad_input(f"the expression is nested deeper than {limits.MAX_EXPRESSION_DEPTH}; split it with `and`/`or`")
    return Expression(text, tree)


def _depth(node: Node) -> int:
    return 1 + max(map(_depth, children(node)), default=0)


class _Parser:
    """Recursive descent, one method a level of CEL's grammar."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self._text = text
        self._names = names
        self._tokens = tokenize(text)
        self._next = 0
        self._open = 0
        if len(self._tokens) > 2 * limits.MAX_EXPRESSION_NODES:
            raise bad_input(f"an expression has at most {limits.MAX_EXPRESSION_NODES} parts")

    def whole(self) -> Node:
        node = self._expression()
        if self._token.kind != "end":
            self._refuse(f"unexpected {self._token.text!r}", "an operator or the end was expected")
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _refuse(self, problem: str, hint: str, at: int | None = None) -> NoReturn:
        refuse(self._text, self._token.at if at is None else at, problem, hint)

    def _take(self, *operators: str) -> str | None:
        token = self._token
        if token.kind == "operator" and token.text in operators:
            self._next += 1
            return token.text
        return None

    def _expect(self, operator: str) -> None:
        if self._take(operator) is None:
            self._refuse(f"{operator!r} was expected, not {self._token.text!r}", f"insert {operator!r}")

    def _expression(self) -> Node:
        # The bound keeps Python's own stack safe: every open parenthesis costs a dozen frames.
        self._open += 1
        if self._open > limits.MAX_EXPRESSION_DEPTH:
            self._refuse(f"nested deeper than {limits.MAX_EXPRESSION_DEPTH}", "split the expression")
        test = self._logic("||", lambda: self._logic("&&", self._relation))
        if self._take("?"):
            then = self._logic("||", lambda: self._logic("&&", self._relation))
            self._expect(":")
            test = Conditional(test, then, self._expression())
        self._open -= 1
        return test

    def _logic(self, operator: str, operand: Callable[[], Node]) -> Node:
        items = [operand()]
        while self._take(operator):
            items.append(operand())
        return items[0] if len(items) == 1 else Logic(operator, tuple(items))

    def _left(self, operators: Collection[str], operand: Callable[[], Node]) -> Node:
        node = operand()
        at = self._token.at
        while operator := self._take(*operators):
            node = self._binary(operator, node, operand(), at)
            at = self._token.at
        return node

    def _relation(self) -> Node:
        return self._left((*COMPARISONS, "in"), self._sum)

    def _sum(self) -> Node:
        return self._left("+-", self._product)

    def _product(self) -> Node:
        return self._left("*/%", self._unary)

    def _binary(self, operator: str, left: Node, right: Node, at: int) -> Node:
        for path, other in ((left, right), (right, left)):
            if (
                operator in COMPARISONS
                and _is_time(path)
                and isinstance(other, Literal)
                and isinstance(other.value, str)
            ):
                self._refuse("a time is compared with a text", 'write timestamp("2026-01-31T12:00:00Z")', at)
        return Binary(operator, left, right)

    def _unary(self) -> Node:
        signs: list[str] = []
        while sign := self._take("!", "-"):
            signs.append(sign)
            if len(signs) > limits.MAX_EXPRESSION_DEPTH:
                self._refuse("too many signs", "remove some")
        node = self._member()
        for sign in reversed(signs):
            if sign == "-" and isinstance(node, Literal) and type(node.value) in (int, float):
                node = Literal(-node.value)
            else:
                node = Unary(sign, node)
        return node

    def _member(self) -> Node:
        start = self._token.at
        node = self._primary()
        while True:
            if self._take("."):
                node = self._select(node)
            elif self._take("["):
                key = self._expression()
                self._expect("]")
                node = _index(node, key)
            else:
                break
        self._check_path(node, start)
        return node

    def _select(self, node: Node) -> Node:
        token = self._token
        if token.kind != "name":
            self._refuse(f"a field's name was expected, not {token.text!r}", 'other names go in brackets: ["a b"]')
        self._next += 1
        if self._take("("):
            self._check_path(node, token.at)
            return self._call(METHODS, token, (node,))
        return _index(node, Literal(token.text))

    def _primary(self) -> Node:
        token = self._token
        self._next += 1
        if token.kind == "literal":
            return Literal(token.value)
        if token.kind == "name":
            if self._take("("):
                return self._call(FUNCTIONS, token, ())
            if token.text not in self._names:
                hint = f"expressions speak of {', '.join(sorted(self._names))}; texts stand in quotes"
                self._refuse(f"unknown name {token.text!r}", hint, token.at)
            return Path(token.text)
        if token.text == "(" and token.kind == "operator":
            node = self._expression()
            self._expect(")")
            return node
        if token.text == "[" and token.kind == "operator":
            items = self._items("]")
            constant = all(isinstance(item, Literal) for item in items)
            return Literal([item.value for item in items]) if constant else ListOf(items)  # type: ignore[union-attr]
        if token.text == "{" and token.kind == "operator":
            return self._map()
        self._next -= 1
        self._refuse(
            f"a value was expected, not {token.text!r}", "write a literal, a path such as event.payload.x, or ("
        )

    def _items(self, close: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take(close):
            if items:
                self._expect(",")
            items.append(self._expression())
        return tuple(items)

    def _map(self) -> Node:
        entries: list[tuple[str, Node]] = []
        while not self._take("}"):
            if entries:
                self._expect(",")
            key = self._token
            if key.kind != "literal" or not isinstance(key.value, str):
                self._refuse("the key of a map is a text", 'write {"key": value}')
            self._next += 1
            self._expect(":")
            entries.append((key.value, self._expression()))
        if len({key for key, _ in entries}) < len(entries):
            self._refuse("a key stands twice in the map", "remove one")
        if all(isinstance(value, Literal) for _, value in entries):
            return Literal({key: value.value for key, value in entries})  # type: ignore[union-attr]
        return MapOf(tuple(entries))

    def _call(self, known: dict[str, int], name: Token, receiver: tuple[Node, ...]) -> Node:
        if name.text not in known:
            hint = f"known here: {', '.join(sorted(known))}"
            self._refuse(f"unknown function {name.text!r}", hint, name.at)
        arguments = receiver + self._items(")")
        if len(arguments) != known[name.text]:
            wanted = known[name.text] - len(receiver)
            self._refuse(f"{name.text} takes {wanted} argument(s)", "see the reference of filters", name.at)
        if name.text == "has":
            return self._has(arguments[0], name.at)
        if name.text == "timestamp" and isinstance(arguments[0], Literal):
            return self._timestamp(arguments[0], name.at)
        return Call(name.text, arguments)

    def _has(self, path: Node, at: int) -> Node:
        if isinstance(path, Path) and path.segments:
            return Has(path)
        self._refuse("has() asks about a path", "write has(event.payload.x)", at)

    def _timestamp(self, literal: Literal, at: int) -> Node:
        moment = parse_time(literal.value) if isinstance(literal.value, str) else None
        if moment is None:
            self._refuse("no RFC 3339 time", 'write timestamp("2026-01-31T12:00:00Z")', at)
        return Literal(moment)

    def _check_path(self, node: Node, at: int) -> None:
        while isinstance(node, Index):
            node = node.target  # a computed key still needs a known field before it
        if not isinstance(node, Path) or node.name != "event":
            return
        if len(node.segments) > limits.MAX_PATH_SEGMENTS:
            self._refuse("the path is too long", f"at most {limits.MAX_PATH_SEGMENTS} segments", at)
        if not node.segments or node.segments[0] not in FIELDS:
            known = f"event has {', '.join(FIELDS)}"
            self._refuse(
                f"event has no field {node.segments[0]!r}" if node.segments else "a field is missing", known, at
            )
        if len(node.segments) > 1 and FIELDS[node.segments[0]] is not FieldKind.JSON:
            self._refuse(f"event.{node.segments[0]} has no fields", "only payload and metadata have", at)


def _is_time(node: Node) -> bool:
    return isinstance(node, Path) and node.name == "event" and FIELDS[node.segments[0]] is FieldKind.TIME


def _index(node: Node, key: Node) -> Node:
    """`node[key]`; a constant key of a path becomes part of it, digits as text: `items[0]` is the path items.0."""
    if isinstance(node, Path) and isinstance(key, Literal) and type(key.value) in (str, int):
        return Path(node.name, (*node.segments, str(key.value)))
    return Index(node, key)
