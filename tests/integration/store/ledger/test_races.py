"""Several processes write the same tenant's log at once."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

from schema.cursor import Cursor
from schema.errors import ErrorCode
from schema.event import Event
from store.log.memory import MemoryLog
from store.log.port import Command, Outcome, Receipt, Refusal
from tests.events import draft, event_id
from tests.integration.store.ledger.conftest import Process


async def everything(process: Process) -> list[Event]:
    events: list[Event] = []
    cursor = Cursor(1, 1)
    while (batch := await process.log.read(cursor, 1000)).events:
        events += batch.events
        cursor = batch.cursor
    return events


def gapless(events: Sequence[Event]) -> None:
    """Positions and every aggregate's sequence numbers run from 1; times never go back."""
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    versions: Counter[str] = Counter()
    for event in events:
        if event.aggregate_id is not None:
            versions[event.aggregate_id] += 1
            assert event.sequence_number == versions[event.aggregate_id]
    times = [event.recorded_at for event in events]
    assert times == sorted(times)


async def test_the_same_ids_from_three_processes_are_stored_once(ledgers: list[Process]) -> None:
    ids = [event_id() for _ in range(1500)]

    async def publish(process: Process) -> list[Receipt]:
        mine = random.sample(ids, len(ids))
        receipts: list[Receipt] = []
        for start in range(0, len(mine), 50):
            batch = mine[start : start + 50]
            outcomes = await process.log.append(
                [Command(events=[draft(process.stream, f"u{int(one[4:]) % 20}", id=one)]) for one in batch]
            )
            for outcome in outcomes:
                assert isinstance(outcome, list), outcome
                receipts += outcome
        return receipts

    answers = await asyncio.gather(*[publish(process) for process in ledgers])
    events = await everything(ledgers[0])
    gapless(events)
    places = {event.event_id: (event.position, event.sequence_number, event.recorded_at) for event in events}
    assert set(places) == set(ids)
    said = [receipt for receipts in answers for receipt in receipts]
    assert all(places[one.event_id] == (one.position, one.sequence_number, one.recorded_at) for one in said)
    assert Counter(one.event_id for one in said if not one.duplicate) == Counter(ids)


async def test_of_writers_in_three_processes_who_saw_one_version_one_wins(ledgers: list[Process]) -> None:
    for version in range(20):
        outcomes: list[list[Outcome]] = await asyncio.gather(
            *[
                process.log.append([Command(events=[draft(process.stream, "u1", expected=version)])])
                for process in ledgers
                for _ in range(4)
            ]
        )
        refused = [one[0] for one in outcomes if isinstance(one[0], Refusal)]
        assert len(refused) == 11
        assert {one.code for one in refused} == {ErrorCode.SEQUENCE_CONFLICT}


async def test_what_races_leave_behind_is_a_serial_history(ledgers: list[Process]) -> None:
    dice = random.Random(7)
    ids = [event_id() for _ in range(300)]
    accepted: list[tuple[int, Command]] = []

    def invent(process: Process) -> Command:
        size = dice.choice((1, 1, 1, 2, 3))
        return Command(
            events=[
                draft(
                    process.stream,
                    dice.choice(("a", "b", "c", None)),
                    id=one,
                    payload=dice.choice((0, 0, 0, 1)),
                    expected=dice.choice((None, None, None, 1, 5, 20)),
                )
                for one in dice.sample(ids, size)
            ]
        )

    async def publish(process: Process) -> None:
        for _ in range(40):
            commands = [invent(process) for _ in range(dice.randint(1, 8))]
            for command, outcome in zip(commands, await process.log.append(commands), strict=True):
                if isinstance(outcome, list) and not outcome[0].duplicate:
                    assert outcome[0].position is not None
                    accepted.append((outcome[0].position, command))

    await asyncio.gather(*[publish(process) for process in ledgers for _ in range(2)])
    events = await everything(ledgers[0])
    gapless(events)
    assert len(events) > 100
    # One after the other, in the order of their positions, a serial log accepts just these commands just there.
    model = MemoryLog({ledgers[0].stream.key})
    for position, command in sorted(accepted, key=lambda one: one[0]):
        (outcome,) = await model.append([command])
        assert isinstance(outcome, list)
        assert outcome[0].position == position
    serial = (await model.read(Cursor(1, 1), 10_000)).events
    assert [(one.position, one.sequence_number, one.body) for one in serial] == [
        (one.position, one.sequence_number, one.body) for one in events
    ]


async def test_a_tail_sees_what_other_processes_commit_in_order(ledgers: list[Process]) -> None:
    seen: list[int | None] = []

    async def follow() -> None:
        async for batch in ledgers[0].log.tail(Cursor(1, 1)):
            seen.extend(event.position for event in batch.events)
            if len(seen) >= 300:
                return

    async def publish(process: Process) -> None:
        for _ in range(100):
            await process.log.append([Command(events=[draft(process.stream, "u1")])])

    async with asyncio.timeout(30):
        await asyncio.gather(follow(), *[publish(process) for process in ledgers])
    assert seen == list(range(1, 301))
