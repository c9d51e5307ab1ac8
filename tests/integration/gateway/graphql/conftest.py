"""GraphQL on a real server, real sockets and a real PostgreSQL: two streams of the tenant acme, one of other."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import httpx
import msgspec
import pytest
import uvicorn
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
from gateway.event_sourcing import Ground, aggregates, projections, replays, schemas
from gateway.graphql.endpoint import GraphQLEndpoint
from gateway.graphql.limits import ConnectionLimits
from gateway.http_protocol import HttpProtocol
from gateway.request_context import RequestContext
from gateway.server import Server
from gateway.telemetry import Tracing
from gateway.ws.protocol import SocketProtocol
from processors.admission.admission import Admission
from processors.admission.canonical import ContentHash
from processors.live.live import Live
from processors.query import EventQueries
from processors.readable import ReadableStreams
from processors.revocations import Revocations
from processors.stream_admin import StreamAdmin
from processors.token_admin import TokenAdmin
from resolvers.context import Services
from schema.identifier import IdentifierSource
from schema.principal import Action, Principal
from schema.stream_input import StreamInput
from store.database import Database
from store.ledger.reader import EventReader
from store.log.ledger import LedgerLogs
from store.log.logs import Logs
from store.registry import Registry, StreamCache
from store.revocations import RevocationRows
from store.signals.memory import memory_signals
from store.tenants import Tenants
from store.tickets import TicketRows
from tests.world import ADMIN, CODEC, Silent

KEY = b"k" * 32
ROLES = Roles({"users-only": {Action.READ: ["user-*"], Action.PUBLISH: ["user-*"]}})
LIMITS = ConnectionLimits(
    init_timeout_s=0.4,
    send_timeout_s=1.0,
    heartbeat_s=0.2,
    operations_per_connection=5,
    subscriptions_per_tenant=8,
    reservation_s=1.0,
    reservations_per_tenant=3,
)


def admin(tenant: str) -> Principal:
    return msgspec.structs.replace(ADMIN, tenant=tenant)


class World:
    """The running server and clients of it."""

    def __init__(self, services: Services, drain: Drain, endpoint: GraphQLEndpoint, database: Database) -> None:
        self.services, self.drain, self.endpoint, self.database = services, drain, endpoint, database
        self.issuer = TokenIssuer(KEY, ROLES)
        self.port = 0
        self.app: Starlette
        self.server: Server

    def token(self, tenant: str = "acme", role: str = "admin", ttl: float = 60) -> str:
        return self.issuer.issue(tenant, [role], ttl)

    def http(self, **token: Any) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self.token(**token)}"}
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=10, verify=False)

    async def ask(self, query: str, variables: dict[str, Any] | None = None, **token: Any) -> dict[str, Any]:
        async with self.http(**token) as client:
            answer = await client.post("/graphql", json={"query": query, "variables": variables or {}})
        assert answer.status_code == 200, answer.text
        return cast(dict[str, Any], answer.json())

    async def data(self, query: str, variables: dict[str, Any] | None = None, **token: Any) -> Any:
        answer = await self.ask(query, variables, **token)
        assert "errors" not in answer, answer
        return answer["data"]

    async def code(self, query: str, variables: dict[str, Any] | None = None, **token: Any) -> str:
        answer = await self.ask(query, variables, **token)
        return str(answer["errors"][0]["extensions"]["code"])

    async def publish(self, *numbers: int, aggregate: str = "u1", kind: str = "user.created", **more: Any) -> list[Any]:
        """Events with payload {"n": number}; their receipts."""
        owner = "Order" if kind.startswith("order.") else "User"
        said = [
            {"eventType": kind, "aggregateType": owner, "aggregateId": aggregate, "payload": {"n": number}} | more
            for number in numbers
        ]
        query = "mutation($e: [EventInput!]!) { publishEvents(events: $e) { receipts { eventId position cursor } } }"
        receipts = list((await self.data(query, {"e": said}))["publishEvents"]["receipts"])
        assert len(receipts) == len(said)
        return receipts

    def socket(self, protocol: str = "graphql-transport-ws", **more: Any) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}/graphql", subprotocols=[protocol], max_size=None, **more)  # type: ignore[list-item]

    @asynccontextmanager
    async def opened(
        self, init: dict[str, Any] | None = None, *, narrow: bool = False, **token: Any
    ) -> AsyncIterator["Client"]:
        """An acknowledged client. `narrow`: the kernel holds next to nothing for it."""
        more = {"sock": narrow_socket(self.port)} if narrow else {}
        async with self.socket(**more) as raw:
            client = Client(raw)
            await client.say(
                "connection_init", payload={"authorization": f"Bearer {self.token(**token)}"} | (init or {})
            )
            assert (await client.hear())["type"] == "connection_ack"
            yield client

    async def idle(self) -> None:
        """Until no live subscription is left."""
        async with asyncio.timeout(5):
            while self.services.live.subscriptions or self.endpoint.subscriptions():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def narrow_socket(port: int) -> socket.socket:
    """A connection whose receive buffer is as small as the kernel allows."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.setblocking(False)
    return made


class Client:
    """A client that speaks graphql-transport-ws by hand."""

    def __init__(self, raw: ClientConnection) -> None:
        self.raw = raw

    async def say(self, kind: str, **more: Any) -> None:
        await self.raw.send(json.dumps({"type": kind, **more}))

    async def subscribe(self, query: str, id: str = "1", extensions: Any = None, **variables: Any) -> None:
        payload = {"query": query, "variables": variables} | ({"extensions": extensions} if extensions else {})
        await self.say("subscribe", id=id, payload=payload)

    async def hear(self, within: float = 5) -> dict[str, Any]:
        async with asyncio.timeout(within):
            return cast(dict[str, Any], json.loads(await self.raw.recv()))

    async def next(self) -> Any:
        message = await self.hear()
        assert message["type"] == "next", message
        return message["payload"]

    async def closed(self, within: float = 5) -> int | None:
        async with asyncio.timeout(within):
            await self.raw.wait_closed()
        return self.raw.close_code


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        database = Database(database_url)
        await database.start()
        stack.push_async_callback(database.close)
        tenants, drain, registry, signals = Tenants(database), Drain(), Registry(database_url), memory_signals()
        stack.push_async_callback(registry.close)
        await signals.start()
        stack.push_async_callback(signals.stop)
        views = StreamCache(registry, signals)
        streams = StreamAdmin(registry, views, signals, None, engines=())
        commits: list[Any] = []
        ledger = LedgerLogs(database, tenants, lambda commit: [listen(commit) for listen in commits] and None)
        await ledger.start()
        stack.push_async_callback(ledger.close)
        logs = Logs(ledger.get, tenants, {})
        reader, readable = EventReader(database), ReadableStreams(views)
        live = Live(reader, logs, tenants, CODEC)
        commits.append(live.on_commit)
        await live.start()
        stack.push_async_callback(live.stop)
        for tenant, name, pattern in (
            ("acme", "user-events", "user.**"),
            ("acme", "order-events", "order.**"),
            ("other", "user-events", "user.**"),
        ):
            await streams.create(admin(tenant), StreamInput(stream_name=name, event_patterns=[pattern]))
        ground = Ground(database, tenants, signals, views, readable, logs, reader, CODEC)
        payloads = schemas(ground)
        admission = Admission(
            views=views,
            pins=registry,
            logs=logs,
            codec=CODEC,
            hashes=ContentHash(b"h" * 32),
            recorder=Silent(),
            identifiers=IdentifierSource(),
            schemas=payloads.cache,
        )
        revocations = Revocations(RevocationRows(database), signals)
        await revocations.start()
        stack.push_async_callback(revocations.stop)
        sessions = Sessions(revocations.revoked)
        revocations.listen(sessions.recheck)
        await sessions.start()
        stack.push_async_callback(sessions.stop)
        folded = await aggregates(ground, live, stack)
        queries = EventQueries(reader, readable, tenants, logs, CODEC, walk_seconds=1.0, consistency_seconds=0.5)
        services = Services(
            admission=admission,
            streams=streams,
            tokens=TokenAdmin(revocations),
            readable=readable,
            events=queries,
            live=live,
            codec=CODEC,
            aggregates=folded.aggregates,
            following=folded.following,
            projections=await projections(ground, stack),
            replays=await replays(ground, admission, queries, stack),
            schemas=payloads.schemas,
        )
        authenticator = Authenticator(signing_key=KEY, roles=ROLES, revoked=revocations.revoked)
        tickets = Tickets(TicketRows(database))
        origins = Origins(["https://app.example"])
        endpoint = GraphQLEndpoint(
            services=services,
            authenticator=authenticator,
            credentials=Credentials(authenticator, tickets, origins),
            origins=origins,
            dev_token=lambda _: None,
            tracing=Tracing(),
            drain=drain,
            sessions=sessions,
            connection_limits=LIMITS,
        )
        await endpoint.start()
        stack.push_async_callback(endpoint.stop)
        made = World(services, drain, endpoint, database)
        app = Starlette(routes=endpoint.routes(), middleware=[Middleware(RequestContext)])
        made.app = app
        config = uvicorn.Config(
            app,
            http=HttpProtocol,
            ws=SocketProtocol,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=3,
        )
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        made.port = listener.getsockname()[1]
        server = made.server = Server(config, drain)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield made
        finally:
            server.should_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(serving, 10)
