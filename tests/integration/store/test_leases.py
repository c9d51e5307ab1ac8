"""Leases and the checkpoints they guard, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from store.checkpoints import Checkpoint, Checkpoints, Fenced
from store.database import Connection, Database
from store.leases import Lease, Leases

TTL_S = 0.6


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def one(database: Database) -> AsyncIterator[Leases]:
    made = Leases(database, ttl_s=TTL_S)
    yield made
    await made.close()


@pytest.fixture
async def two(database: Database) -> AsyncIterator[Leases]:
    made = Leases(database, ttl_s=TTL_S)
    yield made
    await made.close()


async def taken(leases: Leases, name: str) -> Lease | None:
    async with leases.hold(name) as lease:
        return lease


async def test_one_holder_at_a_time_and_growing_tokens(one: Leases, two: Leases) -> None:
    tokens = []
    for leases, other in ((one, two), (two, one), (one, two)):
        async with leases.hold("work") as lease:
            assert lease is not None
            assert lease.valid
            tokens.append(lease.token)
            assert await taken(other, "work") is None
            assert await taken(leases, "work") is None
        assert lease.lost.is_set()
    assert tokens == [1, 2, 3]


async def test_of_many_who_ask_at_once_one_gets_it(database: Database) -> None:
    all_leases = [Leases(database, ttl_s=30) for _ in range(20)]
    got = await asyncio.gather(*(leases._take("work") for leases in all_leases))
    assert sum(lease is not None for lease in got) == 1
    for leases in all_leases:
        await leases.close()


async def test_a_holder_keeps_it_as_long_as_it_lives(one: Leases, two: Leases) -> None:
    async with one.hold("work") as lease:
        assert lease is not None
        await asyncio.sleep(3 * TTL_S)
        assert lease.valid
        assert await taken(two, "work") is None


async def test_a_holder_that_says_nothing_loses_it_and_learns_so(one: Leases, two: Leases) -> None:
    async with one.hold("work") as lease:
        assert lease is not None
        assert one._renewer is not None
        one._renewer.cancel()  # as frozen
        async with asyncio.timeout(5):
            while (second := await taken(two, "work")) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert second.token == lease.token + 1
        assert not lease.valid


async def test_a_renewer_that_finds_it_taken_says_lost(database: Database, one: Leases) -> None:
    async with one.hold("work") as lease:
        assert lease is not None
        async with database.writing() as connection:
            await connection.execute("update leases set holder = 'another', token = token + 1")
        async with asyncio.timeout(5):
            await lease.lost.wait()


async def test_checkpoints_refuse_whoever_came_before(database: Database) -> None:
    checkpoints = Checkpoints(database)
    late, current = Lease("work", 1, 0), Lease("work", 2, 0)
    assert await checkpoints.claim(late) == Checkpoint(0, {})
    await checkpoints.save(late, Checkpoint(5, {"a": [1]}))
    assert await checkpoints.claim(current) == Checkpoint(5, {"a": [1]})

    with pytest.raises(Fenced):
        await checkpoints.save(late, Checkpoint(9, {}))
    with pytest.raises(Fenced):
        await checkpoints.claim(late)
    await checkpoints.save(current, Checkpoint(6, {}))
    assert await checkpoints.claim(current) == Checkpoint(6, {})


async def test_a_fenced_save_takes_its_transaction_with_it(database: Database) -> None:
    checkpoints = Checkpoints(database)
    await checkpoints.claim(Lease("work", 2, 0))

    async def late_work(connection: Connection) -> None:
        async with connection.transaction():
            await connection.execute("insert into leases values ('x', 'y', 1, now())")
            await checkpoints.save_within(connection, Lease("work", 1, 0), Checkpoint(1, {}))

    async with database.writing() as connection:
        with pytest.raises(Fenced):
            await late_work(connection)
        assert await connection.fetchval("select count(*) from leases") == 0
