"""The use cases of the schema registry: register, check, look up, and what new versions owe the older ones."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from processors.admission.envelope import check_name
from processors.schemas.definitions import read
from schema.errors import ErrorCode, EsbError, bad_input
from schema.folding.declared import operations_document, parse_operations
from schema.identifier import IdentifierSource
from schema.payloads.declared import (
    DEFAULT_COMPATIBILITY,
    Compatibility,
    Definition,
    Problem,
    SchemaFormat,
    SchemaVersion,
)
from schema.payloads.formats import problems
from schema.payloads.limits import MAX_TYPES, MAX_VERSIONS
from schema.principal import Action, Principal
from store.schemas import SchemaCache, SchemaRows
from store.schemas.rows import DEFAULT, fingerprint
from store.signals.port import Signals, schemas_topic
from store.tenants import Tenant, Tenants

_TRIES = 10
_MAX_SHOWN = 100


class Schemas:
    """Schemas of the caller's tenant. Registering needs `manage` on some stream, looking `read` on one."""

    def __init__(self, rows: SchemaRows, cache: SchemaCache, tenants: Tenants, signals: Signals) -> None:
        self._rows = rows
        self._cache = cache
        self._tenants = tenants
        self._signals = signals
        self._identifiers = IdentifierSource()

    async def register(
        self, principal: Principal, event_type: str, version: str | None, format: SchemaFormat, text: str
    ) -> SchemaVersion:
        """Register a version; said again as it stands, the one there is. `version`: None gives the type's next number,
        unless one of its versions says the same already.

        Raises BAD_INPUT, FORBIDDEN, PAYLOAD_TOO_LARGE, ALREADY_EXISTS (that version says something else),
        SCHEMA_VIOLATION with `details.problems`, TOO_COMPLEX.
        """
        principal.require(Action.MANAGE)
        _check_names(event_type, version)
        definition = await read(format, text)
        tenant = await self._tenants.get(principal.tenant)
        for _ in range(_TRIES):
            older = await self._rows.of_type(tenant, event_type)
            if (there := _there(older, version, definition)) is not None:
                return there
            counted = await self._rows.counted(tenant, event_type)
            _check_counts(counted.versions, counted.types)
            await self._check(tenant, event_type, definition, older)
            number = len(older) + 1
            named = version or _name(number, older)
            schema_id = "sch_" + self._identifiers.ulid()
            if await self._rows.add(tenant, schema_id, event_type, named, definition, number):
                await self._changed(principal.tenant)
                made = await self._rows.one(tenant, event_type, named)
                assert made is not None, "versions are never deleted"
                return made
        raise EsbError(ErrorCode.LOG_UNAVAILABLE, "others register versions of this type all the time; try again")

    async def check(
        self, principal: Principal, event_type: str, format: SchemaFormat, text: str, *, against: Sequence[int] = ()
    ) -> list[Problem]:
        """What would keep a definition from being registered; changes nothing. `against`: only these numbers.

        Raises BAD_INPUT, FORBIDDEN, PAYLOAD_TOO_LARGE, NOT_FOUND (a number), TOO_COMPLEX.
        """
        principal.require(Action.READ)
        _check_names(event_type, None)
        definition = await read(format, text)
        tenant = await self._tenants.get(principal.tenant)
        older = await self._rows.of_type(tenant, event_type)
        if against:
            older = [one for one in older if one.number in against]
            if not older:
                raise EsbError(ErrorCode.NOT_FOUND, f"{event_type!r} has no such version")
        return await self._problems(tenant, event_type, definition, older)

    async def same(self, format: SchemaFormat, text: str, older: Sequence[SchemaVersion]) -> SchemaVersion | None:
        """Which of some versions says the same as a definition. Raises as reading it does."""
        said = fingerprint(await read(format, text))
        return next((one for one in older if one.fingerprint == said and one.definition.format is format), None)

    async def one(self, principal: Principal, event_type: str, version: str | None) -> SchemaVersion | None:
        """One version of a type, the newest where none is named."""
        principal.require(Action.READ)
        return await self._rows.one(await self._tenants.get(principal.tenant), event_type, version)

    async def by_id(self, principal: Principal, schema_id: str) -> SchemaVersion | None:
        """The version with that global id; None where the caller may not read."""
        if not principal.may(Action.READ):
            return None
        return await self._rows.by_id(await self._tenants.get(principal.tenant), schema_id)

    async def of_type(self, principal: Principal, event_type: str) -> list[SchemaVersion]:
        """A type's versions, oldest first."""
        principal.require(Action.READ)
        return await self._rows.of_type(await self._tenants.get(principal.tenant), event_type)

    async def page(
        self, principal: Principal, event_type: str | None, after: tuple[str, int] | None, limit: int
    ) -> list[SchemaVersion]:
        """Versions by type and number, after one of them."""
        principal.require(Action.READ)
        return await self._rows.page(await self._tenants.get(principal.tenant), event_type, after, limit)

    async def types(self, principal: Principal) -> list[str]:
        """The types that have a schema, by name."""
        principal.require(Action.READ)
        return await self._rows.types(await self._tenants.get(principal.tenant))

    async def definition(self, principal: Principal, definition_id: int) -> Definition | None:
        """A definition by its number."""
        principal.require(Action.READ)
        return await self._rows.definition(await self._tenants.get(principal.tenant), definition_id)

    async def uses(self, principal: Principal, definition_id: int) -> list[tuple[str, int]]:
        """Which types have a definition, as which of their versions."""
        principal.require(Action.READ)
        return await self._rows.uses(await self._tenants.get(principal.tenant), definition_id)

    async def level(self, principal: Principal, event_type: str | None) -> Compatibility | None:
        """What was set for a type (None: nothing was); for None the tenant's default, which there always is."""
        principal.require(Action.READ)
        tenant = await self._tenants.get(principal.tenant)
        if event_type is None:
            return await self._rows.level(tenant, DEFAULT) or DEFAULT_COMPATIBILITY
        return await self._rows.level(tenant, event_type)

    async def set_level(self, principal: Principal, event_type: str | None, level: Compatibility | None) -> None:
        """Set what new versions of a type owe the older ones; of every type without a level of its own where None is
        named. Those that are registered stay. `level`: None takes it away.
        """
        principal.require(Action.MANAGE)
        if event_type is not None:
            _check_names(event_type, None)
        await self._rows.set_level(await self._tenants.get(principal.tenant), event_type or DEFAULT, level)

    async def set_level_of(self, principal: Principal, event_type: str, level: Compatibility) -> SchemaVersion:
        """Set a type's level; its newest version. Raises NOT_FOUND where it has no schema, and sets nothing."""
        principal.require(Action.MANAGE)
        tenant = await self._tenants.get(principal.tenant)
        if await self._rows.one(tenant, event_type, None) is None:
            raise EsbError(ErrorCode.NOT_FOUND, f"{event_type!r} has no schema yet")
        await self.set_level(principal, event_type, level)
        found = await self._rows.one(tenant, event_type, None)
        assert found is not None, "versions are never deleted"
        return found

    async def register_upcaster(
        self,
        principal: Principal,
        event_type: str,
        from_version: str,
        to_version: str,
        operations: Sequence[Mapping[str, Any]],
    ) -> SchemaVersion:
        """Say how a payload of one version becomes one of a later; instead of what was said from the same version.

        Returns the version it leads to. Raises BAD_INPUT, FORBIDDEN, NOT_FOUND.
        """
        principal.require(Action.MANAGE)
        parsed = parse_operations(operations, drop=False, where="operations")
        tenant = await self._tenants.get(principal.tenant)
        before = await self._named(tenant, event_type, from_version)
        after = await self._named(tenant, event_type, to_version)
        if after.number <= before.number:
            raise bad_input(
                f"an upcaster leads to a later version: {to_version!r} was registered before {from_version!r}"
                if after.number < before.number
                else "an upcaster leads from one version to another",
                field="to_version",
            )
        said = msgspec.json.encode(operations_document(parsed)).decode()
        await self._rows.save_upcaster(tenant, event_type, from_version, to_version, said)
        await self._changed(principal.tenant)
        return after

    async def _named(self, tenant: Tenant, event_type: str, version: str) -> SchemaVersion:
        found = await self._rows.one(tenant, event_type, version)
        if found is None:
            raise EsbError(ErrorCode.NOT_FOUND, f"there is no version {version!r} of the schema for {event_type!r}")
        return found

    async def _check(
        self, tenant: Tenant, event_type: str, definition: Definition, older: Sequence[SchemaVersion]
    ) -> None:
        found = await self._problems(tenant, event_type, definition, older)
        if not found:
            return
        first = found[0]
        raise EsbError(
            ErrorCode.SCHEMA_VIOLATION,
            f"the schema is not {older[-1].compatibility.value} compatible with version {first.against_version!r} of"
            f" {event_type!r}: {first.path or 'the whole'} {first.message}",
            details={"problems": [msgspec.to_builtins(one) for one in found[:_MAX_SHOWN]]},
        )

    async def _problems(
        self, tenant: Tenant, event_type: str, definition: Definition, older: Sequence[SchemaVersion]
    ) -> list[Problem]:
        if not older:
            return []
        return await asyncio.to_thread(problems, definition, older, older[-1].compatibility)

    async def _changed(self, tenant: str) -> None:
        """Let every process know, this one before the caller gets an answer."""
        self._signals.notify(schemas_topic(tenant))
        try:
            await self._cache.refresh(tenant)
        except EsbError:
            self._cache.on_signal(schemas_topic(tenant))  # what was done is done; the next look finds it


def _check_names(event_type: str, version: str | None) -> None:
    check_name("event_type", event_type)
    if version is not None:
        check_name("schema_version", version)


def _check_counts(versions: int, types: int) -> None:
    if versions >= MAX_VERSIONS:
        raise bad_input(f"a type has at most {MAX_VERSIONS} versions of its schema", field="version")
    if not versions and types >= MAX_TYPES:
        raise bad_input(f"a tenant has schemas for at most {MAX_TYPES} types", field="event_type")


def _there(older: Sequence[SchemaVersion], version: str | None, definition: Definition) -> SchemaVersion | None:
    """The version that is registered already. Raises ALREADY_EXISTS where that name says something else."""
    said = fingerprint(definition)
    for one in older:
        same = one.fingerprint == said and one.definition.format is definition.format
        if version is None and same:
            return one
        if one.version == version:
            if same:
                return one
            raise EsbError(
                ErrorCode.ALREADY_EXISTS,
                f"version {version!r} of {one.event_type!r} is registered and says something else; take another name",
            )
    return None


def _name(number: int, older: Sequence[SchemaVersion]) -> str:
    """What a version is called that was registered without a name: its number, as far as nobody took that."""
    taken = {one.version for one in older}
    name = str(number)
    while name in taken:
        name = f"r{name}"
    return name
