"""What admission must ask the store, and remembers: how a tenant routes, where its aggregate types live, and what its
payloads must look like.
"""

from processors.admission.payload_gate import PayloadGate, PayloadSchemas, SchemaRecorder
from processors.admission.ports import Pins, StreamViews, TenantStreams
from processors.admission.routing import Router
from schema.stream import Stream

_MAX_PINS = 100_000


class Lookups:
    """One instance a process. `pins`: (tenant, aggregate type) → key of its ledger stream, as far as known; a pin never
    changes."""

    def __init__(
        self, views: StreamViews, pins: Pins, schemas: PayloadSchemas | None, recorder: SchemaRecorder
    ) -> None:
        self._views = views
        self._pins = pins
        self._schemas = schemas
        self._recorder = recorder
        self._routers: dict[str, tuple[TenantStreams, Router]] = {}
        self.pins: dict[tuple[str, str], int] = {}

    async def router(self, tenant: str) -> Router:
        """The tenant's routing as this process sees it."""
        return self._router(tenant, await self._views.view(tenant))

    async def fresh_router(self, tenant: str) -> Router:
        """The tenant's routing as the store has it now."""
        return self._router(tenant, await self._views.refresh(tenant))

    async def pin(self, stream: Stream, aggregate_type: str) -> None:
        """Learn where the aggregate type lives; in this stream, if nowhere yet."""
        if len(self.pins) >= _MAX_PINS:
            self.pins.clear()
        pinned = await self._pins.pin_aggregate_type(stream.tenant, aggregate_type, stream.key)
        self.pins[stream.tenant, aggregate_type] = pinned

    async def gate(self, tenant: str, router: Router, *, fresh: bool = False) -> PayloadGate | None:
        """What holds payloads against their schemas; None where no stream asks for it."""
        if self._schemas is None or not router.checks_payloads:
            return None
        known = await (self._schemas.refresh(tenant) if fresh else self._schemas.view(tenant))
        return PayloadGate(self._schemas, known, self._recorder, settled=fresh)

    async def prepare(self, tenant: str, definition_id: int) -> None:
        """Make a schema's validator."""
        assert self._schemas is not None
        await self._schemas.prepare(tenant, definition_id)

    def _router(self, tenant: str, view: TenantStreams) -> Router:
        known = self._routers.get(tenant)
        if known is None or known[0] is not view:
            known = self._routers[tenant] = (view, Router(view.streams, view.routes))
        return known[1]
