"""One form for filters of one meaning, as far as that is cheap: what grouping, caching and the back ends start from."""

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from schema.filter.ast import EVERYTHING, FIELDS, NOTHING, And, FieldKind, Filter, Holds, Not, Op, Or, Test
from schema.filter.lower import lower
from schema.filter.pattern import ANY, ONE, parse_pattern
from schema.filter.syntax import Literal

_encoder = msgspec.json.Encoder(order="sorted")

_EXACT_DOUBLE = 2**53


class Normal(NamedTuple):
    """A normalised filter, and bytes that are equal only for filters of equal meaning (and are so for most of those):
    the tree itself takes 1 for true."""

    filter: Filter
    canonical: bytes

    @property
    def fingerprint(self) -> bytes:
        """The bytes in 16."""
        return blake2b(self.canonical, digest_size=16).digest()


def normal_form(filter: Filter) -> Normal:
    """The same filter: expressions lowered to tests where possible, `Not` only on leaves, `And`/`Or` flat, sorted
    (fields before documents) and without repeats."""
    form = _normal(filter, True)
    return Normal(form.filter, _encoder.encode(form.plain))


def normalise(filter: Filter) -> Filter:
    """`normal_form` without the bytes."""
    return _normal(filter, True).filter


def fingerprint(filter: Filter) -> bytes:
    """16 bytes that are equal only for filters of equal meaning (and are so for most of those)."""
    return normal_form(filter).fingerprint


class _Form(NamedTuple):
    """`plain`: the filter as nested lists that name every node: two nodes give the same only if they mean the same."""

    filter: Filter
    plain: list[Any]


_EVERYTHING = _Form(EVERYTHING, ["and"])
_NOTHING = _Form(NOTHING, ["or"])
_NAMES: dict[type[And] | type[Or], str] = {And: "and", Or: "or"}


def _normal(node: Filter, want: bool) -> _Form:
    match node:
        case Not(item):
            return _normal(item, not want)
        case And(items) | Or(items):
            conjunction = isinstance(node, And) == want
            return _many(conjunction, [_normal(item, want) for item in items])
        case Test():
            return _leaf(_test(node), want)
        case Holds(tree):
            lowered = lower(tree)
            return _leaf(lowered, want) if isinstance(lowered, Holds) else _normal(lowered, want)


def _leaf(node: Test | Holds | None, want: bool) -> _Form:
    """None: a test that can never match."""
    if node is None:
        return _NOTHING if want else _EVERYTHING
    if isinstance(node, Test):
        plain: list[Any] = ["test", node.path.segments, node.op, _constant(node.value)]
    else:
        plain = ["holds", _tree(node.tree)]
    return _Form(node, plain) if want else _Form(Not(node), ["not", plain])


def _many(conjunction: bool, forms: Iterable[_Form]) -> _Form:
    flat: dict[bytes, _Form] = {}
    kind: type[And] | type[Or] = And if conjunction else Or
    for form in forms:
        inner = form.filter
        for part in map(_Form, inner.items, form.plain[1:]) if isinstance(inner, kind) else (form,):
            if isinstance(part.filter, And | Or) and not part.filter.items:
                return part  # NOTHING in a conjunction, EVERYTHING in a disjunction
            flat[_encoder.encode(part.plain)] = part
    parts = [flat[key] for key in sorted(flat, key=lambda key: (_cost(flat[key].filter), key))]
    if len(parts) == 1:
        return parts[0]
    return _Form(kind(tuple(part.filter for part in parts)), [_NAMES[kind], *(part.plain for part in parts)])


def _cost(node: Filter) -> int:
    """What to look at first: fields, then documents, then expressions."""
    match node:
        case Test():
            return 1 if FIELDS.get(node.field) is FieldKind.JSON else 0
        case Not(item):
            return _cost(item)
        case And(items) | Or(items):
            return max(map(_cost, items), default=0)
    return 2


def _test(test: Test) -> Test | None:
    value, path = _number(test.value), test.path
    match test.op:
        case Op.EXISTS:
            return Test(path, Op.EXISTS)
        case Op.IN:
            values = {_encoder.encode(_constant(item)): _number(item) for item in value}
            kept = [values[key] for key in sorted(values)]
            if len(kept) < 2:
                return Test(path, Op.EQ, kept[0]) if kept else None
            return Test(path, Op.IN, kept)
        case Op.PATTERN:
            segments = parse_pattern(value).segments
            if segments == (ANY,):
                return Test(path, Op.EXISTS)
            text = ".".join(segments)
            wild = ONE in segments or ANY in segments
            return Test(path, Op.PATTERN if wild else Op.EQ, text)
    return Test(path, test.op, value)


def _number(value: Any) -> Any:
    """1.0 is 1: numbers compare by value."""
    if isinstance(value, float) and abs(value) < _EXACT_DOUBLE and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, dict):
        return {key: _number(item) for key, item in value.items()}
    return value


def _constant(value: Any) -> Any:
    """A constant as JSON with its kind: a time is not the text that shows it."""
    match value:
        case datetime():
            return {"t": value.isoformat()}
        case list():
            return [_constant(item) for item in value]
        case dict():
            return {"d": {key: _constant(item) for key, item in value.items()}}
    return value


def _tree(node: Any) -> Any:
    """1 and 1.0 stay apart here: they divide differently."""
    match node:
        case Literal(value):
            return ["Literal", _constant(value)]
        case msgspec.Struct():
            return [type(node).__name__, *map(_tree, msgspec.structs.astuple(node))]
        case tuple():
            return [_tree(item) for item in node]
    return node
