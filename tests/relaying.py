"""What tests of the relay and the indexer need around them: streams, events, and the view of an outside consumer."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from processors.indexer import Indexer
from processors.relay import Relay
from schema.event import Envelope, encode_body
from schema.identifier import IdentifierSource
from schema.stream import Stream, StreamEngine
from store.checkpoints import Checkpoints
from store.database import Database
from store.kafka_index import KafkaIndex
from store.leases import Leases
from store.log.ledger import LedgerLogs
from store.log.port import Command, Draft
from store.relay_source import RelaySource, stream_of
from store.tenants import Tenants
from store.topics import Topics

_IDS = IdentifierSource()
START = datetime(2026, 1, 1, tzinfo=UTC)

_STREAM = """
insert into streams (tenant, stream_id, stream_name, topic_name, engine, partitions, replication_factor, compression,
  cleanup_policy)
values ($1, $2, $3, $4, $5, $6, 1, 'SNAPPY', 'DELETE') returning *
"""


def unique(prefix: str = "t") -> str:
    """A tenant's or stream's name nobody else on the shared Kafka has."""
    return f"{prefix}-{uuid4().hex[:12]}"


def draft(stream: Stream, number: int, aggregate: str | None = None) -> Draft:
    """Event `number`: its payload says so, and its timestamp is that many seconds after `START`."""
    envelope = Envelope(
        event_id=_IDS.event_id(),
        event_type="thing.happened",
        event_version="1",
        source_capability=None,
        aggregate_id=aggregate,
        aggregate_type="Thing" if aggregate else None,
        timestamp=START + timedelta(seconds=number),
        correlation_id=None,
        causation_id=None,
        tenant_id=stream.tenant,
        user_id=None,
        metadata=msgspec.Raw(b"{}"),
        payload=msgspec.Raw(b'{"number":%d}' % number),
        schema_version=None,
    )
    return Draft(envelope=envelope, body=encode_body(envelope), stream=stream, content_hash=number)


def commands(stream: Stream, numbers: Sequence[int], aggregates: int = 7) -> list[Command]:
    """One-event commands, spread over aggregates; every eighth event has none."""
    return [Command(events=[draft(stream, n, None if n % 8 == 0 else f"thing-{n % aggregates}")]) for n in numbers]


class World:
    """One database: its tenants' ledgers, and workers as a gateway's wiring makes them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tenants = Tenants(database)
        self.logs = LedgerLogs(database, self.tenants)

    async def stream(
        self, tenant: str, name: str = "things", engine: StreamEngine = StreamEngine.LEDGER, partitions: int = 3
    ) -> Stream:
        """A stream of a tenant, as if an administrator had made it."""
        key = (await self.tenants.get(tenant)).key
        async with self.database.writing() as connection:
            identifier = f"str_{uuid4().hex}"
            row = await connection.fetchrow(_STREAM, key, identifier, name, name, engine.value, partitions)
        return stream_of(row, tenant)

    async def publish(self, stream: Stream, numbers: Sequence[int]) -> None:
        """Commit events to the ledger, in order."""
        log = await self.logs.get(stream.tenant)
        for outcome in await log.append(commands(stream, numbers)):
            assert isinstance(outcome, list), outcome

    def leases(self, ttl_s: float = 3.0) -> Leases:
        """The leases of one more process."""
        return Leases(self.database, ttl_s=ttl_s)

    def relay(self, servers: str, leases: Leases, **options: Any) -> Relay:
        """One more process's relay."""
        source, checkpoints = RelaySource(self.database), Checkpoints(self.database)
        return Relay(servers, source, Topics(servers), leases, checkpoints, **({"poll_s": 0.1} | options))

    def indexer(self, servers: str, leases: Leases, **options: Any) -> Indexer:
        """One more process's indexer."""
        index = KafkaIndex(self.database, Checkpoints(self.database))
        return Indexer(servers, index, leases, **({"poll_s": 0.1} | options))


@asynccontextmanager
async def world(database_url: str) -> AsyncIterator[World]:
    """A world on a migrated database."""
    database = Database(database_url, max_size=8)
    await database.start()
    made = World(database)
    try:
        await made.logs.start()
        yield made
    finally:
        await made.logs.close()
        await database.close()


async def consume(servers: str, topic: str, partitions: int, expected: int, within_s: float = 60.0) -> list[Any]:
    """The committed records of a topic as an outside consumer gets them: at least `expected`, then what still comes
    within a second. Partitions one after the other are in order."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, auto_offset_reset="earliest", isolation_level="read_committed", group_id=None
    )
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    await consumer.start()
    try:
        found: list[Any] = []
        deadline = datetime.now(UTC) + timedelta(seconds=within_s)
        while len(found) < expected and datetime.now(UTC) < deadline:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            found += records
        return found
    finally:
        await consumer.stop()


def assert_exactly_once(records: Sequence[Any], last: int) -> None:
    """Positions 1 to `last`, each once, and each aggregate's in order."""
    positions = [int(dict(record.headers)["position"]) for record in records]
    assert sorted(positions) == list(range(1, last + 1)), _difference(positions, last)
    by_partition: dict[int, list[int]] = {}
    for record, position in zip(records, positions, strict=True):
        by_partition.setdefault(record.partition, []).append(position)
    assert all(found == sorted(found) for found in by_partition.values()), "out of order within a partition"


def _difference(positions: Sequence[int], last: int) -> str:
    missing = sorted(set(range(1, last + 1)) - set(positions))
    repeated = sorted({position for position in positions if positions.count(position) > 1})
    return f"lost {missing[:10]} ({len(missing)}), repeated {repeated[:10]} ({len(repeated)})"


async def rows(database_url: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
    """The rows of a query, on a connection of its own."""
    connection = await asyncpg.connect(database_url)
    try:
        found: list[asyncpg.Record] = await connection.fetch(query, *arguments)
        return found
    finally:
        await connection.close()
