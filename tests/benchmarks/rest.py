"""rest: what an embedded gateway costs while nothing happens: memory of its Python process, and the time to start.

`rss_mb` after a start and after a little traffic of every kind, at most 150; `warm_s`, from the command to readiness
with a data folder that is there, at most 6. `cold_s`: the first start of all, which makes the data folder.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import orjson
import psutil
import uvloop

from tests.benchmarks.harness import PAIRS, finish
from tests.benchmarks.load import CREATE_STREAM, Client
from tests.services.gateway import GatewayProcess

SETTLE_SECONDS = 3.0
EVENTS = 500

PUBLISH = "mutation($event: EventInput!) { publishEvent(event: $event) { eventId position cursor } }"
FOLLOW = "subscription { events(from: { beginning: true }) { eventId payload } }"
NEWEST = "{ events(first: 50, order: DESC) { edges { node { eventId payload } } pageInfo { endCursor } } }"


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="esb-bench-", ignore_cleanup_errors=True) as folder:
        gateway = GatewayProcess(Path(folder, "data"))
        try:
            cold = started(gateway)
            warm, memory = [], []
            for number in range(PAIRS):
                gateway.stop()
                warm.append(started(gateway))
                await asyncio.sleep(SETTLE_SECONDS)
                memory.append(megabytes(gateway.pid))
                print(f"start {number + 1}: ready after {warm[-1]:.2f} s, {memory[-1]:.0f} MB", flush=True)
            await traffic(gateway)
            await asyncio.sleep(SETTLE_SECONDS)
            busy, postgres = megabytes(gateway.pid), of_children(gateway.pid)
        finally:
            gateway.stop()
    finish(
        "rest",
        {"ours": round(statistics.median(memory), 1), "peers": {}, "ratio": None},
        unit="MB",
        spread=[round(min(memory), 1), round(max(memory), 1)],
        rss_mb=round(statistics.median(memory), 1),
        rss_after_traffic_mb=round(busy, 1),
        postgresql_pss_mb=round(postgres, 1),
        warm_s=round(statistics.median(warm), 2),
        warm_spread_s=[round(min(warm), 2), round(max(warm), 2)],
        cold_s=round(cold, 2),
    )


def started(gateway: GatewayProcess) -> float:
    """Seconds until it was ready."""
    began = time.perf_counter()
    gateway.start()
    return time.perf_counter() - began


def megabytes(pid: int) -> float:
    """Resident memory of the one process."""
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def of_children(pid: int) -> float:
    """Memory of its embedded PostgreSQL, what its processes share counted once."""
    children = psutil.Process(pid).children(recursive=True)
    return sum(float(child.memory_full_info().pss) for child in children) / 2**20


async def traffic(gateway: GatewayProcess) -> None:
    """A little of everything: GraphQL and REST, publishing, following, reading, GraphiQL's page."""
    async with Client(gateway.url, gateway.token("bench"), connections=8) as client:
        await client.graphql(CREATE_STREAM, {"stream": {"streamName": "notes"}})
        async with client.follow(FOLLOW) as messages:
            for number in range(EVENTS):
                event = {"eventType": "note.taken", "stream": "notes", "payload": {"n": number}}
                await client.graphql(PUBLISH, {"event": event})
            said = {"event_type": "note.taken", "stream": "notes", "payload": {"n": EVENTS}}
            receipt = orjson.loads(await client.send(client.request("/api/v1/events", orjson.dumps(said))))
            for _ in range(EVENTS + 1):
                await anext(messages)
        await client.graphql(NEWEST)
        await client.get(f"/api/v1/events/{receipt['event_id']}")
        await client.send(client.request("/metrics", b"", "GET"))


if __name__ == "__main__":
    uvloop.run(main())
