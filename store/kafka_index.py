"""The Kafka engine's events as rows, for queries by id and filter: `indexed_events`.

The topic is the log; these rows follow it. Rows, dead letters and the reader's offsets are saved in one transaction,
under the lease's token, so an indexer killed or frozen anywhere neither loses nor doubles a record.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg

from schema.event import Event
from schema.stream import Stream
from store.checkpoints import Checkpoint, Checkpoints
from store.database import Connection, Database
from store.leases import Lease
from store.log.kafka import from_ms
from store.relay_source import stream_of

_STREAMS = """
select s.*, t.name as tenant_name from streams s join tenants t using (tenant)
where engine = 'KAFKA' and (deleted_at is null or deleted_at > now() - interval '1 hour')
"""
# A deleted stream's last records are indexed for an hour more.

# Places are drawn and committed in one order in each tenant: a reader that is past a place misses nothing before it.
_IN_ORDER = "select pg_advisory_xact_lock(1163084295, $1)"
# Filters on payloads read the body as jsonb: one that PostgreSQL cannot read so would fail every such query.
_INSERT = """
insert into indexed_events (tenant, stream, ts, recorded_at, event_id, event_type, aggregate_type, aggregate_id,
  correlation_id, causation_id, body, partition, "offset")
select $1, $2, e.* from unnest($3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[],
  $9::text[], $10::text[], $11::text[], $12::int[], $13::bigint[])
  as e(ts, recorded_at, event_id, event_type, aggregate_type, aggregate_id, correlation_id, causation_id, body, p, o)
where e.body::jsonb is not null
on conflict do nothing
"""
_BURY = """
insert into index_dead_letters (tenant, stream, partition, "offset", recorded_at, reason, record_key, record_value)
values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing
"""
_POISON = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)


class IndexedStream(NamedTuple):
    """A Kafka stream, and its tenant's number."""

    tenant: int
    stream: Stream


class Dead(NamedTuple):
    """A record that is no event of its stream, and why."""

    record: Any
    reason: str


class KafkaIndex:
    """Writes the index. Raises LOG_UNAVAILABLE everywhere."""

    def __init__(self, database: Database, checkpoints: Checkpoints) -> None:
        self._database = database
        self._checkpoints = checkpoints

    async def streams(self) -> Mapping[str, IndexedStream]:
        """The Kafka streams of all tenants, by key as text."""
        async with self._database.writing() as connection:
            rows = await connection.fetch(_STREAMS)
        return {str(row["key"]): IndexedStream(row["tenant"], stream_of(row, row["tenant_name"])) for row in rows}

    async def claim(self, lease: Lease) -> Checkpoint:
        """How far the stream is indexed; earlier indexers are refused from now on. Raises Fenced."""
        return await self._checkpoints.claim(lease)

    async def save(
        self, lease: Lease, of: IndexedStream, found: Sequence[tuple[Any, Event]], dead: Sequence[Dead], to: Checkpoint
    ) -> int:
        """Write events with the records they came from, dead letters and the checkpoint as one. Raises Fenced.

        Returns how many records PostgreSQL would not take as events: they are dead letters now.
        """
        async with self._database.writing() as connection:
            try:
                async with connection.transaction():
                    await connection.execute(_IN_ORDER, of.tenant)
                    await self._insert(connection, of, [event for _, event in found])
                    await self._finish(connection, lease, of, dead, to)
                    return 0
            except _POISON:
                async with connection.transaction():
                    await connection.execute(_IN_ORDER, of.tenant)
                    poison = await self._insert_singly(connection, of, found)
                    await self._finish(connection, lease, of, [*dead, *poison], to)
                    return len(poison)

    async def _finish(
        self, connection: Connection, lease: Lease, of: IndexedStream, dead: Sequence[Dead], to: Checkpoint
    ) -> None:
        for record, reason in dead:
            place = (of.tenant, of.stream.key, record.partition, record.offset, from_ms(record.timestamp))
            await connection.execute(_BURY, *place, reason[:1000], record.key, record.value)
        await self._checkpoints.save_within(connection, lease, to)

    async def _insert_singly(
        self, connection: Connection, of: IndexedStream, found: Sequence[tuple[Any, Event]]
    ) -> list[Dead]:
        poison = []
        for record, event in found:
            try:
                async with connection.transaction():
                    await self._insert(connection, of, [event])
            except _POISON as error:
                poison.append(Dead(record, f"PostgreSQL does not take it: {error}".replace("\0", "")))
        return poison

    async def _insert(self, connection: Connection, of: IndexedStream, events: Sequence[Event]) -> None:
        if not events:
            return
        rows = [
            (
                event.timestamp,
                event.recorded_at,
                event.event_id,
                event.event_type,
                event.aggregate_type,
                event.aggregate_id,
                event.correlation_id,
                event.causation_id,
                event.body.decode(),
                event.partition,
                event.offset,
            )
            for event in events
        ]
        await connection.execute(_INSERT, of.tenant, of.stream.key, *map(list, zip(*rows, strict=True)))
