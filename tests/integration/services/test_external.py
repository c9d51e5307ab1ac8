"""The real services come up, and can be killed, frozen and brought back as fault tests need it."""

import aiokafka
import asyncpg
import pytest
import redis.asyncio

from tests.services.external import Service


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_postgres_comes_back_with_its_data(postgres_service: Service, way: str) -> None:
    connection = await asyncpg.connect(postgres_service.url)
    try:
        await connection.execute(f"CREATE TABLE {way}_kept AS SELECT 1 AS n")
    finally:
        connection.terminate()
    getattr(postgres_service, way)()
    with pytest.raises(OSError, match="111"):
        await asyncpg.connect(postgres_service.url)
    postgres_service.start()
    connection = await asyncpg.connect(postgres_service.url)
    try:
        assert await connection.fetchval(f"SELECT n FROM {way}_kept") == 1
    finally:
        await connection.close()


async def test_a_frozen_redis_takes_connections_and_says_nothing(redis_service: Service) -> None:
    client = redis.asyncio.from_url(redis_service.url, socket_timeout=0.3, retry=None)
    async with client:
        await client.set("kept", "1")
        redis_service.pause()
        with pytest.raises(redis.asyncio.TimeoutError):
            await client.get("kept")
        redis_service.resume()
        assert await client.get("kept") == b"1"


async def test_kafka_serves_transactions(kafka_servers: str) -> None:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=kafka_servers, transactional_id="services-test")
    await producer.start()
    try:
        async with producer.transaction():
            pass
    finally:
        await producer.stop()
