"""The same application under servers without our frames past ASGI: uvicorn with its own protocol, and Hypercorn."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

import hypercorn.asyncio
import hypercorn.typing
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.ws.frames import EXTENSION
from tests.integration.gateway.graphql.conftest import World
from tests.integration.gateway.graphql.test_socket import BEGINNING, FEED, LIVE

Serving = Callable[[ASGIApp, socket.socket], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def under_uvicorn(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, 10)


@asynccontextmanager
async def under_hypercorn(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    config = hypercorn.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = config.accesslog = None
    config.graceful_timeout = config.shutdown_timeout = 1
    stop = asyncio.Event()
    framework = cast("hypercorn.typing.Framework", app)
    serving = asyncio.create_task(hypercorn.asyncio.serve(framework, config, shutdown_trigger=stop.wait, mode="asgi"))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(serving, 10)


@pytest.fixture(params=[under_uvicorn, under_hypercorn])
async def elsewhere(request: pytest.FixtureRequest, world: World) -> AsyncIterator[World]:
    """The world, asked at another server; no socket may come with our extension."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            seen.append(scope)
        await world.app(scope, receive, send)

    serving: Serving = request.param
    listener = socket.create_server(("127.0.0.1", 0))
    ours, world.port = world.port, listener.getsockname()[1]
    try:
        async with serving(app, listener):
            yield world
    finally:
        listener.close()
        world.port = ours
    assert seen
    assert not any(EXTENSION in scope.get("extensions", {}) for scope in seen)


async def test_the_past_and_what_follows_are_one(elsewhere: World) -> None:
    await elsewhere.publish(*range(3))
    async with elsewhere.opened() as client:
        await client.subscribe(LIVE, f=BEGINNING)
        for number in range(3):
            assert (await client.next())["data"]["events"]["payload"] == {"n": number}
        await elsewhere.publish(*range(3, 50))
        for number in range(3, 50):
            assert (await client.next())["data"]["events"]["payload"] == {"n": number}
    await elsewhere.idle()


async def test_cursors_come_with_messages_and_many_operations_share_a_socket(elsewhere: World) -> None:
    async with elsewhere.opened({"cursors": True}) as client:
        for operation in ("a", "b"):
            await client.subscribe(FEED, id=operation)
        assert {(await client.hear())["id"] for _ in range(2)} == {"a", "b"}
        receipts = await elsewhere.publish(1)
        heard = [await client.hear() for _ in range(2)]
        assert {message["id"] for message in heard} == {"a", "b"}
        assert {message["payload"]["extensions"]["cursor"] for message in heard} == {receipts[0]["cursor"]}
        await client.say("complete", id="a")
        await elsewhere.publish(2)
        assert (await client.hear())["id"] == "b"


async def test_a_lost_client_leaves_nothing_behind(elsewhere: World) -> None:
    async with elsewhere.opened() as client:
        await client.subscribe(FEED)
        await client.next()
        client.raw.transport.abort()
    await elsewhere.idle()
