"""One aggregate's events, in the order of their sequence numbers, by the chunk."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from schema.event import Event
from store.database import Database
from store.ledger.rows import LEDGER_COLUMNS, StreamNames, ledger_events
from store.tenants import Tenant

END = 2**62
"""A bound no sequence number and no position reaches."""
FUTURE = datetime(9999, 1, 1, tzinfo=UTC)
"""A bound no time reaches."""

_EVENTS = f"""
select {LEDGER_COLUMNS} from events e
where e.aggregate_id = $1 and e.aggregate_type = $2 and e.tenant = $3
  and e.sequence_number >= $4 and e.sequence_number <= $5 and e.position < $6 and e.recorded_at <= $7
order by e.sequence_number
"""
_HAPPENED = f"""
select {LEDGER_COLUMNS} from events e
where e.aggregate_id = $1 and e.aggregate_type = $2 and e.tenant = $3
  and e.sequence_number >= $4 and e.sequence_number <= $5 and e.ts <= $6
order by e.sequence_number limit $7
"""
_VERSIONS = """
select e.aggregate_id, max(e.sequence_number) as version from events e
where e.stream = $1 and e.tenant = $2 and e.aggregate_type = $3 and e.position >= $4 and e.position < $5
group by e.aggregate_id having max(e.sequence_number) >= $6
"""


class AggregateKey(NamedTuple):
    """An aggregate of a tenant."""

    type: str
    id: str


class AggregateLog:
    """Reads the events of one aggregate. Every method may raise LOG_UNAVAILABLE and TIMEOUT."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names = StreamNames()

    async def events(
        self,
        tenant: Tenant,
        key: AggregateKey,
        *,
        first: int,
        last: int,
        before: int = END,
        recorded: datetime = FUTURE,
    ) -> list[Event]:
        """The events with sequence numbers `first` to `last` (a bounded stretch), positions below `before`, and
        recorded no later than `recorded`. Fewer than asked for: there are no more."""
        return await self._read(tenant, _EVENTS, key.id, key.type, tenant.key, first, last, before, recorded)

    async def happened(
        self, tenant: Tenant, key: AggregateKey, by: datetime, *, first: int, last: int, limit: int
    ) -> list[Event]:
        """Up to `limit` of those events whose timestamp is not later than `by`."""
        return await self._read(tenant, _HAPPENED, key.id, key.type, tenant.key, first, last, by, limit)

    async def versions(
        self, tenant: Tenant, stream: int, aggregate_type: str, start: int, end: int, least: int
    ) -> dict[str, int]:
        """The aggregates of a type that events of positions [start, end) belong to, and their versions there, where
        they are `least` or more. `stream`: the key of the stream the type lives in."""
        async with self._database.reading(tenant.key) as connection:
            rows = await connection.fetch(_VERSIONS, stream, tenant.key, aggregate_type, start, end, least)
        return {row["aggregate_id"]: row["version"] for row in rows}

    async def _read(self, tenant: Tenant, statement: str, *values: Any) -> list[Event]:
        async with self._database.reading(tenant.key) as connection:
            return await ledger_events(await connection.fetch(statement, *values), self._names, connection)
