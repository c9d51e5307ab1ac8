"""What every log keeps (store/log/port.py), whichever engine it is."""

import asyncio
from contextlib import aclosing
from itertools import pairwise

from schema.cursor import Cursor
from schema.event import Event
from store.log.port import Command, Log, Receipt
from tests.conformance.engines import Subject
from tests.events import draft


async def commit(subject: Subject, *aggregates: str | None) -> list[Receipt]:
    """One event for each, each a command of its own, in one append."""
    outcomes = await subject.log.append(
        [Command(events=[draft(subject.stream, name, payload={"n": n})]) for n, name in enumerate(aggregates)]
    )
    receipts = []
    for outcome in outcomes:
        assert isinstance(outcome, list), outcome
        receipts += outcome
    return receipts


async def everything(log: Log, start: Cursor, limit: int = 7) -> list[Event]:
    """All events from `start` on, in small reads."""
    events: list[Event] = []
    while True:
        batch = await log.read(start, limit)
        if not batch.events:
            return events
        assert len(batch.events) <= limit
        events += batch.events
        start = batch.cursor


async def followed(log: Log, start: Cursor, count: int) -> list[Event]:
    """The first `count` events of a tail."""
    events: list[Event] = []
    async with asyncio.timeout(20), aclosing(log.tail(start)) as tail:  # type: ignore[type-var]
        async for batch in tail:
            events += batch.events
            if len(events) >= count:
                break
    return events


async def test_nothing_appended_is_nothing_done(subject: Subject) -> None:
    assert await subject.log.append([]) == []


async def test_what_was_appended_is_read_back_whole(subject: Subject) -> None:
    start = await subject.log.head()
    sent = [draft(subject.stream, f"u{n % 3}", payload={"n": n, "text": "…"}) for n in range(20)]
    outcomes = await subject.log.append([Command(events=[one]) for one in sent])
    assert all(isinstance(outcome, list) and len(outcome) == 1 for outcome in outcomes)
    events = {event.event_id: event for event in await everything(subject.log, start)}
    assert set(events) == {one.envelope.event_id for one in sent}
    for one in sent:
        found = events[one.envelope.event_id]
        assert found.body == one.body
        assert found.stream == subject.stream.stream_name
        assert (found.event_type, found.aggregate_id, found.timestamp) == (
            one.envelope.event_type,
            one.envelope.aggregate_id,
            one.envelope.timestamp,
        )


async def test_an_aggregates_events_keep_their_order(subject: Subject) -> None:
    start = await subject.log.head()
    for _ in range(3):
        await commit(subject, *[f"u{n % 4}" for n in range(12)])
    events = await everything(subject.log, start)
    for name in ("u0", "u1", "u2", "u3"):
        numbers = [event.payload_document["n"] for event in events if event.aggregate_id == name]
        assert len(numbers) == 9
        assert numbers == sorted(numbers[:3]) * 3


async def test_receipts_name_the_place_the_event_is_read_from(subject: Subject) -> None:
    start = await subject.log.head()
    receipts = await commit(subject, "u1", "u2", None)
    places = {
        event.event_id: (event.position, event.partition, event.offset, event.entry_id, event.sequence_number)
        for event in await everything(subject.log, start)
    }
    for receipt in receipts:
        assert receipt.stream == subject.stream.stream_name
        assert not receipt.duplicate
        assert places[receipt.event_id] == (
            receipt.position,
            receipt.partition,
            receipt.offset,
            receipt.entry_id,
            receipt.sequence_number,
        )


async def test_the_last_receipts_cursor_goes_on_with_what_comes_after(subject: Subject) -> None:
    await commit(subject, "u1")
    (before,) = await commit(subject, "u1")
    (after,) = await commit(subject, "u1")
    assert [event.event_id for event in await everything(subject.log, before.cursor)] == [after.event_id]


async def test_the_head_is_behind_everything(subject: Subject) -> None:
    await commit(subject, "u1", "u2", "u3")
    head = await subject.log.head()
    batch = await subject.log.read(head, 10)
    assert not batch.events
    (receipt,) = await commit(subject, "u4")
    assert [event.event_id for event in await everything(subject.log, head)] == [receipt.event_id]


async def test_a_tail_gives_the_old_then_the_new_each_once(subject: Subject) -> None:
    start = await subject.log.head()
    old = await commit(subject, "u1", "u1", "u1")
    tail = asyncio.create_task(followed(subject.log, start, 6))
    new = await commit(subject, "u1", "u1", "u1")
    assert [event.event_id for event in await tail] == [receipt.event_id for receipt in old + new]


async def test_a_tail_from_the_head_waits_for_the_next_event(subject: Subject) -> None:
    await commit(subject, "u1")
    head = await subject.log.head()
    tail = asyncio.create_task(followed(subject.log, head, 1))
    (receipt,) = await commit(subject, "u1")
    assert [event.event_id for event in await tail] == [receipt.event_id]


async def test_concurrent_appends_all_arrive_each_callers_in_order(subject: Subject) -> None:
    start = await subject.log.head()

    async def publish(name: str) -> list[str]:
        return [(await commit(subject, name))[0].event_id for _ in range(10)]

    sent = await asyncio.gather(*[publish(f"u{n}") for n in range(8)])
    events = await everything(subject.log, start)
    for n, ids in enumerate(sent):
        assert [event.event_id for event in events if event.aggregate_id == f"u{n}"] == ids


async def test_recorded_at_never_goes_back(subject: Subject) -> None:
    receipts = [receipt for _ in range(5) for receipt in await commit(subject, "u1", "u1")]
    assert all(one.recorded_at <= two.recorded_at for one, two in pairwise(receipts))
    assert receipts[0].recorded_at.tzinfo is not None
