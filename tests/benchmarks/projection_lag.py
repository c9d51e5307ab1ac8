"""projection-lag: how far a projection is behind the log at 5,000 events a second, in milliseconds.

Measured from the commit an event came with to the commit of the rows it changed; history is kept. `applied_per_s`: how
many events a second were applied. `peer`: none; the aim is a p95 of 100 ms.
"""

import asyncio
import time
from bisect import bisect_left

import uvloop

from gateway.serve import settle_heap
from processors.projections.worker import ProjectionWorker
from store.log.port import Command
from store.migrate import upgrade
from store.projections.registry import Version
from store.projections.writing import Batch, ProjectionWriter
from store.signals.port import log_topic
from tests.benchmarks.harness import finish, percentile
from tests.benchmarks.ledger_gateway import server
from tests.events import draft
from tests.projecting import World, counting, projecting
from tests.world import ADMIN

RATE = 5_000
SECONDS = 15
GROUP = 25
KEYS = 500


class Timed(ProjectionWriter):
    """Notes when which position was applied."""

    def __init__(self, world: World) -> None:
        super().__init__(world.database)
        self.ends: list[int] = []
        self.times: list[float] = []

    async def write(self, version: Version, batch: Batch) -> bool:
        done = await super().write(version, batch)
        if done:
            self.ends.append(batch.end)
            self.times.append(time.perf_counter())
        return done


def who(number: int) -> str:
    """A key, each as often as the others."""
    return f"c{number * 7919 % KEYS}"


async def publish(world: World) -> list[tuple[int, float]]:
    """Groups of events at an even pace; the next position after each, and when it was committed."""
    log = await world.logs.get("acme")
    sent: list[tuple[int, float]] = []
    waiting: set[asyncio.Task[None]] = set()

    async def commit(number: int) -> None:
        drafts = [
            draft(
                world.stream,
                type="sale",
                payload={"who": f"c{(number + n) * 7919 % KEYS}", "amount": n, "note": "x" * 180},
            )
            for n in range(GROUP)
        ]
        (receipts,) = await log.append([Command(events=drafts)])
        sent.append((receipts[-1].cursor.position, time.perf_counter()))  # type: ignore[union-attr]
        world.signals.notify(log_topic("acme"))

    started = time.perf_counter()
    for number in range(RATE * SECONDS // GROUP):
        await asyncio.sleep(max(0.0, started + number * GROUP / RATE - time.perf_counter()))
        task = asyncio.create_task(commit(number * GROUP))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    await asyncio.gather(*waiting)
    return sent


async def main() -> None:
    settle_heap()
    async with server() as dsn:
        await asyncio.to_thread(upgrade, dsn)
        async with projecting(dsn) as world:
            timed = Timed(world)
            worker = ProjectionWorker(
                world.registry,
                world.reader,
                timed,
                world.pointer,
                world.stretching,
                world.leases,
                world.progress,
                world.signals,
            )
            await worker.start()
            await world.admin.create(ADMIN, counting())
            await world.is_version(1)
            sent = await publish(world)
            await world.reaching.reach(world.tenant, "totals", max(position for position, _ in sent))
            await worker.stop()
    late = [1000 * (timed.times[bisect_left(timed.ends, position)] - at) for position, at in sent[len(sent) // 5 :]]
    rate = (timed.ends[-1] - 1) / (timed.times[-1] - timed.times[0])
    figures = {f"p{percent}_ms": round(percentile(late, percent), 1) for percent in (50, 95, 99)}
    print(f"{RATE} events a second for {SECONDS} s: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
    finish("projection-lag", figures, applied_per_s=round(rate), ok=figures["p95_ms"] <= 100)


if __name__ == "__main__":
    uvloop.run(main())
