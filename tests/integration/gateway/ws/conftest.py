"""A real uvicorn server with our protocol class, on uvloop and on asyncio, and a client that speaks bare bytes."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.frames import Frame, Opcode

from gateway.drain import Drain
from gateway.server import Server
from gateway.ws.frames import EXTENSION, Frames
from gateway.ws.protocol import SocketProtocol

WITHIN_S = 10.0
MESSAGE_BYTES = 100_000


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test here runs on both loops."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@dataclass
class Session:
    """One socket as the application sees it."""

    scope: Scope
    receive: Receive
    send: Send
    received: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def frames(self) -> Frames:
        """What it may write past ASGI."""
        frames: Frames = self.scope["extensions"][EXTENSION]
        return frames

    async def say(self, text: str) -> None:
        """Send a message as ASGI says."""
        await self.send({"type": "websocket.send", "text": text})

    async def said(self) -> Message:
        """The next thing the server told the application."""
        return await asyncio.wait_for(self.received.get(), WITHIN_S)


class Application:
    """Accepts, hands each socket over as a session, notes what the server says, and stays until the socket is gone."""

    def __init__(self) -> None:
        self.accepts = True
        self.hears = asyncio.Event()
        self.hears.set()
        self.fails: Exception | None = None
        self.sessions: asyncio.Queue[Session] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        session = Session(scope, receive, send)
        assert (await receive())["type"] == "websocket.connect"
        try:
            if self.accepts:
                await send({"type": "websocket.accept"})
            self.sessions.put_nowait(session)
            while self.fails is None:
                await self.hears.wait()
                message = await receive()
                session.received.put_nowait(message)
                if message["type"] == "websocket.disconnect":
                    return
            raise self.fails
        finally:
            session.ended.set()

    async def session(self) -> Session:
        """The next socket that was opened."""
        return await asyncio.wait_for(self.sessions.get(), WITHIN_S)


class Client:
    """A peer that keeps the rules only where a test wants it to."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()

    async def upgrade(self, *, answered: bool = True, version: int = 13, more: bytes = b"") -> None:
        """Ask for a WebSocket, and read the answer."""
        await self.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: %d\r\n%b\r\n" % (version, more)
        )
        if answered:
            assert await self.status() == 101

    async def status(self) -> int:
        """Of an HTTP answer."""
        head = await self._until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 "), head
        return int(head[9:12])

    async def write(self, data: bytes) -> None:
        """Bare bytes."""
        await asyncio.wait_for(self._loop.sock_sendall(self.connection, data), WITHIN_S)

    async def say(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True, masked: bool = True) -> None:
        """One frame."""
        await self.write(Frame(opcode, data, fin).serialize(mask=masked))

    async def frame(self) -> tuple[Opcode, bytes]:
        """The next frame the server sent; raises EOFError at the end. Servers send no fragments and no masks here."""
        first, second = await self._exactly(2)
        assert first & 0x80
        assert not second & 0x80
        length = second & 0x7F
        if length == 126:
            length = int.from_bytes(await self._exactly(2))
        elif length == 127:
            length = int.from_bytes(await self._exactly(8))
        return Opcode(first & 0x0F), await self._exactly(length)

    async def texts(self, count: int) -> list[bytes]:
        """So many text messages, and nothing else between them."""
        frames = [await self.frame() for _ in range(count)]
        assert {opcode for opcode, _ in frames} <= {Opcode.TEXT}
        return [data for _, data in frames]

    async def closed(self) -> int:
        """The code of the close frame, which must come next, and be the last thing on the connection."""
        opcode, data = await self.frame()
        assert opcode is Opcode.CLOSE, (opcode, data[:100])
        with pytest.raises(EOFError):
            await self.frame()
        return int.from_bytes(data[:2])

    def reset(self) -> None:
        """Hang up with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    async def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            await self._more()
        head, _, rest = self._received.partition(end)
        self._received = bytearray(rest)
        return bytes(head)

    async def _exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            await self._more()
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    async def _more(self) -> None:
        data = await asyncio.wait_for(self._loop.sock_recv(self.connection, 65_536), WITHIN_S)
        if not data:
            raise EOFError(bytes(self._received))
        self._received += data


class Running:
    """A server with its application."""

    def __init__(self, port: int, server: Server, application: Application) -> None:
        self.port, self.server, self.application = port, server, application
        self._open: list[socket.socket] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self.port}/"

    async def connect(self, *, receive_buffer: int | None = None) -> Client:
        """A TCP connection. `receive_buffer`: how many bytes the kernel takes for a peer that does not read."""
        connection = socket.socket()
        self._open.append(connection)
        connection.setblocking(False)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        return Client(connection)

    async def open(self, *, receive_buffer: int | None = None) -> tuple[Client, Session]:
        """A socket, from both sides."""
        client = await self.connect(receive_buffer=receive_buffer)
        await client.upgrade()
        return client, await self.application.session()

    async def emptied(self) -> None:
        """Wait until no connection is left."""
        async with asyncio.timeout(WITHIN_S):
            while self.server.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.01)

    def hang_up(self) -> None:
        """Close what tests left open."""
        for connection in self._open:
            connection.close()


@asynccontextmanager
async def serving(application: ASGIApp, **config: Any) -> AsyncIterator[Server]:
    """uvicorn with an application, on a free port."""
    settings: dict[str, Any] = {
        "ws": SocketProtocol,
        "ws_max_size": MESSAGE_BYTES,
        "ws_per_message_deflate": False,
        "lifespan": "off",
        "log_config": None,
        "timeout_graceful_shutdown": 3,
    }
    server = Server(uvicorn.Config(application, **{**settings, **config}), Drain())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve([listener]))
        try:
            while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.01)
            yield server
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, WITHIN_S)


def port_of(server: Server) -> int:
    """Where it listens."""
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


@asynccontextmanager
async def started(**config: Any) -> AsyncIterator[Running]:
    """A server with an `Application`; nothing may fail in it, nor be logged as an error."""
    application = Application()
    async with serving(application, **config) as server:
        running = Running(port_of(server), server, application)
        try:
            yield running
        finally:
            running.hang_up()


@pytest.fixture
async def running(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Running]:
    """A server whose application and protocol must not fail."""
    async with started() as made:
        yield made
    assert [record.getMessage() for record in caplog.records if record.levelno >= 40] == []
