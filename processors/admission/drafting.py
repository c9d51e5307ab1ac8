"""From an input to a draft: everything about one event that needs no waiting. The hot path of publishing."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
import orjson

from processors.admission.canonical import ContentHash
from processors.admission.envelope import Checked, check, check_identity, instant, too_large
from processors.admission.lookups import Lookups
from processors.admission.payload_gate import PayloadGate, UnknownSchema, Unprepared
from processors.admission.ports import Rejection
from processors.admission.routing import Decision, Router
from schema.errors import ErrorCode, EsbError, bad_input
from schema.event import MAX_EVENT_BYTES, Envelope, Event, decode_body, encode_body
from schema.identifier import IdentifierSource
from schema.input import EMPTY_OBJECT, ClientContext, EventInput
from schema.principal import Action, Principal
from schema.stream import Stream, StreamEngine
from store.log.port import Draft

_EVENTS_A_TURN = 250
_LEDGER = StreamEngine.LEDGER


class Unpinned(Exception):
    """The aggregate type was not seen before: the store must say which stream it lives in, then try again."""

    def __init__(self, stream: Stream, aggregate_type: str) -> None:
        super().__init__(aggregate_type)
        self.stream = stream
        self.aggregate_type = aggregate_type


class Drafted(NamedTuple):
    """A batch after drafting. `places`: of each draft, its place in the input, ascending."""

    places: list[int]
    drafts: list[Draft]
    refused: list[Rejection]


class Tools(NamedTuple):
    """What drafting needs of the process."""

    hashes: ContentHash
    identifiers: IdentifierSource


class Drafter:
    """Makes the drafts of one request: one caller, one moment, one view of the tenant's streams."""

    def __init__(
        self,
        tools: Tools,
        pins: Mapping[tuple[str, str], int],
        principal: Principal,
        client: ClientContext,
        now: datetime,
        router: Router,
        gate: PayloadGate | None = None,
    ) -> None:
        self._tools = tools
        self._pins = pins
        self._principal = principal
        self._now = now
        self._router = router
        self._gate = gate
        said = {name: getattr(client, name) for name in ClientContext.__struct_fields__}
        self._stamps = {name: value for name, value in said.items() if value is not None}
        self._only_stamps = msgspec.Raw(orjson.dumps(self._stamps)) if self._stamps else EMPTY_OBJECT
        self._granted: set[str] = set()
        self._named: dict[str, Stream] = {}

    def draft(self, said: EventInput) -> Draft:
        """The draft, stamped, routed and allowed. Raises what refuses the event, and Unpinned."""
        checked = check(said, self._principal)
        stream = self._allowed(checked)
        check_identity(said, self._principal, stream.stream_name)
        ledger = stream.engine is _LEDGER
        if ledger and said.aggregate_type is not None:
            self._check_pin(stream, said.aggregate_type)
        version = said.schema_version
        if self._gate is not None:
            version = self._gate.version_for(stream, said, checked.payload)
        envelope = self._seal(checked, said.event_id or self._tools.identifiers.event_id(), version)
        body = encode_body(envelope)
        if len(body) > MAX_EVENT_BYTES:
            raise too_large(len(body))
        return Draft(
            envelope=envelope,
            body=body,
            stream=stream,
            # only the ledger compares contents
            content_hash=self._tools.hashes.of(said, checked.payload, checked.metadata) if ledger else 0,
            expected_sequence=said.expected_sequence,
        )

    def explain(self, said: EventInput) -> Decision:
        """Which stream would take it, and why. Raises as `draft`, but for pins."""
        decision = self._decide(check(said, self._principal))
        self._principal.require(Action.PUBLISH, decision.stream.stream_name)
        return decision

    def _allowed(self, checked: Checked) -> Stream:
        """Where the event goes; raises FORBIDDEN, UNKNOWN_STREAM. Asked once a request for each stream named."""
        named = checked.said.stream
        if named is None:
            stream = self._decide(checked).stream
            self._require(stream.stream_name)
            return stream
        if (known := self._named.get(named)) is None:
            self._require(named)  # before looking it up: who may not publish there learns nothing of it
            known = self._named[named] = self._decide(checked).stream
        return known

    def _decide(self, checked: Checked) -> Decision:
        said = checked.said

        def event() -> Event:
            made = decode_body(encode_body(self._seal(checked, said.event_id or "", said.schema_version)))
            made.recorded_at = self._now
            return made

        return self._router.route(said.stream, said.event_type, event)

    def _require(self, stream: str) -> None:
        if stream not in self._granted:
            self._principal.require(Action.PUBLISH, stream)
            self._granted.add(stream)

    def _check_pin(self, stream: Stream, aggregate_type: str) -> None:
        pinned = self._pins.get((stream.tenant, aggregate_type))
        if pinned is None:
            raise Unpinned(stream, aggregate_type)
        if pinned != stream.key:
            raise bad_input(
                f"events of aggregate type {aggregate_type!r} live in another stream than {stream.stream_name!r}; "
                "an aggregate type belongs to one stream, so that its history is one",
                field="aggregate_type",
            )

    def _seal(self, checked: Checked, event_id: str, schema_version: str | None) -> Envelope:
        said, principal = checked.said, self._principal
        return Envelope(
            event_id=event_id,
            event_type=said.event_type,
            event_version=said.event_version or "1.0",
            source_capability=said.source_capability or principal.client,
            aggregate_id=said.aggregate_id,
            aggregate_type=said.aggregate_type,
            timestamp=self._now if said.timestamp is None else instant(said.timestamp, self._now),
            correlation_id=said.correlation_id,
            causation_id=said.causation_id,
            tenant_id=principal.tenant,
            user_id=said.user_id or principal.subject,
            metadata=self._stamped(said, checked),
            payload=said.payload,
            schema_version=schema_version,
        )

    def _stamped(self, said: EventInput, checked: Checked) -> msgspec.Raw:
        if said.metadata is None:
            return self._only_stamps
        known = checked.metadata or {}
        if self._stamps.keys() <= known.keys():
            return said.metadata
        return msgspec.Raw(orjson.dumps({**self._stamps, **known}))


class Drafting:
    """The drafts of one request, asking the store for what this process does not know."""

    def __init__(
        self, tools: Tools, lookups: Lookups, principal: Principal, client: ClientContext, now: datetime
    ) -> None:
        self._tools = tools
        self._lookups = lookups
        self._request = (principal, client, now)
        self._drafter: Drafter | None = None
        self._refreshed = False
        self._gate_refreshed = False

    async def draft(self, said: EventInput) -> Draft:
        """The draft; raises what refuses the event."""
        while True:
            drafter = self._drafter or await self._look()
            try:
                return drafter.draft(said)
            except Unpinned as unknown:
                await self._lookups.pin(unknown.stream, unknown.aggregate_type)
            except EsbError as error:
                await self._learn(error)

    async def drafts(self, inputs: Sequence[EventInput]) -> Drafted:
        """The drafts of a batch, and what was refused of it."""
        places: list[int] = []
        drafts: list[Draft] = []
        refused: list[Rejection] = []
        for index, said in enumerate(inputs):
            try:
                drafts.append(self._at_once(said) or await self.draft(said))
                places.append(index)
            except EsbError as error:
                refused.append(Rejection(index, said.event_id, error.code, error.message, error.details))
            if index % _EVENTS_A_TURN == _EVENTS_A_TURN - 1:
                await asyncio.sleep(0)  # a large batch must not hold up the loop's other work
        return Drafted(places, drafts, refused)

    def _at_once(self, said: EventInput) -> Draft | None:
        """The draft, or None where the store may have to be asked first."""
        try:
            return None if self._drafter is None else self._drafter.draft(said)
        except Unpinned:
            return None
        except EsbError as error:
            if self._may_learn(error):
                return None
            raise

    async def explain(self, said: EventInput) -> Decision:
        """Which stream would take it, and why; raises as `draft`."""
        while True:
            drafter = self._drafter or await self._look()
            try:
                return drafter.explain(said)
            except EsbError as error:
                await self._learn(error)

    async def _look(self) -> Drafter:
        return await self._with(await self._lookups.router(self._request[0].tenant))

    def _may_learn(self, refused: EsbError) -> bool:
        """Whether the store may know better: another process may have made the stream, or the schema, a moment ago."""
        if isinstance(refused, UnknownSchema):
            return not self._gate_refreshed
        return isinstance(refused, Unprepared) or (refused.code is ErrorCode.UNKNOWN_STREAM and not self._refreshed)

    async def _learn(self, refused: EsbError) -> None:
        """Ask the store, once a request for each kind of thing, before saying no."""
        if not self._may_learn(refused):
            raise refused
        tenant = self._request[0].tenant
        if isinstance(refused, Unprepared):
            await self._lookups.prepare(tenant, refused.definition_id)
        elif isinstance(refused, UnknownSchema):
            self._gate_refreshed = True
            await self._look()
        else:
            self._refreshed = True
            await self._with(await self._lookups.fresh_router(tenant))

    async def _with(self, router: Router) -> Drafter:
        principal, client, now = self._request
        gate = await self._lookups.gate(principal.tenant, router, fresh=self._gate_refreshed)
        self._drafter = Drafter(self._tools, self._lookups.pins, principal, client, now, router, gate)
        return self._drafter
