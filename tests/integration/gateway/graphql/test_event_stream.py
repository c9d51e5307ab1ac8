"""GraphQL over server-sent events: ids, resuming by Last-Event-ID, heartbeats, ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.integration.gateway.graphql.conftest import World

LIVE = "subscription($f: From) { events(from: $f) { position payload cursor } }"
BEGINNING = {"beginning": True}


@asynccontextmanager
async def stream(
    world: World,
    query: str = LIVE,
    *,
    get: bool = False,
    init: dict[str, str] | None = None,
    variables: Any = None,
    **token: Any,
) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    headers = {"accept": "text/event-stream", **(init or {})}
    said = {"query": query, "variables": {"f": BEGINNING} if variables is None else variables}
    async with world.http(**token) as client:
        if get:
            asked = client.stream(
                "GET", "/graphql", params=said | {"variables": json.dumps(said["variables"])}, headers=headers
            )
        else:
            asked = client.stream("POST", "/graphql", json=said, headers=headers)
        async with asked as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            yield messages(response)


async def messages(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """Events with a name, as the specification's parser dispatches them; comments as {"": "…"}."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(":")
        if line:
            fields[name] = value.removeprefix(" ")
            continue
        if fields.keys() not in ({"retry"}, {"id"}):
            yield fields
        fields = {}


async def test_each_message_has_its_cursor_as_id_and_the_last_one_resumes(world: World) -> None:
    await world.publish(*range(4))
    for get in (False, True):
        async with stream(world, get=get) as heard:
            first = await anext(heard)
        assert first["event"] == "next"
        assert first["id"] == json.loads(first["data"])["data"]["events"]["cursor"]
        async with stream(world, get=get, init={"last-event-id": first["id"]}) as heard:
            assert json.loads((await anext(heard))["data"])["data"]["events"]["position"] == 2
    await world.idle()


async def test_what_is_published_before_a_quiet_stream_connects_again_is_not_lost(world: World) -> None:
    """A browser keeps an `id:` that stands alone (html.spec.whatwg.org, "dispatch the event", first step)."""
    said = {"query": LIVE, "variables": {"f": {"live": True}}}
    headers = {"accept": "text/event-stream"}
    async with world.http() as client:
        async with client.stream("POST", "/graphql", json=said, headers=headers) as response:
            place = ""
            async for line in response.aiter_lines():
                if line.startswith("id: "):
                    place = line.removeprefix("id: ")
                    break
    await world.publish(1)
    async with stream(world, variables={"f": {"live": True}}, init={"last-event-id": place}) as heard:
        assert json.loads((await anext(heard))["data"])["data"]["events"]["position"] == 1


async def test_clients_that_see_no_ids_ask_for_cursors_by_naming_resume(world: World) -> None:
    await world.publish(1)
    said = {"query": LIVE, "variables": {"f": BEGINNING}}
    async with world.http() as client:
        for extensions in ({"resume": {}}, None):
            asked = said | {"extensions": extensions}
            headers = {"accept": "text/event-stream"}
            async with client.stream("POST", "/graphql", json=asked, headers=headers) as response:
                event = await anext(messages(response))
                data = json.loads(event["data"])
            assert data.get("extensions") == ({"cursor": event["id"]} if extensions else None)


async def test_a_stream_goes_on_with_what_is_published(world: World) -> None:
    async with stream(world) as heard:
        for number in range(3):
            await world.publish(number)
            said: dict[str, str] = {"": ""}
            while "data" not in said:
                said = await anext(heard)
            assert json.loads(said["data"])["data"]["events"]["payload"] == {"n": number}
    await world.idle()


async def test_line_breaks_in_payloads_do_not_break_the_stream(world: World) -> None:
    event = b'{"eventType":"user.created","payload":{"a":\r\n\n "b\\n"}}'
    publish = b"mutation($e: EventInput!) { publishEvent(event: $e) { position } }"
    body = b'{"query":"' + publish + b'","variables":{"e":' + event + b"}}"
    async with world.http() as client:
        await client.post("/graphql", content=body, headers={"content-type": "application/json"})
    async with stream(world) as heard:
        assert json.loads((await anext(heard))["data"])["data"]["events"]["payload"] == {"a": "b\n"}


async def test_quiet_streams_beat(world: World) -> None:
    async with stream(world) as heard, asyncio.timeout(3):
        assert [await anext(heard) for _ in range(3)] == [{"": ""}] * 3


async def test_queries_mutations_and_mistakes_come_to_an_end(world: World) -> None:
    for query, has in (
        ("{ events(first: 1) { asOf } }", "data"),
        ("{ nothing }", "errors"),
        ("subscription { events(from: { live: false }) { eventId } }", "errors"),
        ('mutation { publishEvent(event: { eventType: "user.created", payload: 1 }) { position } }', "data"),
    ):
        async with stream(world, query, variables={}) as heard:
            said = [message async for message in heard if message != {"": ""}]
        assert [message["event"] for message in said] == ["next", "complete"]
        assert has in json.loads(said[0]["data"]), query


async def test_a_drained_stream_ends_without_complete(world: World) -> None:
    await world.publish(1)
    async with stream(world) as heard:
        await anext(heard)
        world.drain.begin()
        async with asyncio.timeout(3):
            assert [message async for message in heard if message != {"": ""}] == []
    await world.idle()


async def test_a_stream_ends_when_its_token_does(world: World) -> None:
    async with stream(world, ttl=1.0) as heard, asyncio.timeout(3):
        assert [message async for message in heard if message != {"": ""}] == []
    await world.idle()


async def test_a_tenant_has_a_limit(world: World) -> None:
    async with world.opened() as one, world.opened() as two:
        for client, many in ((one, 5), (two, 3)):
            for number in range(many):
                await client.subscribe("subscription { feed { __typename } }", id=f"{number}")
                await client.hear()
        async with stream(world) as heard:
            said = await anext(heard)
        assert json.loads(said["data"])["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
