"""graphql-publish: `publishEvent` over HTTP, 64 clients, operations a CPU-second of the server's process.

Against a stock Strawberry mutation that inserts the same row (`strawberry_peer`): ≥ 5. Against our own REST endpoint,
which does the same work without GraphQL: ≥ 0.7. PostgreSQL's own CPU is not counted, for either side.
"""

import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import uvloop

from deploy.local.service import free_port
from tests.benchmarks.harness import compare, finish, used
from tests.benchmarks.ledger_gateway import server
from tests.benchmarks.load import CREATE_STREAM, Client
from tests.services.gateway import GatewayProcess

CLIENTS = 64
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
OPERATIONS = 20_000
_PAD = "x" * 300  # makes a stored event of about 600 bytes
QUERY = (
    "mutation Publish($event: EventInput!)"
    " { publishEvent(event: $event) { eventId stream position recordedAt duplicate } }"
)
_numbers = itertools.count()


def graphql_bodies(count: int) -> list[bytes]:
    """Requests of GraphQL."""
    return [orjson.dumps({"query": QUERY, "variables": {"event": camel(next(_numbers))}}) for _ in range(count)]


def rest_bodies(count: int) -> list[bytes]:
    """The same of REST."""
    return [orjson.dumps({snake(name): value for name, value in camel(next(_numbers)).items()}) for _ in range(count)]


def camel(number: int) -> dict[str, Any]:
    """An event in GraphQL's words."""
    return {
        "eventType": f"order.kind{number % 8}",
        "aggregateType": "Order",
        "aggregateId": f"order-{number % 20_000}",
        "correlationId": f"req-{number // 3}",
        "stream": "order-events",
        "payload": {"n": number, "who": {"name": f"user {number % 999}"}, "pad": _PAD},
    }


def snake(name: str) -> str:
    """The same word in REST's spelling."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


async def rate(client: Client, path: str, bodies: Sequence[bytes], pid: int) -> float:
    """Operations a CPU-second of the process, all clients busy for the time of a run."""
    requests = itertools.cycle([client.request(path, body) for body in bodies])
    done, ends = 0, time.perf_counter() + SECONDS

    async def publish() -> None:
        nonlocal done
        while time.perf_counter() < ends:
            answer = await client.send(next(requests))
            if b'"errors"' in answer:
                raise RuntimeError(answer[:300])
            done += 1

    with used(pid) as took:
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(publish())
    print(f"  {path}: {done / took.seconds:,.0f}/s, {took.cpu_seconds / took.seconds:.0%} of a core", flush=True)
    return done / took.cpu_seconds


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, int]]:
    """The stock server's address and process, on a PostgreSQL of its own."""
    async with server() as dsn:
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.benchmarks.strawberry_peer", dsn, str(port)
        )
        try:
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            await process.wait()


async def answering(url: str) -> None:
    """Until the server at this address takes connections."""
    port = int(url.rpartition(":")[2])
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="esb-bench-", ignore_cleanup_errors=True) as folder:
        gateway = GatewayProcess(Path(folder, "data"))
        gateway.start()
        try:
            async with Client(gateway.url, gateway.token("bench"), CLIENTS) as ours, peer() as (url, pid):
                await ours.graphql(CREATE_STREAM, {"stream": {"streamName": "order-events"}})
                await answering(url)
                async with Client(url, "none", CLIENTS) as theirs:
                    bodies, resting = graphql_bodies(OPERATIONS), rest_bodies(OPERATIONS)
                    found = await compare(
                        lambda: rate(ours, "/graphql", bodies, gateway.pid),
                        {
                            "strawberry": lambda: rate(theirs, "/", bodies, pid),
                            "rest": lambda: rate(ours, "/api/v1/events", resting, gateway.pid),
                        },
                    )
            figures = found.summary()
            finish("graphql-publish", figures, unit="operations/CPU-second", cores=psutil.cpu_count(), clients=CLIENTS)
        finally:
            gateway.stop()


if __name__ == "__main__":
    uvloop.run(main())
