"""What only some logs promise, and how the others say so."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.filter.typed import parse_filter
from store.log.port import Command, Condition, Outcome, Receipt, Refusal
from tests.conformance.engines import Subject
from tests.conformance.test_log import everything
from tests.events import draft, event_id, stream


def receipts(outcomes: list[Outcome]) -> list[Receipt]:
    """The receipts of outcomes that must all be accepted."""
    found: list[Receipt] = []
    for outcome in outcomes:
        assert isinstance(outcome, list), outcome
        found += outcome
    return found


def refusal(outcomes: list[Outcome]) -> Refusal:
    """The refusal a single command must have got."""
    (outcome,) = outcomes
    assert isinstance(outcome, Refusal), outcome
    return outcome


async def unsupported(subject: Subject, command: Command) -> None:
    """An engine that does not promise this refuses it, and stores nothing."""
    start = await subject.log.head()
    refused = refusal(await subject.log.append([command]))
    assert refused.code is ErrorCode.UNSUPPORTED_BY_ENGINE
    assert not await everything(subject.log, start)


async def test_positions_run_without_a_gap(subject: Subject) -> None:
    outcomes = await subject.log.append([Command(events=[draft(subject.stream, f"u{n}")]) for n in range(10)])
    positions = [receipt.position for receipt in receipts(outcomes)]
    if subject.log.promises.gapless:
        assert positions == list(range(1, 11))
    else:
        assert positions == [None] * 10


async def test_sequence_numbers_run_without_a_gap_in_each_aggregate(subject: Subject) -> None:
    names = ["a", "b", "a", "a", None, "b"]
    outcomes = await subject.log.append([Command(events=[draft(subject.stream, name)]) for name in names])
    again = await subject.log.append([Command(events=[draft(subject.stream, name)]) for name in names])
    numbers = [receipt.sequence_number for receipt in receipts(outcomes) + receipts(again)]
    if subject.log.promises.atomic:
        assert numbers == [1, 1, 2, 3, None, 2, 4, 3, 5, 6, None, 4]
    else:
        assert numbers == [None] * 12


async def test_a_repeated_event_gets_its_first_receipt(subject: Subject) -> None:
    one = draft(subject.stream, "u1", expected=0 if subject.log.promises.atomic else None)
    (first,) = receipts(await subject.log.append([Command(events=[one])]))
    await subject.log.append([Command(events=[draft(subject.stream, "u1")])])
    (second,) = receipts(await subject.log.append([Command(events=[one])]))
    if subject.log.promises.idempotent:
        assert second == first._replace(duplicate=True)
    else:
        assert not second.duplicate


async def test_a_repeat_in_the_same_append_is_a_duplicate_too(subject: Subject) -> None:
    one = draft(subject.stream, "u1")
    first, second, third = receipts(await subject.log.append([Command(events=[one]) for _ in range(3)]))
    if subject.log.promises.idempotent:
        assert second == third == first._replace(duplicate=True)
    else:
        assert not second.duplicate


async def test_an_id_with_other_content_is_refused(subject: Subject) -> None:
    if not subject.log.promises.idempotent:
        return
    name = event_id()
    (first,) = receipts(await subject.log.append([Command(events=[draft(subject.stream, "u1", id=name)])]))
    other = Command(events=[draft(subject.stream, "u1", id=name, payload={"other": 1})])
    refused = refusal(await subject.log.append([other]))
    assert (refused.code, refused.details) == (ErrorCode.DUPLICATE_CONFLICT, {"position": first.position})


async def test_a_command_is_committed_whole(subject: Subject) -> None:
    command = Command(events=[draft(subject.stream, name) for name in ("a", "b", "a")])
    if not subject.log.promises.atomic:
        await unsupported(subject, command)
        return
    found = receipts(await subject.log.append([command]))
    assert [(one.position, one.sequence_number) for one in found] == [(1, 1), (2, 1), (3, 2)]
    assert len({one.recorded_at for one in found}) == 1


async def test_a_command_is_refused_whole_and_its_neighbours_are_not(subject: Subject) -> None:
    if not subject.log.promises.atomic:
        return
    bad = Command(
        events=[draft(subject.stream, "a"), draft(subject.stream, "b", expected=7), draft(subject.stream, "a")]
    )
    before, refused, after = await subject.log.append(
        [Command(events=[draft(subject.stream, "a")]), bad, Command(events=[draft(subject.stream, "a", expected=1)])]
    )
    assert refused == Refusal(
        index=1,
        code=ErrorCode.SEQUENCE_CONFLICT,
        message="the aggregate is at sequence 0, not at 7",
        details={"current": 0, "expected": 7},
    )
    found = receipts([before, after])
    assert [(one.position, one.sequence_number) for one in found] == [(1, 1), (2, 2)]
    assert len(await everything(subject.log, Cursor(found[0].cursor.epoch, 1))) == 2


async def test_a_repeated_command_gets_its_receipts_whole(subject: Subject) -> None:
    if not subject.log.promises.atomic:
        return
    command = Command(events=[draft(subject.stream, "a", expected=0), draft(subject.stream, "a", expected=1)])
    first = receipts(await subject.log.append([command]))
    assert receipts(await subject.log.append([command])) == [one._replace(duplicate=True) for one in first]


async def test_a_command_that_is_known_in_part_is_refused(subject: Subject) -> None:
    if not subject.log.promises.atomic:
        return
    known = draft(subject.stream, "a")
    await subject.log.append([Command(events=[known])])
    refused = refusal(await subject.log.append([Command(events=[draft(subject.stream, "a"), known])]))
    assert (refused.index, refused.code) == (1, ErrorCode.DUPLICATE_CONFLICT)


async def test_an_id_twice_in_one_command_is_refused(subject: Subject) -> None:
    if not subject.log.promises.atomic:
        return
    one = draft(subject.stream, "a")
    refused = refusal(await subject.log.append([Command(events=[one, one])]))
    assert (refused.index, refused.code) == (1, ErrorCode.DUPLICATE_CONFLICT)


async def test_an_expected_version_is_compared_after_earlier_events_of_the_command(subject: Subject) -> None:
    command = Command(events=[draft(subject.stream, "a", expected=0), draft(subject.stream, "a", expected=1)])
    if not subject.log.promises.atomic:
        await unsupported(subject, Command(events=[draft(subject.stream, "a", expected=0)]))
        return
    assert [one.sequence_number for one in receipts(await subject.log.append([command]))] == [1, 2]
    stale = Command(events=[draft(subject.stream, "a", expected=2), draft(subject.stream, "a", expected=2)])
    assert refusal(await subject.log.append([stale])).index == 1


async def test_of_concurrent_writers_who_saw_the_same_version_one_wins(subject: Subject) -> None:
    if not subject.log.promises.atomic:
        return
    outcomes = await asyncio.gather(
        *[subject.log.append([Command(events=[draft(subject.stream, "a", expected=0)])]) for _ in range(30)]
    )
    refused = [refusal(one) for one in outcomes if isinstance(one[0], Refusal)]
    assert {one.code for one in refused} == {ErrorCode.SEQUENCE_CONFLICT}
    assert len(refused) == 29


async def test_a_stream_that_does_not_exist_is_refused(subject: Subject) -> None:
    if not subject.log.promises.atomic:
        return
    nowhere = stream(key=987654, name="gone-events", tenant=subject.stream.tenant)
    lost, kept = await subject.log.append(
        [Command(events=[draft(nowhere, "a")]), Command(events=[draft(subject.stream, "a")])]
    )
    assert refusal([lost]).code is ErrorCode.UNKNOWN_STREAM
    assert receipts([kept])[0].position == 1
    alone = await subject.log.append([Command(events=[draft(nowhere, "a")])])
    assert refusal(alone).code is ErrorCode.UNKNOWN_STREAM


async def test_a_condition_refuses_what_came_too_late(subject: Subject) -> None:
    where = parse_filter({"eventType": {"eq": "seat.reserved"}, "payload": [{"path": "seat", "eq": "1A"}]})
    condition = Condition(none_matching=where, after=1)

    def reserve(seat: str) -> Command:
        return Command(
            events=[draft(subject.stream, type="seat.reserved", payload={"seat": seat})], condition=condition
        )

    if not subject.log.promises.atomic:
        await unsupported(subject, reserve("1A"))
        return
    # All in one append: the condition sees what was accepted just before it.
    first, second, third, fourth = await subject.log.append(
        [reserve("2B"), reserve("1A"), reserve("1A"), Command(events=[draft(subject.stream)])]
    )
    assert [one.position for one in receipts([first, second, fourth])] == [1, 2, 3]
    assert refusal([third]).code is ErrorCode.CONDITION_FAILED
    assert refusal(await subject.log.append([reserve("1A")])).code is ErrorCode.CONDITION_FAILED
    later = reserve("1A")
    later.condition = Condition(none_matching=where, after=3)
    assert receipts(await subject.log.append([later]))[0].position == 4


async def test_of_writers_racing_on_one_condition_exactly_one_wins(subject: Subject) -> None:
    if not subject.log.promises.atomic:
        return
    condition = Condition(none_matching=parse_filter({"eventType": {"eq": "lead.elected"}}), after=1)
    outcomes = await asyncio.gather(
        *[
            subject.log.append([Command(events=[draft(subject.stream, type="lead.elected")], condition=condition)])
            for _ in range(64)
        ]
    )
    assert sum(isinstance(outcome[0], list) for outcome in outcomes) == 1


async def test_a_repeat_is_settled_before_its_condition(subject: Subject) -> None:
    if not subject.log.promises.atomic:
        return
    condition = Condition(none_matching=parse_filter({"eventType": {"eq": "user.created"}}), after=1)
    command = Command(events=[draft(subject.stream)], condition=condition)
    (first,) = receipts(await subject.log.append([command]))
    assert receipts(await subject.log.append([command])) == [first._replace(duplicate=True)]


async def test_a_cursor_beyond_the_end_or_of_another_epoch_is_refused(subject: Subject) -> None:
    if not subject.log.promises.gapless:
        return
    head = await subject.log.head()
    for cursor in (head._replace(position=head.position + 1), head._replace(epoch=head.epoch + 1)):
        with pytest.raises(EsbError) as caught:
            await subject.log.read(cursor, 10)
        assert caught.value.code is ErrorCode.CURSOR_INVALID


async def test_a_cursor_knows_how_new_the_events_behind_it_are(subject: Subject) -> None:
    (receipt,) = receipts(await subject.log.append([Command(events=[draft(subject.stream)])]))
    assert abs(datetime.fromtimestamp(receipt.cursor.at_ms / 1000, UTC) - receipt.recorded_at) < timedelta(seconds=1)
