"""The memory engine: the ledger's promises without PostgreSQL. For tests, and as their oracle.

Nothing here is fast and nothing survives: each rule of the ledger is written down once, as plainly as it goes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime

from schema.cursor import Cursor, CursorInvalid
from schema.event import NEVER, Event
from schema.filter.python import compile_filter
from store.ledger.answer import Status, placed, refused
from store.ledger.call import fault
from store.log.port import Batch, Command, Condition, Draft, Outcome, Promises, Receipt, Refusal

_EPOCH = 1


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryLog:
    """One tenant's log. `streams`: keys of the streams that exist; others are refused."""

    promises = Promises(gapless=True, idempotent=True, atomic=True)

    def __init__(self, streams: Collection[int], now: Callable[[], datetime] = _now) -> None:
        self._streams = streams
        self._now = now
        self._events: list[Event] = []
        self._hashes: dict[str, tuple[int, int]] = {}
        self._versions: dict[tuple[str, str], int] = {}
        self._grown = asyncio.Condition()

    async def append(self, commands: Sequence[Command]) -> list[Outcome]:
        """Decide and commit each command, in order."""
        outcomes = [self._decide(command) for command in commands]
        async with self._grown:
            self._grown.notify_all()
        return outcomes

    async def read(self, start: Cursor, limit: int) -> Batch:
        """Up to `limit` events from the cursor on; raises CURSOR_INVALID beyond the end."""
        if start.epoch != _EPOCH or start.position > len(self._events) + 1:
            raise CursorInvalid("it lies beyond the end of the log")
        events = self._events[start.position - 1 : start.position - 1 + limit]
        return Batch(events, self._after(events[-1]) if events else start)

    async def head(self) -> Cursor:
        """The cursor after the last event."""
        return self._after(self._events[-1]) if self._events else Cursor(_EPOCH, 1)

    async def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        """Every event from the cursor on, for ever."""
        while True:
            batch = await self.read(start, 1000)
            if batch.events:
                start = batch.cursor
                yield batch
                continue
            async with self._grown:
                if len(self._events) < start.position:
                    await self._grown.wait()

    def _decide(self, command: Command) -> Outcome:
        refusal = fault(command)
        if refusal is not None:
            return refusal
        known = [index for index, draft in enumerate(command.events) if draft.envelope.event_id in self._hashes]
        for index in known:
            position, content_hash = self._hashes[command.events[index].envelope.event_id]
            if content_hash != command.events[index].content_hash:
                return refused(Status.OTHER_CONTENT, index, command.events[index], position)
        if len(known) == len(command.events):
            return [self._first_receipt(draft) for draft in command.events]
        if known:
            position, _ = self._hashes[command.events[known[0]].envelope.event_id]
            return refused(Status.PARTLY_KNOWN, known[0], command.events[known[0]], position)
        for index, draft in enumerate(command.events):
            if draft.stream.key not in self._streams:
                return refused(Status.NO_STREAM, index, draft, None)
        return self._check_versions(command) or self._check_condition(command) or self._commit(command)

    def _check_versions(self, command: Command) -> Refusal | None:
        versions = dict(self._versions)
        for index, draft in enumerate(command.events):
            key = _aggregate(draft)
            if key is None:
                continue
            version = versions.get(key, 0)
            if draft.expected_sequence is not None and draft.expected_sequence != version:
                return refused(Status.OTHER_VERSION, index, draft, version)
            versions[key] = version + 1
        return None

    def _check_condition(self, command: Command) -> Refusal | None:
        condition: Condition | None = command.condition
        if condition is None:
            return None
        matches = compile_filter(condition.none_matching)
        if any(matches(event) for event in self._events[max(condition.after, 1) - 1 :]):
            return refused(Status.CONDITION, 0, command.events[0], None)
        return None

    def _commit(self, command: Command) -> list[Receipt]:
        recorded_at = max(self._now(), self._events[-1].recorded_at if self._events else NEVER)
        receipts = []
        for draft in command.events:
            key = _aggregate(draft)
            if key is not None:
                self._versions[key] = self._versions.get(key, 0) + 1
            event = placed(draft, len(self._events) + 1, self._versions[key] if key else None, recorded_at)
            self._events.append(event)
            self._hashes[event.event_id] = (len(self._events), draft.content_hash)
            receipts.append(self._receipt(event, duplicate=False))
        return receipts

    def _first_receipt(self, draft: Draft) -> Receipt:
        position, _ = self._hashes[draft.envelope.event_id]
        return self._receipt(self._events[position - 1], duplicate=True)

    def _receipt(self, event: Event, *, duplicate: bool) -> Receipt:
        place = (event.position, None, None, event.sequence_number)
        return Receipt(event.event_id, event.stream, *place, self._after(event), event.recorded_at, duplicate)

    def _after(self, event: Event) -> Cursor:
        assert event.position is not None
        return Cursor(_EPOCH, event.position + 1, int(event.recorded_at.timestamp() * 1000))


def _aggregate(draft: Draft) -> tuple[str, str] | None:
    aggregate_type, aggregate_id = draft.envelope.aggregate_type, draft.envelope.aggregate_id
    return (aggregate_type, aggregate_id) if aggregate_type is not None and aggregate_id is not None else None
