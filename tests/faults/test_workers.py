"""`esb serve --workers`: three processes on one port are one gateway, also while one of them is killed."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from deploy.local.service import still_alive
from tests.faults.conftest import StartGateway
from tests.services.gateway import ESB, GatewayProcess

pytestmark = pytest.mark.embedded_only

WORKERS = 3
CUT = {"ESB_REDIS_URL": "redis://127.0.0.1:1"}
"""Signals by a Redis that is not there: nothing is left but polling."""

SUBSCRIBE = "subscription($c: Cursor!) { events(from: {cursor: $c}) { position } }"
PUBLISH = "mutation($e: EventInput!) { publishEvent(event: $e) { position cursor } }"


@pytest.fixture(params=[{}, CUT], ids=["signals", "no-signals"])
def gateway(request: pytest.FixtureRequest, start_gateway: StartGateway) -> GatewayProcess:
    return start_gateway("workers", request.param, "--workers", str(WORKERS))


def workers_of(gateway: GatewayProcess) -> list[psutil.Process]:
    """The workers now, without those who just died."""
    children = psutil.Process(gateway.pid).children()
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE and "serve" in child.cmdline()]


def serving(gateway: GatewayProcess, ports: Sequence[int]) -> dict[int, list[int]]:
    """Which worker holds which of the connections, by the clients' ports."""
    found: dict[int, list[int]] = {}
    for worker in workers_of(gateway):
        for connection in worker.net_connections("tcp"):
            if connection.raddr and connection.raddr.port in ports and connection.laddr.port == gateway.port():
                found.setdefault(worker.pid, []).append(connection.raddr.port)
    return found


class Subscriber:
    """Follows every event from a cursor on; after a cut it goes on from the last one it has."""

    def __init__(self, gateway: GatewayProcess, token: str, cursor: str) -> None:
        self._gateway, self._token, self._cursor = gateway, token, cursor
        self.positions: list[int] = []
        self.port = 0
        self.cuts = 0

    async def run(self) -> None:
        while True:
            try:
                await self._follow()
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError):
                self.cuts += 1
                await asyncio.sleep(0.05)

    async def _follow(self) -> None:
        address = f"{self._gateway.websocket_url}/graphql"
        async with connect(
            address, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None, open_timeout=5
        ) as socket:
            payload = {"authorization": f"Bearer {self._token}", "cursors": True}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            await socket.recv()
            operation = {"query": SUBSCRIBE, "variables": {"c": self._cursor}}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": operation}))
            self.port = socket.local_address[1]
            await self._take(socket)

    async def _take(self, socket: ClientConnection) -> None:
        async for text in socket:
            message = json.loads(text)
            assert message["type"] == "next", message
            self.positions.append(message["payload"]["data"]["events"]["position"])
            self._cursor = message["payload"]["extensions"]["cursor"]


async def publish(gateway: GatewayProcess, token: str, event: dict[str, Any]) -> dict[str, Any]:
    """Each over a connection of its own, so that any worker may get it; again with the same id until it is answered."""
    while True:
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
                body = {"query": PUBLISH, "variables": {"e": event}}
                headers = {"authorization": f"Bearer {token}"}
                answer = (await client.post(f"{gateway.url}/graphql", json=body, headers=headers)).json()
            if "errors" not in answer:
                return dict(answer["data"]["publishEvent"])
            assert answer["errors"][0]["extensions"]["retryable"], answer
        await asyncio.sleep(0.05)


async def test_every_subscriber_sees_every_event_in_order_though_a_worker_is_killed(gateway: GatewayProcess) -> None:
    token = await asyncio.to_thread(gateway.token, "t")
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, trust_env=False, timeout=30) as client:
        stream = {"stream_name": "user-events", "event_patterns": ["user.**"]}
        (await client.post("/api/v1/streams", json=stream)).raise_for_status()
    first = await publish(gateway, token, {"eventType": "user.first", "payload": 0})
    subscribers = [Subscriber(gateway, token, first["cursor"]) for _ in range(12)]
    following = [asyncio.create_task(each.run()) for each in subscribers]
    number = iter(range(10_000))

    async def publish_some(count: int) -> None:
        for _ in range(count):
            event_id = f"evt_01J2X3Y4Z5A6B7C8D9E0F{next(number):05d}"
            await publish(gateway, token, {"eventId": event_id, "eventType": "user.seen", "payload": 1})

    async def until_all_have(last: int) -> None:
        async with asyncio.timeout(60):
            while any(each.positions[-1:] != [last] for each in subscribers):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    await asyncio.gather(*(publish_some(10) for _ in range(6)))
    await until_all_have(61)
    spread = serving(gateway, [each.port for each in subscribers])
    assert len(spread) >= 2, spread
    victim = max(spread, key=lambda pid: len(spread[pid]))
    hit = {each: each.cuts for each in subscribers if each.port in spread[victim]}
    publishing = [asyncio.create_task(publish_some(20)) for _ in range(6)]
    os.kill(victim, signal.SIGKILL)
    await asyncio.gather(*publishing)
    await until_all_have(181)
    for each in subscribers:
        assert each.positions == list(range(2, 182))
    assert all(each.cuts > before for each, before in hit.items())
    async with asyncio.timeout(30):
        while len(workers_of(gateway)) < WORKERS:  # noqa: ASYNC110 -- another one takes the killed one's place
            await asyncio.sleep(0.05)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)


def samples(gateway: GatewayProcess) -> Iterator[str]:
    for line in httpx.get(f"{gateway.url}/metrics", trust_env=False, timeout=10).text.splitlines():
        if line.startswith("process_resident_memory_bytes"):
            yield line.split("}")[0]


def test_one_port_one_page_of_metrics_one_end(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = start_gateway("workers", {}, "--workers", "2")
    for _ in range(4):
        assert sorted(samples(gateway)) == [f'process_resident_memory_bytes{{worker="{n}"' for n in range(2)]
    family = psutil.Process(gateway.pid).children(recursive=True)
    assert len(workers_of(gateway)) == 2
    second = [str(ESB), "serve", "--workers", "2", "--port", str(gateway.port()), "--data-dir", str(tmp_path / "other")]
    done = subprocess.run(second, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "cannot listen" in done.stderr) == (1, True)
    gateway.stop()
    assert still_alive(family, 30) == []
    assert "worker does not end" not in gateway.log_tail()


def test_a_supervisor_that_is_killed_leaves_nobody_behind(start_gateway: StartGateway) -> None:
    gateway = start_gateway("workers", {}, "--workers", "2")
    family = psutil.Process(gateway.pid).children(recursive=True)
    assert len(family) >= 3  # PostgreSQL is among them
    gateway.kill()
    assert still_alive(family, 40) == []


def test_what_keeps_one_from_starting_ends_them_all(tmp_path: Path) -> None:
    settings = {**os.environ, "ESB_POSTGRES_URL": "postgresql://esb@127.0.0.1:1/esb"}
    command = [str(ESB), "serve", "--workers", "2", "--port", "0", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "cannot start" in done.stderr
