"""Gateways killed and frozen under load, and what they stand on taken away: what was acknowledged is there, once."""

import asyncio
import random

import pytest

from tests.faults.conftest import StartGateway, StartGatewayOnDisk
from tests.faults.load import CREATE, PUBLISH, Client, Load, assert_nothing_lost
from tests.services.external import Service

PROPER = {"LOG_UNAVAILABLE", "RATE_LIMITED", "TIMEOUT"}


async def test_kill_9_of_a_gateway_under_load(fault_database_url: str, start_gateway: StartGateway) -> None:
    gateway = await asyncio.to_thread(start_gateway, "one", {"ESB_POSTGRES_URL": fault_database_url})
    async with Client(gateway.url, gateway.token("t")) as client:
        await client.ok(CREATE)
        async with Load([client], "kill") as load:
            for _ in range(4):
                await load.more(100, 20)
                await asyncio.to_thread(gateway.kill)
                await asyncio.to_thread(gateway.start)
            await load.more(100, 20)
        await assert_nothing_lost(client, load)


async def test_a_frozen_gateway_does_not_stop_the_tenant(fault_database_url: str, start_gateway: StartGateway) -> None:
    """Frozen again and again at random moments, so that some hit a commit: the other goes on within 5 seconds."""
    settings = {"ESB_POSTGRES_URL": fault_database_url}
    frozen = await asyncio.to_thread(start_gateway, "frozen", settings)
    other = await asyncio.to_thread(start_gateway, "other", settings)
    async with (
        Client(frozen.url, frozen.token("t")) as to_frozen,
        Client(other.url, other.token("t")) as to_other,
    ):
        await to_other.ok(CREATE)
        async with Load([to_frozen], "frozen") as interrupted, Load([to_other], "other") as steady:
            for _ in range(6):
                await interrupted.more(random.randint(20, 120), 30)
                frozen.pause()
                waited = await steady.more(20, 5)
                assert waited < 5
                frozen.resume()
            await interrupted.more(50, 30)
        await assert_nothing_lost(to_other, interrupted, steady)


async def test_postgresql_killed_and_started_again(
    fault_database_url: str, postgres_service: Service, start_gateway: StartGateway
) -> None:
    gateway = await asyncio.to_thread(start_gateway, "one", {"ESB_POSTGRES_URL": fault_database_url})
    async with Client(gateway.url, gateway.token("t")) as client:
        await client.ok(CREATE)
        async with Load([client], "pg") as load:
            for _ in range(3):
                await load.more(100, 20)
                await asyncio.to_thread(postgres_service.kill)
                await asyncio.to_thread(postgres_service.start)
            await load.more(100, 30)
        await assert_nothing_lost(client, load)
        assert set(load.refused) <= PROPER


async def test_postgresql_frozen_is_said_in_bounded_time(
    fault_database_url: str, postgres_service: Service, start_gateway: StartGateway
) -> None:
    gateway = await asyncio.to_thread(start_gateway, "one", {"ESB_POSTGRES_URL": fault_database_url})
    async with Client(gateway.url, gateway.token("t"), timeout_s=60) as client:
        await client.ok(CREATE)
        async with Load([client], "hung") as load:
            await load.more(50, 20)
            postgres_service.pause()
            await load.refusal(50)
            postgres_service.resume()
            await load.more(50, 60)
        await assert_nothing_lost(client, load)
        assert set(load.refused) <= PROPER


async def test_a_hung_redis_costs_latency_only(
    fault_database_url: str, redis_service: Service, start_gateway: StartGateway
) -> None:
    settings = {"ESB_POSTGRES_URL": fault_database_url, "ESB_REDIS_URL": redis_service.url}
    one = await asyncio.to_thread(start_gateway, "one", settings)
    two = await asyncio.to_thread(start_gateway, "two", settings)
    presence = {"eventType": "presence.seen", "payload": 1}
    async with Client(one.url, one.token("t"), timeout_s=30) as publisher, Client(two.url, two.token("t")) as reader:
        await publisher.ok(CREATE)
        await publisher.ok(
            'mutation{createStream(stream:{streamName:"presence",engine:REDIS,eventPatterns:["presence.*"]}){streamId}}'
        )
        await publisher.ok(PUBLISH, e=presence)
        redis_service.pause()
        async with Load([publisher], "redis") as load:
            assert await load.more(200, 20) < 20
        async with asyncio.timeout(20):
            refused = await publisher.ask(PUBLISH, e=presence)
        assert refused["errors"][0]["extensions"]["code"] == "LOG_UNAVAILABLE", refused
        await assert_nothing_lost(reader, load)
        redis_service.resume()
        async with asyncio.timeout(30):
            while "errors" in await publisher.ask(PUBLISH, e=presence):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)


@pytest.mark.embedded_only
async def test_a_full_disk_is_said_and_loses_nothing(start_gateway_on_disk: StartGatewayOnDisk) -> None:
    """A data folder of 300 MB with a ballast file: publish until it is full, take the ballast away, go on."""
    gateway, ballast = await asyncio.to_thread(start_gateway_on_disk, 300)
    async with Client(gateway.url, gateway.token("t"), timeout_s=60) as client:
        await client.ok(CREATE)
        async with Load([client], "disk", writers=16, payload={"filling": random.randbytes(150_000).hex()}) as load:
            await load.refusal(120)
            await asyncio.to_thread(ballast.unlink)
            await load.more(20, 60)
        await assert_nothing_lost(client, load)
        assert set(load.refused) <= PROPER
