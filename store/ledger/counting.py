"""How many events a filter lets through, where PostgreSQL can say so soon enough."""

from collections.abc import Collection
from typing import Any, NamedTuple

from schema.errors import ErrorCode, EsbError
from schema.filter.ast import Filter
from store.database import Database
from store.ledger.walk import Table
from store.ledger.where import Where
from store.tenants import Tenant

SECONDS = 5.0


class Counted(NamedTuple):
    """What to count: events of these streams (by key) whose place in the table is in [start, end)."""

    table: Table
    streams: Collection[int]
    where: Filter | None
    start: int
    end: int


class EventCounts:
    """Counts one tenant's events."""

    def __init__(self, database: Database, *, seconds: float = SECONDS) -> None:
        self._database = database
        self._seconds = seconds

    async def of(self, tenant: Tenant, asked: Counted) -> int | None:
        """How many; None where it takes too long, or Python has a say in what matches. Raises LOG_UNAVAILABLE."""
        if not asked.streams or asked.start >= asked.end:
            return 0
        values: list[Any] = [tenant.key, asked.start, asked.end, list(asked.streams)]
        where = Where(asked.where, values)
        if not where.exact:
            return None
        place = f"e.{asked.table.place}"
        statement = (
            f"select count(*) from {asked.table.name} e where e.tenant = $1 and {place} >= $2 and {place} < $3"
            f" and e.stream = any($4::int[]) and {where.text}"
        )
        try:
            async with self._database.reading(tenant.key) as connection:
                await connection.execute(f"set local statement_timeout = {int(self._seconds * 1000)}")
                found: int = await connection.fetchval(statement, *values)
        except EsbError as error:
            if error.code is ErrorCode.TIMEOUT:
                return None
            raise
        return found
