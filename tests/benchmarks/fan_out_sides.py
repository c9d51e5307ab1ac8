"""The servers that `fan-out` compares, each a process of its own with 500 subscribers of one operation."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from deploy.local.service import free_port
from tests.benchmarks.live_gateway import event
from tests.benchmarks.load import CREATE_STREAM, Client
from tests.load.generator import Generator, publishing
from tests.load.programs import BUILT, node_peer
from tests.services.gateway import GatewayProcess

SUBSCRIBERS = 500
PATIENCE_S = 60.0
FIELDS = (
    *("eventId", "eventType", "eventVersion", "aggregateId", "aggregateType", "sequenceNumber"),
    *("timestamp", "recordedAt", "correlationId", "payload"),
)
FOLLOW = f"subscription {{ events {{ {' '.join(FIELDS)} }} }}"
FILTERED = f"subscription($where: EventFilter) {{ events(where: $where) {{ {' '.join(FIELDS)} }} }}"
ALL = ["all"]
ROOMS = [f"room-{number:03d}" for number in range(100)]
_STAMP = "2026-11-23T21:00:00.000000Z"


@dataclass(frozen=True)
class Side:
    """A server under measurement: its process (or `others` with it), where its events are published, and the group that
    follows them.
    """

    name: str
    pid: int
    group: str
    to: dict[str, Any]
    keys: Sequence[str] = field(default_factory=lambda: ALL)
    deliveries: int = SUBSCRIBERS
    """Of each event."""
    others: Sequence[int] = ()


def whole(pad: int) -> str:
    """The same as peers are given it: what our gateway adds is there already, nothing is computed."""
    said = event(pad)
    del said["stream"]
    said |= {"eventId": "evt_$ID", "eventVersion": "1.0", "sequenceNumber": "$SEQ"}
    said |= {"timestamp": _STAMP, "recordedAt": _STAMP}
    text = json.dumps({name: said[name] for name in FIELDS}, separators=(",", ":"))
    return text.replace('"$SEQ"', "$SEQ").replace('"$AT"', "$AT")


@asynccontextmanager
async def ours(generator: Generator) -> AsyncIterator[Side]:
    """Our gateway; its embedded PostgreSQL is other processes, which are not counted."""
    async with _gateway() as (gateway, to):
        await _gather(generator, "ours", gateway, {"query": FOLLOW, "keys": ALL})
        side = Side("ours", gateway.pid, "ours", to)
        yield await _heard(generator, side)


@asynccontextmanager
async def two_workers(generator: Generator) -> AsyncIterator[Side]:
    """The same in two processes on one port; to which of them a subscriber or a request comes, the kernel says."""
    async with _gateway("--workers", "2") as (gateway, to):
        await _gather(generator, "workers", gateway, {"query": FOLLOW, "keys": ALL})
        family = psutil.Process(gateway.pid).children()
        workers = [process.pid for process in family if "postgres" not in process.name()]
        yield await _heard(generator, Side("workers", gateway.pid, "workers", to, others=workers))


@asynccontextmanager
async def filtered(generator: Generator) -> AsyncIterator[Side]:
    """Our gateway with 500 distinct filters; each event matches the 5 of its room."""
    where = {"where": {"aggregateId": {"eq": "$KEY"}, "payload": [{"path": "seq", "gte": "-$NUMBER"}]}}
    variables = json.dumps(where).replace('"-$NUMBER"', "-$NUMBER")
    async with _gateway() as (gateway, to):
        await _gather(generator, "filtered", gateway, {"query": FILTERED, "variables": variables, "keys": ROOMS})
        side = Side("filters", gateway.pid, "filtered", to, ROOMS, SUBSCRIBERS // len(ROOMS))
        yield await _heard(generator, side)


@asynccontextmanager
async def followed_by_one(generator: Generator) -> AsyncIterator[Side]:
    """Our gateway with one subscriber: what is left is publishing."""
    async with _gateway() as (gateway, to):
        await _gather(generator, "one", gateway, {"query": FOLLOW, "keys": ALL, "sockets": 1})
        yield await _heard(generator, Side("publishing", gateway.pid, "one", to, deliveries=1))


@asynccontextmanager
async def centrifuge(
    generator: Generator, protocol: str = "protobuf", options: Sequence[str] = (), name: str = "centrifuge"
) -> AsyncIterator[Side]:
    """Centrifugo's engine. Of JSON and Protobuf, with or without a write delay, this was the fastest in both shapes."""
    port = free_port()
    async with _process(str(BUILT / "centrifuge"), "-address", f"127.0.0.1:{port}", *options) as pid:
        await _listening(port)
        url = f"ws://127.0.0.1:{port}/connection"
        url += "?format=protobuf" if protocol == "protobuf" else ""
        await _subscribe(generator, name, {"url": url, "protocol": f"centrifuge-{protocol}", "keys": ALL})
        publish = f"http://127.0.0.1:{port}/publish?channel=all"
        to = {"url": publish, "item": whole(107 if protocol == "protobuf" else 79), "between": "\n", "accepted": "ok"}
        yield await _heard(generator, Side(name, pid, name, to))


@asynccontextmanager
async def graphql_ws(generator: Generator) -> AsyncIterator[Side]:
    """graphql-ws on Node."""
    command = await asyncio.to_thread(node_peer)
    async with _stock(generator, "graphql-ws", "/graphql", *command) as side:
        yield side


@asynccontextmanager
async def strawberry(generator: Generator) -> AsyncIterator[Side]:
    """Strawberry on uvicorn."""
    async with _stock(
        generator, "strawberry", "/", sys.executable, "-m", "tests.benchmarks.strawberry_subscriptions"
    ) as side:
        yield side


SIDES = {"ours": ours, "centrifuge": centrifuge, "graphql-ws": graphql_ws, "strawberry": strawberry}


@asynccontextmanager
async def _stock(generator: Generator, name: str, path: str, *command: str) -> AsyncIterator[Side]:
    port = free_port()
    async with _process(*command, str(port)) as pid:
        await _listening(port)
        await _subscribe(generator, name, {"url": f"ws://127.0.0.1:{port}{path}", "query": FOLLOW, "keys": ALL})
        to = {
            "url": f"http://127.0.0.1:{port}/publish",
            "headers": {"content-type": "application/json"},
            **{"head": "[", "item": whole(68), "between": ",", "tail": "]", "accepted": "ok"},
        }
        yield await _heard(generator, Side(name, pid, name, to))


@asynccontextmanager
async def _gateway(*arguments: str) -> AsyncIterator[tuple[GatewayProcess, dict[str, Any]]]:
    with tempfile.TemporaryDirectory(prefix="esb-bench-", ignore_cleanup_errors=True) as folder:
        gateway = GatewayProcess(Path(folder, "data"), None, *arguments)
        await asyncio.to_thread(gateway.start)
        try:
            async with Client(gateway.url, gateway.token("bench"), connections=1) as client:
                await client.graphql(CREATE_STREAM, {"stream": {"streamName": "order-events"}})
            yield gateway, publishing(gateway.url, gateway.token("bench"), event(61))
        finally:
            await asyncio.to_thread(gateway.stop)


async def _gather(generator: Generator, name: str, gateway: GatewayProcess, plan: dict[str, Any]) -> None:
    init = {"authorization": f"Bearer {gateway.token('bench')}"}
    await _subscribe(generator, name, {"url": f"{gateway.websocket_url}/graphql", "init": init, **plan})


async def _subscribe(generator: Generator, name: str, plan: dict[str, Any]) -> None:
    fixed = {"name": name, "sockets": SUBSCRIBERS, "per_socket": 1, "together": 32, "anywhere": True}
    await generator.do("gather", PATIENCE_S, plan={**fixed, **plan})


async def _heard(generator: Generator, side: Side) -> Side:
    await generator.do("hear", PATIENCE_S, group=side.group, to=side.to, keys=side.keys)
    return side


@asynccontextmanager
async def _process(*command: str) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, "NODE_ENV": "production"})
    try:
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
