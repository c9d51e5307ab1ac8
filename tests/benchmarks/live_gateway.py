"""What the benchmarks with many subscribers share: a gateway with raised limits, and groups that follow by key."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import used
from tests.benchmarks.load import CREATE_STREAM, Client
from tests.load.generator import Generator, generator, publishing
from tests.services.gateway import GatewayProcess

TENANT = "bench"
SOURCES = 8  # local addresses: 10,000 sockets and those of before that linger need more ports than one has
PATIENCE_S = 180.0
LIMITS = {"ESB_LIMITS__SUBSCRIPTIONS_PER_TENANT": "50000", "ESB_LIMITS__SOCKETS": "50000"}
FOLLOW = (
    "subscription($where: EventFilter) { events(where: $where) { eventId eventType eventVersion aggregateId"
    " aggregateType sequenceNumber timestamp recordedAt correlationId payload } }"
)


class LiveGateway:
    """A running gateway and the generator that loads it."""

    def __init__(self, gateway: GatewayProcess, made: Generator) -> None:
        self._gateway = gateway
        self.pid = gateway.pid
        self._url = f"{gateway.websocket_url}/graphql"
        self._http = gateway.url
        self._token = gateway.token(TENANT)
        self._generator = made

    async def gather(self, name: str, keys: Sequence[str], sockets: int, **plan: Any) -> None:
        """Subscribers that follow one key each, in turns; returns when each has heard an event of it."""
        fixed = {
            **{"name": name, "url": self._url, "init": {"authorization": f"Bearer {self._token}", "cursors": True}},
            **{"sockets": sockets, "per_socket": 1, "together": 64, "sources": SOURCES, "anywhere": True},
            **{"query": FOLLOW, "variables": json.dumps({"where": {"aggregateId": {"eq": "$KEY"}}}), "keys": keys},
        }
        await self._generator.do("gather", PATIENCE_S, plan={**fixed, **plan})
        await self._generator.do("hear", PATIENCE_S, group=name, to=self.to(), keys=keys)

    @asynccontextmanager
    async def from_behind(self) -> AsyncIterator["LiveGateway"]:
        """The same gateway under another generator, which takes no time from the first."""
        async with generator(behind=True) as made:
            yield LiveGateway(self._gateway, made)

    async def do(self, command: str, seconds: float = PATIENCE_S, **parameters: Any) -> dict[str, Any]:
        """Tell the generator."""
        return await self._generator.do(command, seconds, **parameters)

    async def pace(
        self,
        group: str,
        keys: Sequence[str],
        per_second: float,
        seconds: float,
        *,
        each: int,
        pad: int = 61,
        go_on: bool = False,
    ) -> dict[str, Any]:
        """One event at a time at an even pace; each is delivered to so many of the group. Adds the CPU it took.

        `go_on`: the latencies are those of the run before, too.
        """
        events = int(per_second * seconds)
        with used(self.pid) as gateway, used(self._generator.pid) as client:
            found = await self.do(
                "pace",
                group=group,
                to=self.to(pad),
                keys=keys,
                per_second=per_second,
                events=events,
                deliver=events * each,
                go_on=go_on,
            )
        found["gateway_cpu"] = round(gateway.cpu_seconds / gateway.seconds, 2)
        found["client_cpu"] = round(client.cpu_seconds / client.seconds, 2)
        return found

    def to(self, pad: int = 61) -> dict[str, Any]:
        """Where events of a key are published."""
        return publishing(self._http, self._token, event(pad))


def event(pad: int) -> dict[str, Any]:
    """An event as our publishers say it; $… are filled in by the generator."""
    return {
        "eventType": "order.placed",
        "aggregateType": "Order",
        "aggregateId": "$KEY",
        "correlationId": "req-000000017",
        "stream": "order-events",
        "payload": {"seq": "$SEQ", "at": "$AT", "pad": "x" * pad},
    }


@asynccontextmanager
async def live_gateway() -> AsyncIterator[LiveGateway]:
    """An embedded gateway with a stream, and a generator."""
    async with generator() as made:
        with tempfile.TemporaryDirectory(prefix="esb-bench-", ignore_cleanup_errors=True) as folder:
            gateway = GatewayProcess(Path(folder, "data"), LIMITS)
            await asyncio.to_thread(gateway.start)
            try:
                async with Client(gateway.url, gateway.token(TENANT), connections=1) as client:
                    await client.graphql(CREATE_STREAM, {"stream": {"streamName": "order-events"}})
                yield LiveGateway(gateway, made)
            finally:
                await asyncio.to_thread(gateway.stop)


def seconds(otherwise: float) -> float:
    """How long a round is: BENCH_SECONDS, else so many."""
    return float(os.environ.get("BENCH_SECONDS", otherwise))


def shown(made: dict[str, Any]) -> str:
    """A round in a line."""
    latency, late = made["latency"], made["late"]
    return (
        f"p50 {latency['p50_ms']:.2f}  p95 {latency['p95_ms']:.2f}  p99 {latency['p99_ms']:.2f}  max"
        f" {latency['max_ms']:.0f} ms  (publisher late p99 {late['p99_ms']:.2f}, cpu gateway {made['gateway_cpu']:.0%}"
        f" client {made['client_cpu']:.0%})"
    )
