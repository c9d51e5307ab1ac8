"""Each table of the predicate index against looking at every key."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.live.index.intervals import Intervals
from processors.live.index.names import Patterns
from processors.live.index.parts import Affixes, Parts
from processors.live.index.probe import WHOLE, Kind, number_key, scalar_key, text_key, time_key
from processors.live.index.skeleton import Skeleton
from schema.filter.pattern import matches, parse_pattern
from schema.filter.values import holds
from tests.property.schema.filtering import CONSTANT_NUMBERS, TEXTS, names, patterns

# Few ends over a small range, so that many share cells, nodes and borders; and some as long as keys get.
ends = st.one_of(st.integers(0, 40), st.integers(0, 2**16), st.integers(0, 2**64 - 1))
intervals = st.tuples(ends, ends).map(lambda pair: (min(pair), max(pair)))


def check(table: Any, keys: set[Any], gone: set[Any], values: Iterable[Any], fits: Callable[[Any, Any], bool]) -> None:
    """Keys come, some go: what is found of the known is what fits."""
    for key in keys:
        table.add(key)
    for key in gone & keys:
        table.remove(key)
    left = keys - gone
    for value in values:
        found = [key for key in table.find(value) if key in left]
        assert len(set(found)) == len(found)
        assert set(found) == {key for key in left if fits(key, value)}


@settings(max_examples=200, deadline=None)
@given(keys=st.sets(intervals, max_size=60), gone=st.sets(intervals), some=st.randoms(), values=st.lists(ends))
def test_intervals_hold_a_number(keys: set[Any], gone: set[Any], some: Any, values: list[int]) -> None:
    gone |= {key for key in keys if some.random() < 0.3}
    values += [end for key in keys for end in key]

    def inside(key: Any, value: int) -> bool:
        return bool(key[0] <= value <= key[1])

    check(Skeleton(()), keys, gone, values, inside)
    check(Intervals(), keys, gone, values, inside)


@settings(max_examples=200, deadline=None)
@given(keys=st.sets(patterns), some=st.randoms(), values=st.lists(names | st.sampled_from(["*", "a.**", "", "a..b"])))
def test_patterns_match_a_name(keys: set[str], some: Any, values: list[str]) -> None:
    known = {".".join(parse_pattern(key).segments) for key in keys}
    check(Patterns(), known, {key for key in known if some.random() < 0.3}, values, matches)


texts = st.one_of(st.sampled_from(TEXTS), st.text(alphabet="ab.", max_size=5))


@settings(max_examples=150, deadline=None)
@given(keys=st.sets(texts), some=st.randoms(), values=st.lists(texts))
def test_texts_begin_and_end_with_others(keys: set[str], some: Any, values: list[str]) -> None:
    gone = {key for key in keys if some.random() < 0.3}
    check(Affixes(ending=False), keys, gone, values, lambda key, value: value.startswith(key))
    check(Affixes(ending=True), keys, gone, values, lambda key, value: value.endswith(key))


scalars = st.one_of(texts, st.sampled_from(CONSTANT_NUMBERS), st.booleans(), st.none())


@settings(max_examples=150, deadline=None)
@given(
    parts=st.lists(scalars, max_size=30),
    some=st.randoms(),
    values=st.lists(st.one_of(texts, st.lists(scalars, max_size=4), st.integers(), st.none())),
)
def test_lists_and_texts_contain_parts(parts: list[Any], some: Any, values: list[Any]) -> None:
    meant = {scalar_key(part): part for part in parts}
    gone = {key for key in meant if some.random() < 0.3}
    check(Parts(), set(meant), gone, values, lambda key, value: holds(value, meant[key]))


numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(CONSTANT_NUMBERS))


@settings(max_examples=300, deadline=None)
@given(first=numbers, second=numbers)
def test_numbers_keep_their_order(first: float, second: float) -> None:
    one, other = number_key(first), number_key(second)
    assert one == other or (one < other) == (first < second)
    if max(abs(first), abs(second)) < 2**53:
        assert (one == other) == (first == second)
    assert WHOLE[Kind.NUMBERS][0] <= one <= WHOLE[Kind.NUMBERS][1]


@settings(max_examples=300, deadline=None)
@given(first=st.text() | texts, second=st.text() | texts)
def test_texts_keep_their_order(first: str, second: str) -> None:
    one, other = text_key(first), text_key(second)
    assert one == other or (one < other) == (first < second)
    assert WHOLE[Kind.TEXTS][0] <= one <= WHOLE[Kind.TEXTS][1]


def test_numbers_beyond_all_doubles_come_last() -> None:
    keys = [number_key(value) for value in (-(10**400), -1.7976931348623157e308, 0, 1.7976931348623157e308, 10**400)]
    assert keys == sorted(set(keys))


def test_all_times_have_a_key() -> None:
    first, last = (time_key(moment.replace(tzinfo=UTC)) for moment in (datetime.min, datetime.max))
    assert WHOLE[Kind.TIMES][0] <= first < last <= WHOLE[Kind.TIMES][1]
