"""What each overflow policy keeps, against the plainest statement of it; and that no budget is ever exceeded."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from processors.live.buffer import Buffer, Bytes, Entry, buffer_for
from processors.live.request import Overflow
from processors.live.weight import weight
from tests.unit.processors.live.world import event

FEED = cast(Any, None)
EACH = weight(event(1))

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from([None, "a", "b", "c"]), st.integers(0, 3 * EACH)),
        st.tuples(st.just("take"), st.none(), st.integers(0, 5)),
    ),
    max_size=60,
)


class Run:
    """Feeds a buffer step by step and keeps account."""

    def __init__(self, overflow: Overflow, budget: int) -> None:
        self.dropped: list[int] = []
        self.shared = Bytes()
        self.budget = budget
        self.buffer: Buffer = buffer_for(
            overflow, budget, self.shared, lambda entry: self.dropped.append(entry.event.position or 0)
        )
        self.put: list[int] = []
        self.aggregates: dict[int, str | None] = {}
        self.taken: list[int] = []
        self.refused: int | None = None

    def do(self, steps: list[tuple[str, str | None, int]]) -> None:
        for action, aggregate, number in steps:
            if action == "take":
                self.take(number)
            elif not self.add(aggregate, number):
                return

    def add(self, aggregate: str | None, size: int) -> bool:
        position = len(self.put) + 1
        self.put.append(position)
        self.aggregates[position] = aggregate
        if not self.buffer.put(Entry(FEED, event(position, aggregate=aggregate, body_bytes=size))):
            self.refused = position
        assert self.shared.total <= self.budget
        return self.refused is None

    def take(self, limit: int) -> None:
        taken = self.buffer.take(limit)
        assert len(taken) <= limit
        self.taken += [entry.event.position or 0 for entry in taken]

    def rest(self) -> None:
        while len(self.buffer):
            self.take(3)
        assert self.shared.total == 0


@given(steps=STEPS, budget=st.integers(1, 8 * EACH))
def test_disconnect_keeps_everything_or_refuses(steps: list[tuple[str, str | None, int]], budget: int) -> None:
    run = Run(Overflow.DISCONNECT, budget)
    run.do(steps)
    run.rest()
    assert run.taken == [position for position in run.put if position != run.refused]


@given(steps=STEPS, budget=st.integers(1, 8 * EACH))
def test_drop_oldest_loses_only_what_it_says_and_only_the_oldest(
    steps: list[tuple[str, str | None, int]], budget: int
) -> None:
    run = Run(Overflow.DROP_OLDEST, budget)
    run.do(steps)
    waiting = len(run.buffer)
    run.rest()
    assert run.refused is None
    assert sorted(run.taken + run.dropped) == run.put
    assert run.taken == sorted(run.taken)
    newest = run.taken[len(run.taken) - waiting :]
    assert all(position not in newest for position in run.dropped)
    if newest and run.dropped:
        assert max(run.dropped) < newest[0], "what is kept is the newest"


@given(steps=STEPS, budget=st.integers(1, 8 * EACH))
def test_conflate_keeps_the_newest_of_each_aggregate(steps: list[tuple[str, str | None, int]], budget: int) -> None:
    run = Run(Overflow.CONFLATE, budget)
    run.do(steps)
    run.rest()
    accepted = [position for position in run.put if position != run.refused]
    assert run.taken == sorted(run.taken), "in the order of the newest event"
    missing = set(accepted) - set(run.taken)
    for position in missing:
        aggregate = run.aggregates[position]
        assert aggregate is not None, "events without an aggregate are all kept"
        later = [other for other in run.put if other > position and run.aggregates[other] == aggregate]
        assert later, "only what a newer event of its aggregate replaces is left out"


def test_conflate_lets_everything_through_while_there_is_room() -> None:
    run = Run(Overflow.CONFLATE, 10 * EACH)
    for _ in range(5):
        run.add("a", 0)
    run.rest()
    assert run.taken == run.put


def test_conflate_ends_once_everything_was_taken() -> None:
    run = Run(Overflow.CONFLATE, 3 * EACH)
    for _ in range(10):
        run.add("a", 100)
    run.rest()
    assert run.taken == [10]
    run.add("a", 0)
    run.add("a", 0)
    run.rest()
    assert run.taken == [10, 11, 12]


def test_an_event_larger_than_the_budget_is_dropped_by_itself_or_refused() -> None:
    dropping, keeping = Run(Overflow.DROP_OLDEST, EACH), Run(Overflow.DISCONNECT, EACH)
    dropping.add(None, 10 * EACH)
    assert (dropping.dropped, len(dropping.buffer)) == ([1], 0)
    assert not keeping.add(None, 10 * EACH)
