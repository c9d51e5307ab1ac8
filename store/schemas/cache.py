"""Each process's picture of the tenants' schemas: publishing must not ask PostgreSQL what a payload must look like."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping

from schema.errors import ErrorCode, EsbError
from schema.payloads.formats import Validator, validator
from store.schemas.rows import Known, SchemaRows
from store.signals.port import EVERYTHING, Signals, schemas_topic
from store.tenants import Tenants

_POLL_S = 2.0
_PREFIX = schemas_topic("")
_MAX_VALIDATORS = 2000


class TenantSchemas:
    """A tenant's versions, by type in the order they were registered. Never changed: a change makes a new one."""

    def __init__(self, versions: Mapping[str, tuple[Known, ...]], newest: int) -> None:
        self.newest = newest
        self._by_type = versions
        self._by_name = {(one.event_type, one.version): one for known in versions.values() for one in known}

    def find(self, event_type: str, version: str | None) -> Known | None:
        """That version of the type's schema, the newest where none is said."""
        if version is not None:
            return self._by_name.get((event_type, version))
        known = self._by_type.get(event_type)
        return None if known is None else known[-1]

    def with_more(self, found: list[Known]) -> "TenantSchemas":
        """The same and what was registered since."""
        versions = dict(self._by_type)
        for one in found:
            versions[one.event_type] = (*versions.get(one.event_type, ()), one)
        return TenantSchemas(versions, found[-1].key)


class SchemaCache:
    """Schemas by tenant, and validators by definition. A change in another process arrives by signal; where signals are
    lost, within two seconds. Only what is new is asked for: nothing that is registered ever changes.
    """

    def __init__(self, rows: SchemaRows, tenants: Tenants, signals: Signals) -> None:
        self._rows = rows
        self._tenants = tenants
        self._known: dict[str, tuple[TenantSchemas, float]] = {}
        self._stale: set[str] = set()
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._validators: dict[int, Validator] = {}
        signals.listen(self.on_signal)

    def on_signal(self, topic: str) -> None:
        """Something changed; the next look asks PostgreSQL."""
        if topic == EVERYTHING:
            self._stale.update(self._known)
        elif topic.startswith(_PREFIX) and (tenant := topic.removeprefix(_PREFIX)) in self._known:
            self._stale.add(tenant)

    async def view(self, tenant: str) -> TenantSchemas:
        """What this process knows, asked for again when it changed or is two seconds old.

        While PostgreSQL cannot be asked the old view goes on being used; raises LOG_UNAVAILABLE when there is none.
        """
        known = self._known.get(tenant)
        if known is None:
            return await self.refresh(tenant)
        if tenant not in self._stale and time.monotonic() - known[1] < _POLL_S:
            return known[0]
        if self._asking[tenant].locked():
            return known[0]  # one asks for all
        try:
            return await self.refresh(tenant)
        except EsbError:
            self._stale.discard(tenant)
            self._known[tenant] = (known[0], time.monotonic())  # not again at every publish
            return known[0]

    async def refresh(self, tenant: str) -> TenantSchemas:
        """The schemas as PostgreSQL has them, not older than this call; callers that come together share a question."""
        called_at = time.monotonic()
        async with self._asking[tenant]:
            known = self._known.get(tenant)
            if known is not None and known[1] >= called_at:
                return known[0]
            self._stale.discard(tenant)
            view = TenantSchemas({}, 0) if known is None else known[0]
            asked_at = time.monotonic()
            try:
                found = await self._rows.known(await self._tenants.get(tenant), view.newest)
            except BaseException:
                self._stale.add(tenant)
                raise
            if found:
                view = view.with_more(found)
            self._known[tenant] = (view, asked_at)
            return view

    def validator(self, definition_id: int) -> Validator | None:
        """What applies a definition, if this process made it already."""
        return self._validators.get(definition_id)

    async def prepare(self, tenant: str, definition_id: int) -> None:
        """Make a definition's validator. Raises NOT_FOUND, LOG_UNAVAILABLE."""
        definition = await self._rows.definition(await self._tenants.get(tenant), definition_id)
        if definition is None:
            raise EsbError(ErrorCode.NOT_FOUND, "there is no such definition")
        if len(self._validators) >= _MAX_VALIDATORS:
            del self._validators[next(iter(self._validators))]
        self._validators[definition_id] = validator(definition.format, definition.text, definition.compiled)
