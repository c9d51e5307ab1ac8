"""A replay while the gateways that work at it are killed: what it fills holds each event once, in order."""

import asyncio
from typing import Any

from tests.faults.conftest import StartGateway
from tests.faults.load import Client

EVENTS = 6000
CREATE = "mutation($s:StreamInput!){createStream(stream:$s){id}}"
BATCH = "mutation($e:[EventInput!]!){publishEvents(events:$e){rejections{code}}}"
START = """mutation { startReplay(replay: {streams: ["orders"], from: {beginning: true}, target: {stream: "copy"}})
  { id } }"""
REPLAYS = "{ replays { id status done total error } }"
COPIES = """query($a: String) { events(streams: ["copy"], first: 1000, after: $a) {
  nodes { n: value(path: "payload.n") } pageInfo { hasNextPage endCursor } } }"""


async def copies(client: Client) -> list[int]:
    found: list[int] = []
    after = None
    while True:
        page = (await client.ok(COPIES, a=after))["events"]
        found += [node["n"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def replay(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = (await client.ok(REPLAYS))["replays"][0]
    return found


async def test_a_replay_is_exact_through_kill_9_of_two_gateways(
    fault_database_url: str, start_gateway: StartGateway
) -> None:
    settings = {"ESB_POSTGRES_URL": fault_database_url}
    one, two = [await asyncio.to_thread(start_gateway, name, settings) for name in ("one", "two")]
    async with Client(one.url, one.token("t")) as client, Client(two.url, two.token("t")) as other:
        for name in ("orders", "copy"):
            await client.ok(CREATE, s={"streamName": name})
        for start in range(0, EVENTS, 1000):
            batch = [
                {"eventType": "order.placed", "stream": "orders", "payload": {"n": n}}
                for n in range(start, start + 1000)
            ]
            assert not (await client.ok(BATCH, e=batch))["publishEvents"]["rejections"]
        await client.ok(START)
        for gateway, watcher in ((one, other), (two, client)):
            before = (await replay(watcher))["done"]
            async with asyncio.timeout(40):
                while True:
                    now = await replay(watcher)
                    if now["done"] > before or now["status"] != "RUNNING":
                        break
            await asyncio.to_thread(gateway.kill)
            await asyncio.to_thread(gateway.start)
        async with asyncio.timeout(60):
            while (ended := await replay(client))["status"] == "RUNNING":  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        assert (ended["status"], ended["done"], ended["total"]) == ("DONE", EVENTS, EVENTS), ended
        assert await copies(other) == list(range(EVENTS))
