"""fan-out: live deliveries a CPU-second (user and system) of the server's process, to 500 subscribers over WebSockets.

`bursts`: 10 events at once, one operation with 10 fields, messages of about 450 bytes: ≥ 500k and ≥ 1.1 × Centrifugo's
engine. `single`: one event at a time: ≥ 100k and ≥ 1 × Centrifugo's. Both: ≥ 25 × graphql-ws on Node. `filters`: 500
distinct filters, each event matches 5: ≥ 100k with batches of 1,000; with batches of 10 (`filters_of_few`) the request
that publishes them is most of it.

Ours is the whole gateway: its figure includes admitting and committing the events, which are published over HTTP with
`publishEvents`; the processes of its embedded PostgreSQL are not counted. Peers only pass on what a trigger hands them.
`publishing_us` is that part of ours: CPU microseconds an event of a burst of so many, where one subscriber follows.
Each burst is published once the one before has been delivered to everybody, so nobody is measured while overrun.

`python -m tests.benchmarks.fan_out --quick ours` measures one side alone in a few seconds.
"""

import argparse
import os
import statistics
from contextlib import AsyncExitStack
from typing import Any

import psutil
import uvloop

from tests.benchmarks.fan_out_sides import SIDES, Side, filtered, followed_by_one
from tests.benchmarks.harness import Comparison, Measure, compare, finish, used
from tests.load.generator import Generator, generator

CPU_SECONDS = float(os.environ.get("BENCH_SECONDS", "1.5"))
PATIENCE_S = 120.0
QUICK = {**SIDES, "filters": filtered, "publishing": followed_by_one}
BURST = 10
BATCH = 1000


class Line:
    """Bursts of one size on one side, as many as take about CPU_SECONDS."""

    def __init__(self, generator: Generator, side: Side, events: int) -> None:
        self.side = side
        self.bytes = 0.0
        self._generator = generator
        self._events = events
        self._bursts = 0

    async def rate(self) -> float:
        """Deliveries a CPU-second."""
        if not self._bursts:
            await self._run(5)
            self._bursts = max(5, int(20 * CPU_SECONDS / await self._run(20)))
        cpu = await self._run(self._bursts)
        return self._bursts * self._events * self.side.deliveries / cpu

    async def _run(self, bursts: int) -> float:
        side = self.side
        with used(side.pid, *side.others) as took:
            found = await self._generator.do(
                "bursts",
                PATIENCE_S,
                group=side.group,
                to=side.to,
                keys=side.keys,
                bursts=bursts,
                events=self._events,
                deliver=self._events * side.deliveries,
            )
        self.bytes = found["bytes"] / found["delivered"]
        return max(took.cpu_seconds, 0.01)


async def main() -> None:
    async with generator() as made:
        async with AsyncExitStack() as running:
            sides = {name: await running.enter_async_context(start(made)) for name, start in SIDES.items()}
            bursts = await measured("bursts", made, sides, BURST)
            single = await measured("single", made, sides, 1)
        async with filtered(made) as side:
            filters = await compare(Line(made, side, BATCH).rate, {})
            of_few = await compare(Line(made, side, BURST).rate, {})
        async with followed_by_one(made) as side:
            publishing = {size: await compare(Line(made, side, size).rate, {}) for size in (1, BURST, BATCH)}
    figures = bursts.summary()
    finish(
        "fan-out",
        figures,
        unit="deliveries/CPU-second",
        cores=psutil.cpu_count(),
        single=single.summary(),
        filters={"ours": round(statistics.median(filters.ours)), "spread": spread(filters)},
        filters_of_few={"ours": round(statistics.median(of_few.ours)), "spread": spread(of_few)},
        publishing_us={size: round(1e6 / statistics.median(found.ours), 1) for size, found in publishing.items()},
    )


async def measured(shape: str, made: Generator, sides: dict[str, Side], events: int) -> Comparison:
    """All sides in turns."""
    print(f"{shape}: {events} events at once", flush=True)
    lines = {name: Line(made, side, events) for name, side in sides.items()}
    peers: dict[str, Measure] = {name: line.rate for name, line in lines.items() if name != "ours"}
    found = await compare(lines["ours"].rate, peers)
    print("bytes a message: " + ", ".join(f"{name} {line.bytes:.0f}" for name, line in lines.items()), flush=True)
    return found


async def quick(name: str, pairs: int) -> None:
    """One side alone."""
    async with generator() as made:
        async with QUICK[name](made) as side:
            print(f"{name}: process {side.pid}", flush=True)
            batches = [] if name in SIDES else [("batches", BATCH)]  # of 500 times as many deliveries it would be long
            for shape, events in (*batches, ("bursts", BURST), ("single", 1)):
                line = Line(made, side, events)
                rates = [await line.rate() for _ in range(pairs)]
                shown = " ".join(f"{rate:,.0f}" for rate in rates)
                print(f"{shape}: {statistics.median(rates):,.0f} ({shown}), {line.bytes:.0f} bytes", flush=True)


def spread(found: Comparison) -> list[int]:
    """The smallest and the largest of our rates."""
    return [round(min(found.ours)), round(max(found.ours))]


def arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", choices=QUICK, help="measure one side alone")
    parser.add_argument("--rounds", type=int, default=3, help="of a quick measure")
    return parser.parse_args()


if __name__ == "__main__":
    said = arguments()
    uvloop.run(quick(said.quick, said.rounds) if said.quick else main())
