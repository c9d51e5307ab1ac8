"""subscribe: what a live subscriber costs the gateway before anything is published.

`subscribe_ms`: CPU of the gateway for one `subscribe` of a known document and its `complete`, on connections already
open; at most 0.25. `idle_kb`: resident memory of the gateway for one of 10,000 sockets with one subscription each; at
most 25, with what a socket takes at each step of its way there. `connections_per_s`: sockets accepted in one second.

The clients run in processes of their own and read no more of what they get than they must.
"""

import asyncio
import base64
import functools
import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import orjson
import psutil
import uvloop
from websockets.frames import Frame, Opcode

from deploy.local.service import free_port
from tests.benchmarks.harness import Measure, compare, finish, used
from tests.benchmarks.load import CREATE_STREAM, Client
from tests.load.programs import node_peer
from tests.services.gateway import GatewayProcess

SOCKETS = 10_000
CLIENTS = 2
OPENING = 100
"""Handshakes a client process has under way at once."""

CONNECTIONS = 20
OPERATIONS = 100
QUIET_SECONDS = 2.0
QUIET_CPU_SECONDS = 0.12
IDLE_SECONDS = 10.0

OURS = "events(where: { eventType: { eq: $type } })"
FIELDS = """eventId eventType eventVersion aggregateId aggregateType sequenceNumber timestamp recordedAt correlationId
  payload"""
OPERATION = "0a0b0c0d-0e0f-4a4b-8c8d-101112131415"
KEY = base64.b64encode(b"0123456789abcdef")
LIMITS = {
    "ESB_LIMITS__SOCKETS": "40000",
    "ESB_LIMITS__SUBSCRIPTIONS_PER_TENANT": "40000",
}


class Socket(asyncio.Protocol):
    """A graphql-transport-ws connection with the least a client can do: it opens, answers pings, counts messages."""

    def __init__(self, token: str, acknowledged: Callable[[], None]) -> None:
        self._init = message(type="connection_init", payload={"authorization": f"Bearer {token}"} if token else {})
        self._acknowledged = acknowledged
        self._open = False
        self._received = b""
        self.pongs = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(
            b"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        data = self._received + data
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._received = head
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self._open = True
            self.transport.write(self._init)
        while len(data) >= 2 and len(data) >= (whole := _length(data)):
            self._frame(data[0] & 0x0F, data[whole - data[1] : whole] if data[1] < 126 else data[4:whole])
            data = data[whole:]
        self._received = data

    def _frame(self, opcode: int, data: bytes) -> None:
        if opcode == Opcode.PING:
            self.transport.write(Frame(Opcode.PONG, data).serialize(mask=True))
        elif opcode == Opcode.TEXT and b'"connection_ack"' in data:
            self._acknowledged()
        elif opcode == Opcode.TEXT and b'"pong"' in data:
            self.pongs += 1
        else:
            raise AssertionError((opcode, data[:200]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport.close()


def _length(data: bytes) -> int:
    """Of the first frame, header and all; these servers say nothing longer than 64 KB here."""
    return 2 + data[1] if data[1] < 126 else 4 + int.from_bytes(data[2:4])


def message(**said: object) -> bytes:
    """A message of the protocol as a frame."""
    return Frame(Opcode.TEXT, orjson.dumps(said)).serialize(mask=True)


async def opened(server: "Server", count: int) -> list[Socket]:
    """So many connections, opened and acknowledged, a few at a time."""
    loop = asyncio.get_running_loop()
    sockets: list[Socket] = []
    numbers = itertools.count()

    async def some() -> None:
        while next(numbers) < count:
            acknowledged = loop.create_future()
            made = functools.partial(Socket, server.token, functools.partial(acknowledged.set_result, None))
            _, socket = await loop.create_connection(made, "127.0.0.1", server.port)
            await acknowledged
            sockets.append(socket)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(OPENING, count)):
            tasks.create_task(some())
    return sockets


async def until(true: Callable[[], bool]) -> None:
    """Wait, looking seldom enough not to be what is measured."""
    while not true():  # noqa: ASYNC110 - what counts is how little it does
        await asyncio.sleep(0.01)


async def say(sockets: list[Socket], frames: bytes) -> None:
    """Say it on all of them, and wait until it was read: a ping after it has been answered."""
    before = [socket.pongs for socket in sockets]
    for socket in sockets:
        socket.transport.write(frames + message(type="ping"))
    await until(lambda: all(socket.pongs > pongs for socket, pongs in zip(sockets, before, strict=True)))


async def quiet(pid: int) -> None:
    """Wait until a process has nothing more to do than what it does all the time."""
    process = psutil.Process(pid)
    while True:
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(QUIET_SECONDS)
        if sum(process.cpu_times()[:2]) - before <= QUIET_CPU_SECONDS:
            return


@dataclass(frozen=True)
class Server:
    """One side: a process that serves graphql-transport-ws at /graphql."""

    pid: int
    port: int
    token: str
    payload: dict[str, object]


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[Server]:
    """Ours, with its limits raised to what is measured."""
    process = GatewayProcess(folder, LIMITS)
    process.start()
    try:
        token = process.token("bench")
        async with Client(process.url, token, connections=1) as client:
            await client.graphql(CREATE_STREAM, {"stream": {"streamName": "orders", "eventPatterns": ["order.**"]}})
        payload = {
            "query": f"subscription($type: String!) {{ {OURS} {{ {FIELDS} }} }}",
            "variables": {"type": "order.placed"},
        }
        yield Server(process.pid, process.port(), token, payload)
    finally:
        process.stop()


@asynccontextmanager
async def graphql_ws() -> AsyncIterator[Server]:
    """The peer: graphql-ws on Node."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(*node_peer(), str(port))
    try:
        await answering(port)
        yield Server(process.pid, port, "", {"query": f"subscription {{ events {{ {FIELDS} }} }}"})
    finally:
        process.kill()
        await process.wait()


async def answering(port: int) -> None:
    """Wait until somebody listens."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@asynccontextmanager
async def subscribing(server: Server) -> AsyncIterator[Measure]:
    """Measures subscriptions begun and ended a CPU-second, on connections that are open all the time."""
    sockets = await opened(server, CONNECTIONS)
    begin = b"".join(
        message(type="subscribe", id=f"op-{number}", payload=server.payload) for number in range(OPERATIONS)
    )
    end = b"".join(message(type="complete", id=f"op-{number}") for number in range(OPERATIONS))

    async def measure() -> float:
        await quiet(server.pid)
        with used(server.pid) as cost:
            await say(sockets, begin)
            await quiet(server.pid)
            await say(sockets, end)
            await quiet(server.pid)
        return CONNECTIONS * OPERATIONS / cost.cpu_seconds

    try:
        yield measure
    finally:
        for socket in sockets:
            socket.transport.close()


async def hold(steps: Connection, server: Server, count: int) -> None:
    """A client process: goes the way of `count` idle subscribers one step whenever told, and says when it is done."""
    sockets: list[Socket] = []

    async def open_all() -> None:
        sockets.extend(await opened(server, count))

    for step in (
        open_all,
        lambda: say(sockets, message(type="subscribe", id=OPERATION, payload=server.payload)),
        lambda: asyncio.sleep(0),
    ):
        await asyncio.to_thread(steps.recv)
        began = time.perf_counter()
        await step()
        steps.send(time.perf_counter() - began)


def held(steps: Connection, server: Server, count: int) -> None:
    """The client process."""
    uvloop.run(hold(steps, server, count))


async def idle(server: Server) -> dict[str, Any]:
    """Memory and CPU of the server at each step of 10,000 subscribers."""
    context = multiprocessing.get_context("spawn")
    pipes, clients = [], []
    for _ in range(CLIENTS):
        ours, theirs = context.Pipe()
        clients.append(context.Process(target=held, args=(theirs, server, SOCKETS // CLIENTS)))
        clients[-1].start()
        pipes.append(ours)
    figures: dict[str, Any] = {}
    try:
        await quiet(server.pid)
        start = memory = resident(server.pid)
        for step in ("opened", "subscribed"):
            with used(server.pid) as cost:
                for pipe in pipes:
                    pipe.send(step)
                seconds = [await asyncio.to_thread(pipe.recv) for pipe in pipes]
                await quiet(server.pid)
            grown = resident(server.pid)
            figures[f"{step}_kb"] = round((grown - memory) / 1024 / SOCKETS, 2)
            figures[f"{step}_cpu_ms"] = round(cost.cpu_seconds * 1000 / SOCKETS, 3)
            if step == "opened":
                figures["connections_per_s"] = round(SOCKETS / max(seconds))
            memory = grown
        figures["idle_kb"] = round((memory - start) / 1024 / SOCKETS, 2)
        with used(server.pid) as cost:
            await asyncio.sleep(IDLE_SECONDS)
        figures["idle_cpu_percent"] = round(cost.cpu_seconds / cost.seconds * 100, 1)
    finally:
        for client in clients:
            client.kill()
            client.join()
    return figures


def resident(pid: int) -> int:
    """Bytes."""
    return int(psutil.Process(pid).memory_info().rss)


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="esb-bench-", ignore_cleanup_errors=True) as folder:
        async with gateway(Path(folder, "first")) as server:
            ours_idle = await idle(server)
            print(f"ours: {ours_idle}", flush=True)
        async with gateway(Path(folder, "second")) as server, graphql_ws() as peer:
            async with subscribing(server) as ours, subscribing(peer) as theirs:
                comparison = await compare(ours, {"graphql-ws": theirs})
            peer_idle = await idle(peer)
            print(f"graphql-ws: {peer_idle}", flush=True)
    finish(
        "subscribe",
        comparison.summary(),
        unit="subscriptions begun and ended a CPU-second",
        subscribe_ms=round(1000 / statistics.median(comparison.ours), 3),
        **ours_idle,
        graphql_ws=peer_idle,
    )


if __name__ == "__main__":
    uvloop.run(main())
