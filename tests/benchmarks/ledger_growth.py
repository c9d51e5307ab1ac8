"""ledger-growth: what an event costs in a log of a million events, over its cost in one of ten thousand.

Two databases of one server, appended to in turns. `ratio`: cost in the large over cost in the small.
"""

import asyncio
import itertools

import asyncpg
import uvloop

from store.migrate import upgrade
from tests.benchmarks.harness import compare, finish
from tests.benchmarks.ledger_gateway import (
    BATCH,
    COLUMNS,
    Bare,
    batches,
    gateway,
    inputs,
    publish_batches,
    server,
)
from tests.services.postgres import Databases

SMALL, LARGE = 10_000, 1_000_000
EVENTS = 3_000


async def fill(dsn: str, events: int) -> None:
    """Put rows in by COPY, which is the quickest way to a log of that length."""
    connection = await asyncpg.connect(dsn)
    make = Bare(connection)
    for _ in range(events // BATCH):
        rows = make.rows(inputs(BATCH))
        ids = [(row[6], row[0], row[1], 0) for row in rows]
        await connection.copy_records_to_table("events", records=rows, columns=COLUMNS)
        await connection.copy_records_to_table("event_ids", records=ids)
    await connection.execute("analyze")
    await connection.close()


async def main() -> None:
    async with server() as base:
        with Databases(base).fresh() as small, Databases(base).fresh() as large:
            for dsn in (small, large):
                await asyncio.to_thread(upgrade, dsn)
            async with gateway(small) as in_small, gateway(large) as in_large:
                await asyncio.gather(fill(small, SMALL), fill(large, LARGE))
                result = await compare(
                    lambda: publish_batches(in_small, batches(EVENTS)),
                    {"large": lambda: publish_batches(in_large, batches(EVENTS))},
                    pairs=15,
                )
    finish("ledger-growth", result.summary(), stored=list(itertools.chain([SMALL, LARGE])))


if __name__ == "__main__":
    uvloop.run(main())
