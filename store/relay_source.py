"""The ledger as the relay reads it: straight from the table, as the owner, in chunks bounded in rows and bytes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import asyncpg

from schema.stream import CleanupPolicy, Compression, Retention, Stream, StreamEngine
from store.database import Database

CHUNK_EVENTS = 4000
CHUNK_BYTES = 4 * 1024 * 1024

# One index probe a tenant.
_BACKLOG = """
select t.name, last.position - coalesce(nullif(c.position, 0), 1) + 1 as behind
from tenants t
cross join lateral (select position from events where tenant = t.tenant order by position desc limit 1) last
left join checkpoints c on c.name = $1 || t.name
where last.position >= coalesce(nullif(c.position, 0), 1)
"""
_TENANT = """
select tenant, epoch, (extract(epoch from created_at) * 1000000)::bigint as created_us,
  coalesce((select e.position from events e where e.tenant = t.tenant order by e.position desc limit 1), 0) as last
from tenants t where name = $1
"""
# Positions have no gaps, so a range is a limit, and no plan can make it read what lies behind. The sum is over the
# stored sizes: bodies are fetched only of the rows that stay.
_EVENTS = """
select position, stream, sequence_number, recorded_at, aggregate_id, convert_to(body, 'UTF8') as body,
  (extract(epoch from ts) * 1000000)::bigint as ts_us
from (
  select *, sum(octet_length(body)) over (order by position) as bytes
  from events
  where tenant = $1 and position >= $2 and position < $2 + $3
) summed
where bytes <= $4::bigint or position = $2
order by position
"""
_STREAMS = "select * from streams where tenant = $1"


class TenantLog(NamedTuple):
    """A tenant's log. `created_us`: when it was made; tells it from another installation's of the same name.
    `last`: the last position, 0 when empty.
    """

    tenant: int
    name: str
    epoch: int
    created_us: int
    last: int


class RelaySource:
    """Reads of the relay. Raises LOG_UNAVAILABLE everywhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def backlog(self, prefix: str) -> Mapping[str, int]:
        """Tenants whose log goes on past their checkpoint `prefix` + name, and by how many events."""
        async with self._database.writing() as connection:
            rows = await connection.fetch(_BACKLOG, prefix)
        return {row["name"]: row["behind"] for row in rows}

    async def log(self, name: str) -> TenantLog:
        """The tenant's log as it stands now."""
        async with self._database.writing() as connection:
            row = await connection.fetchrow(_TENANT, name)
        if row is None:
            raise LookupError(f"no tenant {name!r}")
        return TenantLog(row["tenant"], name, row["epoch"], row["created_us"], row["last"])

    async def events(self, tenant: int, start: int) -> Sequence[asyncpg.Record]:
        """The next events from a position on, as many as make a chunk, at least one if there is one."""
        async with self._database.writing() as connection:
            rows: Sequence[asyncpg.Record] = await connection.fetch(_EVENTS, tenant, start, CHUNK_EVENTS, CHUNK_BYTES)
        return rows

    async def streams(self, log: TenantLog) -> Mapping[int, Stream]:
        """The tenant's streams by key, deleted ones too: their events still have to go out."""
        async with self._database.writing() as connection:
            rows = await connection.fetch(_STREAMS, log.tenant)
        return {row["key"]: stream_of(row, log.name) for row in rows}


def stream_of(row: asyncpg.Record, tenant: str) -> Stream:
    """A row of `streams` as the vocabulary has it."""
    return Stream(
        key=row["key"],
        tenant=tenant,
        stream_id=row["stream_id"],
        stream_name=row["stream_name"],
        topic_name=row["topic_name"],
        engine=StreamEngine(row["engine"]),
        partitions=row["partitions"],
        replication_factor=row["replication_factor"],
        retention_policy=Retention(time_ms=row["retention_time_ms"], size_bytes=row["retention_size_bytes"]),
        compression=Compression(row["compression"]),
        cleanup_policy=CleanupPolicy(row["cleanup_policy"]),
        event_patterns=tuple(row["event_patterns"]),
        deleted=row["deleted_at"] is not None,
    )
