"""What every response that is held open promises: who does not read it is cut off, and nothing of it stays behind."""

import asyncio
import json
from typing import Any

import pytest

from tests.integration.gateway.graphql.conftest import World, narrow_socket

LIVE = "subscription { events(from: { beginning: true }) { position payload } }"
LARGE = {"eventType": "user.grown", "payload": {"large": "x" * 400_000}}
PUBLISH = "mutation($e: EventInput!) { publishEvent(event: $e) { position } }"


def request(world: World, method: str, body: Any, **headers: str) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    named = {
        "host": "test",
        "authorization": f"Bearer {world.token()}",
        "content-type": "application/json",
        "content-length": f"{len(content)}",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{method} /graphql HTTP/1.1\r\n{head}\r\n".encode() + content


async def not_reading(world: World, sent: bytes) -> asyncio.StreamWriter:
    """A client that sends a request and reads nothing of the answer, with next to no room in its kernel."""
    reader, writer = await asyncio.open_connection(sock=narrow_socket(world.port), limit=1)
    writer.write(sent)
    await writer.drain()
    del reader
    return writer


@pytest.mark.parametrize("accept", ["text/event-stream", "multipart/mixed", "shared"])
async def test_who_does_not_read_is_cut_off_and_hurts_nobody(
    world: World, accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    if accept == "shared":
        async with world.http() as http:
            token = {"x-graphql-event-stream-token": (await http.put("/graphql")).text}
            stalled = await not_reading(world, request(world, "GET", None, accept="text/event-stream", **token))
            said = {"query": LIVE, "extensions": {"operationId": "1"}}
            assert (await http.post("/graphql", json=said, headers=token)).status_code == 202
    else:
        stalled = await not_reading(world, request(world, "POST", {"query": LIVE}, accept=accept))
    async with world.opened() as other:
        await other.subscribe(LIVE)
        for number in range(30):
            await world.data(PUBLISH, {"e": LARGE})
            assert (await other.next())["data"]["events"]["position"] == number + 1
        async with asyncio.timeout(10):
            while world.endpoint.subscriptions() > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            while open_connections(world) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    stalled.close()
    await world.idle()
    assert "without completing response" not in caplog.text


def open_connections(world: World) -> int:
    """The connections the server holds."""
    return len(world.server.server_state.connections)
