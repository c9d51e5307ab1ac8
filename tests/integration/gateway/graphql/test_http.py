"""GraphQL over HTTP: media types, statuses, and what every error carries."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.integration.gateway.graphql.conftest import World

GRAPHQL_JSON = "application/graphql-response+json"
PUBLISH = "mutation($e: EventInput!) { publishEvent(event: $e) { eventId position sequenceNumber duplicate } }"
GOOD = {"eventType": "user.created", "aggregateType": "User", "aggregateId": "u1", "payload": {"n": 1}}


async def post(world: World, body: bytes, *, accept: str = "application/json", **headers: str) -> httpx.Response:
    said = {"content-type": "application/json", "accept": accept} | {k.replace("_", "-"): v for k, v in headers.items()}
    async with world.http() as client:
        return await client.post("/graphql", content=body, headers=said)


async def test_a_publish_is_answered_with_its_place(world: World) -> None:
    first = await world.data(PUBLISH, {"e": GOOD})
    second = await world.data(PUBLISH, {"e": GOOD})
    assert [x["publishEvent"]["position"] for x in (first, second)] == [1, 2]
    assert second["publishEvent"]["sequenceNumber"] == 2


@pytest.mark.parametrize(
    ("body", "as_json", "as_graphql"),
    [
        (b"{", 400, 400),
        (b"", 400, 400),
        (b"[]", 400, 400),
        (b'"x"', 400, 400),
        (b"{}", 400, 400),
        (b'{"query":1}', 400, 400),
        (b'{"query":"{__typename}","variables":[]}', 400, 400),
        (b'{"query":"{__typename}","variables":"x"}', 400, 400),
        (b'{"query":"{__typename}","operationName":[]}', 400, 400),
        (b'{"query":"{__typename}","extensions":7}', 400, 400),
        (b'{"query":"\xff"}', 400, 400),
        (b'{"query":"{__typename}","variables":null,"operationName":null,"extensions":null}', 200, 200),
        (b'{"query":"{__typename}","surplus":1}', 200, 200),
        (b'{"query":"{nothing{here"}', 200, 400),
        (b'{"query":"{nothing}"}', 200, 400),
        (b'{"query":"query($a: Int!) { events(first: $a) { asOf } }"}', 200, 400),
        (b'{"query":"query($a: Int!) { events(first: $a) { asOf } }","variables":{"a":"x"}}', 200, 400),
        (b'{"query":"subscription { events { eventId } }"}', 200, 400),
        (b'{"query":"{ events(first: 0) { asOf } }"}', 200, 200),
    ],
)
async def test_statuses_and_codes(world: World, body: bytes, as_json: int, as_graphql: int) -> None:
    for accept, status in (("application/json", as_json), (GRAPHQL_JSON, as_graphql)):
        answer = await post(world, body, accept=accept)
        assert answer.status_code == status, (accept, answer.text)
        assert answer.headers["content-type"] == f"{accept}; charset=utf-8"
        for error in answer.json().get("errors", []):
            assert error["extensions"]["code"] == "BAD_INPUT"
            assert set(error["extensions"]) == {"code", "retryable", "retryAfterMs", "requestId", "details"}
            assert error["extensions"]["requestId"] == answer.headers["x-request-id"]


async def test_what_cannot_be_sent_or_answered_is_refused(world: World) -> None:
    async with world.http() as client:
        text = await client.post("/graphql", content=b"{}", headers={"content-type": "text/plain"})
        none = await client.post("/graphql", content=b"{}", headers={"content-type": ""})
        image = await client.post("/graphql", json={"query": "{__typename}"}, headers={"accept": "image/png"})
        patch = await client.patch("/graphql", json={"query": "{__typename}"})
    assert (text.status_code, none.status_code, image.status_code, patch.status_code) == (415, 415, 406, 405)
    assert patch.headers["allow"] == "GET, POST, PUT, DELETE"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(world.app), base_url="http://test") as client:
        headers = {"authorization": f"Bearer {world.token()}", "content-type": "application/json"}
        large = await client.post("/graphql", content=b" " * (9 * 1024 * 1024 + 1), headers=headers)
    assert large.status_code == 413
    assert large.json()["errors"][0]["extensions"]["code"] == "PAYLOAD_TOO_LARGE"


async def test_queries_may_be_sent_by_get_and_mutations_may_not(world: World) -> None:
    async with world.http() as client:
        query = {
            "query": "query q($i: ID!) { event(eventId: $i) { eventId } }",
            "variables": '{"i":"evt_x"}',
            "operationName": "q",
        }
        found = await client.get("/graphql", params=query)
        changed = await client.get("/graphql", params={"query": PUBLISH, "variables": json.dumps({"e": GOOD})})
        broken = await client.get("/graphql", params={"query": "{__typename}", "variables": "{"})
        nothing = await client.get("/graphql")
    assert found.json()["data"] == {"event": None}
    assert (changed.status_code, broken.status_code, nothing.status_code) == (405, 200, 400)
    assert broken.json()["errors"][0]["extensions"]["code"] == "BAD_INPUT"
    assert changed.headers["allow"] == "GET, POST, PUT, DELETE"
    assert not (await world.data("{ events { nodes { eventId } } }"))["events"]["nodes"]


async def test_nobody_comes_in_without_a_token(world: World) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{world.port}") as client:
        for headers in ({}, {"authorization": "Bearer x.y.z"}, {"authorization": "Basic eDp5"}):
            for accept in ("application/json", GRAPHQL_JSON, "text/event-stream"):
                answer = await client.post(
                    "/graphql", json={"query": "{__typename}"}, headers={**headers, "accept": accept}
                )
                assert answer.status_code == 401
                assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
                assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_slow_body_does_not_outlive_the_token(world: World) -> None:
    token, body = world.token(ttl=1.5), json.dumps({"query": PUBLISH, "variables": {"e": GOOD}}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    head = f"POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:-1])
    async with asyncio.timeout(20), world.http() as client:
        client.headers["authorization"] = f"Bearer {token}"
        while (await client.post("/graphql", json={"query": "{ __typename }"})).status_code != 401:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        writer.write(body[-1:])
        assert (await reader.readline()).split()[1] == b"401"
    writer.close()
    assert not (await world.data("{ events { nodes { eventId } } }"))["events"]["nodes"]


async def test_refusals_of_the_use_case_carry_their_code(world: World) -> None:
    assert await world.code(PUBLISH, {"e": GOOD | {"eventType": "no spaces !"}}) == "BAD_INPUT"
    assert await world.code(PUBLISH, {"e": GOOD | {"stream": "none"}}) == "UNKNOWN_STREAM"
    assert await world.code(PUBLISH, {"e": GOOD | {"expectedSequence": 7}}) == "SEQUENCE_CONFLICT"
    assert await world.code(PUBLISH, {"e": GOOD | {"payload": {"x": "y" * 1_000_000}}}) == "PAYLOAD_TOO_LARGE"
    assert await world.code(PUBLISH, {"e": GOOD}, role="reader") == "FORBIDDEN"
    assert (
        await world.code("query($w: EventFilter) { events(where: $w) { asOf } }", {"w": {"expression": "(>"}})
        == "BAD_INPUT"
    )
    assert await world.code('{ events(after: "nonsense") { asOf } }') == "CURSOR_INVALID"
    assert await world.code("{ events(first: 1001) { asOf } }") == "BAD_INPUT"


async def test_an_error_names_its_field_and_its_place(world: World) -> None:
    answer = await world.ask(
        "mutation($e: EventInput!) { made: publishEvent(event: $e) { eventId } }", {"e": GOOD | {"stream": "no"}}
    )
    (error,) = answer["errors"]
    assert answer["data"] is None
    assert error["path"] == ["made"]
    assert error["locations"] == [{"line": 1, "column": 29}]


async def test_what_nobody_foresaw_is_told_by_its_request_id_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(world.services.admission, "publish_one", broken)
    monkeypatch.setattr(world.services.events, "placed", broken)
    answers = [
        await world.ask(PUBLISH, {"e": GOOD}),
        await world.ask('{ event(eventId: "evt_1") { eventId } }'),
        await world.ask(PUBLISH.replace("eventId", "...f") + " fragment f on Receipt { eventId }", {"e": GOOD}),
    ]
    for answer in answers:
        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "INTERNAL"
        assert "secret" not in json.dumps(answer)


async def test_an_operation_that_may_return_too_much_is_refused(world: World) -> None:
    query = "query($n: Int) { events(first: $n) { nodes { effects(first: $n) { nodes { eventId } } } } }"
    answer = await world.ask(query, {"n": 300})
    assert answer["errors"][0]["extensions"]["code"] == "TOO_COMPLEX"
    assert answer["errors"][0]["extensions"]["details"]["limit"] == 50_000
    assert (await world.ask(query, {"n": 3}))["extensions"]["cost"] == 16
