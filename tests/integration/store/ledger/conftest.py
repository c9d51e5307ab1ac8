"""A ledger on a fresh database, opened as often as there would be processes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import pytest

from schema.stream import Stream
from store.database import Database
from store.ledger.answer import Commit
from store.ledger.committer import Bounds
from store.ledger.partitions import Partitions
from store.ledger.reader import EventReader
from store.log.ledger import LedgerLog, LedgerLogs
from store.tenants import Tenant, Tenants
from tests.conformance.engines import ledger_stream
from tests.events import stream


class Process(NamedTuple):
    """What one gateway process has of the ledger. `commits`: what it announced."""

    database: Database
    tenants: Tenants
    logs: LedgerLogs
    reader: EventReader
    log: LedgerLog
    stream: Stream
    tenant: Tenant
    commits: list[Commit]


@asynccontextmanager
async def process(
    dsn: str, bounds: Bounds | None = None, partition_size: int | None = None, patience: float = 10.0
) -> AsyncIterator[Process]:
    database = Database(dsn)
    await database.start()
    tenants = Tenants(database)
    commits: list[Commit] = []
    partitions = Partitions(database, partition_size) if partition_size else None
    logs = LedgerLogs(database, tenants, commits.append, bounds=bounds, partitions=partitions, patience=patience)
    try:
        if not partition_size:
            await logs.start()
        tenant = await tenants.get("acme")
        async with database.writing() as connection:
            key = await connection.fetchval("select key from streams where tenant = $1", tenant.key)
        where = stream(key) if key else await ledger_stream(database, tenants)
        yield Process(database, tenants, logs, EventReader(database), await logs.get("acme"), where, tenant, commits)
    finally:
        await logs.close()
        await database.close()


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Process]:
    async with process(database_url) as opened:
        yield opened


@pytest.fixture
async def ledgers(database_url: str) -> AsyncIterator[list[Process]]:
    """Three processes on one database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(process(database_url)) for _ in range(3)]
