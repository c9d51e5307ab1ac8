"""storm: 10,000 subscribers come back at once, each having missed 100 of its events; what live subscribers notice.

2,000 live subscribers in 100 groups get 200 events a second, 4,000 deliveries a second. Their p99 from the storm's
begin to its end (six seconds at least) must not be more than twice what it is under the same load without it
(`ratio` ≤ 2). Every subscriber of the storm gets each missed event once and in order; `caught_up_s` is when the last
one has.

The storm is another process than the live subscribers and the publisher, on one core and of the lowest priority: who
measures must not wait for those who storm, as they would not if each were a machine of its own.
"""

import asyncio
import os
import statistics
import time
from typing import Any

import uvloop

from tests.benchmarks.harness import finish
from tests.benchmarks.live_gateway import LiveGateway, live_gateway, seconds, shown

LIVE = 2000
STORM = int(os.environ.get("BENCH_SUBSCRIBERS", "10000"))
MISSED = 100
GROUPS = 100
PER_SECOND = 200
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = seconds(6)
LIVE_KEYS = [f"live-{number:03d}" for number in range(GROUPS)]
STORM_KEYS = [f"storm-{number:03d}" for number in range(GROUPS)]


async def main() -> None:
    async with live_gateway() as gateway, gateway.from_behind() as crowd:
        await gateway.gather("live", LIVE_KEYS, LIVE)
        await crowd.gather("storm", STORM_KEYS, STORM, resume=True, together=0)
        await steady(gateway, SECONDS)
        calm, stormy, caught_up = [], [], []
        for number in range(ROUNDS):
            await miss(crowd)
            calm.append(await steady(gateway, SECONDS))
            print(f"round {number + 1}, calm: {shown(calm[-1])}", flush=True)
            found, took = await storm(gateway, crowd)
            stormy.append(found)
            caught_up.append(took)
            print(f"round {number + 1}, storm: {shown(found)}, over after {took:.1f} s", flush=True)
        report = await gateway.do("report", group="live")
    if report["lost"] or report["repeated"] or report["ended"]:
        raise RuntimeError(f"lost or repeated: {report}")
    ratios = [two / one for one, two in zip(p99(calm), p99(stormy), strict=True)]
    finish(
        "storm",
        {"ours": statistics.median(p99(stormy)), "peers": {}, "ratio": round(statistics.median(ratios), 2)},
        unit="ms",
        spread=[round(min(ratios), 2), round(max(ratios), 2)],
        p99_calm_ms=statistics.median(p99(calm)),
        p99_storm_ms=statistics.median(p99(stormy)),
        caught_up_s=round(statistics.median(caught_up), 1),
        subscribers=STORM,
    )


async def steady(gateway: LiveGateway, for_s: float, *, go_on: bool = False) -> dict[str, Any]:
    """What live subscribers see for some seconds; `go_on`: and before."""
    return await gateway.pace("live", LIVE_KEYS, PER_SECOND, for_s, each=LIVE // GROUPS, go_on=go_on)


async def storm(gateway: LiveGateway, crowd: LiveGateway) -> tuple[dict[str, Any], float]:
    """What live subscribers see until the storm is over, and how many seconds that takes."""
    began = time.perf_counter()
    await crowd.do("unpark", group="storm")
    over = asyncio.create_task(settled(crowd, began))
    found = await steady(gateway, SECONDS)
    while not over.done():
        found = await steady(gateway, 1, go_on=True)
    return found, await over


async def settled(crowd: LiveGateway, began: float) -> float:
    """Seconds until nothing is missing. Raises where anything is, was lost or came again."""
    report = await crowd.do("settle", group="storm")
    if report["missing"] or report["lost"] or report["repeated"]:
        raise RuntimeError(f"missing, lost or repeated: {report}")
    return time.perf_counter() - began


async def miss(gateway: LiveGateway) -> None:
    """All of the storm's subscribers are cut, and events of theirs are published."""
    await gateway.do("park", group="storm")
    to = gateway.to()
    for _ in range(MISSED):
        bursts = {"bursts": 1, "events": GROUPS, "deliver": 0}
        await gateway.do("bursts", group="storm", to=to, keys=STORM_KEYS, **bursts)


def p99(rounds: list[dict[str, Any]]) -> list[float]:
    """Of each round."""
    return [one["latency"]["p99_ms"] for one in rounds]


if __name__ == "__main__":
    uvloop.run(main())
