"""The event socket on a real server and real sockets: opening, refusing, expiring, draining, and clients that stall."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.middleware import Middleware
from websockets.asyncio.client import ClientConnection, connect

from gateway.auth.authenticator import Authenticator
from gateway.auth.credentials import Credentials
from gateway.auth.origins import Origins
from gateway.auth.roles import Roles
from gateway.auth.sessions import Sessions
from gateway.auth.tickets import Tickets
from gateway.auth.token_issuer import TokenIssuer
from gateway.drain import Drain
from gateway.request_context import RequestContext
from gateway.server import Server
from gateway.ws import protocol
from gateway.ws.events import EventSocket
from gateway.ws.protocol import SocketProtocol
from processors.live.items import CaughtUp, Delivered, Item
from processors.live.request import Edge, LiveRequest
from processors.live.subscription import SlowConsumer
from processors.readable import ReadableStreams
from schema.cursor import Cursor, CursorCodec
from schema.errors import ErrorCode, EsbError
from schema.event import Envelope, Event, decode_body, encode_body
from schema.principal import Action, Principal
from schema.stream import Stream, StreamEngine

CODEC = CursorCodec(b"c" * 32)
ISSUER = TokenIssuer(b"k" * 32, Roles({"mine": {"read": ["other*"]}}))  # type: ignore[dict-item]
STREAM = Stream(
    key=1, tenant="acme", stream_id="str_1", stream_name="orders", topic_name="orders", engine=StreamEngine.LEDGER
)


def event(position: int, size: int = 10) -> Event:
    body = encode_body(
        Envelope(
            event_id=f"evt_{position}",
            event_type="order.placed",
            event_version="1.0",
            source_capability=None,
            aggregate_id=None,
            aggregate_type=None,
            timestamp=datetime(2026, 1, 2, tzinfo=UTC),
            correlation_id=None,
            causation_id=None,
            tenant_id="acme",
            user_id=None,
            metadata=msgspec.Raw(b"{}"),
            payload=msgspec.Raw(json.dumps({"text": "ü" + "x" * size}).encode()),
            schema_version=None,
        )
    )
    made = decode_body(body)
    made.stream, made.position = "orders", position
    return made


class Feed:
    """A subscription fed by the test."""

    def __init__(self) -> None:
        self.steps: asyncio.Queue[Sequence[Item] | Exception] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.callers: list[Principal] = []

    def reauthorise(self, principal: Principal) -> None:
        self.callers.append(principal)
        if not principal.may(Action.READ, "orders"):
            self.steps.put_nowait(EsbError(ErrorCode.FORBIDDEN, "no more", details={"cursor": "the-cursor"}))

    def __aiter__(self) -> "Feed":
        return self

    async def __anext__(self) -> Sequence[Item]:
        step = await self.steps.get()
        if isinstance(step, Exception):
            raise step
        return step

    async def aclose(self) -> None:
        self.closed.set()

    def put(self, *positions: int, size: int = 10) -> None:
        self.steps.put_nowait([Delivered(event(p, size), Cursor(1, p + 1)) for p in positions])


class Edges:
    """Streams and live subscriptions as the socket sees them."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.requests: list[LiveRequest] = []
        self.tickets: dict[bytes, str] = {}

    @property
    def streams(self) -> list[Stream]:
        return [STREAM]

    async def view(self, tenant: str) -> "Edges":
        return self

    async def refresh(self, tenant: str) -> "Edges":
        return self

    async def subscribe(self, request: LiveRequest) -> Feed:
        self.requests.append(request)
        return self.feed

    async def put(self, digest: bytes, tenant: str, principal: str, ttl_s: float, most: int) -> bool:
        self.tickets[digest] = principal
        return True

    async def take(self, digest: bytes) -> str | None:
        return self.tickets.pop(digest, None)


class Running:
    def __init__(self, edges: Edges, drain: Drain, tickets: Tickets, authenticator: Authenticator) -> None:
        self.edges, self.drain, self.tickets, self.authenticator = edges, drain, tickets, authenticator
        self.port = 0
        self.server: Server

    def connect(
        self, path: str = "/ws/events/orders", *, ttl: float = 60, role: str = "reader", **more: Any
    ) -> connect:
        headers = {"authorization": f"Bearer {ISSUER.issue('acme', [role], ttl)}"} | more.pop("headers", {})
        kept = {name: value for name, value in headers.items() if value}
        return connect(f"ws://127.0.0.1:{self.port}{path}", additional_headers=kept, **more)

    async def refused(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with self.connect(*arguments, **more):
                pass
        response = caught.value.response
        body: dict[str, Any] = json.loads(response.body)
        assert body["status"] == response.status_code
        return body


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    edges, drain = Edges(), Drain()
    tickets = Tickets(edges)
    authenticator = Authenticator(signing_key=b"k" * 32, roles=ISSUER._roles)
    sessions = Sessions(lambda _: False)
    endpoint = EventSocket(
        credentials=Credentials(authenticator, tickets, Origins(["https://app.example"])),
        streams=ReadableStreams(edges),
        live=edges,
        codec=CODEC,
        drain=drain,
        sessions=sessions,
        send_timeout_s=0.5,
        buffer_bytes=65536,
    )
    app = Starlette(routes=[endpoint.route()], middleware=[Middleware(RequestContext)])
    config = uvicorn.Config(app, ws=SocketProtocol, lifespan="off", log_config=None, timeout_graceful_shutdown=3)
    made = Running(edges, drain, tickets, authenticator)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made.port = listener.getsockname()[1]
        made.server = Server(config, drain)
        await sessions.start()
        serving = asyncio.create_task(made.server.serve([listener]))
        yield made
        made.server.should_exit = True
        await asyncio.wait_for(serving, 10)
        await sessions.stop()


async def closed(client: ClientConnection, within: float = 30) -> tuple[int, str]:
    async with asyncio.timeout(within):
        await client.wait_closed()
    return client.close_code or 0, client.close_reason or ""


async def test_each_event_is_a_frame_with_its_cursor(running: Running) -> None:
    async with running.connect() as client:
        running.edges.feed.steps.put_nowait([CaughtUp(Cursor(1, 1))])
        running.edges.feed.put(1, 2)
        frames = [json.loads(await client.recv()) for _ in range(2)]
    assert [(f["event_id"], f["position"], f["stream"]) for f in frames] == [
        ("evt_1", 1, "orders"),
        ("evt_2", 2, "orders"),
    ]
    assert frames[0]["payload"]["text"].startswith("ü")
    assert CODEC.decode("acme", frames[1]["cursor"]) == Cursor(1, 3)
    await asyncio.wait_for(running.edges.feed.closed.wait(), 3)


async def test_where_and_from_reach_the_subscription(running: Running) -> None:
    at = CODEC.encode("acme", Cursor(1, 9))
    for start, expected in (("live", Edge.LIVE), ("beginning", Edge.BEGINNING), (at, Cursor(1, 9))):
        async with running.connect(f'/ws/events/orders?from={start}&where={{"event_type":{{"eq":"a.b"}}}}'):
            pass
        assert running.edges.requests[-1].start == expected
        assert running.edges.requests[-1].where is not None


@pytest.mark.parametrize(
    ("path", "more", "status", "code"),
    [
        ("/ws/events/orders", {"headers": {"authorization": ""}}, 401, "UNAUTHENTICATED"),
        ("/ws/events/orders", {"headers": {"authorization": "Bearer x.y.z"}}, 401, "UNAUTHENTICATED"),
        ("/ws/events/orders?ticket=tkt_no", {"headers": {"authorization": ""}}, 401, "UNAUTHENTICATED"),
        ("/ws/events/orders", {"role": "publisher"}, 403, "FORBIDDEN"),
        ("/ws/events/orders", {"role": "mine"}, 403, "FORBIDDEN"),
        ("/ws/events/orders", {"origin": "https://evil.example"}, 403, "FORBIDDEN"),
        ("/ws/events/none", {}, 404, "UNKNOWN_STREAM"),
        ("/ws/events/orders?from=nonsense", {}, 400, "CURSOR_INVALID"),
        ("/ws/events/orders?where=nonsense", {}, 400, "BAD_INPUT"),
        ('/ws/events/orders?where={"no_field":{"eq":1}}', {}, 400, "BAD_INPUT"),
    ],
)
async def test_what_cannot_be_opened_is_a_problem(
    running: Running, path: str, more: dict[str, Any], status: int, code: str
) -> None:
    body = await running.refused(path, **more)
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"]


async def test_a_cursor_of_another_tenant_is_refused(running: Running) -> None:
    body = await running.refused(f"/ws/events/orders?from={CODEC.encode('other', Cursor(1, 9))}")
    assert body["code"] == "CURSOR_INVALID"


async def test_a_page_of_an_allowed_origin_may_connect(running: Running) -> None:
    async with running.connect(origin=websockets.Origin("https://app.example")):
        pass


async def test_a_ticket_opens_one_socket_once(running: Running) -> None:
    principal = await running.authenticator.principal(ISSUER.issue("acme", ["reader"], 60))
    ticket = await running.tickets.issue(principal)
    path, bare = f"/ws/events/orders?ticket={ticket.ticket}", {"authorization": ""}
    async with running.connect(path, headers=bare):
        pass
    assert (await running.refused(path, headers=bare))["code"] == "UNAUTHENTICATED"
    assert running.edges.requests[0].principal == principal


async def test_a_socket_ends_with_its_token(running: Running) -> None:
    began = time.monotonic()
    async with running.connect(ttl=1) as client:
        code, reason = await closed(client)
    assert (code, time.monotonic() - began < 6) == (4403, True)
    assert "expired" in reason
    await asyncio.wait_for(running.edges.feed.closed.wait(), 3)


async def test_a_fresh_token_in_band_keeps_it_open(running: Running) -> None:
    async with running.connect(ttl=1.5) as client:
        await client.send(json.dumps({"authorization": "Bearer " + ISSUER.issue("acme", ["reader"], 60)}))
        answer = json.loads(await client.recv())
        assert answer["authorized"] is True
        assert datetime.fromisoformat(answer["expires_at"]).timestamp() > time.time() + 30
        while time.time() < running.edges.requests[0].principal.expires_at + 1:  # noqa: ASYNC110 - the first one's end
            await asyncio.sleep(0.05)
        running.edges.feed.put(1)
        assert json.loads(await client.recv())["event_id"] == "evt_1"
    assert len(running.edges.feed.callers) == 1


@pytest.mark.parametrize("authorization", ["Bearer x.y.z", "nonsense", "Bearer "])
async def test_a_token_in_band_that_is_none_closes_with_4403(running: Running, authorization: str) -> None:
    async with running.connect() as client:
        await client.send(json.dumps({"authorization": authorization}))
        assert (await closed(client))[0] == 4403


async def test_a_token_in_band_of_somebody_else_closes_with_4403(running: Running) -> None:
    for token in (ISSUER.issue("acme", ["reader"], 60, subject="bob"), ISSUER.issue("other", ["reader"], 60)):
        async with running.connect() as client:
            await client.send(json.dumps({"authorization": f"Bearer {token}"}))
            assert (await closed(client))[0] == 4403
    assert running.edges.feed.callers == []


async def test_a_token_in_band_that_may_not_read_the_stream_ends_with_the_cursor(running: Running) -> None:
    async with running.connect() as client:
        await client.send(json.dumps({"authorization": "Bearer " + ISSUER.issue("acme", ["mine"], 60)}))
        frames = [json.loads(await client.recv()), json.loads(await client.recv())]
        frames.sort(key=lambda frame: "error" in frame)
        assert frames[0]["authorized"] is True
        assert frames[1]["error"]["details"] == {"cursor": "the-cursor"}
        assert (await closed(client))[0] == 4403


async def test_draining_closes_with_1012(running: Running) -> None:
    async with running.connect() as client:
        running.server.should_exit = True
        assert (await closed(client))[0] == 1012
    await asyncio.wait_for(running.edges.feed.closed.wait(), 3)


async def test_draining_without_the_servers_help_closes_with_1012_too(running: Running) -> None:
    async with running.connect() as client:
        running.drain.begin()
        assert (await closed(client))[0] == 1012


async def test_an_overflow_is_an_error_frame_with_the_cursor_then_4429(running: Running) -> None:
    async with running.connect() as client:
        running.edges.feed.steps.put_nowait(SlowConsumer(65536, "the-cursor"))
        said = json.loads(await client.recv())
        assert said["error"]["code"] == "SLOW_CONSUMER"
        assert said["error"]["details"] == {"cursor": "the-cursor"}
        assert (await closed(client))[0] == 4429


async def test_a_failure_nobody_foresaw_closes_with_1011(running: Running) -> None:
    async with running.connect() as client:
        running.edges.feed.steps.put_nowait(RuntimeError("secret"))
        code, reason = await closed(client)
    assert (code, "secret" in reason) == (1011, False)
    await asyncio.wait_for(running.edges.feed.closed.wait(), 3)


async def test_what_a_client_says_is_ignored(running: Running) -> None:
    async with running.connect() as client:
        for _ in range(50):
            await client.send("hello")
        running.edges.feed.put(1)
        assert json.loads(await client.recv())["event_id"] == "evt_1"


async def test_a_client_that_stops_reading_is_cut_off(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINGER_S", 0.2)
    token = ISSUER.issue("acme", ["reader"], 60)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1024)
    with contextlib.closing(writer):
        writer.write(
            b"GET /ws/events/orders HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            + f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        for position in range(200):
            running.edges.feed.put(position + 1, size=100_000)
        await asyncio.wait_for(running.edges.feed.closed.wait(), 5)
        async with asyncio.timeout(5):
            while running.server.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.02)
