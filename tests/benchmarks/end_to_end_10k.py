"""end-to-end-10k: 10,000 subscribers in 100 groups; 200 events a second, each to the 100 subscribers of one group.

20,000 deliveries a second: `p50_ms` ≤ 10 and `p99_ms` ≤ 50, from the moment an event was due to be published (waiting
for a free connection counts) until a subscriber has read it. Embedded, everything on one machine.
"""

import os
import statistics
from typing import Any

import psutil
import uvloop

from tests.benchmarks.harness import PAIRS, finish
from tests.benchmarks.live_gateway import live_gateway, seconds, shown

SUBSCRIBERS = int(os.environ.get("BENCH_SUBSCRIBERS", "10000"))
GROUPS = 100
PER_SECOND = 200
KEYS = [f"room-{number:03d}" for number in range(GROUPS)]


async def main() -> None:
    async with live_gateway() as gateway:
        await gateway.gather("all", KEYS, SUBSCRIBERS)
        made = []
        for number in range(PAIRS + 1):
            found = await gateway.pace("all", KEYS, PER_SECOND, seconds(5), each=SUBSCRIBERS // GROUPS)
            print(f"round {number or 'to warm up'}: {shown(found)}", flush=True)
            if number:
                made.append(found)
        report = await gateway.do("report", group="all")
        memory = psutil.Process(gateway.pid).memory_info().rss / 2**20
    if report["lost"] or report["repeated"] or report["ended"]:
        raise RuntimeError(f"lost or repeated: {report}")
    p99 = [one["latency"]["p99_ms"] for one in made]
    finish(
        "end-to-end-10k",
        {"ours": middle(made, "p99_ms"), "peers": {}, "ratio": None},
        unit="ms",
        subscribers=SUBSCRIBERS,
        deliveries_per_second=PER_SECOND * SUBSCRIBERS // GROUPS,
        p50_ms=middle(made, "p50_ms"),
        p95_ms=middle(made, "p95_ms"),
        p99_ms=middle(made, "p99_ms"),
        spread=[min(p99), max(p99)],
        gateway_cpu=statistics.median([one["gateway_cpu"] for one in made]),
        client_cpu=statistics.median([one["client_cpu"] for one in made]),
        rss_mb=round(memory, 1),
    )


def middle(made: list[dict[str, Any]], name: str) -> float:
    """The median of the rounds."""
    return round(statistics.median([one["latency"][name] for one in made]), 2)


if __name__ == "__main__":
    uvloop.run(main())
