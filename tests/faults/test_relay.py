"""The relay killed, frozen, doubled and cut from Kafka, on real processes: nothing lost, repeated or out of order."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from schema.stream import Stream
from tests.relaying import World, assert_exactly_once, consume, rows, unique, world
from tests.services.external import Service

# The backends that wait for a row, not for the ledger's advisory lock.
WAITING = "select distinct pid from pg_locks where not granted and locktype in ('transactionid', 'tuple')"

PROCESS = Path(__file__).with_name("worker_process.py")
ROOT = PROCESS.parents[2]


class Running:
    """A worker process. `holder`: its name in the leases."""

    def __init__(self, process: asyncio.subprocess.Process, holder: str) -> None:
        self.process = process
        self.holder = holder

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def worker(kind: str, database_url: str, servers: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROCESS),
        kind,
        database_url,
        servers,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        running = Running(process, (await process.stdout.readline()).decode().strip())
    try:
        yield running
    finally:
        await running.kill()
        assert process.stdin is not None
        process.stdin.close()


async def relayed(place: World, name: str) -> int:
    async with place.database.writing() as connection:
        return int(
            await connection.fetchval("select coalesce(max(position), 0) from checkpoints where name = $1", name)
        )


async def until(place: World, name: str, position: int, within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while await relayed(place, name) < position:  # noqa: ASYNC110 - it is asked, not told
            await asyncio.sleep(0.01)


async def publish_all(place: World, stream: Stream, last: int, pace_s: float = 0.02) -> float:
    """Events 1 to `last` in small commits; the longest commit's seconds."""
    longest = 0.0
    for start in range(1, last + 1, 50):
        began = time.monotonic()
        await place.publish(stream, range(start, min(start + 50, last + 1)))
        longest = max(longest, time.monotonic() - began)
        await asyncio.sleep(pace_s)
    return longest


async def test_a_relay_killed_again_and_again(database_url: str, kafka_servers: str) -> None:
    tenant, last = unique(), 20_000
    async with world(database_url) as place:
        stream = await place.stream(tenant)
        publishing = asyncio.create_task(publish_all(place, stream, last))
        for number in range(8):
            async with worker("relay", database_url, kafka_servers) as relay:
                await until(place, f"relay:{tenant}", await relayed(place, f"relay:{tenant}") + 1)
                # At another moment of a transaction each time.
                await asyncio.sleep(number * 0.007)
                await relay.kill()
        await publishing
        async with worker("relay", database_url, kafka_servers):
            await until(place, f"relay:{tenant}", last + 1)
        found = await consume(kafka_servers, stream.topic, 3, last)

    assert_exactly_once(found, last)


@contextlib.asynccontextmanager
async def checkpoint_held(database_url: str, name: str) -> AsyncIterator[None]:
    """Begins when a worker's save waits for the checkpoint's row: what it did before is done, and not yet noted."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("select from checkpoints where name = $1 for update", name)
            async with asyncio.timeout(30):
                while not await connection.fetch(WAITING):  # noqa: ASYNC110 - it is asked, not told
                    await asyncio.sleep(0.01)
            yield
            # The server would still carry out the statement of a client that is gone.
            for row in await connection.fetch(WAITING):
                await connection.execute("select pg_terminate_backend($1)", row["pid"])
    finally:
        await connection.close()


async def test_a_relay_killed_between_kafkas_commit_and_its_own_note(database_url: str, kafka_servers: str) -> None:
    tenant, last = unique(), 5_000
    name = f"relay:{tenant}"
    async with world(database_url) as place:
        stream = await place.stream(tenant)
        publishing = asyncio.create_task(publish_all(place, stream, last, 0.1))
        for _ in range(3):
            async with worker("relay", database_url, kafka_servers) as relay:
                await until(place, name, await relayed(place, name) + 1)
                async with checkpoint_held(database_url, name):
                    await relay.kill()
        await publishing
        async with worker("relay", database_url, kafka_servers):
            await until(place, name, last + 1)
        found = await consume(kafka_servers, stream.topic, 3, last)

    assert_exactly_once(found, last)


async def test_a_frozen_relay_hands_over_and_does_no_harm_when_it_wakes(database_url: str, kafka_servers: str) -> None:
    tenant, last = unique(), 6_000
    name = f"relay:{tenant}"
    async with world(database_url) as place:
        stream = await place.stream(tenant)
        publishing = asyncio.create_task(publish_all(place, stream, last, 0.06))
        async with (
            worker("relay", database_url, kafka_servers) as one,
            worker("relay", database_url, kafka_servers) as two,
        ):
            for _ in range(3):
                await until(place, name, await relayed(place, name) + 1)
                ((holder,),) = await rows(database_url, "select holder from leases where name = $1", name)
                leader, other = (one, two) if holder == one.holder else (two, one)
                leader.send(signal.SIGSTOP)
                frozen_at = await relayed(place, name)
                began = time.monotonic()
                await until(place, name, min(frozen_at + 200, last), 30)
                assert time.monotonic() - began < 15
                ((holder,),) = await rows(database_url, "select holder from leases where name = $1", name)
                assert holder == other.holder
                leader.send(signal.SIGCONT)
            await publishing
            await until(place, name, last + 1)
        found = await consume(kafka_servers, stream.topic, 3, last)

    assert_exactly_once(found, last)


async def test_kafka_killed_while_the_relay_runs(database_url: str, kafka_service: Service) -> None:
    tenant, last = unique(), 8_000
    servers = kafka_service.url
    async with world(database_url) as place:
        stream = await place.stream(tenant)
        leases = place.leases()
        relay = place.relay(servers, leases, deadline_s=5.0)
        await relay.start()
        publishing = asyncio.create_task(publish_all(place, stream, last, 0.15))
        for _ in range(2):
            await until(place, f"relay:{tenant}", await relayed(place, f"relay:{tenant}") + 1)
            await asyncio.to_thread(kafka_service.kill)
            await asyncio.to_thread(kafka_service.start)
        longest = await publishing
        await until(place, f"relay:{tenant}", last + 1)
        async with asyncio.timeout(10):
            while relay.lag():  # noqa: ASYNC110 - it is asked, not told
                await asyncio.sleep(0.05)
        await relay.stop()
        await leases.close()
        found = await consume(servers, stream.topic, 3, last)

    assert_exactly_once(found, last)
    assert longest < 3, "appends waited for Kafka"
