"""Schemas in PostgreSQL. What is registered stays: events name the version they were written in for ever."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from schema.payloads.declared import DEFAULT_COMPATIBILITY, Compatibility, Definition, SchemaFormat, SchemaVersion
from store.database import Connection, Database
from store.tenants import Tenant

_LOCK = "select pg_advisory_xact_lock(1163084305, $1)"
_SELECT = f"""
select v.key, v.schema_id, v.event_type, v.version, v.number, v.registered_at, v.definition as definition_id,
  d.format, d.fingerprint, d.definition, d.compiled, d.personal_paths,
  coalesce(
    (select level from schema_levels l where l.tenant = v.tenant and l.event_type = v.event_type),
    (select level from schema_levels l where l.tenant = v.tenant and l.event_type = ''),
    '{DEFAULT_COMPATIBILITY.value}'
  ) as level
from schema_versions v join schema_definitions d on d.id = v.definition
"""
_OF_TYPE = f"{_SELECT} where v.tenant = $1 and v.event_type = $2 order by v.number"
_ONE = f"{_SELECT} where v.tenant = $1 and v.event_type = $2 and v.version = $3"
_NEWEST = f"{_SELECT} where v.tenant = $1 and v.event_type = $2 order by v.number desc limit 1"
_BY_ID = f"{_SELECT} where v.tenant = $1 and v.schema_id = $2"
_PAGE = f"""
{_SELECT} where v.tenant = $1 and ($2::text is null or v.event_type = $2)
  and ($3::text is null or (v.event_type, v.number) > ($3, $4))
order by v.event_type, v.number limit $5
"""
_NEXT = """
select coalesce(max(number), 0) as newest, count(*) as versions,
  (select count(distinct event_type) from schema_versions where tenant = $1) as types
from schema_versions where tenant = $1 and event_type = $2
"""
_FIND_DEFINITION = "select id from schema_definitions where tenant = $1 and format = $2 and fingerprint = $3"
_ADD_DEFINITION = """
insert into schema_definitions (tenant, format, fingerprint, definition, compiled, personal_paths)
values ($1, $2, $3, $4, $5, $6) returning id
"""
_ADD = """
insert into schema_versions (tenant, schema_id, event_type, version, number, definition)
values ($1, $2, $3, $4, $5, $6)
"""
_LEVEL = "select level from schema_levels where tenant = $1 and event_type = $2"
_SET_LEVEL = """
insert into schema_levels (tenant, event_type, level) values ($1, $2, $3)
on conflict (tenant, event_type) do update set level = excluded.level
"""
_CLEAR_LEVEL = "delete from schema_levels where tenant = $1 and event_type = $2"
_KNOWN = """
select v.key, v.event_type, v.version, v.definition
from schema_versions v where v.tenant = $1 and v.key > $2 order by v.key
"""
_DEFINITION = (
    "select format, definition, compiled, personal_paths from schema_definitions where tenant = $1 and id = $2"
)
_TYPES = "select distinct event_type from schema_versions where tenant = $1 order by event_type"
_USES = (
    "select event_type, number from schema_versions where tenant = $1 and definition = $2 order by event_type, number"
)
_UPCASTERS = """
select key, event_type, from_version, to_version, operations from schema_upcasters
where tenant = $1 and ($2::text is null or event_type = $2) order by key
"""
_SAVE_UPCASTER = """
insert into schema_upcasters (tenant, event_type, from_version, to_version, operations) values ($1, $2, $3, $4, $5)
"""
_DROP_UPCASTER = "delete from schema_upcasters where tenant = $1 and event_type = $2 and from_version = $3"

DEFAULT = ""
"""The type whose level is every other type's where none was set."""


class Known(NamedTuple):
    """What admission needs of a version."""

    key: int
    event_type: str
    version: str
    definition_id: int


class Upcaster(NamedTuple):
    """How a payload of one version becomes one of another. `operations`: JSON, as schema.folding.declared shows them.
    `key`: another one after every change.
    """

    key: int
    event_type: str
    from_version: str
    to_version: str
    operations: str


class Counted(NamedTuple):
    """How many versions a type has, and how many types its tenant."""

    newest: int
    versions: int
    types: int


class SchemaRows:
    """The schemas of all tenants. Every method may raise LOG_UNAVAILABLE."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_type(self, tenant: Tenant, event_type: str) -> list[SchemaVersion]:
        """A type's versions, oldest first."""
        return await self._versions(tenant, _OF_TYPE, event_type)

    async def one(self, tenant: Tenant, event_type: str, version: str | None) -> SchemaVersion | None:
        """One version of a type, the newest where none is named."""
        if version is None:
            return next(iter(await self._versions(tenant, _NEWEST, event_type)), None)
        return next(iter(await self._versions(tenant, _ONE, event_type, version)), None)

    async def by_id(self, tenant: Tenant, schema_id: str) -> SchemaVersion | None:
        """The version with that global id."""
        return next(iter(await self._versions(tenant, _BY_ID, schema_id)), None)

    async def page(
        self, tenant: Tenant, event_type: str | None, after: tuple[str, int] | None, limit: int
    ) -> list[SchemaVersion]:
        """Versions by type and number, of one type or of all, after one of them."""
        place = after or (None, None)
        return await self._versions(tenant, _PAGE, event_type, *place, limit)

    async def counted(self, tenant: Tenant, event_type: str) -> Counted:
        """How much there is."""
        async with self._database.writing() as connection:
            return Counted(*await connection.fetchrow(_NEXT, tenant.key, event_type) or (0, 0, 0))

    async def add(
        self, tenant: Tenant, schema_id: str, event_type: str, version: str, definition: Definition, number: int
    ) -> bool:
        """Register a version as the type's `number`th. False: another one came first, or has that name; look again."""
        async with self._database.writing() as connection, connection.transaction():
            # readers take keys for their order of commit: one registration of a tenant at a time
            await connection.execute(_LOCK, tenant.key)
            row = await connection.fetchrow(_NEXT, tenant.key, event_type)
            taken = await connection.fetchrow(_ONE, tenant.key, event_type, version)
            if taken is not None or row is None or row["newest"] + 1 != number:
                return False
            definition_id = await _definition(connection, tenant, definition)
            await connection.execute(_ADD, tenant.key, schema_id, event_type, version, number, definition_id)
            return True

    async def level(self, tenant: Tenant, event_type: str) -> Compatibility | None:
        """What was set for a type, or for DEFAULT; None where nothing was."""
        async with self._database.writing() as connection:
            found = await connection.fetchval(_LEVEL, tenant.key, event_type)
        return None if found is None else Compatibility(found)

    async def set_level(self, tenant: Tenant, event_type: str, level: Compatibility | None) -> None:
        """Set it for a type, or for DEFAULT; None: back to the default."""
        async with self._database.writing() as connection:
            if level is None:
                await connection.execute(_CLEAR_LEVEL, tenant.key, event_type)
            else:
                await connection.execute(_SET_LEVEL, tenant.key, event_type, level.value)

    async def known(self, tenant: Tenant, after: int) -> list[Known]:
        """What was registered after a key."""
        async with self._database.writing() as connection:
            rows = await connection.fetch(_KNOWN, tenant.key, after)
        return [Known(*row) for row in rows]

    async def definition(self, tenant: Tenant, definition_id: int) -> Definition | None:
        """A definition by its number."""
        async with self._database.writing() as connection:
            row = await connection.fetchrow(_DEFINITION, tenant.key, definition_id)
        return None if row is None else _definition_of(row)

    async def types(self, tenant: Tenant) -> list[str]:
        """The types that have a schema, by name."""
        async with self._database.writing() as connection:
            return [row["event_type"] for row in await connection.fetch(_TYPES, tenant.key)]

    async def uses(self, tenant: Tenant, definition_id: int) -> list[tuple[str, int]]:
        """Which types have a definition, as which of their versions."""
        async with self._database.writing() as connection:
            rows = await connection.fetch(_USES, tenant.key, definition_id)
        return [(row["event_type"], row["number"]) for row in rows]

    async def upcasters(self, tenant: Tenant, event_type: str | None = None) -> list[Upcaster]:
        """The upcasters of a type, or of all."""
        async with self._database.writing() as connection:
            rows = await connection.fetch(_UPCASTERS, tenant.key, event_type)
        return [Upcaster(*row) for row in rows]

    async def save_upcaster(
        self, tenant: Tenant, event_type: str, from_version: str, to_version: str, operations: str
    ) -> None:
        """Keep an upcaster instead of the one from the same version, if there is one."""
        async with self._database.writing() as connection, connection.transaction():
            await connection.execute(_LOCK, tenant.key)
            await connection.execute(_DROP_UPCASTER, tenant.key, event_type, from_version)
            await connection.execute(_SAVE_UPCASTER, tenant.key, event_type, from_version, to_version, operations)

    async def _versions(self, tenant: Tenant, statement: str, *arguments: Any) -> list[SchemaVersion]:
        async with self._database.writing() as connection:
            rows = await connection.fetch(statement, tenant.key, *arguments)
        return [_version_of(row, tenant.name) for row in rows]


async def _definition(connection: Connection, tenant: Tenant, definition: Definition) -> int:
    named = (tenant.key, definition.format.value, fingerprint(definition))
    found: int | None = await connection.fetchval(_FIND_DEFINITION, *named)
    if found is None:
        said: Sequence[Any] = (definition.text, definition.compiled, list(definition.personal_paths))
        found = await connection.fetchval(_ADD_DEFINITION, *named, *said)
    assert found is not None
    return found


def fingerprint(definition: Definition) -> bytes:
    """What tells definitions apart however they were written."""
    return hashlib.sha256(definition.canonical).digest()


def _definition_of(row: asyncpg.Record) -> Definition:
    return Definition(
        format=SchemaFormat(row["format"]),
        text=row["definition"],
        canonical=b"",
        compiled=row["compiled"],
        personal_paths=tuple(row["personal_paths"]),
    )


def _version_of(row: asyncpg.Record, tenant: str) -> SchemaVersion:
    registered_at: datetime = row["registered_at"]
    return SchemaVersion(
        key=row["key"],
        tenant=tenant,
        schema_id=row["schema_id"],
        event_type=row["event_type"],
        version=row["version"],
        number=row["number"],
        definition_id=row["definition_id"],
        fingerprint=row["fingerprint"],
        definition=_definition_of(row),
        compatibility=Compatibility(row["level"]),
        registered_at=registered_at,
    )
