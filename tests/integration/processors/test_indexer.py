"""The indexer on a real Kafka topic that others write to as well."""

import asyncio
import secrets
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from schema.stream import Stream, StreamEngine
from store.ledger.reader import EventReader
from store.log.kafka import KafkaLog
from store.topics import Topics
from tests.relaying import World, commands, draft, rows, unique, world

ROWS = 'select event_id, partition, "offset", place, tenant from indexed_events order by place'


async def kafka_stream(place: World, servers: str) -> Stream:
    stream = await place.stream(unique(), engine=StreamEngine.KAFKA)
    await Topics(servers).create(stream)
    return stream


async def until_indexed(database_url: str, count: int, table: str = "indexed_events") -> None:
    async with asyncio.timeout(30):
        while (await rows(database_url, f"select count(*) from {table}"))[0][0] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def write(servers: str, topic: str, *values: bytes | None) -> None:
    """What a foreign producer writes, to partition 0."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, key=b"k", partition=0)
    finally:
        await producer.stop()


async def index(place: World, servers: str, database_url: str, events: int, dead: int = 0) -> Any:
    """Run an indexer until there are so many rows; the indexer, stopped."""
    leases = place.leases()
    indexer = place.indexer(servers, leases)
    await indexer.start()
    await until_indexed(database_url, events)
    await until_indexed(database_url, dead, "index_dead_letters")
    await indexer.stop()
    await leases.close()
    return indexer


async def test_events_are_found_by_id_where_their_receipts_say(database_url: str, kafka_servers: str) -> None:
    async with world(database_url) as place:
        stream = await kafka_stream(place, kafka_servers)
        log = KafkaLog(stream, kafka_servers)
        sent = commands(stream, range(200))
        outcomes = await log.append(sent)
        await log.close()
        await index(place, kafka_servers, database_url, 200)
        reader = EventReader(place.database)
        tenant = await place.tenants.get(stream.tenant)
        for outcome, command in zip(outcomes, sent, strict=True):
            assert isinstance(outcome, list)
            found = await reader.by_id(tenant, outcome[0].event_id)
            assert found is not None
            assert (found.partition, found.offset, found.recorded_at) == (
                outcome[0].partition,
                outcome[0].offset,
                outcome[0].recorded_at,
            )
            assert found.body == command.events[0].body
            assert (found.position, found.sequence_number, found.stream) == (None, None, stream.stream_name)


async def test_poison_is_put_aside_and_stops_nothing(database_url: str, kafka_servers: str) -> None:
    async with world(database_url) as place:
        stream = await kafka_stream(place, kafka_servers)
        good = [draft(stream, n, "a").body for n in range(4)]
        foreign = draft(stream, 9, "a").body.replace(f'"{stream.tenant}"'.encode(), b'"victim"')
        not_utf8 = draft(stream, 9, "a").body.replace(b'"number"', b'"\xff"')
        nul = draft(stream, 9, "a").body.replace(b'"thing.happened"', b'"thing\\u0000"')
        endless = draft(stream, 9, "a").body.replace(
            b'"thing.happened"', b'"' + secrets.token_hex(50_000).encode() + b'"'
        )
        number = draft(stream, 9, "a").body.replace(b'{"number":9}', b'{"number":1e400000}')
        await write(
            kafka_servers, stream.topic, good[0], b"{", foreign, good[1], not_utf8, None, nul, good[2], endless, number
        )
        await write(kafka_servers, stream.topic, good[3])
        indexer = await index(place, kafka_servers, database_url, 4, 7)

        log = KafkaLog(stream, kafka_servers)
        batch = await log.read((await log.head())._replace(at_ms=0, kafka=()), 100)
        await log.close()
    found = await rows(database_url, ROWS)
    dead = await rows(database_url, 'select "offset", reason from index_dead_letters order by "offset"')

    assert [row["offset"] for row in found] == [0, 3, 7, 10]
    assert [row["offset"] for row in dead] == [1, 2, 4, 5, 6, 8, 9]
    assert "another tenant" in dead[1]["reason"]
    assert indexer.dead_letters() == 7
    # Live readers see what can be read at all; the tenant's name is checked for them too.
    assert [event.offset for event in batch.events] == [0, 3, 6, 7, 8, 9, 10]


async def test_a_repeat_keeps_its_own_place(database_url: str, kafka_servers: str) -> None:
    async with world(database_url) as place:
        stream = await kafka_stream(place, kafka_servers)
        body = draft(stream, 1, "a").body
        await write(kafka_servers, stream.topic, body, body)
        await index(place, kafka_servers, database_url, 2)

    first, second = await rows(database_url, ROWS)
    assert first["event_id"] == second["event_id"]
    assert (first["offset"], second["offset"]) == (0, 1)


async def test_it_goes_on_where_it_was_and_survives_retention(database_url: str, kafka_servers: str) -> None:
    async with world(database_url) as place:
        stream = await kafka_stream(place, kafka_servers)
        bodies = [draft(stream, n, "a").body for n in range(6)]
        await write(kafka_servers, stream.topic, *bodies[:2])
        await index(place, kafka_servers, database_url, 2)
        await write(kafka_servers, stream.topic, *bodies[2:4])
        await index(place, kafka_servers, database_url, 4)
        await write(kafka_servers, stream.topic, *bodies[4:])
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
        await admin.start()
        await admin.delete_records({TopicPartition(stream.topic, 0): RecordsToDelete(before_offset=5)})
        await admin.close()
        await index(place, kafka_servers, database_url, 5)

    assert [row["offset"] for row in await rows(database_url, ROWS)] == [0, 1, 2, 3, 5]


async def test_lag_is_told_and_falls_to_zero(database_url: str, kafka_servers: str) -> None:
    async with world(database_url) as place:
        stream = await kafka_stream(place, kafka_servers)
        await write(kafka_servers, stream.topic, *[draft(stream, n, "a").body for n in range(50)])
        leases = place.leases()
        indexer = place.indexer(kafka_servers, leases)
        await indexer.start()
        await until_indexed(database_url, 50)
        async with asyncio.timeout(10):
            while indexer.lag():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await indexer.stop()
        await indexer.stop()
        await leases.close()
