"""Whatever is handed over, lost, repeated, late, signalled or failing: each subscriber sees each event from its start
on once and in order, and its cursors mean what they say.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.live import backoff
from processors.live.items import CaughtUp, Delivered, Gap, Item, Progress
from processors.live.live import Live
from processors.live.request import Edge
from processors.live.shape import Message, Sign
from processors.live.subscription import Draining, LiveSubscription
from processors.live.turn import Turn
from processors.live.weight import EVENT_OVERHEAD_BYTES
from schema.cursor import Cursor
from tests.unit.processors.live.world import CODEC, TENANT, Committed, MemoryLedger, live_over, request, stream, turns

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["hand_over", "lose", "delay"]), st.integers(1, 6)),
        st.tuples(st.just("late"), st.integers(0, 20)),
        st.tuples(st.just("repeat"), st.integers(0, 20)),
        st.tuples(st.just("signal"), st.just(0)),
        st.tuples(st.just("fail"), st.integers(1, 2)),
        st.tuples(st.sampled_from(["subscribe", "subscribe_to_some"]), st.integers(0, 100)),
        st.tuples(st.sampled_from(["subscribe_direct", "subscribe_direct_gathering"]), st.integers(0, 100)),
        st.tuples(st.sampled_from(["block", "unblock"]), st.integers(0, 20)),
        st.tuples(st.just("consume"), st.integers(0, 20)),
        st.tuples(st.just("wait"), st.integers(1, 8)),
    ),
    max_size=60,
)


@pytest.fixture(autouse=True)
def _impatient() -> Iterator[None]:
    before, backoff.FIRST_SECONDS = backoff.FIRST_SECONDS, 0.001
    yield
    backoff.FIRST_SECONDS = before


class OneEach:
    """A shape that makes a message of every item."""

    def messages(self, items: Sequence[Item], sign: Sign, *, caught_up: bool) -> list[Message]:
        return [Message(b"", item.cursor) for item in items]


SHAPE = OneEach()


class Follower:
    """A subscriber, and what it must see. It is an outlet, too, and `blocked` like a peer that does not read."""

    def __init__(self, subscription: LiveSubscription, start: int, names: set[str] | None) -> None:
        self.subscription = subscription
        self.blocked = False
        self.direct = self.refused = 0
        self.start = start
        self.names = names
        self.seen: list[int] = []
        self.cursor = start
        self.caught_up_at: int | None = None
        self.head = 0

    async def step(self) -> None:
        """One step, if one is ready soon; else it is cancelled, which must lose nothing."""
        try:
            async with asyncio.timeout(0.001 + 3 * self.subscription.request.gather.max_wait_s):
                items = await anext(self.subscription)
        except TimeoutError:
            return
        assert len(items) <= self.subscription.request.max_events
        self.take(items)

    @property
    def is_direct(self) -> bool:
        return self.subscription._feeds[0].direct

    def ready(self) -> bool:
        return not self.blocked

    def send(self, turn: Turn) -> bool:
        if self.blocked:
            self.refused += 1
            return False
        assert turn.before.position >= self.cursor, "a turn begins after what was seen"
        assert [message.place for message in turn.messages] == [item.cursor for item in turn.items]
        assert len(turn.items) <= self.subscription.request.max_events
        self.direct += len(turn.items)
        self.take(turn.items)
        return True

    def take(self, items: Sequence[Item]) -> None:
        for item in items:
            assert item.cursor.position >= self.cursor, "cursors never go back"
            self.cursor = item.cursor.position
            if isinstance(item, Delivered):
                position = item.event.position or 0
                assert item.cursor.position == position + 1
                self.seen.append(position)
            elif isinstance(item, CaughtUp):
                assert self.caught_up_at is None
                assert item.cursor.position >= self.head, "said before the past was over"
                self.caught_up_at = item.cursor.position
            else:
                assert isinstance(item, Progress)
                assert not isinstance(item, Gap)

    def expected(self, ledger: MemoryLedger) -> list[int]:
        return [
            event.position or 0
            for event in ledger.events[self.start - 1 :]
            if self.names is None or event.stream in self.names
        ]


class World:
    def __init__(self, ring_events: int, chunk: int) -> None:
        self.ledger = MemoryLedger()
        self.ledger.chunk = chunk
        self.live: Live = live_over(self.ledger, ring_bytes=ring_events * (100 + EVENT_OVERHEAD_BYTES))
        self.late: list[Committed] = []
        self.old: list[Committed] = []
        self.followers: list[Follower] = []

    async def do(self, action: str, number: int) -> None:
        if action in ("hand_over", "lose", "delay"):
            commit = self.ledger.commit(number)
            self.old.append(commit)
            if action == "hand_over":
                self.live.on_commit(commit)
            elif action == "delay":
                self.late.append(commit)
        elif action == "late" and self.late:
            self.live.on_commit(self.late.pop(number % len(self.late)))
        elif action == "repeat" and self.old:
            self.live.on_commit(self.old[number % len(self.old)])
        elif action == "signal":
            self.live.on_signal("log:acme")
        elif action == "fail":
            self.ledger.failures = number
        elif action.startswith("subscribe_direct"):
            await self.subscribe(number, False, gathering=action.endswith("gathering"), direct=True)
        elif action.startswith("subscribe"):
            await self.subscribe(number, action == "subscribe_to_some")
        elif action in ("block", "unblock") and self.followers:
            self.followers[number % len(self.followers)].blocked = action == "block"
        elif action == "consume" and self.followers:
            await self.followers[number % len(self.followers)].step()
        elif action == "wait":
            await turns(number)

    async def subscribe(self, number: int, some: bool, *, direct: bool = False, gathering: bool = False) -> None:
        self.ledger.failures = 0
        head = len(self.ledger.events) + 1
        live = number % 4 == 0
        start = head if live else number % head + 1
        streams = (stream(1), stream(3)) if some else None
        asked = request(
            start=Edge.LIVE if live else Cursor(1, start),
            streams=streams,
            max_events=number % 7 + 1,
            max_wait_ms=number % 3 if gathering else 0,
            shape=SHAPE if direct else None,
        )
        subscription = await self.live.subscribe(asked)
        follower = Follower(subscription, start, {"s1", "s3"} if some else None)
        follower.head = head
        if direct:
            subscription.send_to(follower)
        self.followers.append(follower)

    async def settle(self) -> None:
        for follower in self.followers:
            async with asyncio.timeout(5):
                while follower.caught_up_at is None or len(follower.seen) < len(follower.expected(self.ledger)):
                    await follower.step()
            await follower.step()
            follower.blocked = False

    async def drain(self) -> None:
        """The last cursor of each goes on after what it saw, and after what it does not want."""
        for follower in self.followers:
            follower.subscription.drain()
            with pytest.raises(Draining) as caught:
                await anext(follower.subscription)
            cursor = CODEC.decode(TENANT, str(caught.value.details["cursor"]))
            assert follower.cursor <= cursor.position <= len(self.ledger.events) + 1


@settings(max_examples=250, deadline=None)
@given(steps=STEPS, ring_events=st.integers(1, 12), chunk=st.integers(1, 9))
def test_each_subscriber_sees_each_event_once_in_order(
    steps: list[tuple[str, int]], ring_events: int, chunk: int
) -> None:
    async def run() -> None:
        random.seed(0)
        world = World(ring_events, chunk)
        await world.live.start()
        try:
            for action, number in steps:
                await world.do(action, number)
            await world.settle()
            for follower in world.followers:
                assert follower.seen == follower.expected(world.ledger)
            await world.drain()
            for follower in world.followers:
                await follower.subscription.aclose()
            assert world.live.subscriptions == 0
            assert world.live.buffered_bytes == 0
        finally:
            await world.live.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"

    asyncio.run(run())
