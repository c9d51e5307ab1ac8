"""Admission: where every way in ends. Validate, route, authorise, commit, and answer with receipts.

What was not acknowledged may be sent again with the same event id; what was acknowledged is in the log.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import NamedTuple

from processors.admission.canonical import ContentHash
from processors.admission.drafting import Drafted, Drafting, Tools
from processors.admission.lookups import Lookups
from processors.admission.payload_gate import PayloadSchemas
from processors.admission.ports import (
    AppendConditionInput,
    LogsOfTenant,
    Pins,
    PublishRecorder,
    PublishReport,
    Rejection,
    StreamViews,
)
from processors.admission.routing import Decision
from schema.cursor import CursorCodec, CursorInvalid
from schema.errors import ErrorCode, EsbError, bad_input
from schema.event import MAX_BATCH_BYTES
from schema.identifier import IdentifierSource
from schema.input import ClientContext, EventInput
from schema.principal import Principal
from schema.stream import StreamEngine
from store.log.port import Command, Condition, Draft, Outcome, Receipt, Refusal

MAX_BATCH_EVENTS = 10_000


_LEDGER = StreamEngine.LEDGER
_PLACE = itemgetter(0)


class _Appended(NamedTuple):
    """What became of the events handed to one log, in the order they were handed in."""

    engine: StreamEngine
    receipts: list[tuple[int, Receipt]]
    rejections: list[Rejection]


class Admission:
    """Publishes for every edge. One instance a process."""

    def __init__(
        self,
        *,
        views: StreamViews,
        pins: Pins,
        logs: LogsOfTenant,
        codec: CursorCodec,
        hashes: ContentHash,
        recorder: PublishRecorder,
        identifiers: IdentifierSource,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        schemas: PayloadSchemas | None = None,
    ) -> None:
        self._logs = logs
        self._codec = codec
        self._recorder = recorder
        self._now = now
        self._lookups = Lookups(views, pins, schemas, recorder)
        self._tools = Tools(hashes, identifiers)

    async def publish_one(self, principal: Principal, said: EventInput, *, client: ClientContext) -> Receipt:
        """Commit one event; raises what refuses it."""
        started = time.perf_counter()
        try:
            draft = await self._drafting(principal, client).draft(said)
            log = await self._logs.of(draft.stream)
            (outcome,) = await log.append([Command(events=[draft])])
            if isinstance(outcome, Refusal):
                raise EsbError(outcome.code, outcome.message, details=outcome.details)
        except EsbError as error:
            self._recorder.rejected(error.code, 1)
            raise
        self._recorder.published(draft.stream.engine, 1, time.perf_counter() - started)
        return outcome[0]

    async def publish(
        self,
        principal: Principal,
        inputs: Sequence[EventInput],
        *,
        client: ClientContext,
        atomic: bool = True,
        condition: AppendConditionInput | None = None,
    ) -> PublishReport:
        """Commit a batch: whole (`atomic`) or each event for itself.

        Raises only for what concerns the batch as such (its size, the condition's cursor, LOG_UNAVAILABLE);
        a refused event is a rejection.
        """
        _check_batch(inputs, atomic, condition)
        started = time.perf_counter()
        boundary = await self._boundary(principal, condition)
        drafted = await self._drafting(principal, client).drafts(inputs)
        _check_size(sum([len(draft.body) for draft in drafted.drafts]))
        appended: list[_Appended] = []
        if not atomic:
            appended = await self._append_each(drafted)
        elif not drafted.refused:
            appended = [await self._append_whole(drafted, boundary)]
        return self._report(drafted.refused, appended, started)

    async def explain(self, principal: Principal, said: EventInput) -> Decision:
        """Which stream would take the event and why; raises as publishing would, and commits nothing."""
        return await self._drafting(principal, ClientContext()).explain(said)

    def _drafting(self, principal: Principal, client: ClientContext) -> Drafting:
        return Drafting(self._tools, self._lookups, principal, client, self._now())

    async def _boundary(self, principal: Principal, condition: AppendConditionInput | None) -> Condition | None:
        if condition is None:
            return None
        if condition.after is None:
            return Condition(none_matching=condition.none_matching, after=1)
        after = self._codec.decode(principal.tenant, condition.after)
        if after.epoch != await self._logs.epoch(principal.tenant):
            raise CursorInvalid("it is from another epoch of the log")
        return Condition(none_matching=condition.none_matching, after=after.position)

    async def _append_whole(self, drafted: Drafted, boundary: Condition | None) -> _Appended:
        drafts = drafted.drafts
        engine = drafts[0].stream.engine
        if (len(drafts) > 1 or boundary is not None) and any(draft.stream.engine is not _LEDGER for draft in drafts):
            message = "atomic batches and conditions are for ledger streams; publish with atomic: false"
            outcome: Outcome = Refusal(index=0, code=ErrorCode.UNSUPPORTED_BY_ENGINE, message=message)
        else:
            log = await self._logs.of(drafts[0].stream)
            (outcome,) = await log.append([Command(events=drafts, condition=boundary)])
        if isinstance(outcome, Refusal):
            return _Appended(engine, [], [_rejection(drafted.places[outcome.index], drafts[outcome.index], outcome)])
        return _Appended(engine, list(zip(drafted.places, outcome, strict=True)), [])

    async def _append_each(self, drafted: Drafted) -> list[_Appended]:
        by_log: dict[int, tuple[list[int], list[Draft]]] = {}
        for place, draft in zip(drafted.places, drafted.drafts, strict=True):
            stream = draft.stream
            # the ledger streams of a tenant share one log
            key = 0 if stream.engine is _LEDGER else stream.key
            places, drafts = by_log.get(key) or by_log.setdefault(key, ([], []))
            places.append(place)
            drafts.append(draft)
        return await asyncio.gather(*[self._append_singles(places, drafts) for places, drafts in by_log.values()])

    async def _append_singles(self, places: list[int], drafts: list[Draft]) -> _Appended:
        """A log that cannot be reached refuses its own events, not those of other logs."""
        stream = drafts[0].stream
        try:
            log = await self._logs.of(stream)
            outcomes = await log.append([Command(events=[draft]) for draft in drafts])
        except EsbError as error:
            outcomes = [Refusal(index=0, code=error.code, message=error.message, details=error.details)] * len(drafts)
        appended = _Appended(stream.engine, [], [])
        for place, draft, outcome in zip(places, drafts, outcomes, strict=True):
            if isinstance(outcome, Refusal):
                appended.rejections.append(_rejection(place, draft, outcome))
            else:
                appended.receipts.append((place, outcome[0]))
        return appended

    def _report(self, refused: list[Rejection], appended: Sequence[_Appended], started: float) -> PublishReport:
        """All that became of a batch, in input order; telemetry is told."""
        receipts: list[tuple[int, Receipt]] = []
        rejections = refused
        seconds = time.perf_counter() - started
        for part in appended:
            receipts += part.receipts
            rejections += part.rejections
            if part.receipts:
                self._recorder.published(part.engine, len(part.receipts), seconds)
        for rejection in rejections:
            self._recorder.rejected(rejection.code, 1)
        receipts.sort(key=_PLACE)
        rejections.sort(key=lambda rejection: rejection.index)
        return PublishReport(receipts, rejections)


def _rejection(place: int, draft: Draft, refusal: Refusal) -> Rejection:
    return Rejection(place, draft.envelope.event_id, refusal.code, refusal.message, refusal.details)


def _check_batch(inputs: Sequence[EventInput], atomic: bool, condition: AppendConditionInput | None) -> None:
    if not inputs:
        raise bad_input("the batch is empty", field="events")
    if len(inputs) > MAX_BATCH_EVENTS:
        raise EsbError(ErrorCode.PAYLOAD_TOO_LARGE, f"a batch holds at most {MAX_BATCH_EVENTS} events")
    _check_size(sum([_size(said) for said in inputs]))
    if condition is not None and not atomic:
        raise bad_input("a condition needs an atomic batch", field="condition")


def _size(said: EventInput) -> int:
    size = memoryview(said.payload).nbytes
    return size if said.metadata is None else size + memoryview(said.metadata).nbytes


def _check_size(size: int) -> None:
    if size > MAX_BATCH_BYTES:
        raise EsbError(ErrorCode.PAYLOAD_TOO_LARGE, f"a batch holds at most {MAX_BATCH_BYTES} bytes")
