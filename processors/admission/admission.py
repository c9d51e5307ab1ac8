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
from processors.admission.envelope import Checked, check, check_identity, seal, too_large
from processors.admission.ports import (
    AppendConditionInput,
    LogsOfTenant,
    Pins,
    PublishRecorder,
    PublishReport,
    Rejection,
    StreamViews,
    TenantStreams,
)
from processors.admission.routing import Decision, Router
from schema.cursor import CursorCodec, CursorInvalid
from schema.errors import ErrorCode, EsbError, bad_input
from schema.event import MAX_BATCH_BYTES, MAX_EVENT_BYTES, NEVER, Event, decode_body, encode_body
from schema.identifier import IdentifierSource
from schema.input import ClientContext, EventInput
from schema.principal import Action, Principal
from schema.stream import Stream, StreamEngine
from store.log.port import Command, Condition, Draft, Log, Outcome, Receipt, Refusal

MAX_BATCH_EVENTS = 10_000
_MAX_PINS = 100_000


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
        self._views = views
        self._pins = pins
        self._logs = logs
        self._codec = codec
        self._hashes = hashes
        self._recorder = recorder
        self._identifiers = identifiers
        self._now = now
        self._routers: dict[str, tuple[TenantStreams, Router]] = {}
        self._pinned: dict[tuple[str, str], int] = {}

    async def publish_one(self, principal: Principal, said: EventInput, *, client: ClientContext) -> Receipt:
        """Commit one event; raises what refuses it."""
        started = time.perf_counter()
        try:
            draft = await self._admit(principal, said, client, self._now())
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
        checked = check(said, principal)
        decision = await self._route(principal, checked, ClientContext(), self._now())
        principal.require(Action.PUBLISH, decision.stream.stream_name)
        return decision

    async def _admit_all(
        self, principal: Principal, inputs: Sequence[EventInput], client: ClientContext
    ) -> tuple[list[_Admitted], list[Rejection]]:
        now = self._now()
        admitted: list[_Admitted] = []
        rejections: list[Rejection] = []
        for index, said in enumerate(inputs):
            try:
                admitted.append(_Admitted(index, await self._admit(principal, said, client, now)))
            except EsbError as error:
                rejections.append(Rejection(index, said.event_id, error.code, error.message, error.details))
            if index % 500 == 499:
                await asyncio.sleep(0)  # a large batch must not hold up the loop's other work
        return admitted, rejections

    async def _admit(self, principal: Principal, said: EventInput, client: ClientContext, now: datetime) -> Draft:
        checked = check(said, principal)
        if said.stream is not None:
            principal.require(Action.PUBLISH, said.stream)
        stream = (await self._route(principal, checked, client, now)).stream
        principal.require(Action.PUBLISH, stream.stream_name)
        check_identity(said, principal, stream.stream_name)
        if said.aggregate_type is not None and stream.engine is StreamEngine.LEDGER:
            await self._check_pin(stream, said.aggregate_type)
        envelope = seal(checked, principal, client, said.event_id or self._identifiers.event_id(), now)
        body = encode_body(envelope)
        if len(body) > MAX_EVENT_BYTES:
            raise too_large(len(body))
        return Draft(
            envelope=envelope,
            body=body,
            stream=stream,
            # Only the ledger compares contents, and it is half the cost of admission.
            content_hash=self._hashes.of(said, checked.payload, checked.metadata)
            if stream.engine is StreamEngine.LEDGER
            else 0,
            expected_sequence=said.expected_sequence,
        )

    async def _route(self, principal: Principal, checked: Checked, client: ClientContext, now: datetime) -> Decision:
        said = checked.said

        def event() -> Event:
            made = decode_body(encode_body(seal(checked, principal, client, said.event_id or "", now)))
            made.recorded_at = now if made.recorded_at is NEVER else made.recorded_at
            return made

        router = self._router(principal.tenant, await self._views.view(principal.tenant))
        try:
            return router.route(said.stream, said.event_type, event)
        except EsbError as error:
            if error.code is not ErrorCode.UNKNOWN_STREAM:
                raise
        # another process may have made the stream a moment ago: ask the store before saying no
        router = self._router(principal.tenant, await self._views.refresh(principal.tenant))
        return router.route(said.stream, said.event_type, event)

    def _router(self, tenant: str, view: TenantStreams) -> Router:
        known = self._routers.get(tenant)
        if known is None or known[0] is not view:
            known = self._routers[tenant] = (view, Router(view.streams, view.routes))
        return known[1]

    async def _check_pin(self, stream: Stream, aggregate_type: str) -> None:
        place = (stream.tenant, aggregate_type)
        pinned = self._pinned.get(place)
        if pinned is None:
            pinned = await self._pins.pin_aggregate_type(stream.tenant, aggregate_type, stream.key)
            if len(self._pinned) >= _MAX_PINS:
                self._pinned.clear()
            self._pinned[place] = pinned
        if pinned != stream.key:
            raise bad_input(
                f"events of aggregate type {aggregate_type!r} live in another stream than {stream.stream_name!r}; "
                "an aggregate type belongs to one stream, so that its history is one",
                field="aggregate_type",
            )

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
