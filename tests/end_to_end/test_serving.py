"""`esb serve` as a process: how it starts, refuses to start, and stops."""

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import websockets

from tests.services.gateway import ESB, GatewayProcess


def test_a_taken_port_is_said_before_anything_is_started(
    gateway: GatewayProcess, own_gateway: Callable[..., GatewayProcess]
) -> None:
    other = own_gateway("other")
    command = [str(ESB), "serve", "--port", str(gateway.port()), "--data-dir", str(other.data_dir)]
    done = subprocess.run(command, env=other.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr
    assert not other.data_dir.exists()


def test_a_signal_while_it_starts_ends_it_cleanly(own_gateway: Callable[..., GatewayProcess]) -> None:
    made = own_gateway()
    made.install()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(ESB), "serve", "--port", str(port), "--data-dir", str(made.data_dir)]
    with subprocess.Popen(command, env=made.environment, stderr=subprocess.PIPE, text=True) as process:
        while not _listens_to_sigterm(process.pid):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert not list(made.data_dir.rglob("postmaster.pid"))


def _listens_to_sigterm(pid: int) -> bool:
    """Whether the process has a handler of its own: the mask of caught signals (proc(5), SigCgt)."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


async def test_sigterm_answers_what_is_in_flight_and_sends_sockets_elsewhere(
    own_gateway: Callable[..., GatewayProcess],
) -> None:
    made = own_gateway()
    await asyncio.to_thread(made.start)
    token = await asyncio.to_thread(made.token, "acme")
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=made.url, headers=headers, timeout=30) as http:
        assert (await http.post("/api/v1/streams", json={"stream_name": "user-events"})).status_code == 201

        def slow() -> asyncio.Task[httpx.Response]:
            async def body() -> object:
                yield b'{"event_type":"user.created",'
                await going.wait()
                yield b'"payload":{"n":1}}'

            return asyncio.create_task(
                http.post("/api/v1/events", content=body(), headers={"content-type": "application/json"})
            )

        going = asyncio.Event()
        async with websockets.connect(f"{made.websocket_url}/ws/events/user-events", additional_headers=headers) as ws:
            in_flight = slow()
            assert (await http.get("/readyz")).status_code == 200
            stopping = asyncio.create_task(asyncio.to_thread(made.stop))
            async with asyncio.timeout(10):
                await ws.wait_closed()
            assert ws.close_code == 1012
            going.set()
            response = await asyncio.wait_for(in_flight, 20)
            assert response.status_code == 201
            await stopping
    await asyncio.to_thread(made.start)
    async with httpx.AsyncClient(base_url=made.url, headers=headers, timeout=30) as http:
        read = await http.get(f"/api/v1/events/{response.json()['event_id']}")
        assert json.loads(read.content)["payload"] == {"n": 1}
