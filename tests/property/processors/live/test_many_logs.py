"""A subscription over the ledger and a partitioned stream, cut at any item and resumed from its cursor: every event of
both logs is seen once, those of one partition and those of the ledger in order.
"""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.live import backoff
from processors.live.items import CaughtUp, Delivered, Gap
from processors.live.live import Live, LiveLimits
from processors.live.request import MIN_BUFFER_BYTES, Edge, Overflow, Start
from processors.live.subscription import LiveSubscription
from processors.live.weight import EVENT_OVERHEAD_BYTES
from schema.cursor import Cursor
from schema.event import Event
from schema.stream import Stream, StreamEngine
from tests.unit.processors.live.partitioned import PartitionedLog
from tests.unit.processors.live.world import CODEC, TENANT, MemoryLedger, request, stream, turns

KAFKA = stream(9, StreamEngine.KAFKA, partitions=2)
STREAMS = (stream(1), stream(2), stream(3), KAFKA)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ledger"), st.integers(1, 4)),
        st.tuples(st.just("record"), st.integers(0, 7)),
        st.tuples(st.just("hole"), st.integers(0, 1)),
        st.tuples(st.sampled_from(["fail_stream", "fail_ledger"]), st.integers(1, 2)),
        st.tuples(st.just("step"), st.integers(1, 3)),
        st.tuples(st.just("cut"), st.integers(1, 5)),
        st.tuples(st.just("wait"), st.integers(1, 8)),
    ),
    max_size=50,
)


@pytest.fixture(autouse=True)
def _impatient() -> Iterator[None]:
    before, backoff.FIRST_SECONDS = backoff.FIRST_SECONDS, 0.001
    yield
    backoff.FIRST_SECONDS = before


class Logs(MemoryLedger):
    """The ledger, and the stream beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.partitioned = PartitionedLog(KAFKA)

    async def of(self, asked: Stream) -> PartitionedLog:  # type: ignore[override]
        return self.partitioned


class World:
    def __init__(self, start: Start) -> None:
        self.logs = Logs()
        limits = LiveLimits(poll_seconds=0.01, ring_bytes=4 * (100 + EVENT_OVERHEAD_BYTES))
        self.live = Live(self.logs, self.logs, self.logs, CODEC, limits=limits)
        self.start = start
        self.subscription: LiveSubscription | None = None
        self.seen: list[Event] = []
        self.caught_up = False

    async def do(self, action: str, number: int) -> None:
        partitioned = self.logs.partitioned
        if action == "ledger":
            commit = self.logs.commit(number)
            if number % 2:
                self.live.on_commit(commit)
        elif action == "record":
            partitioned.commit(number % 2, hole=number // 2)
        elif action == "hole":
            partitioned.end_with_hole(number)
        elif action == "fail_stream":
            partitioned.failures = number
        elif action == "fail_ledger":
            self.logs.failures = number
        elif action == "step":
            await self.step()
        elif action == "cut":
            await self.cut(number)
        else:
            await turns(number)

    async def follow(self) -> None:
        self.logs.failures = self.logs.partitioned.failures = 0
        self.subscription = await self.live.subscribe(request(start=self.start, streams=STREAMS, max_events=3))
        self.caught_up = False

    async def step(self, keep: int = 99) -> bool:
        """One step, of which `keep` items arrive."""
        assert self.subscription is not None
        try:
            async with asyncio.timeout(0.001):
                items = await anext(self.subscription)
        except TimeoutError:
            return False
        for item in items[:keep]:
            self.start = CODEC.decode(TENANT, CODEC.encode(TENANT, item.cursor))
            if isinstance(item, Delivered):
                self.seen.append(item.event)
            self.caught_up |= isinstance(item, CaughtUp)
        return True

    async def cut(self, keep: int) -> None:
        """The connection breaks after some of a step's items; another one goes on from the last cursor."""
        assert self.subscription is not None
        await self.step(keep)
        await self.subscription.aclose()
        await self.follow()

    def there(self) -> int:
        return len(self.logs.events) + self.logs.partitioned.count


@settings(max_examples=250, deadline=None)
@given(steps=STEPS, before=st.integers(0, 6))
def test_cut_and_resumed_anywhere_sees_everything_once(steps: list[tuple[str, int]], before: int) -> None:
    async def run() -> None:
        world = World(Edge.BEGINNING)
        for number in range(before):
            world.logs.commit()
            world.logs.partitioned.commit(number % 2, hole=number % 3)
        await world.live.start()
        await world.follow()
        for action, number in steps:
            await world.do(action, number)
        async with asyncio.timeout(20):
            while len(world.seen) < world.there() or not world.caught_up:
                await world.step()
        await world.step()
        ledger = [event for event in world.seen if event.partition is None]
        assert ledger == world.logs.events
        for partition in range(2):
            records = [event for event in world.seen if event.partition == partition]
            assert records == world.logs.partitioned.records[partition]
        await world.live.stop()
        assert world.subscription is not None
        await world.subscription.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


async def test_a_cursor_that_does_not_know_the_stream_yet_starts_at_its_time() -> None:
    logs = Logs()
    live = Live(logs, logs, logs, CODEC)
    await live.start()
    for number in range(6):
        logs.partitioned.commit(number % 2)
    cursor = Cursor(logs.epoch, 1, at_ms=4000)
    async with await live.subscribe(request(start=cursor, streams=STREAMS)) as subscription:
        items = await anext(subscription)
    await live.stop()
    found = [item.event.recorded_at.second for item in items if isinstance(item, Delivered)]
    assert sorted(found) == [4, 5, 6]


async def test_a_gap_passes_what_was_dropped_of_every_partition() -> None:
    logs = Logs()
    live = Live(logs, logs, logs, CODEC)
    await live.start()
    asked = request(streams=(KAFKA,), overflow=Overflow.DROP_OLDEST, buffer_bytes=MIN_BUFFER_BYTES)
    async with await live.subscribe(asked) as subscription:
        await anext(subscription)
        for number in range(40):
            logs.partitioned.commit(number % 2)
        await turns(400)
        gap, *kept = await anext(subscription)
    await live.stop()
    assert isinstance(gap, Gap)
    assert gap.dropped + len(kept) == 40
    assert sum(sum(offsets) for _, offsets in gap.cursor.kafka) == gap.dropped
