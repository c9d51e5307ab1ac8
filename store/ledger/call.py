"""Commands as the arguments of one call of ledger_append_1; append.sql says what each argument means."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from schema.errors import ErrorCode, EsbError
from store.ledger.columns import SPLIT, integers, texts
from store.ledger.condition import template
from store.log.port import Command, Draft, Refusal

_ARGUMENTS = (
    *("${}::int", "${}::int[]"),  # tenant, streams
    *(SPLIT, SPLIT, "${}::text::bigint[]"),  # aggregates: type, id, expected version
    *("${}::text::int[]", "${}::text::int[]", "${}::text::int[]"),  # events: stream, aggregate, step
    *(SPLIT, SPLIT, SPLIT, SPLIT),  # id, type, correlation, causation
    *("${}::text::bigint[]", "${}::text::bigint[]", "${}::text[]"),  # time, hash, body
    *("${}::text::bigint[]", "${}::text::int[]"),  # expected version, twin
    *("${}::text::int[]", "${}::bigint[]", "${}::text[]", "${}::jsonb"),  # commands: size, condition
)
STATEMENT = f"select * from ledger_append_1({', '.join(text.format(n) for n, text in enumerate(_ARGUMENTS, 1))})"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Call:
    """One call. `sent`: indexes of the commands that take part; the others are in `refused`, settled without asking.

    `aggregates` and `steps`: by event, its aggregate as an index into the call's distinct aggregates (from 1; None:
    it has none), and how many of the call's events of that aggregate there are up to this one.
    """

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = commands
        self.refused: dict[int, Refusal] = {}
        self._conditions: dict[int, tuple[str, list[str | None]]] = {}
        for index, command in enumerate(commands):
            if len(command.events) != 1 or command.condition is not None:
                self._inspect(index, command)
        self.sent: Sequence[int] = range(len(commands))
        if self.refused:
            self.sent = [index for index in self.sent if index not in self.refused]
        self.drafts: list[Draft] = [draft for index in self.sent for draft in commands[index].events]
        self.aggregates: list[int | None] = []
        self.steps: list[int | None] = []
        self._known: dict[tuple[str, str], int] = {}
        self._implied: list[int | None] = []
        self._count_aggregates()

    def arguments(self, tenant: int) -> tuple[Any, ...]:
        """The call's arguments, in order."""
        drafts = self.drafts
        envelopes = [draft.envelope for draft in drafts]
        ids = [envelope.event_id for envelope in envelopes]
        streams = [draft.stream.key for draft in drafts]
        sizes = [len(self.commands[index].events) for index in self.sent]
        return (
            tenant,
            list(set(streams)),
            texts([kind for kind, _ in self._known]),
            texts([identity for _, identity in self._known]),
            integers(self._implied),
            integers(streams),
            integers(self.aggregates),
            integers(self.steps),
            texts(ids),
            texts([envelope.event_type for envelope in envelopes]),
            texts([envelope.correlation_id for envelope in envelopes]),
            texts([envelope.causation_id for envelope in envelopes]),
            integers([(envelope.timestamp - _EPOCH) // _MICROSECOND for envelope in envelopes]),
            integers([draft.content_hash for draft in drafts]),
            [draft.body.decode() for draft in drafts],
            integers([draft.expected_sequence for draft in drafts]),
            _twins(ids),
            integers(sizes),
            *self._condition_arguments(),
        )

    def _inspect(self, index: int, command: Command) -> None:
        """Refuse what no log could take; compile the condition."""
        refusal = fault(command)
        if refusal is None and command.condition is not None:
            try:
                self._conditions[index] = template(command.condition.none_matching)
            except EsbError as error:
                refusal = Refusal(index=0, code=error.code, message=error.message, details=error.details)
        if refusal is not None:
            self.refused[index] = refusal

    def _count_aggregates(self) -> None:
        known, implied, counts = self._known, self._implied, [0]
        for draft in self.drafts:
            envelope = draft.envelope
            if envelope.aggregate_id is None or envelope.aggregate_type is None:
                self.aggregates.append(None)
                self.steps.append(None)
                continue
            aggregate = known.setdefault((envelope.aggregate_type, envelope.aggregate_id), len(counts))
            if aggregate == len(counts):
                counts.append(0)
                implied.append(None)
            before = counts[aggregate]
            counts[aggregate] = before + 1
            self.aggregates.append(aggregate)
            self.steps.append(before + 1)
            if draft.expected_sequence is not None:
                meant = draft.expected_sequence - before
                # -1 equals no version, so the call decides command by command.
                implied[aggregate - 1] = meant if implied[aggregate - 1] in (None, meant) else -1

    def _condition_arguments(self) -> tuple[Any, Any, Any]:
        if not self._conditions:
            return None, None, None
        after: list[int | None] = []
        texts: list[str | None] = []
        values: list[list[str | None]] = []
        for index in self.sent:
            condition = self.commands[index].condition
            text, own = self._conditions.get(index, (None, []))
            after.append(condition.after if condition is not None else None)
            texts.append(text)
            values.append(own)
        return after, texts, orjson.dumps(values).decode()


def fault(command: Command) -> Refusal | None:
    """Why no log could take the command; None: it may be tried."""
    if not command.events:
        return Refusal(index=0, code=ErrorCode.BAD_INPUT, message="a command needs at least one event")
    seen: set[str] = set()
    for index, draft in enumerate(command.events):
        event_id = draft.envelope.event_id
        if event_id in seen:
            message = f"event id {event_id} stands twice in one atomic batch"
            return Refusal(index=index, code=ErrorCode.DUPLICATE_CONFLICT, message=message)
        seen.add(event_id)
    return None


def _twins(ids: list[str]) -> str | None:
    """For each event the index of the first with its id; None: no id comes twice."""
    if len(set(ids)) == len(ids):
        return None
    first: dict[str, int] = {}
    return integers([first.setdefault(event_id, index) for index, event_id in enumerate(ids, 1)])
