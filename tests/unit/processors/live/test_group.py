"""What becomes of direct members at the edges: draining, failing messages, quiet times."""

import asyncio
from collections.abc import Sequence

import pytest

from processors.live import group
from processors.live import tailer as following
from processors.live.items import CaughtUp, Delivered, Item, Progress
from processors.live.live import Live
from processors.live.matcher import GROUP_EVENTS
from processors.live.shape import Message, Sign
from processors.live.subscription import Draining, LiveSubscription
from processors.live.turn import Turn
from tests.unit.processors.live.world import CODEC, TENANT, MemoryLedger, live_over, request, stream, turns


class OneEach:
    """A message of every item; of events alone where `events_only`; none at all where `broken`."""

    def __init__(self, *, events_only: bool = False) -> None:
        self.events_only = events_only
        self.broken = False
        self.made = 0

    def messages(self, items: Sequence[Item], sign: Sign, *, caught_up: bool) -> list[Message]:
        if self.broken:
            raise ValueError("no message")
        self.made += 1
        return [Message(b"", item.cursor) for item in items if isinstance(item, Delivered) or not self.events_only]


class Outlet:
    def __init__(self) -> None:
        self.open = True
        self.turns: list[Turn] = []

    def ready(self) -> bool:
        return self.open

    def send(self, turn: Turn) -> bool:
        if self.open:
            self.turns.append(turn)
        return self.open

    @property
    def items(self) -> list[Item]:
        return [item for turn in self.turns for item in turn.items]


async def direct(
    live: Live, shape: OneEach, **asked: object
) -> tuple[LiveSubscription, Outlet, asyncio.Task[list[Item]]]:
    """A subscription that is direct, its outlet, and its next step, which waits."""
    subscribed, outlet = await live.subscribe(request(shape=shape, **asked)), Outlet()
    subscribed.send_to(outlet)
    assert isinstance((await anext(subscribed))[0], CaughtUp)
    step: asyncio.Task[list[Item]] = asyncio.ensure_future(anext(subscribed))
    await turns()
    assert subscribed._feeds[0].direct
    return subscribed, outlet, step


async def test_members_share_what_was_made_once() -> None:
    ledger, shape = MemoryLedger(), OneEach()
    live = live_over(ledger)
    await live.start()
    members = [await direct(live, shape) for _ in range(5)]
    live.on_commit(ledger.commit(3))
    await turns()
    assert shape.made == 1
    assert len({id(outlet.turns[0]) for _, outlet, _ in members}) == 1
    await live.stop()
    await asyncio.gather(*(step for _, _, step in members), return_exceptions=True)


async def test_groups_of_other_filters_share_the_turns_they_have_in_common() -> None:
    ledger, shape = MemoryLedger(), OneEach()
    live = live_over(ledger)
    await live.start()
    members = [await direct(live, shape, buffer_bytes=20_000 + n, max_events=10 + n) for n in range(5)]
    live.on_commit(ledger.commit(3))
    await turns()
    assert shape.made == 1
    await live.stop()
    await asyncio.gather(*(step for _, _, step in members), return_exceptions=True)


async def test_a_batch_is_handed_out_once_to_groups_that_want_little_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "TURN_SECONDS", 3600)
    ledger = MemoryLedger()
    live = live_over(ledger)
    await live.start()
    members = [await direct(live, OneEach(), streams=(stream(number),)) for number in (1, 2, 3)]
    live.on_commit(ledger.commit(180))
    await turns()
    assert [[len(turn.items) for turn in outlet.turns] for _, outlet, _ in members] == [[60], [60], [60]]
    await live.stop()
    await asyncio.gather(*(step for _, _, step in members), return_exceptions=True)


async def test_a_group_that_wants_much_gets_it_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "TURN_SECONDS", 3600)
    ledger = MemoryLedger()
    live = live_over(ledger)
    await live.start()
    _, outlet, step = await direct(live, OneEach())
    live.on_commit(ledger.commit(2 * GROUP_EVENTS + 1))
    await turns()
    assert [len(turn.items) for turn in outlet.turns] == [GROUP_EVENTS, GROUP_EVENTS, 1]
    assert [turn.before.position for turn in outlet.turns] == [1, GROUP_EVENTS + 1, 2 * GROUP_EVENTS + 1]
    await live.stop()
    await asyncio.gather(step, return_exceptions=True)


async def test_the_loop_comes_to_others_within_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "TURN_SECONDS", -1)
    ledger = MemoryLedger()
    live = live_over(ledger)
    await live.start()
    _, outlet, step = await direct(live, OneEach())
    live.on_commit(ledger.commit(10))
    seen = list[int]()
    while len(outlet.items) < 10:
        await asyncio.sleep(0)
        seen.append(len(outlet.items))
    assert set(range(1, 11)) <= set(seen)
    await live.stop()
    await asyncio.gather(step, return_exceptions=True)


async def test_draining_sends_what_was_gathered_before_it_says_where_to_go_on() -> None:
    ledger = MemoryLedger()
    live = live_over(ledger)
    await live.start()
    _, outlet, step = await direct(live, OneEach(), max_events=100, max_wait_ms=10_000)
    live.on_commit(ledger.commit(3))
    await turns()
    assert outlet.items == [], "they wait for company"
    await live.stop()
    with pytest.raises(Draining) as caught:
        await step
    assert len(outlet.items) == 3
    assert CODEC.decode(TENANT, str(caught.value.details["cursor"])).position == 4


async def test_when_no_message_can_be_made_each_meets_the_failure_itself() -> None:
    ledger, shape = MemoryLedger(), OneEach()
    live = live_over(ledger)
    await live.start()
    subscribed, outlet, step = await direct(live, shape)
    shape.broken = True
    live.on_commit(ledger.commit(2))
    items = await step
    assert [item.event.position for item in items if isinstance(item, Delivered)] == [1, 2]
    shape.broken = False
    step = asyncio.ensure_future(anext(subscribed))
    await turns()
    live.on_commit(ledger.commit(1))
    await turns()
    assert [item.cursor.position for item in outlet.items] == [4], "and is direct again"
    await live.stop()
    with pytest.raises(Draining):
        await step


async def test_progress_is_said_to_direct_members_and_not_to_those_who_hear_of_events_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group, "PROGRESS_SECONDS", 0)
    ledger = MemoryLedger()
    live = live_over(ledger)
    await live.start()
    wanted = (stream(8),)
    _, told, first = await direct(live, OneEach(), streams=wanted)
    _, untold, second = await direct(live, OneEach(events_only=True), streams=wanted)

    def pulse() -> None:
        for tailer in live._tailers:
            tailer.pulse()

    pulse()
    assert told.items == [], "nothing has moved"
    live.on_commit(ledger.commit(5))
    await turns()
    pulse()
    pulse()
    assert [(type(item), item.cursor.position) for item in told.items] == [(Progress, 6)]
    assert untold.items == []
    await live.stop()
    await asyncio.gather(first, second, return_exceptions=True)
