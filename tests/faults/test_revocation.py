"""Tokens revoked on one gateway end what another one holds open, also when no signal ever arrives."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.faults.conftest import StartGateway
from tests.services.gateway import GatewayProcess

pytestmark = pytest.mark.embedded_only

REVOKE = "mutation($r: RevocationInput!) { revokeTokens(revocation: $r) { revokedAt } }"
WITHIN_S = 10.0
"""The promise is two seconds; a busy machine gets some more before this test complains."""


@contextlib.asynccontextmanager
async def subscribed(gateway: GatewayProcess, token: str) -> AsyncIterator[ClientConnection]:
    address = f"{gateway.websocket_url}/graphql"
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        query = "subscription { feed { __typename } }"
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
        assert json.loads(await socket.recv())["payload"]["data"]["feed"]["__typename"] == "CaughtUp"
        yield socket


async def closed(socket: ClientConnection) -> int | None:
    async with asyncio.timeout(WITHIN_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code


async def ask(gateway: GatewayProcess, token: str, query: str, **variables: object) -> tuple[int, str]:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        body = {"query": query, "variables": variables}
        answer = await client.post(f"{gateway.url}/graphql", json=body, headers={"authorization": f"Bearer {token}"})
    return answer.status_code, answer.text


async def test_with_no_signal_at_all_another_gateway_refuses_within_seconds(
    database_url: str, start_gateway: StartGateway
) -> None:
    settings = {"ESB_POSTGRES_URL": database_url, "ESB_REDIS_URL": "redis://127.0.0.1:1"}
    here, there = await asyncio.gather(
        *(asyncio.to_thread(start_gateway, name, settings) for name in ("here", "there"))
    )
    admin, ann, bob, eve = await asyncio.gather(
        *(asyncio.to_thread(here.token, "t", "admin", "--subject", name) for name in ("admin", "ann", "bob", "eve"))
    )
    async with (
        subscribed(there, ann) as of_ann,
        subscribed(there, bob) as of_bob,
        subscribed(here, eve) as of_eve,
        subscribed(there, admin) as of_admin,
    ):
        assert (await ask(here, admin, REVOKE, r={"subject": "ann", "reason": "left"}))[0] == 200
        assert await closed(of_ann) == 4403
        # by the command line, which tells no gateway anything
        await asyncio.to_thread(here.esb, "revoke", "--token", bob, "--reason", "lost")
        assert await closed(of_bob) == 4403
        await asyncio.to_thread(here.esb, "revoke", "--subject", "eve", "--tenant", "t")
        assert await closed(of_eve) == 4403
        for gateway in (here, there):
            for token in (ann, bob, eve):
                code, answer = await ask(gateway, token, "{ streams { nodes { id } } }")
                assert (code, "revoked" in answer) == (401, True)
        await of_admin.send(json.dumps({"type": "ping"}))
        while json.loads(await of_admin.recv())["type"] != "pong":
            pass  # the feed says now and then how far it is
    again = await asyncio.to_thread(here.esb, "token", "--tenant", "t", "--subject", "ann")
    async with subscribed(there, again.split()[-1]):
        pass  # who was revoked may come back with a token issued since
