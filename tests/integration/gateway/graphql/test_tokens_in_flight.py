"""Tokens while they are in use: expiring, revoked, renewed in band, over real sockets and a real PostgreSQL."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.auth.unverified import peek
from schema.errors import ErrorCode
from tests.integration.gateway.graphql.conftest import Client, World

EVENTS = "subscription { events { position } }"
REVOKE = "mutation($r: RevocationInput!) { revokeTokens(revocation: $r) { tokenId subject client revokedBy reason } }"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def token_of(world: World, *, subject: str = "ann", role: str = "admin", ttl: float = 60, tenant: str = "acme") -> str:
    return world.issuer.issue(tenant, [role], ttl, subject=subject, client="shop")


def id_of(token: str) -> str:
    return str(peek(token)[1]["jti"])


async def renew(client: Client, token: str) -> dict[str, Any]:
    """Show a token; the pong. What else comes meanwhile goes to `client.early`."""
    await client.say("ping", payload=bearer(token))
    while (message := await client.hear())["type"] != "pong":
        assert message["type"] == "next", message
        client.early.append(message)  # type: ignore[attr-defined]
    return dict(message["payload"])


@contextlib.asynccontextmanager
async def opened(world: World, token: str) -> AsyncIterator[Client]:
    async with world.opened(bearer(token)) as client:
        client.early = []  # type: ignore[attr-defined]
        yield client


async def revoke(world: World, **what: Any) -> Any:
    return (await world.data(REVOKE, {"r": what}))["revokeTokens"]


async def status(world: World, token: str) -> tuple[int, dict[str, Any]]:
    async with world.http() as client:
        answer = await client.post("/graphql", json={"query": "{ streams { nodes { id } } }"}, headers=bearer(token))
    return answer.status_code, answer.json()


async def test_a_socket_ends_with_its_token_idle_or_streaming(world: World) -> None:
    async with opened(world, token_of(world, ttl=2)) as idle, opened(world, token_of(world, ttl=2)) as busy:
        await busy.subscribe(EVENTS)
        publishing = asyncio.create_task(publish_on(world))
        assert await idle.closed() == 4403
        with contextlib.suppress(Exception):
            while True:
                await busy.hear()
        assert await busy.closed() == 4403
        assert busy.raw.close_reason == "the token has expired"
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
    await world.idle()


async def publish_on(world: World) -> None:
    for number in range(10_000):
        await world.publish(number)


async def test_an_event_stream_ends_with_its_token_and_says_no_complete(world: World) -> None:
    token = token_of(world)
    headers = {**bearer(token), "accept": "text/event-stream"}
    async with world.http() as client:
        async with client.stream("POST", "/graphql", json={"query": EVENTS}, headers=headers) as stream:
            lines = stream.aiter_lines()
            while not (await anext(lines)).startswith(":"):
                pass
            await revoke(world, tokenId=id_of(token))
            rest = [line async for line in lines]
    assert not [line for line in rest if line.startswith("event: complete")]


@pytest.mark.parametrize("by", ["tokenId", "subject", "client"])
async def test_a_revoked_token_opens_nothing_and_ends_what_it_held(world: World, by: str) -> None:
    token, other = token_of(world), world.issuer.issue("acme", ["admin"], 60, subject="bob")
    named = {"tokenId": id_of(token), "subject": "ann", "client": "shop"}[by]
    async with opened(world, token) as held, opened(world, other) as neighbour:
        await held.subscribe(EVENTS)
        made = await revoke(world, **{by: named}, reason="lost")
        assert made == {"tokenId": None, "subject": None, "client": None, by: named} | {
            "revokedBy": "local",
            "reason": "lost",
        }
        assert await held.closed() == 4403
        assert held.raw.close_reason == "the token was revoked"
        await neighbour.say("ping")
        assert (await neighbour.hear())["type"] == "pong"
    code, answer = await status(world, token)
    assert code == 401
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert "revoked" in answer["errors"][0]["message"]
    async with world.socket() as raw:
        again = Client(raw)
        await again.say("connection_init", payload=bearer(token))
        assert await again.closed() == 4403
    fresh = token_of(world)  # issued after the revocation
    assert (await status(world, fresh))[0] == 200


async def test_revoking_is_for_those_who_manage_all_but_anybody_may_give_up_his_own(world: World) -> None:
    mine, his = token_of(world, role="reader"), token_of(world, subject="bob")
    refused = []
    for what in ({"tokenId": id_of(his)}, {"subject": "bob"}, {"client": "shop"}):
        async with world.http() as client:
            body = {"query": REVOKE, "variables": {"r": what}}
            answer = (await client.post("/graphql", json=body, headers=bearer(mine))).json()
        refused.append(answer["errors"][0]["extensions"]["code"])
    assert refused == ["FORBIDDEN"] * 3
    async with world.http() as client:
        body = {"query": REVOKE, "variables": {"r": {"tokenId": id_of(mine)}}}
        answer = (await client.post("/graphql", json=body, headers=bearer(mine))).json()
    assert answer["data"]["revokeTokens"]["revokedBy"] == "ann"
    assert (await status(world, mine))[0] == 401
    assert (await status(world, his))[0] == 200


async def test_a_tenants_revocation_is_nothing_to_another(world: World) -> None:
    token = token_of(world, tenant="other")
    await revoke(world, subject="ann")
    await revoke(world, tokenId=id_of(token))
    assert (await status(world, token))[0] == 200


@pytest.mark.parametrize("what", [{}, {"tokenId": "a", "subject": "b"}, {"subject": ""}, {"subject": None}])
async def test_it_must_be_said_what_to_revoke(world: World, what: dict[str, Any]) -> None:
    assert await world.code(REVOKE, {"r": what}) == ErrorCode.BAD_INPUT


async def test_twenty_tokens_one_after_the_other_lose_and_repeat_nothing(world: World) -> None:
    """Each earlier token is revoked as soon as the next is shown: the connection lives by the newest alone."""
    token = token_of(world)
    total = 400
    async with opened(world, token) as client:
        await client.subscribe("subscription { events { payload } }", id="compiled")
        await client.subscribe("subscription { events { payload cause { eventId } } }", id="executed")
        publishing = asyncio.create_task(publish_all(world, total))
        for _ in range(20):
            token, old = token_of(world), token
            said = await renew(client, token)
            assert said["authorized"] is True
            assert said["expiresAt"].endswith("Z")
            await revoke(world, tokenId=id_of(old))
        await publishing
        got: dict[str, list[int]] = {"compiled": [], "executed": []}
        early = iter(client.early)  # type: ignore[attr-defined]
        while any(len(each) < total for each in got.values()):
            message = next(early, None) or await client.hear()
            got[message["id"]].append(message["payload"]["data"]["events"]["payload"]["n"])
    assert got == {"compiled": list(range(total)), "executed": list(range(total))}


async def publish_all(world: World, total: int) -> None:
    for number in range(0, total, 4):
        await world.publish(*range(number, number + 4))


async def test_a_ping_without_a_token_is_only_a_ping(world: World) -> None:
    async with opened(world, token_of(world)) as client:
        for payload in ({"a": 1}, {"authorization": None}, {"authorization": 5}, "text", None, [1]):
            await client.say("ping", payload=payload)
            answer = await client.hear()
            assert answer == {"type": "pong"} | ({} if payload is None else {"payload": payload})


async def test_a_token_that_may_not_go_on_closes_the_socket(world: World) -> None:
    revoked = token_of(world)
    await revoke(world, tokenId=id_of(revoked))
    for bad in (
        token_of(world, subject="bob"),
        token_of(world, tenant="other"),
        "no.token.atall",
        token_of(world, ttl=0.001),
        revoked,
    ):
        async with opened(world, token_of(world)) as client:
            await client.subscribe(EVENTS)
            await client.say("ping", payload=bearer(bad))
            assert await client.closed() == 4403
    await world.idle()


async def test_a_token_shown_before_the_acknowledgement_is_refused(world: World) -> None:
    async with world.socket() as raw:
        client = Client(raw)
        await client.say("ping", payload=bearer(token_of(world)))
        assert await client.closed() == 4401


async def test_with_fewer_grants_only_what_they_do_not_cover_ends(world: World) -> None:
    await world.publish(1)
    async with opened(world, token_of(world)) as client:
        await client.subscribe('subscription { events(streams: ["user-events"]) { payload } }', id="users")
        await client.subscribe('subscription { events(streams: ["order-events"]) { payload } }', id="orders")
        await client.subscribe("subscription { feed { __typename cursor } }", id="all")
        caught_up = await client.hear()
        assert caught_up["payload"]["data"]["feed"]["__typename"] == "CaughtUp"
        await client.say("ping", payload=bearer(token_of(world, role="users-only")))
        heard = {message.get("id", "pong"): message for message in [await client.hear() for _ in range(3)]}
        assert heard["pong"]["payload"]["authorized"] is True
        for ended in ("orders", "all"):
            assert heard[ended]["type"] == "error"
            extensions = heard[ended]["payload"][0]["extensions"]
            assert extensions["code"] == "FORBIDDEN"
            assert extensions["details"]["cursor"]
        await world.publish(2)
        assert (await client.next())["data"] == {"events": {"payload": {"n": 2}}}
        # what begins now begins with the new token
        await client.subscribe('subscription { events(streams: ["order-events"]) { payload } }', id="again")
        refusal = await client.hear()
        assert (refusal["id"], refusal["payload"][0]["extensions"]["code"]) == ("again", "FORBIDDEN")
        # and with a good one again, nothing is missed from the cursor on
        assert (await renew(client, token_of(world)))["authorized"] is True
        await world.publish(3, kind="order.placed")
        cursor = heard["all"]["payload"][0]["extensions"]["details"]["cursor"]
        query = "subscription($c: Cursor!) { events(from: {cursor: $c}) { payload } }"
        await client.subscribe(query, id="resumed", c=cursor)
        assert [(await client.next())["data"]["events"]["payload"]["n"] for _ in range(2)] == [2, 3]


async def test_a_body_that_arrives_after_its_token_was_revoked_does_nothing(world: World) -> None:
    token = token_of(world)
    query = 'mutation { publishEvent(event: {eventType: "user.late", payload: 1}) { position } }'
    body = json.dumps({"query": query}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    with contextlib.closing(writer):
        head = (
            f"POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        )
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:20])
        await writer.drain()
        await revoke(world, tokenId=id_of(token))
        writer.write(body[20:])
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
    assert b" 401 " in answer
    query = '{ events(where: {eventType: {eq: "user.late"}}) { nodes { position } } }'
    assert (await world.data(query))["events"]["nodes"] == []
