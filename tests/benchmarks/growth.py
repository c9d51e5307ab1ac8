"""growth: what an event costs as the log grows from 10⁴ to 10⁶ stored events, through admission and the ledger's log.

One log is filled through admission, in batches of a thousand; at each size it is appended to in turns with a fresh log
of 10⁴ events. `ratio`: cost in the large log over cost in the small one, at most 1.3. What a page of
the 50 newest events and an event by its id take at each size stands beside it.
"""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from processors.pages import Order
from store.migrate import upgrade
from tests.benchmarks.harness import compare, finish
from tests.benchmarks.ledger_gateway import (
    BATCH,
    CLIENT,
    PRINCIPAL,
    Ways,
    batches,
    gateway,
    inputs,
    publish_batches,
    server,
)

SIZES = (10_000, 100_000, 1_000_000)
EVENTS = 2_000
READS = 200
PUBLISHERS = 3
PAGE = 50


class Growing:
    """A log, how many events it holds, and the ids of some of them."""

    def __init__(self, ways: Ways) -> None:
        self.ways = ways
        self.stored = 0
        self.ids: list[str] = []

    async def fill(self, size: int) -> None:
        """Publish until it holds so many; several publishers, so that admission and PostgreSQL overlap."""

        async def publish() -> None:
            while self.stored < size:
                self.stored += BATCH
                report = await self.ways.admission.publish(PRINCIPAL, inputs(BATCH), client=CLIENT, atomic=False)
                self.ids += [receipt.event_id for _, receipt in random.sample(report.receipts, 3)]

        began, before = time.perf_counter(), self.stored
        await asyncio.gather(*[publish() for _ in range(PUBLISHERS)])
        if self.stored > before:
            rate = (self.stored - before) / (time.perf_counter() - began)
            print(f"filled to {self.stored:,} events: {rate:,.0f} events/s", flush=True)

    async def append(self) -> float:
        """Events a second of one publisher."""
        said = batches(EVENTS)
        self.stored += EVENTS
        return await publish_batches(self.ways, said)

    async def page(self) -> None:
        """The newest events."""
        found = await self.ways.queries.page(PRINCIPAL, first=PAGE, order=Order.DESC)
        assert len(found.events) == PAGE

    async def by_id(self) -> None:
        """An event from anywhere in the log."""
        assert await self.ways.queries.event(PRINCIPAL, random.choice(self.ids))


async def main() -> None:
    stages = {}
    async with fresh() as ways:
        large = Growing(ways)
        for size in SIZES:
            await large.fill(size)
            stages[size] = await stage(large)
            print(f"{size:,} stored: {stages[size]}", flush=True)
    last = stages[SIZES[-1]]
    finish(
        "growth",
        {
            "ours": last["us_per_event"],
            "peers": {"small": last["small_us_per_event"]},
            "ratio": last["ratio"],
            "spread": last["spread"],
        },
        unit="µs/event",
        stages=stages,
    )


async def stage(large: Growing) -> dict[str, Any]:
    """The figures at one size."""
    async with fresh() as ways:
        small = Growing(ways)
        await small.fill(SIZES[0])
        # Rates, so the small log's over the large one's is the large one's cost over the small one's.
        result = await compare(small.append, {"large": large.append})
    return {
        "us_per_event": round(1e6 / statistics.median(result.peers["large"]), 1),
        "small_us_per_event": round(1e6 / statistics.median(result.ours), 1),
        "ratio": round(result.ratio("large"), 3),
        "spread": result.spread("large"),
        "page_ms": await milliseconds(large.page),
        "by_id_ms": await milliseconds(large.by_id),
    }


async def milliseconds(read: Callable[[], Awaitable[None]]) -> float:
    """The median of many, one after the other."""
    took = []
    for _ in range(READS):
        began = time.perf_counter()
        await read()
        took.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(took), 3)


@asynccontextmanager
async def fresh() -> AsyncIterator[Ways]:
    """A gateway on a server of its own."""
    async with server() as dsn:
        await asyncio.to_thread(upgrade, dsn)
        async with gateway(dsn) as ways:
            yield ways


if __name__ == "__main__":
    uvloop.run(main())
