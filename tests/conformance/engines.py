"""The engines the conformance suite runs over. Another engine is one more entry: how to open its log, and what services
it needs; what it promises it says itself.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from redis.asyncio import Redis

from schema.stream import Stream, StreamEngine
from store.database import Database
from store.log.kafka import KafkaLog
from store.log.ledger import LedgerLogs
from store.log.memory import MemoryLog
from store.log.port import Log
from store.log.redis import RedisLog
from store.tenants import Tenants
from store.topics import Topics
from tests.events import stream

INSERT_STREAM = """
insert into streams (tenant, stream_id, stream_name, topic_name, engine, partitions, replication_factor, compression,
                     cleanup_policy)
values ($1, $2, $3, $3, 'LEDGER', 4, 1, 'SNAPPY', 'DELETE') returning key
"""


class Subject(NamedTuple):
    """A fresh, empty log, and a stream whose events it takes."""

    log: Log
    stream: Stream


class Engine(NamedTuple):
    """`open`: given the services' fixtures by name."""

    name: str
    open: Callable[[Mapping[str, Any]], AbstractAsyncContextManager[Subject]]
    services: tuple[str, ...] = ()


@asynccontextmanager
async def memory(_: Mapping[str, Any]) -> AsyncIterator[Subject]:
    where = stream()
    yield Subject(MemoryLog({where.key}), where)


@asynccontextmanager
async def ledger(services: Mapping[str, Any]) -> AsyncIterator[Subject]:
    database = Database(services["database_url"])
    await database.start()
    tenants = Tenants(database)
    logs = LedgerLogs(database, tenants)
    try:
        await logs.start()
        where = await ledger_stream(database, tenants)
        yield Subject(await logs.get(where.tenant), where)
    finally:
        await logs.close()
        await database.close()


async def ledger_stream(
    database: Database, tenants: Tenants, tenant: str = "acme", name: str = "user-events", number: int = 1
) -> Stream:
    """Make a stream's row, as far as the ledger looks at it."""
    key = (await tenants.get(tenant)).key
    async with database.writing() as connection:
        made = await connection.fetchval(INSERT_STREAM, key, f"str_{key:013d}{number:013d}", name)
    return stream(made, name, tenant)


def own_stream(engine: StreamEngine) -> Stream:
    """A stream whose topic or key nobody else on the shared service has."""
    name = f"events-{uuid4().hex}"
    return msgspec.structs.replace(stream(name=name), topic_name=name, engine=engine, partitions=3)


@asynccontextmanager
async def kafka(services: Mapping[str, Any]) -> AsyncIterator[Subject]:
    where = own_stream(StreamEngine.KAFKA)
    await Topics(services["kafka_servers"]).create(where)
    log = KafkaLog(where, services["kafka_servers"])
    try:
        yield Subject(log, where)
    finally:
        await log.close()


@asynccontextmanager
async def redis(services: Mapping[str, Any]) -> AsyncIterator[Subject]:
    where = own_stream(StreamEngine.REDIS)
    client = Redis.from_url(services["redis_url"])
    try:
        yield Subject(RedisLog(where, client), where)
    finally:
        await client.delete(where.topic)
        await client.aclose()


ENGINES = (
    Engine("memory", memory),
    Engine("ledger", ledger, ("database_url",)),
    Engine("kafka", kafka, ("kafka_servers",)),
    Engine("redis", redis, ("redis_url",)),
)
