"""The predicate index against asking every filter, while targets come and go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.live.index import PredicateIndex
from schema.event import Event
from schema.filter.ast import Filter
from schema.filter.python import compile_filter
from schema.filter.typed import parse_filter
from tests.property.schema import filtering

STREAMS = ["orders", "users", "audit"]


@dataclass(frozen=True)
class Wanted:
    """What one target wants."""

    where: Filter | None
    streams: frozenset[str] | None

    def accepts(self, event: Event) -> bool:
        if self.streams is not None and event.stream not in self.streams:
            return False
        return self.where is None or compile_filter(self.where)(event)


wanted = st.builds(
    Wanted,
    st.one_of(st.none(), *[filtering.filters.map(parse_filter)] * 5),
    st.one_of(st.none(), st.frozensets(st.sampled_from(STREAMS))),
)


@st.composite
def placed(draw: st.DrawFn) -> Event:
    event = draw(filtering.events())
    event.stream = draw(st.sampled_from(STREAMS))
    return event


# More targets than share one place of the tree, over few numbers, so that they come, change and go.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 29), wanted),
        st.tuples(st.just("add"), st.integers(0, 29), wanted),
        st.tuples(st.just("remove"), st.integers(0, 29), st.none()),
        st.tuples(st.just("match"), st.none(), placed()),
    ),
    max_size=60,
)


def no_failure(target: int, failure: Exception) -> None:
    raise AssertionError(target) from failure


@settings(max_examples=300, deadline=None)
@given(first=st.lists(wanted, max_size=30), steps=steps, events=st.lists(placed(), min_size=1, max_size=4))
def test_it_finds_exactly_those_whose_filter_accepts(
    first: list[Wanted], steps: list[Any], events: Sequence[Event]
) -> None:
    index: PredicateIndex[int] = PredicateIndex(no_failure)
    model: dict[int, Wanted] = dict(enumerate(first))
    for target, want in model.items():
        index.add(want.where, want.streams, target)

    def same(event: Event) -> None:
        found = index.match(event)
        assert sorted(found) == sorted(target for target, want in model.items() if want.accepts(event))

    for kind, target, given_ in steps:
        if kind == "add":
            model[target] = given_
            index.add(given_.where, given_.streams, target)
        elif kind == "remove":
            model.pop(target, None)
            index.remove(target)
        else:
            same(given_)
        assert len(index) == len(model)
    for event in events:
        same(event)
    for target in list(model):
        index.remove(target)
    assert not index._root
    assert not index._entries
