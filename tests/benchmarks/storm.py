"""storm: 10,000 subscribers come back at once, each having missed 100 of its events; what live subscribers notice.

2,000 live subscribers in 100 groups get 200 events a second, 4,000 deliveries a second. Their p99 in the seconds after
the storm has begun must not be more than twice what it is under the same load without (`ratio` ≤ 2). Every subscriber
of the storm gets each missed event once and in order; `caught_up_s` is when the last one has.
"""

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
ROUNDS = 3
LIVE_KEYS = [f"live-{number:03d}" for number in range(GROUPS)]
STORM_KEYS = [f"storm-{number:03d}" for number in range(GROUPS)]


async def main() -> None:
    async with live_gateway() as gateway:
        await gateway.gather("live", LIVE_KEYS, LIVE)
        await gateway.gather("storm", STORM_KEYS, STORM, resume=True, together=0)
        await steady(gateway)
        calm, stormy, caught_up = [], [], []
        for number in range(ROUNDS):
            await miss(gateway)
            calm.append(await steady(gateway))
            print(f"round {number + 1}, calm: {shown(calm[-1])}", flush=True)
            began = time.perf_counter()
            await gateway.do("unpark", group="storm")
            stormy.append(await steady(gateway))
            report = await gateway.do("settle", group="storm")
            caught_up.append(time.perf_counter() - began)
            print(f"round {number + 1}, storm: {shown(stormy[-1])}, over after {caught_up[-1]:.1f} s", flush=True)
            if report["missing"] or report["lost"] or report["repeated"]:
                raise RuntimeError(f"missing, lost or repeated: {report}")
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


async def steady(gateway: LiveGateway) -> dict[str, Any]:
    """What live subscribers see for some seconds."""
    return await gateway.pace("live", LIVE_KEYS, PER_SECOND, seconds(6), each=LIVE // GROUPS)


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
