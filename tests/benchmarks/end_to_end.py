"""end-to-end: from a publisher over HTTP to a live subscriber's graphql-transport-ws socket, at 1,000 events a second.

Embedded, ledger stream: `p95_ms` must be below 10. `external`: the same with PostgreSQL, Kafka and the relay beside the
gateway; `kafka`: there, for a stream of the Kafka engine. A time runs from the moment the publisher wants to send, so
waiting for a free connection counts, until the subscriber has the event.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import uvloop

from tests.benchmarks.harness import PAIRS, finish, percentile, used
from tests.benchmarks.load import CREATE_STREAM, Client, paced
from tests.services.external import environment
from tests.services.gateway import GatewayProcess
from tests.services.postgres import Databases

PER_SECOND = 1000
SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
PATIENCE = 30.0
PROBE = -1
TENANT = "bench"
_PAD = "x" * 300  # makes a stored event of about 600 bytes

PUBLISH = "mutation P($event: EventInput!) { publishEvent(event: $event) { eventId position cursor } }"
FOLLOW = 'subscription { events(streams: ["%s"]) { eventId eventType aggregateId timestamp position payload } }'


@dataclass
class Round:
    """One run, in milliseconds: publisher to subscriber, publisher to receipt, how late the publisher's clock was.

    `gateway_cpu`, `client_cpu`: how much of one core each took.
    """

    delivered: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    gateway_cpu: float = 0.0
    client_cpu: float = 0.0


class Line:
    """From publisher to subscriber: one stream of one gateway, one subscription."""

    def __init__(self, client: Client, stream: str, messages: AsyncIterator[Any], gateway_pid: int) -> None:
        self._client = client
        self._stream = stream
        self._messages = messages
        self._gateway_pid = gateway_pid
        self._first = 0
        self._sent: list[float] = []

    async def begin(self) -> None:
        """Returns once the subscription hears what is published: its protocol does not say when it began."""
        probe = self._request(PROBE)

        async def hear() -> None:
            await anext(self._messages)

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            hearing = group.create_task(hear())
            while not hearing.done():
                await self._client.send(probe)
                await asyncio.wait([hearing], timeout=0.1)

    async def run(self, seconds: float) -> Round:
        """Publish for so long at an even pace; returns when every event has arrived, each once."""
        made = Round()
        count = int(PER_SECOND * seconds)
        self._first += len(self._sent)
        self._sent = []
        requests = [self._request(self._first + n) for n in range(count)]
        with used(self._gateway_pid) as gateway, used(os.getpid()) as client:
            try:
                async with asyncio.timeout(seconds + PATIENCE):
                    await self._publish_all(requests, made)
            except TimeoutError:
                got = f"{len(made.answered)} receipts and {len(made.delivered)} deliveries"
                raise RuntimeError(f"of {count} events, {got} after {PATIENCE} s more") from None
        made.gateway_cpu = gateway.cpu_seconds / gateway.seconds
        made.client_cpu = client.cpu_seconds / client.seconds
        return made

    async def _publish_all(self, requests: Sequence[bytes], made: Round) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._receive(len(requests), made))

            def send(number: int) -> None:
                self._sent.append(time.perf_counter())
                group.create_task(self._publish(requests[number], number, made))

            made.late = [late * 1000 for late in await paced(PER_SECOND, len(requests), send)]

    def _request(self, number: int) -> bytes:
        event = {
            "eventType": "order.placed",
            "aggregateType": f"Order-{self._stream}",
            "aggregateId": f"order-{number % 5000}",
            "stream": self._stream,
            "payload": {"n": number, "pad": _PAD},
        }
        body = {"query": PUBLISH, "operationName": "P", "variables": {"event": event}}
        return self._client.request("/graphql", orjson.dumps(body))

    async def _publish(self, request: bytes, number: int, made: Round) -> None:
        answer = await self._client.send(request)
        made.answered.append((time.perf_counter() - self._sent[number]) * 1000)
        if b'"errors"' in answer:
            raise RuntimeError(answer[:300])

    async def _receive(self, count: int, made: Round) -> None:
        missing = set(range(count))
        while missing:
            said = (await anext(self._messages))["events"]["payload"]["n"]
            if said == PROBE:
                continue
            number = said - self._first
            made.delivered.append((time.perf_counter() - self._sent[number]) * 1000)
            missing.remove(number)


async def main() -> None:
    embedded = await measure({}, ["ledger"])
    with environment("ESB_POSTGRES_URL", "ESB_KAFKA_SERVERS") as services:
        with Databases(services["ESB_POSTGRES_URL"]).fresh() as dsn:
            both = await measure({**services, "ESB_POSTGRES_URL": dsn}, ["ledger", "kafka"])
    ours = embedded["ledger"]
    finish(
        "end-to-end",
        {"ours": ours["p95_ms"], "peers": {}, "ratio": None, **ours},
        unit="ms",
        events_per_second=PER_SECOND,
        external=both["ledger"],
        kafka=both["kafka"],
    )


async def measure(settings: Mapping[str, str], engines: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Rounds on a gateway of its own, one stream an engine; the figures of each."""
    with tempfile.TemporaryDirectory(prefix="esb-bench-", ignore_cleanup_errors=True) as folder:
        gateway = GatewayProcess(Path(folder, "data"), settings)
        gateway.start()
        try:
            async with Client(gateway.url, gateway.token(TENANT)) as client:
                return {engine: await rounds(gateway, client, engine) for engine in engines}
        finally:
            gateway.stop()


async def rounds(gateway: GatewayProcess, client: Client, engine: str) -> dict[str, Any]:
    """Measured rounds on a stream of that engine, after an unmeasured one."""
    async with line(gateway, client, engine) as one:
        await one.begin()
        await one.run(SECONDS)
        made = []
        for number in range(PAIRS):
            made.append(await one.run(SECONDS))
            print(f"{engine} {number + 1}: {shown(made[-1])}", flush=True)
    p95 = [percentile(each.delivered, 95) for each in made]
    together = [value for each in made for value in each.delivered]
    return {
        "p95_ms": round(statistics.median(p95), 2),
        "spread": [round(min(p95), 2), round(max(p95), 2)],
        "p50_ms": round(percentile(together, 50), 2),
        "p99_ms": round(percentile(together, 99), 2),
        "max_ms": round(max(together), 2),
        "receipt_p95_ms": round(statistics.median([percentile(each.answered, 95) for each in made]), 2),
        "clock_late_p95_ms": round(statistics.median([percentile(each.late, 95) for each in made]), 2),
        "gateway_cpu": round(statistics.median([each.gateway_cpu for each in made]), 2),
        "client_cpu": round(statistics.median([each.client_cpu for each in made]), 2),
    }


@asynccontextmanager
async def line(gateway: GatewayProcess, client: Client, engine: str) -> AsyncIterator[Line]:
    """A new stream of that engine, and somebody who follows it."""
    stream = f"orders-{engine}"
    await client.graphql(CREATE_STREAM, {"stream": {"streamName": stream, "engine": engine.upper()}})
    async with client.follow(FOLLOW % stream) as messages:
        yield Line(client, stream, messages, gateway.pid)


def shown(made: Round) -> str:
    """A round in a line."""
    p50, p95, p99 = (percentile(made.delivered, percent) for percent in (50, 95, 99))
    return (
        f"delivered p50 {p50:.2f}  p95 {p95:.2f}  p99 {p99:.2f}  max {max(made.delivered):.1f} ms"
        f"  (receipt p95 {percentile(made.answered, 95):.2f}, clock late p95 {percentile(made.late, 95):.2f},"
        f" cpu gateway {made.gateway_cpu:.0%} client {made.client_cpu:.0%})"
    )


if __name__ == "__main__":
    uvloop.run(main())
