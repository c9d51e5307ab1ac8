"""What the ledger's benchmarks share: the way from admission to the log, its events, and bare COPY as the peer."""

import itertools
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec

from processors.admission.admission import Admission
from processors.admission.canonical import ContentHash
from processors.query import EventQueries
from processors.readable import ReadableStreams
from schema.cursor import CursorCodec
from schema.errors import ErrorCode
from schema.identifier import IdentifierSource
from schema.input import ClientContext, EventInput
from schema.principal import Action, Grant, Principal
from schema.stream import StreamEngine
from store.database import Database
from store.embedded import EmbeddedPostgres
from store.ledger.reader import EventReader
from store.log.ledger import LedgerLogs
from store.log.logs import Logs
from store.registry import Registry, StreamCache
from store.signals.memory import memory_signals
from store.tenants import Tenants
from tests.conformance.engines import INSERT_STREAM
from tests.services.postgres import Databases

TENANT = "acme"
BATCH = 1000
PRINCIPAL = Principal(
    tenant=TENANT, subject="bench", client="bench", grants=(Grant(Action.PUBLISH), Grant(Action.READ))
)
CLIENT = ClientContext()
COLUMNS = (
    *("tenant", "position", "stream", "sequence_number", "ts", "recorded_at", "event_id", "event_type"),
    *("aggregate_type", "aggregate_id", "correlation_id", "causation_id", "body"),
)
_PAD = "x" * 215  # makes a body of about 600 bytes
_numbers = itertools.count(1)


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """A PostgreSQL of our own with an owner's empty database: embedded, or on the server of ESB_POSTGRES_URL."""
    external = os.environ.get("ESB_POSTGRES_URL")
    if external:
        with Databases(external).fresh() as dsn:
            yield dsn
        return
    with tempfile.TemporaryDirectory(prefix="esb-bench-", ignore_cleanup_errors=True) as folder:
        embedded = EmbeddedPostgres(Path(folder))
        try:
            yield await embedded.start()
        finally:
            await embedded.stop()


class Recorder:
    """Telemetry that costs nothing."""

    def published(self, engine: StreamEngine, events: int, seconds: float) -> None:
        """Nobody asks."""

    def rejected(self, code: ErrorCode, events: int) -> None:
        """A benchmark that is refused anything measures nothing."""
        raise RuntimeError(f"{events} events refused: {code}")


class Ways(NamedTuple):
    """What a gateway process has between its edge and the ledger."""

    admission: Admission
    queries: EventQueries
    tenants: Tenants
    stream: str


@asynccontextmanager
async def gateway(dsn: str) -> AsyncIterator[Ways]:
    """The way in of one process, on a migrated database; the real parts, wired as gateway.wiring does."""
    database = Database(dsn)
    await database.start()
    tenants, registry, signals = Tenants(database), Registry(dsn), memory_signals()
    ledger = LedgerLogs(database, tenants)
    try:
        await signals.start()
        await ledger.start()
        views = StreamCache(registry, signals)
        await _stream(database, tenants)
        logs, codec = Logs(ledger.get, tenants, {}), CursorCodec(b"k" * 32)
        admission = Admission(
            views=views,
            pins=registry,
            logs=logs,
            codec=codec,
            hashes=ContentHash(b"h" * 32),
            recorder=Recorder(),
            identifiers=IdentifierSource(),
        )
        queries = EventQueries(EventReader(database), ReadableStreams(views), tenants, logs, codec)
        yield Ways(admission, queries, tenants, "user-events")
    finally:
        await ledger.close()
        await signals.stop()
        await registry.close()
        await database.close()


async def _stream(database: Database, tenants: Tenants) -> None:
    tenant = await tenants.get(TENANT)
    async with database.writing() as connection:
        if not await connection.fetchval("select count(*) from streams"):
            await connection.fetchval(INSERT_STREAM, tenant.key, "str_" + "0" * 26, "user-events")


def inputs(count: int) -> list[EventInput]:
    """Events as a publisher says them, of 20,000 aggregates and 8 types."""
    said = []
    for _ in range(count):
        number = next(_numbers)
        payload = msgspec.Raw(b'{"n":%d,"who":{"name":"user %d"},"pad":"%s"}' % (number, number % 999, _PAD.encode()))
        said.append(
            EventInput(
                event_type=f"user.kind{number % 8}",
                payload=payload,
                aggregate_id=f"usr_{random.randrange(20_000):06d}",
                aggregate_type="User",
                correlation_id=f"req_{number // 3:012d}",
                stream="user-events",
            )
        )
    return said


def batches(events: int) -> list[list[EventInput]]:
    """So many events in batches of a thousand."""
    return [inputs(BATCH) for _ in range(events // BATCH)]


async def publish_batches(ways: Ways, said: Sequence[Sequence[EventInput]]) -> float:
    """Events a second of one publisher that waits for each batch."""
    started = time.perf_counter()
    for batch in said:
        await ways.admission.publish(PRINCIPAL, batch, client=CLIENT, atomic=False)
    return sum(map(len, said)) / (time.perf_counter() - started)


class Bare:
    """The peer: asyncpg's COPY into one table that has the events table's columns, partition and indexes, and the index
    on event ids that the ledger keeps in a table of its own. It finds no duplicates and numbers nothing.
    """

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self._connection = connection
        self._position = 0

    @classmethod
    async def make(cls, connection: "asyncpg.Connection[Any]") -> "Bare":
        """Copy the definition of the events table."""
        await connection.execute("create table bare (like events including defaults) partition by range (position)")
        await connection.execute("create table bare_0 partition of bare for values from (0) to (16777216)")
        for row in await connection.fetch("select indexdef from pg_indexes where tablename = 'events'"):
            head, _, tail = row["indexdef"].partition(" ON ")
            unique = "unique" if "UNIQUE" in head else ""
            columns = tail.partition(" USING ")[2]
            await connection.execute(f"create {unique} index on bare using {columns}")
        await connection.execute("create unique index on bare (event_id, tenant, position)")
        return cls(connection)

    def rows(self, said: Sequence[EventInput]) -> list[tuple[Any, ...]]:
        """The events as the rows the ledger would make of them."""
        identifiers = IdentifierSource()
        rows = []
        for one in said:
            self._position += 1
            at = datetime.now(UTC)
            event_id = identifiers.event_id()
            body = msgspec.json.encode(
                {
                    **{"event_id": event_id, "event_type": one.event_type, "event_version": "1.0"},
                    **{"source_capability": "bench", "aggregate_id": one.aggregate_id, "aggregate_type": "User"},
                    **{"timestamp": at, "correlation_id": one.correlation_id, "causation_id": None},
                    **{"tenant_id": TENANT, "user_id": "bench", "metadata": {}, "payload": one.payload},
                    "schema_version": None,
                }
            ).decode()
            places = (1, self._position, 1, self._position, at, at)
            rows.append((*places, event_id, one.event_type, "User", one.aggregate_id, one.correlation_id, None, body))
        return rows

    async def copy(self, prepared: Sequence[list[tuple[Any, ...]]]) -> float:
        """Rows a second, one COPY a batch."""
        started = time.perf_counter()
        for rows in prepared:
            await self._connection.copy_records_to_table("bare", records=rows, columns=COLUMNS)
        return sum(map(len, prepared)) / (time.perf_counter() - started)
