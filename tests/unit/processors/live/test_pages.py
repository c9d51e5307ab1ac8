"""Pages of the past: what those who come by the same way share, and for how long it is kept."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from processors.live import pages
from processors.live.items import Delivered, Item
from processors.live.live import Live
from processors.live.pages import Page, PageKey, Pages, cut
from processors.live.shape import Message, Sign
from processors.live.source import Stretch
from processors.live.subscription import LiveSubscription
from processors.live.track import LedgerTrack
from processors.live.turn import Turn
from processors.live.weight import weight
from schema.cursor import Cursor
from tests.unit.processors.live.world import MemoryLedger, event, live_over, request

TRACK = LedgerTrack()


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
async def live(ledger: MemoryLedger) -> AsyncIterator[Live]:
    live = live_over(ledger)
    await live.start()
    yield live
    await live.stop()


class Counting:
    """A shape that counts how many events it has made messages of."""

    def __init__(self) -> None:
        self.made = 0

    def messages(self, items: Sequence[Item], sign: Sign, *, caught_up: bool) -> list[Message]:
        self.made += sum(isinstance(item, Delivered) for item in items)
        return [Message(str(item.cursor.position).encode(), item.cursor) for item in items]


class Socket:
    """An outlet that takes everything, or nothing."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.got: list[int] = []

    def ready(self) -> bool:
        return self.takes

    def send(self, turn: Turn) -> bool:
        if self.takes:
            assert [item.cursor for item in turn.items] == [message.place for message in turn.messages]
            self.got += [item.event.position or 0 for item in turn.items if isinstance(item, Delivered)]
        return self.takes


async def come_back(live: Live, shape: Counting, place: int, *, takes: bool = True) -> tuple[list[int], Cursor]:
    """What one subscriber is shown until it is live, and its cursor then."""
    socket = Socket(takes=takes)
    subscribed: LiveSubscription = await live.subscribe(request(start=Cursor(1, place), shape=shape))
    subscribed.send_to(socket)
    async with asyncio.timeout(10), subscribed:
        while not subscribed.caught_up:
            items = await anext(subscribed)
            socket.got += [item.event.position or 0 for item in items if isinstance(item, Delivered)]
        return socket.got, subscribed.cursor


@pytest.mark.parametrize("ring_events", [2, 1000])
async def test_what_many_missed_is_read_and_encoded_once(ledger: MemoryLedger, ring_events: int) -> None:
    live = live_over(ledger, ring_bytes=ring_events * weight(event(1)))
    await live.start()
    shape = Counting()
    ledger.commit(300)
    before = ledger.scans
    first = await come_back(live, shape, 1)
    scans, made = ledger.scans - before, shape.made
    for _ in range(20):
        assert await come_back(live, shape, 1) == first
    assert first == (list(range(1, 301)), Cursor(1, 301, first[1].at_ms))
    assert (ledger.scans - before, shape.made) == (scans, made) == (scans, 300)
    await live.stop()


async def test_who_does_not_read_takes_the_same_for_itself(live: Live, ledger: MemoryLedger) -> None:
    ledger.commit(300)
    assert await come_back(live, Counting(), 1, takes=False) == await come_back(live, Counting(), 1)


async def test_what_one_has_read_is_not_read_again_when_nothing_is_kept_for_all(
    ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pages, "get", lambda *_: None)
    live = live_over(ledger, ring_bytes=weight(event(1)))
    await live.start()
    ledger.commit(1500)
    shown, _ = await come_back(live, Counting(), 1)
    assert shown == list(range(1, 1501))
    assert ledger.scans <= 8  # of 32, 64, 128, 256 and then 500 rows, and the end
    await live.stop()


async def test_what_was_committed_meanwhile_is_not_missed(live: Live, ledger: MemoryLedger) -> None:
    shape = Counting()
    for many in range(100, 110):
        live.on_commit(ledger.commit(100 if many == 100 else 1))
        shown, cursor = await come_back(live, shape, 1)
        assert shown == list(range(1, many + 1))
        assert cursor.position == many + 1


async def test_a_long_way_of_many_steps_does_not_come_of_events_that_trickle_in(
    live: Live, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(Socket, "send", lambda _, turn: sent.append(len(turn.items)) or True)
    for _ in range(50):
        live.on_commit(ledger.commit(1))
        await come_back(live, Counting(), 1)
    sent.clear()
    await come_back(live, Counting(), 1)
    assert sent == [50]


def page(count: int, *, first: int = 1, body_bytes: int = 100, full: bool = True) -> Page:
    events = [event(first + number, body_bytes=body_bytes) for number in range(count)]
    return Page(TRACK, Cursor(1, first), events, Cursor(1, first + count), scanned=count, full=full)


@pytest.mark.parametrize(
    ("body_bytes", "sizes"),
    [
        (100, [pages.PAGE_EVENTS, pages.PAGE_EVENTS, 44]),
        (pages.PAGE_BYTES // 100, [100, 100, 100]),
        (pages.PAGE_BYTES + 1, [1] * 300),
    ],
)
def test_pages_are_small_enough_to_be_sent_in_one_go(body_bytes: int, sizes: list[int]) -> None:
    events = [event(number, body_bytes=body_bytes) for number in range(1, 301)]
    found = cut(TRACK, Cursor(1, 1), Stretch(events, Cursor(1, 400), 399), full=False)
    assert [len(one.events) for one in found] == sizes
    assert [one.full for one in found] == [True] * (len(sizes) - 1) + [False]
    assert [one.before.position for one in found[1:]] == [one.place.position for one in found[:-1]]
    assert found[-1].place.position == 400
    assert sum(one.scanned for one in found) == 399


def test_nothing_found_is_a_page_too() -> None:
    (only,) = cut(TRACK, Cursor(1, 1), Stretch([], Cursor(1, 400), 399), full=False)
    assert (only.events, only.place.position, only.scanned) == ([], 400, 399)


def key(number: int) -> PageKey:
    return PageKey("log", "query", Cursor(1, number))


def test_pages_are_kept_within_a_budget_and_those_in_use_longest() -> None:
    one = page(10)
    kept = Pages(limit_bytes=20 * one.bytes)
    kept.put(key(0), one)
    for number in range(1, 200):
        kept.put(key(number), page(10))
        assert kept.get(key(0)) is one
        assert len(kept) <= 21
    assert kept.get(key(1)) is None
    assert kept.get(key(199)) is not None


def test_pages_nobody_asks_for_go_after_a_while() -> None:
    kept = Pages()
    kept.put(key(0), page(10))
    kept.put(key(0), page(10))
    began = kept._began
    kept.pulse(began + pages.KEPT_SECONDS - 1)
    assert len(kept) == 1
    kept.pulse(began + pages.KEPT_SECONDS)
    assert len(kept) == 1
    kept.pulse(kept._began + pages.KEPT_SECONDS)
    assert len(kept) == 0
