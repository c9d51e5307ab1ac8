"""One event stream for many operations on several workers: whichever of them a request comes to, it is one gateway."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpx
import psutil
import pytest

from tests.end_to_end.api import Api, administrator
from tests.services.gateway import GatewayProcess

# nothing of this depends on which PostgreSQL it is
pytestmark = pytest.mark.embedded_only

WORKERS = 3
STREAMS = 8
"""That all requests of all of them come to their own worker by chance has a chance of 3^-24."""

TOKEN = "x-graphql-event-stream-token"
ELSEWHERE = "127.0.0.2"
PUBLISH = "mutation($e: EventInput!) { publishEvent(event: $e) { eventId } }"
METADATA = "query($i: ID!) { event(eventId: $i) { metadata } }"


@pytest.fixture(scope="module")
def api(gateway_settings: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    arguments = ("--workers", str(WORKERS))
    workers = GatewayProcess(tmp_path_factory.mktemp("workers") / "gateway", gateway_settings, *arguments)
    workers.start()
    try:
        yield from administrator(workers)
    finally:
        workers.stop()


class Shared:
    """A client of which every request is a connection of its own."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {token}"}

    async def send(self, method: str, body: Any = None, **more: Any) -> httpx.Response:
        async with self._client() as http:
            return await http.request(method, "/graphql", json=body, **more)

    async def reserve(self) -> None:
        answer = await self.send("PUT")
        assert answer.status_code == 201
        self._headers[TOKEN] = answer.text

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        async with self._client() as http:
            async with http.stream("GET", "/graphql", headers={"accept": "text/event-stream"}) as response:
                assert response.status_code == 200
                yield events(response)

    def _client(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(local_address=ELSEWHERE)
        return httpx.AsyncClient(base_url=self._url, headers=self._headers, transport=transport, timeout=20)


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    event = ""
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            yield event, json.loads(value)


async def test_all_requests_of_a_stream_find_it(api: Api) -> None:
    for number in range(STREAMS):
        async with asyncio.timeout(30):
            await one_stream(Shared(api.gateway.url, api.token), api, number)


async def one_stream(shared: Shared, api: Api, number: int) -> None:
    await shared.reserve()
    async with shared.opened() as heard:
        refused = await shared.send("GET", headers={"accept": "text/event-stream"})
        assert refused.status_code == 409
        event = {"eventType": "user.seen", "payload": {"n": number}}
        said = {"query": PUBLISH, "variables": {"e": event}, "extensions": {"operationId": "publish"}}
        assert (await shared.send("POST", said)).status_code == 202
        kind, data = await anext(heard)
        assert (kind, data["id"]) == ("next", "publish")
        event_id = data["payload"]["data"]["publishEvent"]["eventId"]
        assert await anext(heard) == ("complete", {"id": "publish"})
        found = await asyncio.to_thread(api.graphql, METADATA, i=event_id)
        assert found["event"]["metadata"]["ip_address"] == ELSEWHERE
        live = {"query": "subscription { feed { __typename } }", "extensions": {"operationId": "live"}}
        assert (await shared.send("POST", live)).status_code == 202
        assert (await anext(heard))[1]["payload"]["data"]["feed"]["__typename"] == "CaughtUp"
        assert (await shared.send("DELETE", params={"operationId": "live"})).status_code == 200
    # whoever held it notices that its client has gone
    while (await shared.send("DELETE", params={"operationId": "live"})).status_code != 404:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_nobody_gets_in_by_the_back_door(api: Api) -> None:
    nobody = Shared(api.gateway.url, "x.y.z")
    for token in (f"{number}.invented" for number in range(WORKERS + 1)):
        for method in ("GET", "POST", "DELETE"):
            assert (await nobody.send(method, headers={TOKEN: token})).status_code == 401
    somebody = Shared(api.gateway.url, api.token)
    for token in (*(f"{number}.invented" for number in range(WORKERS + 1)), "x", "-1.x", "99999999999.x"):
        assert (await somebody.send("DELETE", headers={TOKEN: token})).status_code == 404


async def test_a_killed_worker_ends_its_streams_and_no_others(api: Api) -> None:
    streams = [Shared(api.gateway.url, api.token) for _ in range(3 * STREAMS)]
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        heard = []
        for shared in streams:
            await shared.reserve()
            heard.append(await stack.enter_async_context(shared.opened()))
        workers(api.gateway)[0].kill()
        went_on = [await goes_on(shared, said) for shared, said in zip(streams, heard, strict=True)]
    # a stream has nothing to do with the killed worker with a chance of 4 in 9: that none has, with one of 10^-6
    assert any(went_on)
    async with asyncio.timeout(60):
        while True:  # until the worker is there again, what waits at its door is answered by none
            with suppress(httpx.HTTPError):
                await one_stream(Shared(api.gateway.url, api.token), api, 0)
                return


def workers(gateway: GatewayProcess) -> list[psutil.Process]:
    return [child for child in psutil.Process(gateway.pid).children() if "serve" in child.cmdline()]


async def goes_on(shared: Shared, heard: AsyncIterator[tuple[str, Any]]) -> bool:
    """Whether the stream still answers; if not, it must have ended."""
    said = {"query": "{ __typename }", "extensions": {"operationId": "after"}}
    with suppress(httpx.HTTPError, StopAsyncIteration):
        if (await shared.send("POST", said)).status_code == 202:
            return bool((await anext(heard))[1]["id"] == "after")
    with suppress(httpx.HTTPError):
        assert [said async for said in heard] == []
    return False
