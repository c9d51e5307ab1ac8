"""Partitions of the events table: there in time, and no harm when they are not."""

import asyncio

from schema.cursor import Cursor
from store.ledger.partitions import Partitions
from store.log.port import Command
from tests.events import draft
from tests.integration.store.ledger.conftest import Process, process

_COUNT = "select count(*) from pg_inherits where inhparent = 'events'::regclass"


def batch(opened: Process, events: int) -> list[Command]:
    return [Command(events=[draft(opened.stream, f"u{n % 3}")]) for n in range(events)]


async def partitions(opened: Process) -> int:
    async with opened.database.writing() as connection:
        count: int = await connection.fetchval(_COUNT)
    return count


async def test_a_missing_partition_fails_no_append(database_url: str) -> None:
    async with process(database_url, partition_size=20) as opened:
        assert await partitions(opened) == 0
        for _ in range(5):
            outcomes = await opened.log.append(batch(opened, 50))
            assert all(isinstance(outcome, list) for outcome in outcomes)
        events = (await opened.log.read(Cursor(1, 1), 1000)).events
        assert [event.position for event in events] == list(range(1, 251))


async def test_the_next_partition_is_made_ahead(database_url: str) -> None:
    async with process(database_url, partition_size=100) as opened:
        await opened.logs.start()
        before = await partitions(opened)
        await opened.log.append(batch(opened, 60))
        async with asyncio.timeout(10):
            while await partitions(opened) == before:  # noqa: ASYNC110 -- made in the background
                await asyncio.sleep(0.01)


async def test_many_may_make_them_at_once(ledgers: list[Process]) -> None:
    # The first partition is of the default size, the ones after it of whatever size is asked for.
    start = await partitions(ledgers[0])
    await asyncio.gather(*[Partitions(one.database, 100).ensure((1 << 24) + 250) for one in ledgers for _ in range(3)])
    assert await partitions(ledgers[0]) == start + 4
    await asyncio.gather(*[one.log.append(batch(one, 10)) for one in ledgers])


async def test_a_restart_goes_on_where_the_longest_log_is(database_url: str) -> None:
    async with process(database_url, partition_size=20) as opened:
        await opened.log.append(batch(opened, 50))
    async with process(database_url, partition_size=20) as opened:
        await opened.logs.start()
        assert await partitions(opened) >= 4
        await opened.log.append(batch(opened, 50))
