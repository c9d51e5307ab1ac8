"""Consistency boundaries under contention: what was decided on what was seen commits only if that still holds."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from schema.cursor import Cursor
from schema.errors import ErrorCode
from schema.event import Event
from schema.filter.python import compile_filter
from schema.filter.typed import parse_filter
from store.log.memory import MemoryLog
from store.log.port import Command, Condition, Draft, Outcome, Refusal
from tests.events import draft, event_id
from tests.integration.store.ledger.conftest import Process

WRITERS = 64


async def everything(process: Process) -> list[Event]:
    found: list[Event] = []
    cursor = Cursor(1, 1)
    while (batch := await process.log.read(cursor, 1000)).events:
        found += batch.events
        cursor = batch.cursor
    return found


def taken(process: Process, seat: str, by: int) -> Draft:
    return draft(process.stream, f"try{by}", type="seat.taken", payload={"seat": seat, "by": by})


def free(seat: str, after: int = 1) -> Condition:
    none = {"eventType": {"eq": "seat.taken"}, "payload": [{"path": "seat", "eq": seat}]}
    return Condition(none_matching=parse_filter(none), after=after)


@pytest.mark.parametrize("events", [1, 3])
async def test_of_64_writers_in_three_processes_one_wins_a_condition(ledgers: list[Process], events: int) -> None:
    for seat in ("1A", "1B", "1C"):

        async def attempt(by: int, seat: str = seat) -> Outcome:
            process = ledgers[by % len(ledgers)]
            more = [draft(process.stream, f"bill{seat}{by}.{n}") for n in range(events - 1)]
            (outcome,) = await process.log.append(
                [Command(events=[taken(process, seat, by), *more], condition=free(seat))]
            )
            return outcome

        outcomes = await asyncio.gather(*[attempt(by) for by in range(WRITERS)])
        refused = [one for one in outcomes if isinstance(one, Refusal)]
        assert len(refused) == WRITERS - 1
        assert {one.code for one in refused} == {ErrorCode.CONDITION_FAILED}
    # the losers left nothing behind, not even the events no condition spoke of
    assert Counter(event.event_type for event in await everything(ledgers[0]))["seat.taken"] == 3
    assert len(await everything(ledgers[0])) == 3 * events


async def test_of_64_writers_one_wins_each_version(ledgers: list[Process]) -> None:
    async def attempt(by: int, version: int) -> Outcome:
        process = ledgers[by % len(ledgers)]
        (outcome,) = await process.log.append([Command(events=[draft(process.stream, "a", expected=version)])])
        return outcome

    for version in range(5):
        outcomes = await asyncio.gather(*[attempt(by, version) for by in range(WRITERS)])
        refused = [one for one in outcomes if isinstance(one, Refusal)]
        assert len(refused) == WRITERS - 1
        assert {(one.code, (one.details or {})["current"]) for one in refused} == {
            (ErrorCode.SEQUENCE_CONFLICT, version + 1)
        }


async def test_who_looks_decides_and_tries_again_never_takes_what_is_taken(ledgers: list[Process]) -> None:
    """The loop of every command: 64 writers take 64 seats, each the first one it sees free, none twice."""
    seats = [f"{row}{letter}" for row in range(16) for letter in "ABCD"]
    tries = Counter[int]()

    async def writer(by: int) -> None:
        process = ledgers[by % len(ledgers)]
        while True:
            tries[by] += 1
            events = await everything(process)
            gone = {event.payload_document["seat"] for event in events}
            seat = next(seat for seat in seats if seat not in gone)
            # only what came after what was seen can contradict the decision
            command = Command(events=[taken(process, seat, by)], condition=free(seat, after=len(events) + 1))
            (outcome,) = await process.log.append([command])
            if isinstance(outcome, list):
                return
            assert outcome.code is ErrorCode.CONDITION_FAILED

    async with asyncio.timeout(90):
        await asyncio.gather(*[writer(by) for by in range(WRITERS)])
    documents = [event.payload_document for event in await everything(ledgers[0])]
    assert sorted(one["seat"] for one in documents) == sorted(seats)
    assert sorted(one["by"] for one in documents) == list(range(WRITERS))
    assert max(tries.values()) > 1


FILTERS: tuple[dict[str, Any], ...] = (
    {"aggregateId": {"eq": "a"}},
    {"eventType": {"in": ["user.created", "user.left"]}, "payload": [{"path": "n", "gte": 3}]},
    {"or": [{"payload": [{"path": "n", "eq": 0}]}, {"not": {"aggregateId": {"exists": True}}}]},
    {"expression": 'event.payload.n == 2 && event.event_type != "user.left"'},
)


async def test_commands_of_all_kinds_leave_a_serial_history(ledgers: list[Process]) -> None:
    """Conditions, versions, several aggregates at once, repeated ids: one after the other, in the order of their
    positions, a serial log accepts what was accepted, and what was refused is refused by what is in the log."""
    dice = random.Random(11)
    ids = [event_id() for _ in range(200)]
    accepted: list[tuple[int, Command]] = []
    refused: list[tuple[Command, Refusal]] = []

    def invent(process: Process) -> Command:
        events = [
            draft(
                process.stream,
                dice.choice(("a", "b", "c", None)),
                id=one,
                type=dice.choice(("user.created", "user.renamed", "user.left")),
                payload={"n": dice.randrange(6)},
                expected=dice.choice((None, None, None, 1, 5, 20)),
            )
            for one in dice.sample(ids, dice.choice((1, 1, 2, 3)))
        ]
        for event in events:
            if event.envelope.aggregate_id is None:
                event.expected_sequence = None
        if dice.random() < 0.5:
            return Command(events=events)
        none = parse_filter(dice.choice(FILTERS))
        return Command(events=events, condition=Condition(none_matching=none, after=dice.randrange(1, 120)))

    async def publish(process: Process) -> None:
        for _ in range(30):
            commands = [invent(process) for _ in range(dice.randint(1, 6))]
            for command, outcome in zip(commands, await process.log.append(commands), strict=True):
                if isinstance(outcome, Refusal):
                    refused.append((command, outcome))
                elif not outcome[0].duplicate:
                    assert outcome[0].position is not None
                    accepted.append((outcome[0].position, command))

    await asyncio.gather(*[publish(process) for process in ledgers for _ in range(3)])
    model = MemoryLog({ledgers[0].stream.key})
    for position, command in sorted(accepted, key=lambda one: one[0]):
        (outcome,) = await model.append([command])
        assert isinstance(outcome, list), (position, outcome)
        assert outcome[0].position == position
    events = await everything(ledgers[0])
    serial = (await model.read(Cursor(1, 1), 10_000)).events
    assert [(one.position, one.sequence_number, one.body) for one in serial] == [
        (one.position, one.sequence_number, one.body) for one in events
    ]
    codes = Counter(refusal.code for _, refusal in refused)
    assert min(codes[code] for code in (ErrorCode.CONDITION_FAILED, ErrorCode.SEQUENCE_CONFLICT)) > 20
    for command, refusal in refused:
        if refusal.code is ErrorCode.CONDITION_FAILED:
            assert command.condition is not None
            matches, after = compile_filter(command.condition.none_matching), command.condition.after
            assert any(matches(event) for event in events[after - 1 :])
        elif refusal.code is ErrorCode.SEQUENCE_CONFLICT:
            said = refusal.details or {}
            # counted with the command's own earlier events, as the version it met
            assert said["current"] != said["expected"] == command.events[refusal.index].expected_sequence
