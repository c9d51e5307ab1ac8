"""Subscriptions as multipart answers: parts, heartbeats, cursors, and every way they end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.integration.gateway.graphql.conftest import World

# as Apollo Client sends it
ACCEPT = (
    "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,application/json;q=0.9"
)
LIVE = "subscription($f: From) { events(from: $f) { position payload } }"
BEGINNING = {"beginning": True}
DELIMITER = "\r\n--graphql"


class Parts:
    """Reads a multipart answer as a client does: a part is whole once the next delimiter is there."""

    def __init__(self, response: httpx.Response) -> None:
        self._text = response.aiter_text()
        self._buffer = "\r\n"
        self.ended = False

    async def next(self) -> Any:
        """The next part that is no heartbeat; None after the last delimiter."""
        while (part := await self._part()) == {}:
            pass
        return part

    async def _part(self) -> Any:
        async with asyncio.timeout(5):
            while self._buffer.count(DELIMITER) < 2 and not self.ended:
                self._buffer += await anext(self._text)
                self.ended = self._buffer.endswith(f"{DELIMITER}--\r\n")
        _, part, rest = self._buffer.split(DELIMITER, 2) if not self._over() else ("", "", "")
        if not part:
            return None
        self._buffer = DELIMITER + rest
        head, _, body = part.partition("\r\n\r\n")
        assert head == "\r\ncontent-type: application/json"
        return json.loads(body)

    def _over(self) -> bool:
        return self._buffer == f"{DELIMITER}--\r\n"


@asynccontextmanager
async def multipart(
    world: World, query: str = LIVE, extensions: Any = None, variables: Any = None, **token: Any
) -> AsyncIterator[Parts]:
    said = {"query": query, "variables": {"f": BEGINNING} if variables is None else variables, "extensions": extensions}
    async with world.http(**token) as client:
        async with client.stream("POST", "/graphql", json=said, headers={"accept": ACCEPT}) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0'
            yield Parts(response)


async def test_events_arrive_as_they_are_published_and_each_has_a_cursor_to_resume_from(world: World) -> None:
    async with multipart(world) as parts:
        payloads = []
        for number in range(3):
            await world.publish(number)
            payloads.append((await parts.next())["payload"])
    assert [payload["data"]["events"]["payload"]["n"] for payload in payloads] == [0, 1, 2]
    resume = {"resume": {"cursor": payloads[0]["extensions"]["cursor"]}}
    async with multipart(world, extensions=resume) as parts:
        assert (await parts.next())["payload"]["data"]["events"]["position"] == 2
    await world.idle()


async def test_quiet_answers_beat(world: World) -> None:
    async with multipart(world) as parts:
        assert [await parts._part() for _ in range(3)] == [{}] * 3


async def test_what_cannot_begin_says_why_and_ends(world: World) -> None:
    async with multipart(world, variables={"f": {"live": False}}) as parts:
        said = await parts.next()
        assert said["payload"]["errors"][0]["extensions"]["code"] == "BAD_INPUT"
        assert await parts.next() is None


@pytest.mark.parametrize("query", ["{ __typename }", "mutation { x }", "{ nothing"])
async def test_what_is_no_subscription_is_answered_as_one_document(world: World, query: str) -> None:
    async with world.http() as client:
        answer = await client.post("/graphql", json={"query": query}, headers={"accept": ACCEPT})
    assert answer.headers["content-type"] == "application/graphql-response+json; charset=utf-8"
    assert answer.status_code == (200 if "__typename" in query else 400)
    assert set(answer.json()) & {"data", "errors"}


async def test_a_client_that_names_a_stream_among_others_gets_one_for_subscriptions(world: World) -> None:
    await world.publish(1)
    accept = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"
    said = {"query": LIVE, "variables": {"f": BEGINNING}}
    async with world.http() as client:
        async with client.stream("POST", "/graphql", json=said, headers={"accept": accept}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
        headers = {"accept": "application/json"}
        refused = (await client.post("/graphql", json=said, headers=headers)).json()
    assert refused["errors"][0]["extensions"]["code"] == "BAD_INPUT"


async def test_an_expired_token_is_a_transport_error(world: World) -> None:
    async with multipart(world, ttl=1.0) as parts:
        said = await parts.next()
        assert said["payload"] is None
        assert said["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert await parts.next() is None
    await world.idle()


async def test_draining_is_a_transport_error_to_try_again_after(world: World) -> None:
    await world.publish(1)
    async with multipart(world) as parts:
        await parts.next()
        world.drain.begin()
        said = await parts.next()
        assert said["payload"] is None
        assert said["errors"][0]["extensions"]["code"] == "LOG_UNAVAILABLE"
        assert said["errors"][0]["extensions"]["retryable"]
    await world.idle()


async def test_a_log_that_drains_first_says_where_to_go_on(world: World) -> None:
    (receipt,) = await world.publish(1)
    async with multipart(world) as parts:
        await parts.next()
        await world.services.live.stop()
        said = await parts.next()
        assert said["payload"] is None
        assert said["errors"][0]["extensions"]["code"] == "LOG_UNAVAILABLE"
        assert said["errors"][0]["extensions"]["details"]["cursor"] == receipt["cursor"]
