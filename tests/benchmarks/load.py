"""A lean load client: publishes over kept-alive HTTP connections, listens on a graphql-transport-ws socket.

It runs in the benchmark's own process, beside the gateway's, and must not be what is measured: bytes are prepared
beforehand and answers are looked at no further than needed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

CREATE_STREAM = "mutation($stream: StreamInput!) { createStream(stream: $stream) { streamId } }"


class _Connection(asyncio.Protocol):
    """One connection, one request at a time; the server answers with a content-length, as ours does."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its ancestors

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the gateway closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._received) < end + 4 + length:
            return
        body = bytes(self._received[end + 4 :])
        self._received.clear()
        if self._answer is not None and not self._answer.done():
            if head[9:10] == b"2":
                self._answer.set_result(body)
            else:
                self._answer.set_exception(RuntimeError(f"refused: {head[:12]!r} {body[:300]!r}"))

    async def send(self, request: bytes) -> bytes:
        """The answer's body. Raises RuntimeError for a status other than 2xx."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Client:
    """One tenant's caller of a gateway.

    Parameters
    ----------
    url, token:
        The gateway's base URL and a bearer token.
    connections:
        How many requests may be under way; more wait for a free connection.
    """

    def __init__(self, url: str, token: str, connections: int = 64) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._token = token
        self._connections = connections
        self._free: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()
        self._all: list[_Connection] = []

    async def __aenter__(self) -> "Client":
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            _, connection = await loop.create_connection(_Connection, self._host, self._port)
            self._all.append(connection)
            self._free.put_nowait(connection)
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._all:
            connection.close()

    def request(self, path: str, body: bytes, method: str = "POST") -> bytes:
        """A request's bytes."""
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\nauthorization: Bearer {self._token}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def send(self, request: bytes) -> bytes:
        """The answer's body."""
        connection = await self._free.get()
        try:
            return await connection.send(request)
        finally:
            self._free.put_nowait(connection)

    async def get(self, path: str) -> Any:
        """A REST resource."""
        return orjson.loads(await self.send(self.request(path, b"", "GET")))

    async def graphql(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """`data`. Raises RuntimeError for errors."""
        said = orjson.dumps({"query": query, "variables": variables or {}})
        answer = orjson.loads(await self.send(self.request("/graphql", said)))
        if answer.get("errors"):
            raise RuntimeError(answer["errors"])
        return dict(answer["data"])

    @asynccontextmanager
    async def follow(self, query: str) -> AsyncIterator[AsyncIterator[Any]]:
        """A subscription: yields each message's `data`, undecoded around it as little as may be."""
        url = f"ws://{self._host}:{self._port}/graphql"
        async with connect(
            url,
            subprotocols=[Subprotocol("graphql-transport-ws")],
            compression=None,
            max_queue=None,
            ping_interval=None,
        ) as socket:
            init = {"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}}
            await socket.send(orjson.dumps(init).decode())
            acknowledged = orjson.loads(await socket.recv())
            assert acknowledged["type"] == "connection_ack", acknowledged
            said = {"type": "subscribe", "id": "1", "payload": {"query": query}}
            await socket.send(orjson.dumps(said).decode())

            async def messages() -> AsyncIterator[Any]:
                async for text in socket:
                    message = orjson.loads(text)
                    assert message["type"] == "next", message
                    yield message["payload"]["data"]

            yield messages()


async def paced(per_second: float, count: int, send: Callable[[int], None]) -> list[float]:
    """Call `send(n)` for n below `count` at an even pace; how late each call was, in seconds.

    No event waits for the one before, and one that is late does not move the next.
    """
    late: list[float] = []
    started = time.perf_counter()
    for number in range(count):
        due = started + number / per_second
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        late.append(max(0.0, time.perf_counter() - due))
        send(number)
    return late
