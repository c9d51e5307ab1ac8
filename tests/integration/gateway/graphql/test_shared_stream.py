"""GraphQL over one event stream for many operations: reserve, open, run, stop, and who may do so."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.integration.gateway.graphql.conftest import LIMITS, World
from tests.integration.gateway.graphql.test_event_stream import messages

LIVE = "subscription($f: From) { events(from: $f) { position payload } }"
BEGINNING = {"beginning": True}
TOKEN = "x-graphql-event-stream-token"
PUBLISH = "mutation($e: EventInput!) { publishEvent(event: $e) { position } }"


class Shared:
    """A client with one reservation."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self.http = http
        self.token = token
        self._events: AsyncIterator[dict[str, str]]

    async def ask(self, query: str, id: Any = "1", headers: Any = None, **variables: Any) -> httpx.Response:
        said = {"query": query, "variables": variables, "extensions": {"operationId": id}}
        return await self.http.post("/graphql", json=said, headers={TOKEN: self.token, **(headers or {})})

    async def stop(self, id: str) -> httpx.Response:
        return await self.http.delete("/graphql", params={"operationId": id}, headers={TOKEN: self.token})

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        headers = {TOKEN: self.token, "accept": "text/event-stream"}
        async with self.http.stream("GET", "/graphql", headers=headers) as response:
            assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
            self._events = messages(response)
            yield

    async def hear(self) -> tuple[str, Any]:
        """The next message: its kind and its data."""
        async with asyncio.timeout(5):
            while "event" not in (said := await anext(self._events)):
                pass
        return said["event"], json.loads(said["data"])

    async def ended(self) -> bool:
        """Whether the stream ends now, without another message."""
        async with asyncio.timeout(5):
            return not [said async for said in self._events if "event" in said]


@asynccontextmanager
async def reserved(world: World, **token: Any) -> AsyncIterator[Shared]:
    async with world.http(**token) as http:
        answer = await http.put("/graphql")
        assert (answer.status_code, answer.headers["content-type"]) == (201, "text/plain; charset=utf-8")
        yield Shared(http, answer.text)


async def test_many_operations_answer_on_one_stream(world: World) -> None:
    async with reserved(world) as shared, shared.opened():
        assert (await shared.ask(LIVE, "live", f=BEGINNING)).status_code == 202
        event = {"eventType": "user.created", "payload": {"n": 1}}
        assert (await shared.ask(PUBLISH, "publish", e=event)).status_code == 202
        heard = [await shared.hear() for _ in range(3)]
        assert ("complete", {"id": "publish"}) in heard
        payloads = {data["id"]: data["payload"] for kind, data in heard if kind == "next"}
        assert payloads["publish"]["data"] == {"publishEvent": {"position": 1}}
        assert payloads["live"]["data"]["events"] == {"position": 1, "payload": {"n": 1}}
        assert (await shared.stop("live")).status_code == 200
        assert (await shared.stop("live")).status_code == 200, "it has ended before, which is what was asked for"
        await world.idle()
        resume = {"operationId": "again", "resume": {"cursor": payloads["live"]["extensions"]["cursor"]}}
        said = {"query": LIVE, "variables": {"f": BEGINNING}, "extensions": resume}
        assert (await shared.http.post("/graphql", json=said, headers={TOKEN: shared.token})).status_code == 202
        await world.publish(2)
        assert (await shared.hear())[1]["payload"]["data"]["events"]["position"] == 2
    await world.idle()


async def test_operations_asked_for_before_the_stream_is_open_run_once_it_is(world: World) -> None:
    event = {"eventType": "user.created", "payload": {"n": 1}}
    async with reserved(world) as shared:
        assert (await shared.ask(PUBLISH, "1", e=event)).status_code == 202
        assert (await shared.ask(PUBLISH, "2", e=event)).status_code == 202
        assert (await shared.stop("2")).status_code == 200
        async with shared.opened():
            assert (await shared.hear())[1]["payload"]["data"] == {"publishEvent": {"position": 1}}
            assert await shared.hear() == ("complete", {"id": "1"})
            await shared.ask("{ __typename }", "3")
            assert (await shared.hear())[1]["id"] == "3"


async def test_a_token_opens_one_stream(world: World) -> None:
    async with reserved(world) as shared:
        async with shared.opened():
            for method in ("GET", "POST"):
                headers = {TOKEN: shared.token, "accept": "text/event-stream"}
                assert (await shared.http.request(method, "/graphql", headers=headers)).status_code == 409
            await shared.ask(LIVE, f=BEGINNING)
            assert (await shared.ask(LIVE, f=BEGINNING)).status_code == 409
        await world.idle()
        headers = {TOKEN: shared.token, "accept": "text/event-stream"}
        async with asyncio.timeout(5):
            while (answer := await shared.ask(LIVE)).status_code != 404:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        assert (await shared.http.get("/graphql", headers=headers)).status_code == 404


async def test_the_token_proves_nothing(world: World) -> None:
    async with reserved(world) as shared, shared.opened():
        stream = {TOKEN: shared.token}
        async with httpx.AsyncClient(base_url=shared.http.base_url) as nobody:
            for headers in (
                stream,
                stream | {"accept": "text/event-stream"},
                stream | {"authorization": "Bearer x.y.z"},
            ):
                assert (await nobody.get("/graphql", headers=headers)).status_code == 401
                assert (await nobody.delete("/graphql", headers=headers)).status_code == 401
            assert (await nobody.put("/graphql")).status_code == 401
        for other in ({"tenant": "other"}, {"role": "reader"}):
            async with world.http(**other) as http:
                theirs = Shared(http, shared.token)
                assert (await theirs.ask(LIVE, "x", f=BEGINNING)).status_code == 404
                assert (await theirs.stop("x")).status_code == 404
                assert (await http.get("/graphql", headers=stream | {"accept": "text/event-stream"})).status_code == 404
        async with world.http() as http:
            assert (await Shared(http, shared.token).ask("{ __typename }")).status_code == 202


async def test_what_is_malformed_is_refused_and_what_cannot_run_says_so_on_the_stream(world: World) -> None:
    async with reserved(world) as shared, shared.opened():
        post = shared.http.post
        headers = {TOKEN: shared.token}
        for said in ({"query": "{ __typename }"}, {"extensions": {"operationId": "1"}}, [],
                     {"query": "{ __typename }", "extensions": {"operationId": "x" * 257}}):  # fmt: skip
            assert (await post("/graphql", json=said, headers=headers)).status_code == 400, said
        assert (await shared.http.delete("/graphql", headers=headers)).status_code == 400
        params = {"query": PUBLISH, "extensions": '{"operationId":"1"}'}
        assert (await shared.http.get("/graphql", params=params, headers=headers)).status_code == 405
        assert (await shared.http.put("/graphql", headers={"accept": "image/png"})).status_code == 406
        assert (await shared.http.patch("/graphql", headers=headers)).status_code == 405
        for query in ("{ nothing }", "subscription { events(from: { live: false }) { eventId } }"):
            assert (await shared.ask(query)).status_code == 202
            assert (await shared.hear())[1]["payload"]["errors"][0]["extensions"]["code"] == "BAD_INPUT"
            assert await shared.hear() == ("complete", {"id": "1"})
        newer = {"accept": "application/graphql-response+json"}
        answer = await shared.ask("{ nothing }", headers=newer)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_INPUT")


async def test_operations_of_a_stream_are_bounded(world: World) -> None:
    async with reserved(world) as shared:
        for number in range(LIMITS.operations_per_connection):
            assert (await shared.ask(LIVE, f"{number}")).status_code == 202
        assert (await shared.ask(LIVE, "more")).status_code == 429
        async with shared.opened():
            async with asyncio.timeout(5):
                while world.endpoint.subscriptions() < LIMITS.operations_per_connection:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert (await shared.ask(LIVE, "more")).status_code == 429
            await shared.stop("0")
            assert (await shared.ask(LIVE, "more")).status_code == 202
    await world.idle()


async def test_large_operations_do_not_wait_for_a_stream_that_may_never_be_opened(world: World) -> None:
    event = {"eventType": "user.created", "payload": {"large": "x" * 40_000}}
    async with reserved(world) as shared:
        assert (await shared.ask(PUBLISH, "1", e=event)).status_code == 202
        assert (await shared.ask(PUBLISH, "2", e=event)).status_code == 429
        async with shared.opened():
            assert await shared.hear() is not None
            assert await shared.hear() == ("complete", {"id": "1"})
            assert (await shared.ask(PUBLISH, "2", e=event)).status_code == 202
            assert (await shared.hear())[1]["payload"]["data"] == {"publishEvent": {"position": 2}}


async def test_reservations_are_bounded_and_do_not_wait_for_ever(world: World) -> None:
    async with world.http() as http:
        async with asyncio.timeout(10):
            tokens = [(await http.put("/graphql")).text for _ in range(LIMITS.reservations_per_tenant)]
            while (refused := await http.put("/graphql")).status_code == 201:
                tokens.append(refused.text)  # on a slow machine the first ones have expired by now
            assert refused.status_code == 429
            async with world.http(tenant="other") as theirs:
                assert (await theirs.put("/graphql")).status_code == 201
            while (await Shared(http, tokens[0]).ask(LIVE)).status_code != 404:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            while (await http.put("/graphql")).status_code != 201:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_a_page_of_another_origin_may_not_open_it(world: World) -> None:
    async with reserved(world) as shared:
        headers = {TOKEN: shared.token, "accept": "text/event-stream", "origin": "https://evil.example"}
        assert (await shared.http.get("/graphql", headers=headers)).status_code == 403


async def test_the_token_may_stand_in_the_url(world: World) -> None:
    async with reserved(world) as shared:
        params = {"token": shared.token}
        async with shared.http.stream(
            "GET", "/graphql", params=params, headers={"accept": "text/event-stream"}
        ) as response:
            said = {"query": "{ __typename }", "extensions": {"operationId": "1"}}
            assert (await shared.http.post("/graphql", params=params, json=said)).status_code == 202
            heard = messages(response)
            while "event" not in (event := await anext(heard)):
                pass
            assert json.loads(event["data"])["payload"] == {"data": {"__typename": "Query"}, "extensions": {"cost": 0}}


async def test_it_ends_with_the_token_of_whoever_opened_it(world: World) -> None:
    async with reserved(world, ttl=1.5) as shared, shared.opened():
        await shared.ask(LIVE)
        assert await shared.ended()
    await world.idle()


async def test_a_fresh_token_of_the_same_caller_keeps_it_open(world: World) -> None:
    async with reserved(world, ttl=2.0) as shared, shared.opened():
        await shared.ask(LIVE, "live", f=BEGINNING)
        shared.http.headers["authorization"] = f"Bearer {world.token(ttl=60)}"
        assert (await shared.ask("{ __typename }", "fresh")).status_code == 202
        async with world.http(ttl=2.0) as old:  # by when this one is refused, the first one has expired as well
            while (await old.get("/graphql", params={"query": "{ __typename }"})).status_code != 401:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await world.publish(1)
        heard = [await shared.hear() for _ in range(3)]
        assert [data["payload"]["data"]["events"] for _, data in heard if data["id"] == "live"] == [
            {"position": 1, "payload": {"n": 1}}
        ]
    await world.idle()


async def test_draining_ends_it_without_completing_anything(world: World) -> None:
    await world.publish(1)
    async with reserved(world) as shared, shared.opened():
        await shared.ask(LIVE, f=BEGINNING)
        await shared.hear()
        world.drain.begin()
        assert await shared.ended()
    await world.idle()
