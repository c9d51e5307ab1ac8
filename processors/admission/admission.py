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
from store.log.port import Command, Condition, Draft, Log, Outcome, Receipt, Refusal

MAX_BATCH_EVENTS = 10_000


class _Admitted(msgspec.Struct, frozen=True):
    index: int
    draft: Draft


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
    ) -> None:
        self._logs = logs
        self._codec = codec
        self._recorder = recorder
        self._now = now
        self._lookups = Lookups(views, pins)
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
        admitted, rejections = await self._admit_all(principal, inputs, client)
        if sum(len(item.draft.body) for item in admitted) > MAX_BATCH_BYTES:
            raise EsbError(ErrorCode.PAYLOAD_TOO_LARGE, f"a batch holds at most {MAX_BATCH_BYTES} bytes")
        if atomic and rejections:
            return self._reported([], rejections)
        if atomic:
            receipts, refused = await self._append_whole(admitted, boundary)
        else:
            receipts, refused = await self._append_each(admitted)
        self._record(admitted, receipts, time.perf_counter() - started)
        return self._reported(receipts, rejections + refused)

    async def explain(self, principal: Principal, said: EventInput) -> Decision:
        """Which stream would take the event and why; raises as publishing would, and commits nothing."""
        return await self._drafting(principal, ClientContext()).explain(said)

    def _drafting(self, principal: Principal, client: ClientContext) -> Drafting:
        return Drafting(self._tools, self._lookups, principal, client, self._now())

    async def _admit_all(
        self, principal: Principal, inputs: Sequence[EventInput], client: ClientContext
    ) -> tuple[list[_Admitted], list[Rejection]]:
        drafting = self._drafting(principal, client)
        admitted: list[_Admitted] = []
        rejections: list[Rejection] = []
        for index, said in enumerate(inputs):
            try:
                admitted.append(_Admitted(index, await drafting.draft(said)))
            except EsbError as error:
                rejections.append(Rejection(index, said.event_id, error.code, error.message, error.details))
            if index % 500 == 499:
                await asyncio.sleep(0)  # a large batch must not hold up the loop's other work
        return admitted, rejections

    async def _boundary(self, principal: Principal, condition: AppendConditionInput | None) -> Condition | None:
        if condition is None:
            return None
        if condition.after is None:
            return Condition(none_matching=condition.none_matching, after=1)
        after = self._codec.decode(principal.tenant, condition.after)
        if after.epoch != await self._logs.epoch(principal.tenant):
            raise CursorInvalid("it is from another epoch of the log")
        return Condition(none_matching=condition.none_matching, after=after.position)

    async def _append_whole(
        self, admitted: list[_Admitted], boundary: Condition | None
    ) -> tuple[list[tuple[int, Receipt]], list[Rejection]]:
        if any(item.draft.stream.engine is not StreamEngine.LEDGER for item in admitted) and (
            len(admitted) > 1 or boundary is not None
        ):
            message = "atomic batches and conditions are for ledger streams; publish with atomic: false"
            refusal = Refusal(index=0, code=ErrorCode.UNSUPPORTED_BY_ENGINE, message=message)
            return [], [_rejection(admitted[0], refusal)]
        log = await self._logs.of(admitted[0].draft.stream)
        (outcome,) = await log.append([Command(events=[item.draft for item in admitted], condition=boundary)])
        if isinstance(outcome, Refusal):
            return [], [_rejection(admitted[outcome.index], outcome)]
        return [(item.index, receipt) for item, receipt in zip(admitted, outcome, strict=True)], []

    async def _append_each(self, admitted: list[_Admitted]) -> tuple[list[tuple[int, Receipt]], list[Rejection]]:
        by_log: dict[int, tuple[Log, list[_Admitted]]] = {}
        for item in admitted:
            log = await self._logs.of(item.draft.stream)
            by_log.setdefault(id(log), (log, []))[1].append(item)
        groups = list(by_log.values())
        answers = await asyncio.gather(*(_append_singles(log, items) for log, items in groups))
        receipts: list[tuple[int, Receipt]] = []
        rejections: list[Rejection] = []
        for (_, items), outcomes in zip(groups, answers, strict=True):
            for item, outcome in zip(items, outcomes, strict=True):
                if isinstance(outcome, Refusal):
                    rejections.append(_rejection(item, outcome))
                else:
                    receipts.append((item.index, outcome[0]))
        return receipts, rejections

    def _record(self, admitted: list[_Admitted], receipts: list[tuple[int, Receipt]], seconds: float) -> None:
        committed = {index for index, _ in receipts}
        engines = Counter(item.draft.stream.engine for item in admitted if item.index in committed)
        for engine, events in engines.items():
            self._recorder.published(engine, events, seconds)

    def _reported(self, receipts: list[tuple[int, Receipt]], rejections: list[Rejection]) -> PublishReport:
        for rejection in rejections:
            self._recorder.rejected(rejection.code, 1)
        receipts.sort(key=lambda pair: pair[0])
        return PublishReport(receipts, sorted(rejections, key=lambda rejection: rejection.index))


async def _append_singles(log: Log, items: Sequence[_Admitted]) -> list[Outcome]:
    """Commit each event for itself. A log that cannot be reached refuses its own events, not those of other logs."""
    try:
        return await log.append([Command(events=[item.draft]) for item in items])
    except EsbError as error:
        refusal = Refusal(index=0, code=error.code, message=error.message, details=error.details)
        return [refusal] * len(items)


def _rejection(item: _Admitted, refusal: Refusal) -> Rejection:
    return Rejection(item.index, item.draft.envelope.event_id, refusal.code, refusal.message, refusal.details)


def _check_batch(inputs: Sequence[EventInput], atomic: bool, condition: AppendConditionInput | None) -> None:
    if not inputs:
        raise bad_input("the batch is empty", field="events")
    if len(inputs) > MAX_BATCH_EVENTS:
        raise EsbError(ErrorCode.PAYLOAD_TOO_LARGE, f"a batch holds at most {MAX_BATCH_EVENTS} events")
    size = sum(len(memoryview(said.payload)) for said in inputs)
    if size > MAX_BATCH_BYTES:
        raise EsbError(ErrorCode.PAYLOAD_TOO_LARGE, f"a batch holds at most {MAX_BATCH_BYTES} bytes")
    if condition is not None and not atomic:
        raise bad_input("a condition needs an atomic batch", field="condition")
