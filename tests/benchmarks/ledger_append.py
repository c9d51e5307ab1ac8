"""ledger-append: events through admission and the committer, over bare asyncpg COPY into the same indexed table.

`ratio`: one publisher, batches of 1,000. `ratio_singles`: 256 publishers, an event each. `held`: both again while one
snapshot is held open, and `four_processes`: batches of four processes at once on one tenant; each as a part of its own
undisturbed rate, corrected by what the machine did to COPY meanwhile.
"""

import asyncio
import statistics
import sys
import time

import asyncpg
import uvloop

from gateway.heap import settle_heap
from store.migrate import upgrade
from tests.benchmarks.harness import PAIRS, Comparison, compare, finish
from tests.benchmarks.ledger_gateway import (
    BATCH,
    CLIENT,
    PRINCIPAL,
    Bare,
    Ways,
    batches,
    gateway,
    inputs,
    publish_batches,
    server,
)

EVENTS = 10_000
SINGLES = 8_000
PUBLISHERS = 256
PROCESSES = 4


class Sides:
    """What is measured, each as events a second."""

    def __init__(self, ways: Ways, bare: Bare) -> None:
        self._ways = ways
        self._bare = bare

    async def in_batches(self) -> float:
        return await publish_batches(self._ways, batches(EVENTS))

    async def singles(self) -> float:
        waiting = iter(inputs(SINGLES))

        async def publish() -> None:
            for said in waiting:
                await self._ways.admission.publish_one(PRINCIPAL, said, client=CLIENT)

        started = time.perf_counter()
        await asyncio.gather(*[publish() for _ in range(PUBLISHERS)])
        return SINGLES / (time.perf_counter() - started)

    async def copy(self) -> float:
        return await self._bare.copy([self._bare.rows(inputs(BATCH)) for _ in range(EVENTS // BATCH)])


async def processes(dsn: str) -> float:
    """Events a second of several processes together, each one publisher of batches."""
    command = (sys.executable, "-m", "tests.benchmarks.ledger_append", dsn)
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    workers = [await asyncio.create_subprocess_exec(*command, **pipes) for _ in range(PROCESSES)]
    for worker in workers:
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"ready\n"
    started = time.perf_counter()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
    ended = await asyncio.gather(*[worker.communicate() for worker in workers])
    assert all(out == b"done\n" for out, _ in ended), ended
    return PROCESSES * EVENTS / (time.perf_counter() - started)


async def work(dsn: str) -> None:
    """One of the processes: prepares, says so, and publishes when told."""
    async with gateway(dsn) as ways:
        await publish_batches(ways, batches(BATCH))
        prepared = batches(EVENTS)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await publish_batches(ways, prepared)
        print("done", flush=True)


def kept(disturbed: Comparison, own: Comparison) -> float:
    """The part of its rate that ours keeps, by the medians of the ratios to COPY."""
    return round(disturbed.ratio("copy") / own.ratio("copy"), 3)


async def main() -> None:
    settle_heap()  # both sides run as the gateway does
    async with server() as dsn:
        await asyncio.to_thread(upgrade, dsn)
        connection = await asyncpg.connect(dsn)
        async with gateway(dsn) as ways:
            sides = Sides(ways, await Bare.make(connection))
            peers = {"copy": sides.copy}
            print(f"batches of {BATCH}, events a second")
            batched = await compare(sides.in_batches, peers)
            print(f"{PUBLISHERS} publishers of single events")
            singles = await compare(sides.singles, peers)
            print("batches, and singles, while a snapshot is held")
            holder = await asyncpg.connect(dsn)
            await holder.execute("begin isolation level repeatable read")
            await holder.fetchval("select count(*) from event_ids")
            held = await compare(sides.in_batches, peers, warm=False)
            held_singles = await compare(sides.singles, peers, warm=False)
            await holder.close()
            print(f"batches from {PROCESSES} processes at once, and from one")
            together = await compare(lambda: processes(dsn), {"one": sides.in_batches}, warm=False)
        await connection.close()
    finish(
        "ledger-append",
        batched.summary(),
        ratio_singles=round(singles.ratio("copy"), 3),
        spread_singles=singles.spread("copy"),
        singles=round(statistics.median(singles.ours), 1),
        held=kept(held, batched),
        held_singles=kept(held_singles, singles),
        four_processes=round(together.ratio("one"), 3),
        pairs=PAIRS,
    )


if __name__ == "__main__":
    uvloop.run(work(sys.argv[1]) if len(sys.argv) > 1 else main())
