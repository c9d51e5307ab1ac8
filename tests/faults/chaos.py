"""Subscribers that resume while everything under them breaks: cut by TCP resets, the gateway killed, its services too.

Each event goes to 10 subscribers, which follow one key each, by filters of every kind. The publisher numbers the
events of a key, gives each an id of its own and sends it until it is acknowledged, so what a subscriber must get is
known: 1, 2, 3 … of its key. On the Kafka engine, where a retry may put an event into the log again, it must get every
number, and each place once and in order.
"""

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.load.generator import Generator, generator, publishing
from tests.services.external import Service
from tests.services.gateway import GatewayProcess

TENANT = "chaos"
FILTERS: Mapping[str, tuple[Mapping[str, Any], int]] = {
    "aggregate": ({"aggregateId": {"eq": "$KEY"}}, 3),
    "type": ({"eventType": {"pattern": "chaos.*.$KEY"}}, 3),
    "payload": ({"payload": [{"path": "key", "eq": "$KEY"}]}, 2),
    "expression": ({"expression": 'event.payload.key == "$KEY"'}, 2),
}
"""A filter's kind: the filter, and how many subscribers of each key use it: 10 together."""
TOGETHER = 100


@dataclass(frozen=True)
class Size:
    """How much of it. `sockets` is a multiple of 10; an event is one of `sockets / 10` keys."""

    sockets: int
    events: int
    per_second: float
    cuts_per_second: float
    batch: int = 20
    settle_s: float = 120.0
    careless: bool = False
    """Have one group throw away an event now and then, to see that it is found."""


@dataclass
class Outcome:
    """What was found, added up over all groups."""

    published: int = 0
    retries: int = 0
    received: int = 0
    lost: int = 0
    repeated: int = 0
    missing: int = 0
    cuts: int = 0
    begun: int = 0
    careless_lost: int = 0
    errors: dict[str, int] = field(default_factory=dict)

    def add(self, report: Mapping[str, Any]) -> None:
        """A group's report."""
        for name in ("received", "lost", "repeated", "missing", "cuts", "begun"):
            setattr(self, name, getattr(self, name) + report[name])
        for error, count in report["errors"].items():
            self.errors[error] = self.errors.get(error, 0) + count


class Stream:
    """One stream under chaos: its subscribers, and the publisher of its events."""

    def __init__(self, made: Generator, gateway: GatewayProcess, name: str, engine: str, size: Size) -> None:
        self._made = made
        self._gateway = gateway
        self._name = name
        self._engine = engine
        self._size = size
        self._keys = [f"{name}-{number:04d}" for number in range(size.sockets // 10)]
        self._groups = list(FILTERS)

    async def gather(self) -> None:
        """Connect all subscribers; each begins at the beginning."""
        for kind, (where, each) in FILTERS.items():
            await self._gather(kind, where, len(self._keys) * each)
        if self._size.careless:
            await self._gather("careless", FILTERS["aggregate"][0], len(self._keys), drop=97)
            self._groups.append("careless")

    async def begin(self) -> None:
        """Begin to publish, and to cut."""
        await self._made.do(
            "publish",
            to=publishing(self._gateway.url, self._gateway.token(TENANT), self._event()),
            keys=self._keys,
            events=self._size.events,
            batch=self._size.batch,
            writers=8,
            per_second=self._size.per_second,
        )
        for kind in self._groups:
            await self._made.do("cut", group=kind, per_second=self._size.cuts_per_second / len(self._groups))

    async def sent(self) -> int:
        """Events acknowledged so far."""
        return int((await self._made.do("progress"))["sent"])

    async def end(self, seconds: float) -> Outcome:
        """Wait until everything is published and was received, or will not be."""
        outcome = Outcome()
        published = await self._made.do("published", seconds)
        outcome.published, outcome.retries = published["sent"], published["retries"]
        for kind in self._groups:
            await self._made.do("cut", group=kind, per_second=0)
        for kind in FILTERS:
            outcome.add(await self._made.do("settle", self._size.settle_s, group=kind))
        if self._size.careless:
            report = await self._made.do("report", group="careless")
            outcome.careless_lost = report["lost"] + report["missing"]
        return outcome

    async def _gather(self, name: str, where: Mapping[str, Any], sockets: int, drop: int = 0) -> None:
        init = {"authorization": f"Bearer {self._gateway.token(TENANT)}", "cursors": True}
        query = (
            "subscription($streams: [String!], $where: EventFilter) { events(streams: $streams, where: $where,"
            " from: { beginning: true }) { eventId partition offset payload } }"
        )
        plan = {
            **{"name": name, "url": f"{self._gateway.websocket_url}/graphql", "init": init, "sockets": sockets},
            **{"per_socket": 1, "together": TOGETHER, "sources": 8, "resume": True, "query": query, "drop": drop},
            **{"variables": json.dumps({"streams": [self._name], "where": where}), "keys": self._keys},
            "places": self._engine == "KAFKA",
        }
        await self._made.do("gather", 120, plan=plan)

    def _event(self) -> dict[str, Any]:
        return {
            "eventId": "evt_$ID",
            "eventType": "chaos.happened.$KEY",
            "aggregateType": f"Thing-{self._name}",
            "aggregateId": "$KEY",
            "stream": self._name,
            "payload": {"seq": "$SEQ", "at": "$AT", "key": "$KEY"},
        }


@asynccontextmanager
async def stream(gateway: GatewayProcess, name: str, engine: str, size: Size) -> AsyncIterator[Stream]:
    """A stream of that engine, which exists, with its subscribers connected."""
    async with generator() as made:
        one = Stream(made, gateway, name, engine, size)
        await one.gather()
        yield one


async def breaking(
    services: Mapping[str, Service],
    streams: Sequence[Stream],
    times: int,
    total: int,
    say: Callable[[str], None] = print,
) -> None:
    """Kill the services one after the other, each with `kill -9`, at moments spread over the publishing of `total`."""
    order = itertools.islice(itertools.cycle(services.items()), times)
    for number, (name, service) in enumerate(order, 1):
        share = (number - random.random()) / (times + 1)
        sent = await _until(streams, int(share * total))
        await asyncio.to_thread(service.kill)
        await asyncio.to_thread(service.start)
        say(f"{sent} of {total} events published: killed and started {name}")


async def _until(streams: Sequence[Stream], events: int) -> int:
    async with asyncio.timeout(600):
        while (sent := sum([await one.sent() for one in streams])) < events:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
        return sent


def complaints(outcome: Outcome) -> list[str]:
    """What is wrong with it; nothing where it kept all promises."""
    checks: Mapping[str, Callable[[Outcome], bool]] = {
        "lost": lambda one: one.lost > 0,
        "never arrived": lambda one: one.missing > 0,
        "repeated": lambda one: one.repeated > 0,
        "nothing was cut": lambda one: one.cuts == 0,
    }
    return [name for name, wrong in checks.items() if wrong(outcome)]
