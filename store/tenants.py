"""Tenants: the isolation boundary's number in the store, and the epoch of its log."""

import asyncio
import time
from typing import NamedTuple

from schema.errors import ErrorCode, EsbError
from store.database import Database

_FRESH_SECONDS = 2.0

_FIND = "select tenant, epoch from tenants where name = $1"
_CREATE = "insert into tenants (name) values ($1) on conflict (name) do nothing"
_BUMP = "update tenants set epoch = epoch + 1 where name = $1 returning tenant, epoch"


class Tenant(NamedTuple):
    """`key`: its number in every row. `epoch`: which life of its log; a cursor of another one may lie past the fork."""

    key: int
    name: str
    epoch: int


class Tenants:
    """All tenants used by this process. Names are the authenticated ones of principals: nobody else can make one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[Tenant, float]] = {}
        self._creating = asyncio.Lock()

    async def get(self, name: str) -> Tenant:
        """The tenant, made on first use; its epoch is at most two seconds old while PostgreSQL answers.

        Raises LOG_UNAVAILABLE when a tenant not seen before cannot be asked for.
        """
        known = self._known.get(name)
        if known is None:
            async with self._creating:
                known = self._known.get(name)
                return known[0] if known else await self._first(name)
        tenant, fresh_until = known
        if time.monotonic() < fresh_until:
            return tenant
        # One caller asks; the others go on with what is known meanwhile.
        self._remember(tenant)
        try:
            return await self._find(name) or tenant
        except EsbError:
            return tenant

    async def refresh(self, name: str) -> Tenant:
        """The tenant as PostgreSQL has it now. Raises LOG_UNAVAILABLE."""
        return await self._find(name) or await self.get(name)

    async def bump_epoch(self, name: str) -> Tenant:
        """Begin a new epoch, after the log was restored or failed over: cursors past the fork stop to be valid.

        Raises NOT_FOUND for a tenant never seen: its name is an operator's, who may have mistyped it.
        """
        async with self._database.writing() as connection:
            row = await connection.fetchrow(_BUMP, name)
        if row is None:
            raise EsbError(ErrorCode.NOT_FOUND, f"there is no tenant {name!r}")
        return self._remember(Tenant(row["tenant"], name, row["epoch"]))

    async def _first(self, name: str) -> Tenant:
        tenant = await self._find(name)
        if tenant is None:
            async with self._database.writing() as connection:
                await connection.execute(_CREATE, name)
            tenant = await self._find(name)
        assert tenant is not None, "tenants are never deleted"
        return tenant

    async def _find(self, name: str) -> Tenant | None:
        async with self._database.writing() as connection:
            row = await connection.fetchrow(_FIND, name)
        return self._remember(Tenant(row["tenant"], name, row["epoch"])) if row else None

    def _remember(self, tenant: Tenant) -> Tenant:
        self._known[tenant.name] = (tenant, time.monotonic() + _FRESH_SECONDS)
        return tenant
