"""Admission: where every way in ends. Validate, route, authorise, commit, and answer with receipts.

What was not acknowledged may be sent again with the same event id; what was acknowledged is in the log.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from processors.admission.canonical import ContentHash
from processors.admission.drafting import Drafting, Tools
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
from store.log.port import Command, Condition, Draft, Receipt, Refusal

MAX_BATCH_EVENTS = 10_000


_EVENTS_A_TURN = 250


class _Admitted(msgspec.Struct, frozen=True, gc=False):
    index: int
    draft: Draft


class _Committed(msgspec.Struct, frozen=True, gc=False):
    item: _Admitted
    receipt: Receipt


_Result = _Committed | Rejection


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
        admitted, results = await _admit(self._drafting(principal, client), inputs)
        _check_size(sum(len(item.draft.body) for item in admitted))
        if not atomic:
            results += await self._append_each(admitted)
        elif not results:
            results = await self._append_whole(admitted, boundary)
        return self._reported(results, time.perf_counter() - started)

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

    async def _append_whole(self, admitted: list[_Admitted], boundary: Condition | None) -> list[_Result]:
        if any(item.draft.stream.engine is not StreamEngine.LEDGER for item in admitted) and (
            len(admitted) > 1 or boundary is not None
        ):
            message = "atomic batches and conditions are for ledger streams; publish with atomic: false"
            refusal = Refusal(index=0, code=ErrorCode.UNSUPPORTED_BY_ENGINE, message=message)
            return [_rejection(admitted[0], refusal)]
        log = await self._logs.of(admitted[0].draft.stream)
        (outcome,) = await log.append([Command(events=[item.draft for item in admitted], condition=boundary)])
        if isinstance(outcome, Refusal):
            return [_rejection(admitted[outcome.index], outcome)]
        return [_Committed(item, receipt) for item, receipt in zip(admitted, outcome, strict=True)]

    async def _append_each(self, admitted: list[_Admitted]) -> list[_Result]:
        by_log: dict[int, list[_Admitted]] = {}
        for item in admitted:
            stream = item.draft.stream
            # the ledger streams of a tenant share one log
            by_log.setdefault(0 if stream.engine is StreamEngine.LEDGER else stream.key, []).append(item)
        answers = await asyncio.gather(*(self._append_singles(items) for items in by_log.values()))
        return [result for answer in answers for result in answer]

    async def _append_singles(self, items: Sequence[_Admitted]) -> list[_Result]:
        """A log that cannot be reached refuses its own events, not those of other logs."""
        try:
            log = await self._logs.of(items[0].draft.stream)
            outcomes = await log.append([Command(events=[item.draft]) for item in items])
        except EsbError as error:
            refusal = Refusal(index=0, code=error.code, message=error.message, details=error.details)
            return [_rejection(item, refusal) for item in items]
        return [
            _rejection(item, outcome) if isinstance(outcome, Refusal) else _Committed(item, outcome[0])
            for item, outcome in zip(items, outcomes, strict=True)
        ]

    def _reported(self, results: Sequence[_Result], seconds: float) -> PublishReport:
        receipts: list[tuple[int, Receipt]] = []
        rejections: list[Rejection] = []
        engines: Counter[StreamEngine] = Counter()
        for result in results:
            if isinstance(result, Rejection):
                rejections.append(result)
                self._recorder.rejected(result.code, 1)
            else:
                receipts.append((result.item.index, result.receipt))
                engines[result.item.draft.stream.engine] += 1
        for engine, events in engines.items():
            self._recorder.published(engine, events, seconds)
        receipts.sort(key=lambda pair: pair[0])
        return PublishReport(receipts, sorted(rejections, key=lambda rejection: rejection.index))


async def _admit(drafting: Drafting, inputs: Sequence[EventInput]) -> tuple[list[_Admitted], list[_Result]]:
    admitted: list[_Admitted] = []
    refused: list[_Result] = []
    for index, said in enumerate(inputs):
        try:
            admitted.append(_Admitted(index, await drafting.draft(said)))
        except EsbError as error:
            refused.append(Rejection(index, said.event_id, error.code, error.message, error.details))
        if index % _EVENTS_A_TURN == _EVENTS_A_TURN - 1:
            await asyncio.sleep(0)  # a large batch must not hold up the loop's other work
    return admitted, refused


def _rejection(item: _Admitted, refusal: Refusal) -> Rejection:
    return Rejection(item.index, item.draft.envelope.event_id, refusal.code, refusal.message, refusal.details)


def _check_batch(inputs: Sequence[EventInput], atomic: bool, condition: AppendConditionInput | None) -> None:
    if not inputs:
        raise bad_input("the batch is empty", field="events")
    if len(inputs) > MAX_BATCH_EVENTS:
        raise EsbError(ErrorCode.PAYLOAD_TOO_LARGE, f"a batch holds at most {MAX_BATCH_EVENTS} events")
    size = sum(len(memoryview(said.payload)) + len(memoryview(said.metadata or b"")) for said in inputs)
    _check_size(size)
    if condition is not None and not atomic:
        raise bad_input("a condition needs an atomic batch", field="condition")


def _check_size(size: int) -> None:
    if size > MAX_BATCH_BYTES:
        raise EsbError(ErrorCode.PAYLOAD_TOO_LARGE, f"a batch holds at most {MAX_BATCH_BYTES} bytes")
