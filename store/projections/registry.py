"""Which projections there are, which of their versions is read, and how far each is.

A projection's row is the pointer: `active` is read, `previous` is kept up beside it, `candidate` is being built. It is
locked before the rows of versions, always; every change of the pointer is one transaction.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import asyncpg
import msgspec

from schema.errors import ErrorCode, EsbError, bad_input
from schema.projections.declared import Declaration, parse_declaration, to_document
from store.database import Connection, Database
from store.projections.tables import drop_tables, make_tables
from store.tenants import Tenant

MAX_PROJECTIONS = 200
GRACE_S = 60
"""Seconds for which the tables of a version nobody reads any more are kept: a read that began before may still be at
them, and no read lasts longer than ten."""

_COLUMNS = """
v.key, v.tenant, v.projection, v.version, v.declaration, v.streams, v.position, v.recorded_at, v.changes_from, v.live,
v.paused, v.error
"""
_PROJECTION = "select key, projection_id, name, active, previous, candidate from projections"
_VERSIONS = f"select {_COLUMNS} from projection_versions v where v.key = any($1)"
_INSERT_VERSION = """
insert into projection_versions (tenant, projection, version, declaration, streams, paused)
values ($1, $2, $3, $4, $5, $6) returning key
"""
_DUE = """
select v.key, v.tenant from projection_versions v
left join lateral (select position from events where tenant = v.tenant order by position desc limit 1) last on true
where v.retired_at is null and v.error is null and not v.paused
  and (not v.live or last.position >= v.position and v.declaration::jsonb ->> 'mode' = 'BACKGROUND')
"""
_RETIRED = """
select key from projection_versions where retired_at < clock_timestamp() - $1 * interval '1 second'
order by key limit 1 for update skip locked
"""
_WORK = f"""
select {_COLUMNS}, t.name, t.epoch from projection_versions v join tenants t on t.tenant = v.tenant
where v.key = $1 and v.retired_at is null
"""


class Stopped(NamedTuple):
    """Why a version stands still. `event_id`, `position`: of the event it could not apply."""

    code: str
    message: str
    event_id: str | None
    position: int | None


class Version(NamedTuple):
    """One version. `key`: its number in the store. `position`: the next of the log to look at. `live`: it reached the
    log's end once. `changes_from`: from where on all its changes are kept."""

    key: int
    tenant: int
    projection: int
    number: int
    declaration: Declaration
    streams: tuple[int, ...] | None
    position: int
    recorded_at: datetime
    changes_from: int
    live: bool
    paused: bool
    error: Stopped | None


class Projection(NamedTuple):
    """A projection as it stands."""

    key: int
    tenant: int
    projection_id: str
    name: str
    active: Version
    previous: Version | None
    candidate: Version | None

    @property
    def versions(self) -> tuple[Version, ...]:
        """All there are."""
        return tuple(version for version in (self.active, self.previous, self.candidate) if version is not None)


class Work(NamedTuple):
    """A version to be moved on, and whose it is."""

    tenant: Tenant
    version: Version


class ProjectionRegistry:
    """Reads and changes them. Every method raises LOG_UNAVAILABLE and TIMEOUT."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, tenant: int, name: str) -> Projection | None:
        """The projection of that name."""
        return await self._one(tenant, "name = $2", name)

    async def by_id(self, tenant: int, projection_id: str) -> Projection | None:
        """The projection of that id."""
        return await self._one(tenant, "projection_id = $2", projection_id)

    async def all(self, tenant: int) -> list[Projection]:
        """The tenant's projections by name: never many."""
        async with self._database.reading(tenant) as connection:
            return await _projections(connection, tenant, "true")

    async def work(self, key: int) -> Work | None:
        """A version and its tenant, unless it is retired."""
        async with self._database.writing() as connection:
            row = await connection.fetchrow(_WORK, key)
        return None if row is None else Work(Tenant(row["tenant"], row["name"], row["epoch"]), _version(row))

    async def owner(self, version: Version) -> Projection | None:
        """The projection a version belongs to, if it still does."""
        async with self._database.writing() as connection:
            found = await _projections(connection, version.tenant, "key = $2", version.projection)
        return next((one for one in found if version.key in {v.key for v in one.versions}), None)

    async def due(self) -> Sequence[str]:
        """The versions, by key as text, that have something to apply in the background."""
        async with self._database.writing() as connection:
            rows = await connection.fetch(_DUE)
        return [str(row["key"]) for row in rows]

    async def create(
        self, tenant: int, projection_id: str, declaration: Declaration, streams: Sequence[int] | None
    ) -> Projection:
        """Make a projection; its first version is empty. Raises ALREADY_EXISTS, BAD_INPUT for one too many."""

        async def work(connection: Connection) -> None:
            # One creation of a tenant at a time, or two could pass the count together.
            await connection.execute("select pg_advisory_xact_lock(1163084304, $1)", tenant)
            count = await connection.fetchval("select count(*) from projections where tenant = $1", tenant)
            taken = "select exists (select from projections where tenant = $1 and name = $2)"
            if await connection.fetchval(taken, tenant, declaration.name):
                raise EsbError(ErrorCode.ALREADY_EXISTS, f"the projection {declaration.name!r} exists already")
            if count >= MAX_PROJECTIONS:
                raise bad_input(f"a tenant has at most {MAX_PROJECTIONS} projections")
            key = await connection.fetchval(
                "insert into projections (tenant, projection_id, name, active) values ($1, $2, $3, 0) returning key",
                tenant,
                projection_id,
                declaration.name,
            )
            version = await self._add(connection, tenant, key, 1, declaration, streams, paused=False)
            await connection.execute("update projections set active = $2 where key = $1", key, version)

        return await self._changed(tenant, declaration.name, work)

    async def build(self, tenant: int, declaration: Declaration, streams: Sequence[int] | None) -> Projection:
        """Begin another version beside the one that is read; one that was being built is given up. Raises NOT_FOUND."""

        async def work(connection: Connection) -> None:
            row = await _locked(connection, tenant, declaration.name)
            number = await connection.fetchval(
                "update projections set versions = versions + 1 where key = $1 returning versions", row["key"]
            )
            paused = await connection.fetchval("select paused from projection_versions where key = $1", row["active"])
            key = await self._add(connection, tenant, row["key"], number, declaration, streams, paused=paused)
            await connection.execute("update projections set candidate = $2 where key = $1", row["key"], key)
            await _retire(connection, row["candidate"])

        return await self._changed(tenant, declaration.name, work)

    async def give_up(self, tenant: int, name: str) -> bool:
        """Give up the version being built; False: there is none. Raises NOT_FOUND."""
        async with self._database.writing() as connection, connection.transaction():
            row = await _locked(connection, tenant, name)
            await connection.execute("update projections set candidate = null where key = $1", row["key"])
            await _retire(connection, row["candidate"])
            return row["candidate"] is not None

    async def pause(self, tenant: int, name: str) -> Projection:
        """Apply nothing from now on. Raises NOT_FOUND."""

        async def work(connection: Connection) -> None:
            row = await _locked(connection, tenant, name)
            # Waits for a batch that is being applied; one that comes later sees it. After this nothing moves.
            await connection.execute("update projection_versions set paused = true where projection = $1", row["key"])

        return await self._changed(tenant, name, work)

    async def resume(self, tenant: int, name: str) -> Projection:
        """Go on, also past what it stopped at: that event is tried again. Raises NOT_FOUND."""

        async def work(connection: Connection) -> None:
            row = await _locked(connection, tenant, name)
            await connection.execute(
                "update projection_versions set paused = false, error = null where projection = $1", row["key"]
            )

        return await self._changed(tenant, name, work)

    async def delete(self, tenant: int, name: str) -> Projection:
        """Delete a projection and, a minute later, its rows; the name is free at once. Raises NOT_FOUND."""
        async with self._database.writing() as connection, connection.transaction():
            await _locked(connection, tenant, name)
            (found,) = await _projections(connection, tenant, "name = $2", name)
            await connection.execute("delete from projections where key = $1", found.key)
            await connection.execute(
                "update projection_versions set retired_at = clock_timestamp()"
                " where projection = $1 and retired_at is null",
                found.key,
            )
            return found

    async def sweep(self, grace_s: float = GRACE_S) -> int:
        """Drop the tables of versions retired for longer than the grace; how many. Two may do so at once."""
        dropped = 0
        while True:
            async with self._database.writing() as connection, connection.transaction():
                key = await connection.fetchval(_RETIRED, grace_s)
                if key is None:
                    return dropped
                await drop_tables(connection, key)
                await connection.execute("delete from projection_versions where key = $1", key)
            dropped += 1

    async def _one(self, tenant: int, condition: str, value: str) -> Projection | None:
        async with self._database.reading(tenant) as connection:
            found = await _projections(connection, tenant, condition, value)
        return found[0] if found else None

    async def _changed(self, tenant: int, name: str, work: Callable[[Connection], Awaitable[None]]) -> Projection:
        async with self._database.writing() as connection, connection.transaction():
            await work(connection)
            (found,) = await _projections(connection, tenant, "name = $2", name)
            return found

    async def _add(
        self,
        connection: Connection,
        tenant: int,
        projection: int,
        number: int,
        declaration: Declaration,
        streams: Sequence[int] | None,
        *,
        paused: bool,
    ) -> int:
        document = msgspec.json.encode(to_document(declaration)).decode()
        keys = None if streams is None else list(streams)
        key: int = await connection.fetchval(_INSERT_VERSION, tenant, projection, number, document, keys, paused)
        await make_tables(connection, key, tenant, declaration.indexes, self._database.reader_role)
        return key


async def find_projection(connection: Connection, tenant: int, name: str) -> Projection | None:
    """The projection of that name, as the caller's transaction sees it."""
    found = await _projections(connection, tenant, "name = $2", name)
    return found[0] if found else None


async def _projections(connection: Connection, tenant: int, condition: str, *values: Any) -> list[Projection]:
    rows = await connection.fetch(f"{_PROJECTION} where tenant = $1 and {condition} order by name", tenant, *values)
    keys = [row[place] for row in rows for place in ("active", "previous", "candidate") if row[place] is not None]
    versions = {row["key"]: _version(row) for row in await connection.fetch(_VERSIONS, keys)}
    return [_projection(row, tenant, versions) for row in rows]


async def _locked(connection: Connection, tenant: int, name: str) -> asyncpg.Record:
    row = await connection.fetchrow(
        "select * from projections where tenant = $1 and name = $2 for update", tenant, name
    )
    if row is None:
        raise no_projection(name)
    return row


async def _retire(connection: Connection, version: int | None) -> None:
    if version is not None:
        await connection.execute(
            "update projection_versions set retired_at = clock_timestamp() where key = $1", version
        )


def no_projection(name: str) -> EsbError:
    """What is said of a name that names none."""
    return EsbError(ErrorCode.NOT_FOUND, f"there is no projection {name!r}", details={"projection": name})


def _projection(row: asyncpg.Record, tenant: int, versions: Mapping[int, Version]) -> Projection:
    return Projection(
        row["key"],
        tenant,
        row["projection_id"],
        row["name"],
        versions[row["active"]],
        versions.get(row["previous"]),
        versions.get(row["candidate"]),
    )


@lru_cache(maxsize=1000)
def _declared(text: str) -> Declaration:
    return parse_declaration(msgspec.json.decode(text))


def _version(row: asyncpg.Record) -> Version:
    streams = row["streams"]
    return Version(
        row["key"],
        row["tenant"],
        row["projection"],
        row["version"],
        _declared(row["declaration"]),
        None if streams is None else tuple(streams),
        row["position"],
        row["recorded_at"],
        row["changes_from"],
        row["live"],
        row["paused"],
        None if row["error"] is None else msgspec.json.decode(row["error"], type=Stopped),
    )
