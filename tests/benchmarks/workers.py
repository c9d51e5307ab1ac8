"""workers: what a delivery and an event cost when two processes share the work, beside one process alone.

500 subscribers, bursts of 10 events, as in fan-out. With two processes each serves some of the subscribers, and each
event is committed by one of them and read again by the other: that is what adding a process costs. CPU is
of all processes of the gateway, without its PostgreSQL.
"""

import asyncio
from contextlib import AsyncExitStack

from tests.benchmarks.fan_out import BURST, Line
from tests.benchmarks.fan_out_sides import ours, two_workers
from tests.benchmarks.harness import compare, finish
from tests.load.generator import generator


async def main() -> None:
    async with generator() as made, AsyncExitStack() as running:
        one = Line(made, await running.enter_async_context(ours(made)), BURST)
        two = Line(made, await running.enter_async_context(two_workers(made)), BURST)
        found = await compare(two.rate, {"one process": one.rate})
    finish("workers", found.summary(), unit="deliveries/CPU-second")


if __name__ == "__main__":
    asyncio.run(main())
