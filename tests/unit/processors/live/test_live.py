"""Subscriptions of one process over a ledger in memory: where they start, what they may see, how they end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from processors.live import past, subscription
from processors.live.gates import LOG_READS
from processors.live.index import index
from processors.live.items import CaughtUp, Delivered, Gap, Item, Progress, digest
from processors.live.live import Live
from processors.live.request import MIN_BUFFER_BYTES, Edge, Overflow
from processors.live.subscription import Draining, LiveSubscription, SlowConsumer
from processors.live.weight import EVENT_OVERHEAD_BYTES, weight
from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.event import NEVER, Event
from schema.filter.typed import parse_filter
from schema.principal import Action, Grant, Principal
from schema.stream import StreamEngine
from tests.unit.processors.live.world import CODEC, TENANT, MemoryLedger, event, live_over, request, stream, turns


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
async def live(ledger: MemoryLedger) -> AsyncIterator[Live]:
    live = live_over(ledger)
    await live.start()
    yield live
    await live.stop()
    await turns(5)
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"


async def until(subscribed: LiveSubscription, count: int) -> list[Item]:
    """Items until `count` events, or the first gap or end, were seen."""
    items: list[Item] = []
    async with asyncio.timeout(5):
        while sum(isinstance(item, Delivered) for item in items) < count:
            items += await anext(subscribed)
    return items


def positions(items: list[Item]) -> list[int]:
    return [item.event.position or 0 for item in items if isinstance(item, Delivered)]


async def code(live: Live, **changes: Any) -> ErrorCode:
    with pytest.raises(EsbError) as caught:
        await live.subscribe(request(**changes))
    return caught.value.code


# ---- where it starts


async def test_live_starts_at_the_logs_head_and_not_at_what_this_process_knows(
    live: Live, ledger: MemoryLedger
) -> None:
    async with await live.subscribe(request()) as first:
        await anext(first)
        ledger.commit(3)
        async with await live.subscribe(request()) as second:
            live.on_commit(ledger.commit(2))
            assert positions(await until(second, 2)) == [4, 5]
        assert positions(await until(first, 5)) == [1, 2, 3, 4, 5]


async def test_starts_at_a_time_a_cursor_or_the_beginning(live: Live, ledger: MemoryLedger) -> None:
    ledger.commit(9)
    for start, first in ((NEVER + timedelta(seconds=4), 4), (Cursor(1, 7), 7), (Edge.BEGINNING, 1), (Cursor(1, 0), 1)):
        async with await live.subscribe(request(start=start)) as subscribed:
            assert positions(await until(subscribed, 10 - first)) == list(range(first, 10))


async def test_says_when_the_past_is_over(live: Live, ledger: MemoryLedger) -> None:
    ledger.commit(3)
    async with await live.subscribe(request(start=Edge.BEGINNING, streams=(stream(1),))) as subscribed:
        items = [*await anext(subscribed), *await anext(subscribed)]
        assert [type(item) for item in items] == [Delivered, CaughtUp]
        assert [item.cursor.position for item in items] == [4, 4]
        live.on_commit(ledger.commit(3))
        assert positions(await until(subscribed, 1)) == [6]


async def test_cursors_of_another_epoch_or_beyond_the_head_are_refused(live: Live, ledger: MemoryLedger) -> None:
    ledger.commit(3)
    assert await code(live, start=Cursor(1, 5)) == ErrorCode.CURSOR_INVALID
    assert await code(live, start=Cursor(2, 2)) == ErrorCode.CURSOR_INVALID
    assert live.subscriptions == 0
    async with await live.subscribe(request(start=Cursor(1, 4))) as subscribed:
        assert [type(item) for item in await anext(subscribed)] == [CaughtUp]


async def test_a_truncated_past_is_said_not_skipped(live: Live, ledger: MemoryLedger) -> None:
    ledger.commit(9)
    ledger.truncated = 5
    async with await live.subscribe(request(start=Cursor(1, 3))) as subscribed:
        with pytest.raises(EsbError) as caught:
            await anext(subscribed)
    assert caught.value.code == ErrorCode.CURSOR_EXPIRED
    assert live.subscriptions == 0


async def test_the_past_is_not_over_before_the_logs_head_even_if_this_process_lags_behind_it(
    ledger: MemoryLedger,
) -> None:
    live = live_over(ledger, poll_seconds=60)
    await live.start()
    async with await live.subscribe(request()) as first:
        await anext(first)
        ledger.commit(3)
        async with await live.subscribe(request(start=Edge.BEGINNING)) as second:
            items = [*await anext(second), *await anext(second)]
    assert [type(item) for item in items] == [Delivered] * 3 + [CaughtUp]
    await live.stop()


async def test_what_waits_from_the_past_comes_before_what_is_live(live: Live, ledger: MemoryLedger) -> None:
    ledger.commit(9)
    async with await live.subscribe(request(start=Edge.BEGINNING, max_events=2)) as subscribed:
        seen = positions(await anext(subscribed))
        live.on_commit(ledger.commit(4))
        await turns()
        assert seen + positions(await until(subscribed, 11)) == list(range(1, 14))


async def test_a_log_that_is_away_refuses_the_subscriber_and_keeps_no_place(live: Live, ledger: MemoryLedger) -> None:
    ledger.failures = 1
    assert await code(live) == ErrorCode.LOG_UNAVAILABLE
    assert live.subscriptions == 0
    async with await live.subscribe(request()) as subscribed:
        assert [type(item) for item in await anext(subscribed)] == [CaughtUp]


# ---- what it sees


async def test_named_streams_and_filters(live: Live, ledger: MemoryLedger) -> None:
    ledger.commit(4, aggregate="a")
    ledger.commit(4, aggregate="b")
    where = parse_filter({"aggregateId": {"eq": "b"}})
    asked = request(start=Edge.BEGINNING, streams=(stream(1), stream(2)), where=where)
    async with await live.subscribe(asked) as subscribed:
        live.on_commit(ledger.commit(3, aggregate="b"))
        # Event n is in stream n % 3 + 1.
        assert positions(await until(subscribed, 4)) == [6, 7, 9, 10]


async def test_streams_the_principal_may_not_read_never_match_and_new_ones_it_may_do(
    live: Live, ledger: MemoryLedger
) -> None:
    reader = Principal(tenant=TENANT, grants=(Grant(Action.READ, "s2"), Grant(Action.READ, "s7*")))
    assert await code(live, principal=reader, streams=(stream(1),)) == ErrorCode.FORBIDDEN
    assert await code(live, principal=Principal(tenant=TENANT)) == ErrorCode.FORBIDDEN
    ledger.commit(6)
    async with await live.subscribe(request(principal=reader, start=Edge.BEGINNING)) as subscribed:
        live.on_commit(ledger.commit(1, stream_key=77))
        live.on_commit(ledger.commit(1, stream_key=8))
        live.on_commit(ledger.commit(1, stream_key=2))
        assert positions(await until(subscribed, 4)) == [1, 4, 7, 9]


async def test_a_filter_that_breaks_ends_only_its_own_subscriber(
    live: Live, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Event) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(index, "compile_normalised", lambda _: broken)
    where = parse_filter({"expression": "event.payload.a + 1 == 2"})
    async with await live.subscribe(request()) as good, await live.subscribe(request(where=where)) as bad:
        await anext(good)
        await anext(bad)
        live.on_commit(ledger.commit(1))
        with pytest.raises(EsbError) as caught:
            await anext(bad)
        assert caught.value.code == ErrorCode.INTERNAL
        assert positions(await until(good, 1)) == [1]


# ---- slow readers


def crowd(ledger: MemoryLedger, count: int) -> Any:
    return ledger.commit(count, body_bytes=1000)


FITS = MIN_BUFFER_BYTES // (1000 + EVENT_OVERHEAD_BYTES)


async def test_a_slow_reader_is_ended_with_a_cursor_from_which_nothing_is_lost(
    live: Live, ledger: MemoryLedger
) -> None:
    slow = await live.subscribe(request(buffer_bytes=MIN_BUFFER_BYTES))
    quick = await live.subscribe(request(buffer_bytes=MIN_BUFFER_BYTES))
    assert isinstance((await anext(slow))[0], CaughtUp)
    await anext(quick)
    live.on_commit(crowd(ledger, 2))
    seen = positions(await until(slow, 2))
    others = positions(await until(quick, 2))
    for _ in range(FITS):
        live.on_commit(crowd(ledger, 2))
        others += positions(await until(quick, 2))
    with pytest.raises(SlowConsumer) as caught:
        await anext(slow)
    assert others == list(range(1, len(ledger.events) + 1)), "one slow reader hurts nobody"
    details = caught.value.details
    assert details is not None
    cursor = CODEC.decode(TENANT, details["cursor"])
    await quick.aclose()
    assert (live.subscriptions, live.buffered_bytes) == (0, 0)
    async with await live.subscribe(request(start=cursor)) as again:
        seen += positions(await until(again, len(ledger.events) - 2))
    assert seen == list(range(1, len(ledger.events) + 1))


async def test_dropped_events_are_counted_in_their_place(live: Live, ledger: MemoryLedger) -> None:
    asked = request(buffer_bytes=MIN_BUFFER_BYTES, overflow=Overflow.DROP_OLDEST)
    async with await live.subscribe(asked) as subscribed:
        await anext(subscribed)
        live.on_commit(crowd(ledger, 3 * FITS))
        await turns()
        assert live.buffered_bytes <= MIN_BUFFER_BYTES
        items = await anext(subscribed)
        gap = items[0]
        assert isinstance(gap, Gap)
        assert gap.dropped == 2 * FITS
        assert gap.cursor.position == 2 * FITS + 1
        assert positions(items) == list(range(2 * FITS + 1, 3 * FITS + 1))
        assert digest(items).dropped == 2 * FITS


async def test_conflating_keeps_the_newest_of_each_aggregate(live: Live, ledger: MemoryLedger) -> None:
    asked = request(buffer_bytes=MIN_BUFFER_BYTES, overflow=Overflow.CONFLATE)
    async with await live.subscribe(asked) as subscribed:
        await anext(subscribed)
        for _ in range(3 * FITS):
            live.on_commit(ledger.commit(1, body_bytes=1000, aggregate="a"))
        live.on_commit(ledger.commit(1, aggregate="b"))
        await turns()
        assert positions(await anext(subscribed)) == [3 * FITS, 3 * FITS + 1]


async def test_the_past_is_read_only_as_it_is_asked_for(ledger: MemoryLedger) -> None:
    live = live_over(ledger, ring_bytes=10 * weight(event(1)))
    await live.start()
    ledger.commit(2000)
    before = ledger.reads
    async with await live.subscribe(request(start=Edge.BEGINNING, max_events=1)) as subscribed:
        await anext(subscribed)
        await turns(200)
        live.on_commit(ledger.commit(2000))
        await turns(200)
        assert ledger.reads - before <= 4, "the head, the ring's past, one stretch, one look at the log by the tailer"
        waiting = sum(weight(one) for feed in subscribed._feeds for one in feed.waiting or ())
        assert waiting <= past.FIRST_ROWS * weight(event(1))
    await live.stop()


async def test_those_who_come_back_after_a_restart_are_served_from_memory(live: Live, ledger: MemoryLedger) -> None:
    ledger.commit(3000)
    async with contextlib.AsyncExitStack() as stack:
        for start in range(1, 100):
            asked = request(start=Cursor(1, start), max_events=1000)
            subscribed = await stack.enter_async_context(await live.subscribe(asked))
            assert positions(await until(subscribed, 3001 - start)) == list(range(start, 3001))
        assert ledger.scans == 0


async def test_many_who_catch_up_take_turns(ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    live = live_over(ledger, ring_bytes=10 * weight(event(1)))
    await live.start()
    ledger.commit(500)
    now, most = 0, 0
    scan = ledger.scan

    async def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await turns(50)
        try:
            return await scan(*arguments, **named)
        finally:
            now -= 1

    monkeypatch.setattr(ledger, "scan", counted)

    async def catch_up(start: int) -> list[int]:
        async with await live.subscribe(request(start=Cursor(1, start))) as subscribed:
            return positions(await until(subscribed, 501 - start))

    starts = range(1, 21)  # those at one place would share what they read
    assert await asyncio.gather(*map(catch_up, starts)) == [list(range(start, 501)) for start in starts]
    assert most == LOG_READS
    await live.stop()


# ---- quiet and full messages


async def test_progress_moves_the_cursor_of_a_quiet_subscriber(
    live: Live, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PROGRESS_SECONDS", 0)
    async with await live.subscribe(request(streams=(stream(8),))) as subscribed:
        await anext(subscribed)
        subscribed.pulse()
        waiting = asyncio.create_task(anext(subscribed))  # type: ignore[arg-type]
        await turns()
        assert not waiting.done(), "nothing moved: nothing is said"
        live.on_commit(ledger.commit(5))
        await turns()
        assert not waiting.done()
        subscribed.pulse()
        [item] = await waiting
        assert isinstance(item, Progress)
        assert item.cursor.position == 6


async def test_progress_is_said_while_nothing_matches_in_a_long_past(
    ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PROGRESS_EVENTS", 30)
    live = live_over(ledger, ring_bytes=weight(event(1)))
    await live.start()
    ledger.commit(100)
    ledger.chunk = 10
    async with await live.subscribe(request(start=Edge.BEGINNING, streams=(stream(8),))) as subscribed:
        items = [(await anext(subscribed))[0] for _ in range(4)]
    assert [type(item) for item in items] == [Progress, Progress, Progress, CaughtUp]
    assert [item.cursor.position for item in items] == [31, 61, 91, 101]
    await live.stop()


async def test_a_step_waits_for_a_fuller_message(live: Live, ledger: MemoryLedger) -> None:
    async with await live.subscribe(request(max_events=3, max_wait_ms=5000)) as subscribed:
        await anext(subscribed)
        live.on_commit(ledger.commit(1))
        waiting = asyncio.create_task(anext(subscribed))  # type: ignore[arg-type]
        await turns()
        assert not waiting.done()
        live.on_commit(ledger.commit(3))
        assert positions(await waiting) == [1, 2, 3], "full: it waits no longer"
    async with await live.subscribe(request(start=Cursor(1, 5), max_wait_ms=20)) as subscribed:
        await anext(subscribed)
        live.on_commit(ledger.commit(1))
        assert positions(await anext(subscribed)) == [5], "time is up: it goes out as it is"


# ---- how it ends


async def test_draining_ends_everyone_with_a_cursor_and_refuses_newcomers(live: Live, ledger: MemoryLedger) -> None:
    ledger.commit(3)
    async with await live.subscribe(request()) as idle, await live.subscribe(request(start=Cursor(1, 2))) as busy:
        await anext(idle)
        waiting = asyncio.create_task(anext(idle))  # type: ignore[arg-type]
        await turns()
        await live.stop()
        for step, at in ((waiting, 4), (anext(busy), 2)):
            with pytest.raises(Draining) as caught:
                await step
            assert caught.value.details is not None
            assert CODEC.decode(TENANT, caught.value.details["cursor"]).position == at
        assert await code(live) == ErrorCode.LOG_UNAVAILABLE
    assert live.subscriptions == 0


async def test_draining_also_ends_who_waits_for_a_fuller_message(live: Live, ledger: MemoryLedger) -> None:
    async with await live.subscribe(request(max_wait_ms=10_000)) as subscribed:
        await anext(subscribed)
        live.on_commit(ledger.commit(1))
        waiting = asyncio.create_task(anext(subscribed))  # type: ignore[arg-type]
        await turns()
        await live.stop()
        with pytest.raises(Draining):
            async with asyncio.timeout(5):
                await waiting


async def test_who_catches_up_is_told_when_the_log_cannot_be_followed_any_more(
    live: Live, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.commit(3)
    async with await live.subscribe(request(start=Edge.BEGINNING)) as subscribed:
        monkeypatch.setattr(subscribed._feeds[0]._tailer.source, "tail", None)
        live.on_commit(ledger.commit(1))
        await subscribed._feeds[0]._tailer._task
        with pytest.raises(EsbError) as caught:
            async with asyncio.timeout(5):
                await anext(subscribed)
        assert caught.value.code == ErrorCode.INTERNAL


async def test_closing_in_the_middle_of_reading_leaves_nothing(
    ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = live_over(ledger, ring_bytes=1)
    await live.start()
    ledger.commit(3)
    reading = asyncio.Event()

    async def hang(*_: object, **__: object) -> None:
        reading.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(ledger, "scan", hang)
    subscribed = await live.subscribe(request(start=Edge.BEGINNING))
    waiting = asyncio.create_task(anext(subscribed))  # type: ignore[arg-type]
    await reading.wait()
    await subscribed.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "live-past"]
    with pytest.raises(StopAsyncIteration):
        await waiting
    await subscribed.aclose()
    await live.stop()


async def test_closing_while_the_ring_is_filled_leaves_nothing(
    live: Live, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.commit(3)
    reading = asyncio.Event()

    async def hang(*_: object, **__: object) -> None:
        reading.set()
        await asyncio.Event().wait()

    subscribed = await live.subscribe(request(start=Edge.BEGINNING))
    monkeypatch.setattr(ledger, "read", hang)
    waiting = asyncio.create_task(anext(subscribed))  # type: ignore[arg-type]
    await reading.wait()
    await subscribed.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_too_many_are_refused_and_room_is_made_by_who_leaves(ledger: MemoryLedger) -> None:
    live = live_over(ledger, subscriptions_per_tenant=1)
    await live.start()
    first = await live.subscribe(request())
    assert await code(live) == ErrorCode.RATE_LIMITED
    await first.aclose()
    await (await live.subscribe(request())).aclose()
    await live.stop()


async def test_bad_requests_are_refused(live: Live) -> None:
    wide = tuple(stream(key, StreamEngine.KAFKA, partitions=25) for key in (1, 2))
    assert await code(live, streams=wide) == ErrorCode.TOO_COMPLEX
    assert await code(live, streams=()) == ErrorCode.BAD_INPUT
    assert await code(live, buffer_bytes=1) == ErrorCode.BAD_INPUT
    assert await code(live, max_events=0) == ErrorCode.BAD_INPUT
    assert await code(live, max_wait_ms=-1) == ErrorCode.BAD_INPUT
    assert await code(live, start=NEVER.replace(tzinfo=None)) == ErrorCode.BAD_INPUT


async def test_a_forked_log_ends_its_subscribers_and_newcomers_begin_anew(live: Live, ledger: MemoryLedger) -> None:
    ledger.commit(3)
    subscribed = await live.subscribe(request())
    await anext(subscribed)
    ledger.epoch = 2
    live.on_commit(ledger.commit(1))
    with pytest.raises(EsbError) as caught:
        await anext(subscribed)
    assert caught.value.code == ErrorCode.CURSOR_INVALID
    async with await live.subscribe(request(start=Cursor(2, 4))) as again:
        live.on_commit(ledger.commit(1))
        assert positions(await until(again, 2)) == [4, 5]


async def test_subscribers_share_one_follower_of_the_log_which_lingers_after_them(ledger: MemoryLedger) -> None:
    live = live_over(ledger, linger_seconds=0, poll_seconds=60)
    await live.start()
    many = [await live.subscribe(request()) for _ in range(10)]
    for one in many:
        await anext(one)
    before = ledger.reads
    live.on_commit(ledger.commit(4))
    for one in many:
        assert positions(await until(one, 4)) == [1, 2, 3, 4]
    assert ledger.reads == before, "what is handed over is never read"
    ledger.commit(2)
    live.on_signal("log:acme")
    for one in many:
        assert positions(await until(one, 2)) == [5, 6]
    ledger.commit(1)
    live.on_signal("*")
    for one in many:
        assert positions(await until(one, 1)) == [7]
    assert ledger.reads <= before + 4
    assert live.ring_bytes > 0
    for one in many:
        await one.aclose()
    await live._tailers.reap()
    assert (len(live._tailers), live.ring_bytes) == (0, 0)
    await live.stop()
