"""How sockets are opened, refused, and ended by an application that does not do what it should."""

import logging

import pytest
from uvicorn.protocols.utils import ClientDisconnected

from tests.integration.gateway.ws.conftest import Running, started


@pytest.mark.parametrize(
    ("version", "more", "status"),
    [(12, b"", 400), (13, b"Sec-WebSocket-Key: again\r\n", 400), (13, b"X-Long: " + b"x" * 9000 + b"\r\n", 431)],
)
async def test_a_request_that_is_none_is_refused(running: Running, version: int, more: bytes, status: int) -> None:
    client = await running.connect()
    await client.upgrade(answered=False, version=version, more=more)
    assert await client.status() == status
    await running.emptied()
    assert running.application.sessions.empty()


async def test_more_connections_than_allowed_are_refused() -> None:
    async with started(limit_concurrency=2) as running:
        await running.open()
        await running.open()
        third = await running.connect()
        await third.upgrade(answered=False)
        assert await third.status() == 503


async def test_the_scope_says_what_was_asked(running: Running) -> None:
    client = await running.connect()
    await client.upgrade(more=b"X-Name: J\xfcrgen\r\nSec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n")
    scope = (await running.application.session()).scope
    assert (b"x-name", b"J\xfcrgen") in scope["headers"]
    assert scope["subprotocols"] == ["a", "b", "c"]
    assert (scope["type"], scope["scheme"], scope["path"], scope["raw_path"]) == ("websocket", "ws", "/", b"/")
    assert scope["client"] == client.connection.getsockname()
    assert scope["server"] == client.connection.getpeername()


async def test_an_application_may_answer_as_http_does(running: Running) -> None:
    running.application.accepts = False
    client = await running.connect()
    await client.upgrade(answered=False)
    session = await running.application.session()
    await session.send({"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-is", b"pot")]})
    await session.send({"type": "websocket.http.response.body", "body": b"short ", "more_body": True})
    await session.send({"type": "websocket.http.response.body", "body": b"and stout"})
    assert await client.status() == 418
    assert await client._exactly(15) == b"short and stout"
    assert (await session.said())["type"] == "websocket.disconnect"


async def test_an_application_may_refuse_with_a_close(running: Running) -> None:
    running.application.accepts = False
    client = await running.connect()
    await client.upgrade(answered=False)
    session = await running.application.session()
    await session.send({"type": "websocket.close"})
    assert await client.status() == 403


async def test_draining_refuses_who_is_not_answered_yet(running: Running) -> None:
    running.application.accepts = False
    client = await running.connect()
    await client.upgrade(answered=False)
    session = await running.application.session()
    running.server.should_exit = True
    assert await client.status() == 503
    with pytest.raises(ClientDisconnected):
        await session.send({"type": "websocket.accept"})


@pytest.mark.parametrize("accepts", [True, False])
async def test_an_application_that_fails_says_so_to_its_peer(accepts: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with started() as running:
        running.application.accepts = accepts
        running.application.fails = RuntimeError("secret")
        client = await running.connect()
        await client.upgrade(answered=False)
        if accepts:
            assert await client.status() == 101
            assert await client.frame() == (8, (1011).to_bytes(2))
        else:
            assert await client.status() == 500
        client.connection.close()
        await running.emptied()
    assert [record.exc_info[1].args for record in caplog.records if record.exc_info and record.exc_info[1]] == [
        ("secret",)
    ]
    assert {record.levelno for record in caplog.records if record.exc_info} == {logging.ERROR}
