"""Automatic persisted queries on a real server, over every way in (Apollo's protocol)."""

import json
from typing import Any

from gateway.graphql.persisted import hash_of
from tests.integration.gateway.graphql.conftest import World

QUERY = "{ __typename streams { nodes { streamName } } }"
FOLLOWING = "subscription($f: From) { events(from: $f) { payload } }"
GRAPHQL_JSON = {"accept": "application/graphql-response+json"}


def hashed(text: str, *, sent: bool = False, **more: Any) -> dict[str, Any]:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": hash_of(text)}}
    return {"extensions": extensions, **({"query": text} if sent else {}), **more}


async def ask(world: World, said: dict[str, Any], method: str = "POST") -> tuple[int, dict[str, Any]]:
    async with world.http() as client:
        if method == "POST":
            answer = await client.post("/graphql", json=said, headers=GRAPHQL_JSON)
        else:
            params = {name: value if isinstance(value, str) else json.dumps(value) for name, value in said.items()}
            answer = await client.get("/graphql", params=params, headers=GRAPHQL_JSON)
    return answer.status_code, answer.json()


def problem(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["errors"][0]["extensions"]["code"], answer["errors"][0]["message"]


async def test_a_document_is_sent_once_and_its_hash_from_then_on(world: World) -> None:
    status, answer = await ask(world, hashed(QUERY))
    assert (status, problem(answer)) == (404, ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"))
    assert (await ask(world, hashed(QUERY, sent=True)))[1]["data"]["__typename"] == "Query"
    for method in ("POST", "GET"):
        status, answer = await ask(world, hashed(QUERY), method)
        assert status == 200
        assert answer["data"]["streams"]["nodes"]


async def test_get_may_bring_the_document_too(world: World) -> None:
    assert (await ask(world, hashed(QUERY, sent=True), "GET"))[0] == 200
    assert (await ask(world, hashed(QUERY)))[0] == 200


async def test_a_hash_of_something_else_and_a_document_that_cannot_be_are_not_kept(world: World) -> None:
    lie = hashed(QUERY) | {"query": "{ __typename }"}
    assert problem((await ask(world, lie))[1])[0] == "BAD_INPUT"
    assert problem((await ask(world, hashed(QUERY)))[1])[0] == "PERSISTED_QUERY_NOT_FOUND"
    for broken in ("{ nothing }", "{"):
        assert problem((await ask(world, hashed(broken, sent=True)))[1])[0] == "BAD_INPUT"
        assert problem((await ask(world, hashed(broken)))[1])[0] == "PERSISTED_QUERY_NOT_FOUND"


async def test_a_mutation_behind_a_hash_is_none_for_get(world: World) -> None:
    mutation = 'mutation { deleteStream(name: "none") { stream { streamName } } }'
    await ask(world, hashed(mutation, sent=True))
    assert (await ask(world, hashed(mutation), "GET"))[0] == 405


async def test_sockets_and_event_streams_take_hashes(world: World) -> None:
    await world.publish(1)
    variables = {"f": {"beginning": True}}
    async with world.opened() as client:
        await client.say("subscribe", id="1", payload=hashed(FOLLOWING, variables=variables))
        refused = await client.hear()
        assert refused["type"] == "error"
        assert refused["payload"][0]["message"] == "PersistedQueryNotFound"
        await client.say("subscribe", id="2", payload=hashed(FOLLOWING, sent=True, variables=variables))
        assert (await client.hear())["payload"]["data"]["events"]["payload"] == {"n": 1}
        await client.say("subscribe", id="3", payload=hashed(FOLLOWING, variables=variables))
        assert (await client.hear())["id"] == "3"
    headers = {"accept": "text/event-stream"}
    async with (
        world.http() as http,
        http.stream("POST", "/graphql", json=hashed(FOLLOWING, variables=variables), headers=headers) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                break
    assert json.loads(line.removeprefix("data: "))["data"]["events"]["payload"] == {"n": 1}
