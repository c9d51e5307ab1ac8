"""isolation: 1 % of the sockets stop reading; what the others notice.

1,000 subscribers of everything, 20 events of 2 KB a second (20,000 deliveries a second). Ten of them also follow a
flood that fills the kernel's buffers, which on loopback take megabytes; in every second round they stop reading before
it. The others' p99 must rise by less than 5 % beyond the spread of rounds (`rise`, `noise`), and the gateway's memory
must grow by no more than the budgets of what waits for the ten allow (`grown_mb`, beside `budget_mb` and what it is
while all read).
"""

import asyncio
import statistics
from typing import Any

import psutil
import uvloop

from tests.benchmarks.harness import PAIRS, finish
from tests.benchmarks.live_gateway import LiveGateway, live_gateway, seconds, shown

OTHERS = 990
STALLED = 10
PER_SECOND = 20
PAD = 1650  # makes a message of about 2 KB
FLOOD = {"events": 10, "pad": 200_000, "bursts": 4}  # 8 MB a socket
FLOOD_S = 2.0
BUDGET_MB = STALLED * 2 * (1 + 0.064)  # two operations a socket, each with its buffer and the transport's


async def main() -> None:
    async with live_gateway() as gateway:
        await gateway.gather("others", ["all"], OTHERS)
        rounds: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        await one_round(gateway, stalled=False)
        for pair in range(PAIRS):
            for stalled in (True, False) if pair % 2 else (False, True):
                found = await one_round(gateway, stalled=stalled)
                rounds[stalled].append(found)
                print(f"pair {pair + 1}, {'1 % stalled' if stalled else 'all read'}: {shown(found)}", flush=True)
        report = await gateway.do("report", group="others")
    if report["lost"] or report["repeated"] or report["ended"]:
        raise RuntimeError(f"lost or repeated: {report}")
    without, with_ = p99(rounds[False]), p99(rounds[True])
    rise = [two / one - 1 for one, two in zip(without, with_, strict=True)]
    noise = (max(without) - min(without)) / statistics.median(without)
    finish(
        "isolation",
        {"ours": statistics.median(with_), "peers": {}, "ratio": None},
        unit="ms",
        p99_all_read_ms=statistics.median(without),
        p99_stalled_ms=statistics.median(with_),
        rise=round(statistics.median(rise), 3),
        spread=[round(min(rise), 3), round(max(rise), 3)],
        noise=round(noise, 3),
        grown_mb=grown(rounds[True]),
        grown_all_read_mb=grown(rounds[False]),
        budget_mb=round(BUDGET_MB, 1),
    )


async def one_round(gateway: LiveGateway, *, stalled: bool) -> dict[str, Any]:
    """The others' latency while the ten read, or do not."""
    process = psutil.Process(gateway.pid)
    # Each of the ten holds two operations; their keys alternate, so each follows both.
    await gateway.gather("some", ["all", "flood"], STALLED, per_socket=2, receive_buffer=4096)
    await gateway.do("stall", group="some", stalled=stalled)
    before = process.memory_info().rss
    try:
        await flood(gateway)
        most = asyncio.create_task(highest(process))
        found = await gateway.pace("others", ["all"], PER_SECOND, seconds(6), each=OTHERS, pad=PAD)
        most.cancel()
        found["grown_mb"] = (max(process.memory_info().rss, await most) - before) / 2**20
    finally:
        await gateway.do("scatter", group="some")
    return found


async def flood(gateway: LiveGateway) -> None:
    """More than the kernel takes for a socket that is not read; over before anything is measured, where it is read."""
    to = gateway.to(FLOOD["pad"])
    for _ in range(FLOOD["bursts"]):
        await gateway.do("bursts", group="others", to=to, keys=["flood"], bursts=1, events=FLOOD["events"], deliver=0)
    await asyncio.sleep(FLOOD_S)


async def highest(process: psutil.Process) -> int:
    """The largest memory seen until it is cancelled, in bytes."""
    most = 0
    try:
        while True:
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return most


def grown(rounds: list[dict[str, Any]]) -> float:
    """How much the gateway's memory grew at most in a round."""
    return round(max(one["grown_mb"] for one in rounds), 1)


def p99(rounds: list[dict[str, Any]]) -> list[float]:
    """Of each round."""
    return [one["latency"]["p99_ms"] for one in rounds]


if __name__ == "__main__":
    uvloop.run(main())
