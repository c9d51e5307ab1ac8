"""Publishing: `POST /api/v1/events` and `POST /api/v1/events/batch`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.client import client_context
from gateway.problems import BODY_JSON, problem
from gateway.rest.body import decoded, read_json
from gateway.rest.guard import Guard
from processors.admission.admission import MAX_BATCH_EVENTS
from processors.admission.ports import AppendConditionInput, PublishReport, Rejection
from schema.cursor import CursorCodec
from schema.errors import ErrorCode, EsbError
from schema.event import MAX_BATCH_BYTES, MAX_EVENT_BYTES
from schema.filter.typed import parse_filter
from schema.input import ClientContext, EventInput
from schema.principal import Principal
from store.log.port import Receipt

# What surrounds the counted parts of events: names, brackets, spaces.
_SLACK = 64 * 1024
MAX_EVENT_BODY = MAX_EVENT_BYTES + _SLACK
MAX_BATCH_BODY = MAX_BATCH_BYTES + 16 * _SLACK


class Publisher(Protocol):
    """Where events go: processors.admission."""

    async def publish_one(self, principal: Principal, said: EventInput, *, client: ClientContext) -> Receipt:
        """Commit one event, or raise."""

    async def publish(
        self,
        principal: Principal,
        inputs: Sequence[EventInput],
        *,
        client: ClientContext,
        atomic: bool = True,
        condition: AppendConditionInput | None = None,
    ) -> PublishReport:
        """Commit a batch."""


class ReceiptBody(msgspec.Struct):
    """Where an event came to rest. `cursor`: going on from here continues right after it."""

    event_id: str
    stream: str
    position: int | None
    partition: int | None
    offset: int | None
    sequence_number: int | None
    cursor: str
    recorded_at: datetime
    duplicate: bool


class IndexedReceiptBody(ReceiptBody):
    """A receipt of a batch. `index`: the event's place in the request, from 0."""

    index: int


class ConditionBody(msgspec.Struct, forbid_unknown_fields=True):
    """Commit only if no event that matches `none_matching` came after the cursor `after` (left out: ever)."""

    none_matching: dict[str, Any]
    after: str | None = None


class BatchBody(msgspec.Struct, forbid_unknown_fields=True):
    """A batch. `atomic`: all or nothing. `condition`: atomic batches on ledger streams only."""

    events: list[EventInput]
    atomic: bool = True
    condition: ConditionBody | None = None


class _LooseBatchBody(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]
    atomic: bool = True
    condition: ConditionBody | None = None


class ReportBody(msgspec.Struct):
    """What became of a batch, in input order."""

    receipts: list[IndexedReceiptBody]
    rejections: list[Rejection]


class _Batch(msgspec.Struct):
    """A batch as read: events that have an event's shape with their places, and those that have not."""

    inputs: list[EventInput]
    places: Sequence[int]
    broken: list[Rejection]
    atomic: bool
    condition: ConditionBody | None


_encoder = msgspec.json.Encoder()
_event_decoder = msgspec.json.Decoder(EventInput)
_batch_decoder = msgspec.json.Decoder(BatchBody)
_loose_decoder = msgspec.json.Decoder(_LooseBatchBody)


class PublishingApi:
    """The two endpoints that publish."""

    def __init__(self, admission: Publisher, codec: CursorCodec) -> None:
        self._admission = admission
        self._codec = codec

    def routes(self, guard: Guard) -> list[Route]:
        """The routes, guarded."""
        return [
            Route("/events", guard(self.publish_event), methods=["POST"]),
            Route("/events/batch", guard(self.publish_events), methods=["POST"]),
        ]

    async def publish_event(self, principal: Principal, request: Request) -> Response:
        """Commit one event: 201, or 200 when it was there already."""
        said = decoded(_event_decoder, await read_json(request, MAX_EVENT_BODY), "the event")
        receipt = await self._admission.publish_one(principal, said, client=client_context(request))
        body = ReceiptBody(**_shown(receipt, self._codec.encode(principal.tenant, receipt.cursor)))
        status = 200 if receipt.duplicate else 201
        location = {"location": f"/api/v1/events/{receipt.event_id}"}
        return Response(_encoder.encode(body), status, location, BODY_JSON)

    async def publish_events(self, principal: Principal, request: Request) -> Response:
        """Commit a batch: 200, 207 when some events of a batch that is not atomic were refused; a refused atomic batch
        is a problem with both lists."""
        batch = _read_batch(await read_json(request, MAX_BATCH_BODY))
        report = PublishReport([], [])
        if batch.inputs and not (batch.atomic and batch.broken):
            report = await self._admission.publish(
                principal,
                batch.inputs,
                client=client_context(request),
                atomic=batch.atomic,
                condition=_condition(batch.condition),
            )
        elif not batch.broken:
            raise EsbError(ErrorCode.BAD_INPUT, "the batch is empty", details={"field": "events"})
        return _answer(self._report(principal, batch, report), batch.atomic)

    def _report(self, principal: Principal, batch: _Batch, report: PublishReport) -> ReportBody:
        encode, tenant, places = self._codec.encode, principal.tenant, batch.places
        receipts = [
            IndexedReceiptBody(index=places[index], **_shown(receipt, encode(tenant, receipt.cursor)))
            for index, receipt in report.receipts
        ]
        refused = [msgspec.structs.replace(r, index=places[r.index]) for r in report.rejections]
        return ReportBody(receipts, sorted(refused + batch.broken, key=lambda rejection: rejection.index))


def _shown(receipt: Receipt, cursor: str) -> dict[str, Any]:
    return {
        "event_id": receipt.event_id,
        "stream": receipt.stream,
        "position": receipt.position,
        "partition": receipt.partition,
        "offset": receipt.offset,
        "sequence_number": receipt.sequence_number,
        "cursor": cursor,
        "recorded_at": receipt.recorded_at,
        "duplicate": receipt.duplicate,
    }


def _answer(report: ReportBody, atomic: bool) -> Response:
    if atomic and report.rejections:
        first = report.rejections[0]
        said = f"the batch was refused as a whole; event {first.index}: {first.message}"
        members = {"receipts": report.receipts, "rejections": report.rejections}
        return problem(EsbError(first.code, said, details=first.details), **members)
    return Response(_encoder.encode(report), 207 if report.rejections else 200, media_type=BODY_JSON)


def _condition(body: ConditionBody | None) -> AppendConditionInput | None:
    return None if body is None else AppendConditionInput(parse_filter(body.none_matching), body.after)


def _read_batch(body: bytes) -> _Batch:
    """Decode in one go; only where that fails look at the events one by one, to say which of them is broken."""
    try:
        batch = _batch_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_loosely(body)
    return _Batch(batch.events, range(len(batch.events)), [], batch.atomic, batch.condition)


def _read_loosely(body: bytes) -> _Batch:
    batch = decoded(_loose_decoder, body, "the batch")
    if len(batch.events) > MAX_BATCH_EVENTS:
        raise EsbError(ErrorCode.PAYLOAD_TOO_LARGE, f"a batch holds at most {MAX_BATCH_EVENTS} events")
    read = _Batch([], [], [], batch.atomic, batch.condition)
    places: list[int] = []
    for index, raw in enumerate(batch.events):
        try:
            read.inputs.append(decoded(_event_decoder, raw, "the event"))
            places.append(index)
        except EsbError as error:
            read.broken.append(Rejection(index, None, error.code, error.message, error.details))
    read.places = places
    return read
