"""Publishers as services write them: an event id of their own, and the same event again until it is acknowledged."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from schema.identifier import IdentifierSource

PUBLISH = "mutation($e:EventInput!){publishEvent(event:$e){eventId position sequenceNumber duplicate}}"
EVENTS = (
    'query($a:String){events(streams:["load"],first:1000,after:$a)'
    "{nodes{eventId aggregateId sequenceNumber position} pageInfo{hasNextPage endCursor}}}"
)
CREATE = 'mutation{createStream(stream:{streamName:"load",eventPatterns:["load.**"]}){streamName}}'

_IDS = IdentifierSource()


class Client:
    """One tenant's calls to one gateway."""

    def __init__(self, url: str, token: str, timeout_s: float = 10) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=timeout_s, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer, errors included; raises httpx.HTTPError when there is none."""
        answer = await self._http.post("/graphql", json={"query": query, "variables": variables})
        body: dict[str, Any] = answer.json()
        return body

    async def ok(self, query: str, **variables: Any) -> dict[str, Any]:
        body = await self.ask(query, **variables)
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data

    async def all_events(self) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = (await self.ok(EVENTS, a=after))["events"]
            nodes += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return nodes
            after = page["pageInfo"]["endCursor"]


class Load:
    """Writers that go on through faults. Afterwards `acknowledged` holds every event id that was answered with a
    receipt, `refused` the code of every error that was answered, and `slowest` the longest wait for a receipt."""

    def __init__(self, clients: Sequence[Client], prefix: str, writers: int = 8, payload: Any = 1) -> None:
        self.acknowledged: set[str] = set()
        self.refused: list[str] = []
        self._clients = clients
        self._prefix = prefix
        self._writers = writers
        self._payload = payload
        self._grew = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._write(writer)) for writer in range(self._writers)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        if kind is None:
            async with asyncio.timeout(60):
                await asyncio.gather(*self._tasks)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def more(self, events: int, seconds: float) -> float:
        """Wait until so many more events are acknowledged; how long that took, in seconds."""
        started, wanted = time.monotonic(), len(self.acknowledged) + events
        async with asyncio.timeout(seconds), self._grew:
            await self._grew.wait_for(lambda: len(self.acknowledged) >= wanted)
        return time.monotonic() - started

    async def refusal(self, seconds: float) -> None:
        """Wait until one more event is refused with LOG_UNAVAILABLE."""
        wanted = self.refused.count("LOG_UNAVAILABLE") + 1
        async with asyncio.timeout(seconds), self._grew:
            await self._grew.wait_for(lambda: self.refused.count("LOG_UNAVAILABLE") >= wanted)

    async def _write(self, writer: int) -> None:
        client = self._clients[writer % len(self._clients)]
        while not self._stopping:
            event = {
                "eventId": _IDS.event_id(),
                "eventType": "load.written",
                "aggregateType": "Load",
                "aggregateId": f"{self._prefix}{writer}",
                "payload": self._payload,
            }
            while not await self._publish(client, event):
                if self._stopping:
                    return
                await asyncio.sleep(0.05)

    async def _publish(self, client: Client, event: dict[str, Any]) -> bool:
        try:
            body = await client.ask(PUBLISH, e=event)
        except (httpx.HTTPError, ValueError):
            return False
        if errors := body.get("errors"):
            async with self._grew:
                self.refused.append(errors[0]["extensions"]["code"])
                self._grew.notify_all()
            return False
        async with self._grew:
            self.acknowledged.add(body["data"]["publishEvent"]["eventId"])
            self._grew.notify_all()
        return True


async def assert_nothing_lost(client: Client, *loads: Load) -> None:
    """Every acknowledged event is there exactly once; positions and each aggregate's sequence numbers have no gap."""
    stored = await client.all_events()
    ids = [node["eventId"] for node in stored]
    acknowledged = set().union(*(load.acknowledged for load in loads))
    assert len(ids) == len(set(ids)), "repeated"
    assert acknowledged <= set(ids), f"{len(acknowledged - set(ids))} of {len(acknowledged)} acknowledged events lost"
    positions = [node["position"] for node in stored]
    assert positions == list(range(1, len(positions) + 1)), "positions have a gap"
    by_aggregate: dict[str, list[int]] = {}
    for node in stored:
        by_aggregate.setdefault(node["aggregateId"], []).append(node["sequenceNumber"])
    for aggregate, sequence in by_aggregate.items():
        assert sequence == list(range(1, len(sequence) + 1)), aggregate
