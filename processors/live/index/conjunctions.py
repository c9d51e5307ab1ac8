"""A filter as alternatives, each a list of probes that all have to hold: what the index is built from."""

from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from processors.live.index.probe import STREAM, WHOLE, Kind, Probe, order_of, scalar_key
from schema.filter.ast import FIELDS, ORDERING, And, FieldKind, Filter, Holds, Not, Op, Or, Test

MAX_ALTERNATIVES = 32
"""More are not spread: the part of the filter that would make them is left to the filter itself."""

_EXACT = 2**53
_AFFIXES = {Op.STARTS_WITH: Kind.PREFIX, Op.ENDS_WITH: Kind.SUFFIX}


class Conjunction(NamedTuple):
    """`probes`: most telling first. `exact`: whether an event for which all hold matches the filter for certain."""

    probes: tuple[Probe, ...]
    exact: bool


class _Terms(NamedTuple):
    """Tests that all have to hold; `exact`: nothing of the filter was left out."""

    tests: tuple[Test, ...] = ()
    exact: bool = True


def conjunctions(where: Filter, streams: frozenset[str] | None) -> list[Conjunction]:
    """The alternatives of a normalised filter; none for one that never matches.

    `streams`: the names of the streams it is restricted to; None: none.
    """
    alternatives = _alternatives(where)
    if len(alternatives) > MAX_ALTERNATIVES:
        alternatives = [_Terms(exact=False)]
    return [found for terms in alternatives if (found := _conjunction(terms, streams)) is not None]


def _alternatives(node: Filter) -> list[_Terms]:
    match node:
        case Test():
            return [_Terms((node,))]
        case Or(items):
            merged = _one_of(items)
            return [_Terms((merged,))] if merged else [terms for item in items for terms in _alternatives(item)]
        case And(items):
            tests = tuple(item for item in items if isinstance(item, Test))
            either = [_alternatives(item) for item in items if isinstance(item, Or)]
            return _product(_Terms(tests, len(tests) + len(either) == len(items)), either)
        case Not() | Holds():
            return [_Terms(exact=False)]


def _product(common: _Terms, factors: list[list[_Terms]]) -> list[_Terms]:
    spread = [common]
    for factor in sorted(factors, key=len):
        if len(spread) * len(factor) > MAX_ALTERNATIVES:
            spread = [_Terms(terms.tests, False) for terms in spread]
            continue
        spread = [_Terms(a.tests + b.tests, a.exact and b.exact) for a in spread for b in factor]
    return spread


def _one_of(items: tuple[Filter, ...]) -> Test | None:
    """`a == 1 || a == 2` as the IN it is."""
    paths = {item.path for item in items if isinstance(item, Test) and item.op in (Op.EQ, Op.IN)}
    if len(paths) != 1 or not all(isinstance(item, Test) and item.op in (Op.EQ, Op.IN) for item in items):
        return None
    values = [value for item in items if isinstance(item, Test) for value in _wanted(item)]
    return Test(paths.pop(), Op.IN, values)


def _wanted(test: Test) -> list[Any]:
    return list(test.value) if test.op is Op.IN else [test.value]


def _conjunction(terms: _Terms, streams: frozenset[str] | None) -> Conjunction | None:
    """None where the probes say that no event can match."""
    found: dict[Probe, None] = {}
    ranges: dict[tuple[tuple[str, ...], Kind], tuple[int, int]] = {}
    exact = terms.exact
    if streams is not None:
        found[Probe(STREAM, Kind.EQUAL, tuple(streams))] = None
    for test in terms.tests:
        path = test.path.segments
        if test.op in ORDERING:
            kind, low, high, sharp = _range(test)
            exact = exact and sharp
            known = ranges.get((path, kind), WHOLE[kind])
            ranges[path, kind] = max(low, known[0]), min(high, known[1])
        else:
            probe, sharp = _probe(test)
            exact = exact and sharp
            found[probe] = None
    texts = {probe.path for probe in found if probe.kind in (Kind.PREFIX, Kind.SUFFIX)} if ranges else ()
    for (path, kind), (low, high) in ranges.items():
        if low > high:
            return None
        if kind is Kind.TEXTS and (low, high) == WHOLE[kind] and path in texts:
            continue  # that it is a text is already said
        found[Probe(path, kind, ((low, high),))] = None
    if not all(probe.keys for probe in found):
        return None
    return Conjunction(tuple(sorted(found, key=_rank) if len(found) > 1 else found), exact)


_rank = attrgetter("rank")


def _probe(test: Test) -> tuple[Probe, bool]:
    """A probe for a test without order, and whether it says the same as the test."""
    path = test.path.segments
    match test.op:
        case Op.EQ | Op.IN:
            values = _wanted(test)
            if not any(isinstance(value, list | dict) for value in values):
                if FIELDS[test.field] is not FieldKind.JSON:
                    values = [value for value in values if value is not None]  # a field that is null is missing
                return Probe(path, Kind.EQUAL, tuple(dict.fromkeys(map(scalar_key, values)))), True
        case Op.STARTS_WITH | Op.ENDS_WITH:
            return Probe(path, _AFFIXES[test.op], (test.value,)), True
        case Op.PATTERN:
            return Probe(path, Kind.PATTERN, (test.value,)), True
        case Op.CONTAINS if not isinstance(test.value, list | dict):
            return Probe(path, Kind.PART, (scalar_key(test.value),)), True
    return Probe(path, Kind.EXISTS, (None,)), test.op is Op.EXISTS


def _range(test: Test) -> tuple[Kind, int, int, bool]:
    """The order, the first and the last key of it that a matching value may have, and whether only matching ones do."""
    order = order_of(test.value)
    assert order is not None, "the parser lets through only what has an order"
    kind, key = order
    least, most = WHOLE[kind]
    upwards = test.op in (Op.GT, Op.GTE)
    if test.value == "" and test.op is Op.GTE:
        return kind, least, most, True
    # A key that several values share cannot leave out one of them.
    sharp = isinstance(test.value, datetime) or (kind is Kind.NUMBERS and -_EXACT < test.value < _EXACT)
    strict = sharp and test.op in (Op.GT, Op.LT)
    if upwards:
        return kind, key + strict, most, sharp
    return kind, least, key - strict, sharp
