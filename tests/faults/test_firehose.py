"""Kafka and Redis engines while their service is frozen, killed or gone; the indexer killed in the middle."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from schema.errors import ErrorCode, EsbError
from schema.stream import StreamEngine
from store.log.kafka import KafkaLog
from store.log.port import Log, Receipt
from store.log.redis import RedisLog
from store.topics import Topics
from tests.conformance.engines import own_stream
from tests.faults.test_relay import worker
from tests.relaying import commands, consume, rows, unique, world
from tests.services.external import Service


async def placed(log: Log, numbers: range) -> list[Receipt]:
    stream = log._stream  # type: ignore[attr-defined]
    found = []
    for outcome in await log.append(commands(stream, numbers)):
        assert isinstance(outcome, list), outcome
        found += outcome
    return found


async def refused_in_time(log: Log, number: int, within_s: float) -> None:
    began = time.monotonic()
    with pytest.raises(EsbError) as caught:
        await placed(log, range(number, number + 1))
    assert caught.value.code is ErrorCode.LOG_UNAVAILABLE
    assert caught.value.retryable
    assert time.monotonic() - began < within_s


async def accepted_again(log: Log, number: int) -> None:
    async with asyncio.timeout(40):
        while True:
            try:
                await placed(log, range(number, number + 1))
                return
            except EsbError:
                await asyncio.sleep(0.1)


async def test_a_frozen_kafka_is_given_up_in_time_and_taken_back(kafka_service: Service) -> None:
    stream = own_stream(StreamEngine.KAFKA)
    await Topics(kafka_service.url).create(stream)
    log = KafkaLog(stream, kafka_service.url, deadline_s=3.0)
    try:
        first = await placed(log, range(1, 11))
        await asyncio.to_thread(kafka_service.pause)
        await refused_in_time(log, 11, 5)
        await refused_in_time(log, 12, 5)
        await asyncio.to_thread(kafka_service.resume)
        await accepted_again(log, 13)
        await asyncio.to_thread(kafka_service.kill)
        await refused_in_time(log, 14, 5)
        await asyncio.to_thread(kafka_service.start)
        await accepted_again(log, 15)
        found = {(record.partition, record.offset) for record in await consume(kafka_service.url, stream.topic, 3, 12)}
    finally:
        await log.close()

    assert {(receipt.partition, receipt.offset) for receipt in first} <= found


async def test_a_closing_log_does_not_wait_for_a_dead_kafka(kafka_service: Service) -> None:
    stream = own_stream(StreamEngine.KAFKA)
    await Topics(kafka_service.url).create(stream)
    log = KafkaLog(stream, kafka_service.url, deadline_s=3.0)
    await placed(log, range(1, 3))
    await asyncio.to_thread(kafka_service.pause)
    waiting = asyncio.create_task(placed(log, range(3, 4)))
    await asyncio.sleep(0)
    began = time.monotonic()
    await log.close()
    with pytest.raises(EsbError):
        await waiting
    assert time.monotonic() - began < 12


async def test_a_hung_redis_is_given_up_in_time_and_taken_back(redis_service: Service) -> None:
    stream = own_stream(StreamEngine.REDIS)
    client = Redis.from_url(redis_service.url)
    log = RedisLog(stream, client, deadline_s=1.0)
    try:
        await placed(log, range(1, 11))
        start = (await log.head())._replace(redis=())
        tail = log.tail(start._replace(at_ms=0))
        assert len((await anext(tail)).events) == 10
        await asyncio.to_thread(redis_service.pause)
        await refused_in_time(log, 11, 3)
        with pytest.raises(EsbError) as caught:
            await anext(tail)
        assert caught.value.code is ErrorCode.LOG_UNAVAILABLE
        await asyncio.to_thread(redis_service.resume)
        await accepted_again(log, 12)
    finally:
        await client.aclose()


async def test_an_indexer_killed_again_and_again(database_url: str, kafka_servers: str) -> None:
    tenant, last = unique(), 20_000
    async with world(database_url) as place:
        stream = await place.stream(tenant, engine=StreamEngine.KAFKA)
        await Topics(kafka_servers).create(stream)
        log = KafkaLog(stream, kafka_servers)
        receipts: list[Receipt] = []

        async def publish() -> None:
            for start in range(0, last, 50):
                receipts.extend(await placed(log, range(start, start + 50)))
                await asyncio.sleep(0.02)

        async def indexed() -> int:
            return int((await rows(database_url, "select count(*) from indexed_events"))[0][0])

        async def until(count: int) -> None:
            async with asyncio.timeout(60):
                while await indexed() < count:  # noqa: ASYNC110 - it is asked, not told
                    await asyncio.sleep(0.01)

        publishing = asyncio.create_task(publish())
        for number in range(8):
            async with worker("indexer", database_url, kafka_servers) as indexer:
                await until(min(await indexed() + 1, last))
                await asyncio.sleep(number * 0.007)
                await indexer.kill()
        await publishing
        async with worker("indexer", database_url, kafka_servers):
            await until(last)
        await log.close()
        found = await rows(
            database_url, 'select event_id, partition, "offset", place from indexed_events order by partition, "offset"'
        )

    places = {(receipt.event_id, receipt.partition, receipt.offset) for receipt in receipts}
    assert {(row["event_id"], row["partition"], row["offset"]) for row in found} == places
    assert len(found) == last
    by_partition: dict[int, list[int]] = {}
    for row in found:
        by_partition.setdefault(row["partition"], []).append(row["place"])
    assert all(seen == sorted(seen) for seen in by_partition.values())
