"""rebuild: events a second through a projection of three operations that is built anew, over the same by hand.

By hand: one `INSERT … SELECT … GROUP BY` into a table of plain columns. `ratio`: rows without history. `ratio_history`:
every state a row ever had is kept as well. `ratio_python`: a declaration that PostgreSQL does not fold by itself.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import asyncpg
import uvloop

from gateway.serve import settle_heap
from processors.projections.applying import Applier, Step
from processors.projections.leaping import Leaps
from schema.event import encode_body
from schema.projections.declared import parse_declaration
from store.log.port import Command
from store.migrate import upgrade
from tests.benchmarks.harness import PAIRS, Comparison, compare, finish
from tests.benchmarks.ledger_gateway import server
from tests.events import draft
from tests.projecting import World, projecting

EVENTS = 300_000
CUSTOMERS = 5_000
BATCH = 1_000

_HAND = """
insert into by_hand (customer, total, many, most)
select p ->> 'customer', sum((p ->> 'amount')::bigint), count(*), max((p ->> 'amount')::bigint)
from (select (body::jsonb) -> 'payload' as p from events where tenant = $1 and event_type = 'order.paid' offset 0) e
group by 1
"""


def amount(expression: str) -> list[dict[str, Any]]:
    return [
        {"increment": {"path": "total", "expression": expression}},
        {"increment": {"path": "many", "value": 1}},
        {"max": {"path": "most", "expression": "event.payload.amount"}},
    ]


def declaration(name: str, *, history: bool, expression: str = "event.payload.amount") -> Mapping[str, Any]:
    return {
        "name": name,
        "streams": ["user-events"],
        "key": "event.payload.customer",
        "history": history,
        "reducers": [{"on": "order.paid", "operations": amount(expression)}],
    }


class Sides:
    """What is measured, each as events a second."""

    def __init__(self, world: World, connection: asyncpg.Connection) -> None:
        self._world = world
        self._connection = connection
        self._made = 0

    async def plain(self) -> float:
        return await self._build(declaration("plain", history=False))

    async def kept(self) -> float:
        return await self._build(declaration("kept", history=True))

    async def python(self) -> float:
        return await self._build(declaration("python", history=False, expression="event.payload.amount * 1"))

    async def hand(self) -> float:
        await self._connection.execute("truncate by_hand")
        started = time.perf_counter()
        await self._connection.execute(_HAND, self._world.tenant.key)
        return EVENTS / (time.perf_counter() - started)

    async def _build(self, said: Mapping[str, Any]) -> float:
        world = self._world
        self._made += 1
        made = await world.registry.create(
            world.tenant.key, f"prj_{self._made}", parse_declaration(said), [world.stream.key]
        )
        leaps = Leaps(world.stretching, made.active)
        applier = Applier(world.tenant, made.active, world.reader, world.writer, leaps)
        started = time.perf_counter()
        while await applier.step() is Step.MOVED:
            pass
        rate = EVENTS / (time.perf_counter() - started)
        rows = await self._connection.fetchval(f"select count(*) from projection_{made.active.key}")
        assert rows == CUSTOMERS, rows
        await world.registry.delete(world.tenant.key, made.name)
        await world.registry.sweep(grace_s=-1)
        return rate


async def fill(world: World) -> None:
    """Put the events into the log. Their bodies are as long as those of the other benchmarks."""
    log = await world.logs.get("acme")
    for start in range(0, EVENTS, BATCH):
        drafts = [
            draft(
                world.stream,
                type="order.paid",
                payload={
                    "customer": f"customer-{(start + n) * 7919 % CUSTOMERS}",
                    "amount": (start + n) % 997,
                    "note": "x" * 180,
                },
            )
            for n in range(BATCH)
        ]
        await log.append([Command(events=drafts)])


async def main() -> None:
    settle_heap()
    async with server() as dsn:
        await asyncio.to_thread(upgrade, dsn)
        connection = await asyncpg.connect(dsn)
        await connection.execute(
            "create table by_hand (customer text primary key, total bigint, many bigint, most bigint)"
        )
        async with projecting(dsn) as world:
            await fill(world)
            await connection.execute("vacuum analyze events")
            size = len(encode_body(draft(world.stream, payload={"note": "x" * 180}).envelope))
            print(f"{EVENTS:,} events of about {size} bytes into {CUSTOMERS:,} rows, events a second")
            sides = Sides(world, connection)
            plain = await compare(sides.plain, {"hand": sides.hand})
            print("the same with the history of rows")
            kept: Comparison = await compare(sides.kept, {"hand": sides.hand}, pairs=3, warm=False)
            print("folded by Python")
            python: Comparison = await compare(sides.python, {"hand": sides.hand}, pairs=3, warm=False)
        await connection.close()
    finish(
        "rebuild",
        plain.summary(),
        ratio_history=round(kept.ratio("hand"), 3),
        history=kept.summary()["ours"],
        ratio_python=round(python.ratio("hand"), 3),
        python=python.summary()["ours"],
        pairs=PAIRS,
    )


if __name__ == "__main__":
    uvloop.run(main())
