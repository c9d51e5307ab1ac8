"""Connections that end while they lie in the pool, as all do when PostgreSQL restarts."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from schema.errors import ErrorCode, EsbError
from store.database import Database
from store.tenants import Tenants


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url, min_size=3, max_size=3)
    await made.start()
    yield made
    await made.close()


async def cut(database_url: str) -> None:
    """End every connection of ours, and leave our side no turn of the loop to hear of it."""
    admin = await asyncpg.connect(database_url)
    await admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and application_name = 'esb'"
    )
    await admin.close()


async def read(database: Database, tenant: int) -> int:
    async with database.reading(tenant) as connection:
        answer: int = await connection.fetchval("select 42")
        return answer


async def test_a_reader_does_not_hear_of_connections_that_broke_before_it_asked(
    database: Database, database_url: str
) -> None:
    tenant = (await Tenants(database).get("acme")).key
    for _ in range(5):
        assert await asyncio.gather(*[read(database, tenant) for _ in range(3)]) == [42] * 3
        await cut(database_url)
        assert await read(database, tenant) == 42


async def test_a_reader_whose_connection_breaks_while_it_reads_is_told(database: Database, database_url: str) -> None:
    tenant = (await Tenants(database).get("acme")).key

    async def read_across_the_cut() -> None:
        async with database.reading(tenant) as connection:
            await cut(database_url)
            await connection.fetchval("select 42")

    with pytest.raises(EsbError) as told:
        await read_across_the_cut()
    assert told.value.code is ErrorCode.LOG_UNAVAILABLE
    assert await read(database, tenant) == 42
