"""What became of a call's commands: receipts, refusals, and the commit that others are told of."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple

from msgspec.structs import asdict

from schema.cursor import Cursor
from schema.errors import ErrorCode
from schema.event import Event
from store.ledger.call import Call
from store.log.port import Command, Draft, Outcome, Receipt, Refusal
from store.tenants import Tenant


class Status(IntEnum):
    """What ledger_append_1 says of a command."""

    ACCEPTED = 0
    DUPLICATE = 1
    OTHER_CONTENT = 2
    PARTLY_KNOWN = 3
    NO_STREAM = 4
    OTHER_VERSION = 5
    CONDITION = 6


_new = tuple.__new__


class Commit(NamedTuple):
    """Events of a tenant's log from position `first` to `last`, just committed by this process.

    `events()` builds them when first wanted, in position order.
    """

    tenant: str
    epoch: int
    first: int
    last: int
    events: Callable[[], list[Event]]


class Answer:
    """A call's answer, made sense of. `outcomes` in the order of the call's commands; `commit`: None, nothing was."""

    def __init__(self, call: Call, row: Any, tenant: Tenant) -> None:
        self._call = call
        self._row = row
        self._recorded_at: datetime = row["o_recorded_at"]
        self._epoch: int = row["o_epoch"]
        self._at_ms = int(self._recorded_at.timestamp() * 1000)
        self._positions: Sequence[int | None]
        self._sequences: Sequence[int | None]
        self._repeated = {event: at for at, event in enumerate(row["d_event"] or ())}
        self._place()
        self.outcomes: list[Outcome] = self._settle()
        self.commit = self._commit(tenant)

    def _place(self) -> None:
        """Each event's position and sequence number, None for those that got none."""
        row, call = self._row, self._call
        if row["c_status"] is not None:
            self._positions, self._sequences = row["e_position"], row["e_sequence"]
            return
        first, versions = row["o_first"], row["a_version"]
        self._positions = range(first, first + len(call.drafts))
        self._sequences = [
            None if aggregate is None else versions[aggregate - 1] + step
            for aggregate, step in zip(call.aggregates, call.steps, strict=True)
        ]

    def _settle(self) -> list[Outcome]:
        call = self._call
        statuses = self._row["c_status"]
        if statuses is None and not call.refused and len(call.drafts) == len(call.commands):
            return [[receipt] for receipt in self._receipts(0, len(call.drafts))]
        outcomes: list[Outcome] = []
        start = sent = 0
        for index, command in enumerate(call.commands):
            if index in call.refused:
                outcomes.append(call.refused[index])
                continue
            stop = start + len(command.events)
            status = Status.ACCEPTED if statuses is None else statuses[sent]
            if status == Status.ACCEPTED:
                outcomes.append(self._receipts(start, stop))
            elif status == Status.DUPLICATE:
                outcomes.append([self._first_receipt(place) for place in range(start, stop)])
            else:
                outcomes.append(self._refusal(status, command, sent, start))
            start = stop
            sent += 1
        return outcomes

    def _receipts(self, start: int, stop: int) -> list[Receipt]:
        """Receipts of accepted events: by far the commonest thing made here, so their tuples are made directly."""
        drafts, positions, sequences = self._call.drafts, self._positions, self._sequences
        recorded_at, epoch, at_ms = self._recorded_at, self._epoch, self._at_ms
        receipts = []
        for place in range(start, stop):
            draft, position = drafts[place], positions[place]
            assert position is not None
            cursor = _new(Cursor, (epoch, position + 1, at_ms, (), ()))
            name = draft.stream.stream_name
            values = (draft.envelope.event_id, name, position, None, None, sequences[place], cursor, recorded_at)
            receipts.append(_new(Receipt, (*values, False, None)))
        return receipts

    def _first_receipt(self, place: int) -> Receipt:
        row = self._row
        at = self._repeated[place + 1]
        position, recorded_at = row["d_position"][at], row["d_recorded_at"][at]
        return Receipt(
            self._call.drafts[place].envelope.event_id,
            row["d_stream"][at],
            position,
            None,
            None,
            row["d_sequence"][at],
            Cursor(self._epoch, position + 1, int(recorded_at.timestamp() * 1000)),
            recorded_at,
            True,
        )

    def _refusal(self, status: int, command: Command, sent: int, start: int) -> Refusal:
        about = self._row["c_event"][sent]
        index = 0 if about is None else about - 1 - start
        return refused(status, index, command.events[index], self._row["c_found"][sent])

    def _commit(self, tenant: Tenant) -> Commit | None:
        drafts, positions, sequences = self._call.drafts, self._positions, self._sequences
        taken: Sequence[int] = range(len(drafts))
        if self._row["c_status"] is not None:
            taken = [place for place in taken if positions[place] is not None]
        if not taken:
            return None
        recorded_at = self._recorded_at
        built: list[Event] = []

        def events() -> list[Event]:
            if not built:
                built.extend(placed(drafts[place], positions[place], sequences[place], recorded_at) for place in taken)
            return built

        return Commit(tenant.name, self._epoch, positions[taken[0]] or 0, positions[taken[-1]] or 0, events)


def placed(draft: Draft, position: int | None, sequence_number: int | None, recorded_at: datetime) -> Event:
    """The event a draft became."""
    return Event(
        **asdict(draft.envelope),
        stream=draft.stream.stream_name,
        sequence_number=sequence_number,
        position=position,
        recorded_at=recorded_at,
        body=draft.body,
    )


def refused(status: int, index: int, draft: Draft, found: int | None) -> Refusal:
    """A refusal in words. `found`: the position or version in the way."""
    event_id = draft.envelope.event_id
    if status == Status.OTHER_CONTENT:
        return Refusal(
            index=index,
            code=ErrorCode.DUPLICATE_CONFLICT,
            message=f"event {event_id} is in the log already, with other content",
            details={"position": found},
        )
    if status == Status.PARTLY_KNOWN:
        return Refusal(
            index=index,
            code=ErrorCode.DUPLICATE_CONFLICT,
            message=f"event {event_id} is in the log already but other events of this atomic batch are not",
            details={"position": found},
        )
    if status == Status.NO_STREAM:
        return Refusal(
            index=index,
            code=ErrorCode.UNKNOWN_STREAM,
            message=f"there is no stream {draft.stream.stream_name!r} to publish to",
        )
    if status == Status.OTHER_VERSION:
        return Refusal(
            index=index,
            code=ErrorCode.SEQUENCE_CONFLICT,
            message=f"the aggregate is at sequence {found}, not at {draft.expected_sequence}",
            details={"current": found, "expected": draft.expected_sequence},
        )
    return Refusal(
        index=index,
        code=ErrorCode.CONDITION_FAILED,
        message="an event that matches the condition is in the log after the cursor",
    )
