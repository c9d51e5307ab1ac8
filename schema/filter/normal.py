"""One form for filters of one meaning, as far as that is cheap: what grouping, caching and the back ends start from."""

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from schema.filter.ast import EVERYTHING, FIELDS, NOTHING, And, FieldKind, Filter, Holds, Not, Op, Or, Test
from schema.filter.lower import lower
from schema.filter.pattern import ANY, ONE, parse_pattern
from schema.filter.syntax import Literal

_encoder = msgspec.json.Encoder(order="sorted")

_EXACT_DOUBLE = 2**53


def normalise(filter: Filter) -> Filter:
    """The same filter: expressions lowered to tests where possible, `Not` only on leaves, `And`/`Or` flat, sorted
    (fields before documents) and without repeats."""
    return _normal(filter, True)


def fingerprint(filter: Filter) -> bytes:
    """16 bytes that are equal only for filters of equal meaning (and are so for most of those)."""
    return fingerprint_normalised(normalise(filter))


def fingerprint_normalised(filter: Filter) -> bytes:
    """The same for what `normalise` returned."""
    return blake2b(canonical(filter), digest_size=16).digest()


def canonical(node: Filter) -> bytes:
    """The bytes of a normalised filter."""
    return _encoder.encode(_plain(node))


def _normal(node: Filter, want: bool) -> Filter:
    match node:
        case Not(item):
            return _normal(item, not want)
        case And(items) | Or(items):
            conjunction = isinstance(node, And) == want
            return _many(conjunction, (_normal(item, want) for item in items))
        case Test():
            return _leaf(_test(node), want)
        case Holds(tree):
            lowered = lower(tree)
            return _leaf(lowered, want) if isinstance(lowered, Holds) else _normal(lowered, want)


def _leaf(node: Filter, want: bool) -> Filter:
    if want:
        return node
    if isinstance(node, Or):
        return EVERYTHING  # a test that can never match was made NOTHING
    return Not(node)


def _many(conjunction: bool, items: Iterable[Filter]) -> Filter:
    flat: dict[bytes, Filter] = {}
    kind: type[And] | type[Or] = And if conjunction else Or
    for item in items:
        for part in item.items if isinstance(item, kind) else (item,):
            if isinstance(part, And | Or) and not part.items:
                return part  # NOTHING in a conjunction, EVERYTHING in a disjunction
            flat[canonical(part)] = part
    parts = tuple(flat[key] for key in sorted(flat, key=lambda key: (_cost(flat[key]), key)))
    return parts[0] if len(parts) == 1 else kind(parts)


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


def _test(test: Test) -> Filter:
    value, path = _number(test.value), test.path
    match test.op:
        case Op.EXISTS:
            return Test(path, Op.EXISTS)
        case Op.IN:
            values = {_encoder.encode(_constant(item)): _number(item) for item in value}
            kept = [values[key] for key in sorted(values)]
            if len(kept) < 2:
                return Test(path, Op.EQ, kept[0]) if kept else NOTHING
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


def _plain(node: Filter) -> Any:
    """Nested lists that name every node: two nodes give the same only if they mean the same."""
    match node:
        case Test(path, op, value):
            return ["test", path.segments, op, _constant(value)]
        case And(items):
            return ["and", *map(_plain, items)]
        case Or(items):
            return ["or", *map(_plain, items)]
        case Not(item):
            return ["not", _plain(item)]
        case Holds(tree):
            return ["holds", _tree(tree)]


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
