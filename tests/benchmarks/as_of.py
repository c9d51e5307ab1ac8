"""as-of: milliseconds to read an aggregate's state at a random moment, of a thousand events and of a million.

With the snapshots that the background took by itself (one in a hundred events). Each kind of moment is asked by itself;
`growth` is the median of a million over that of a thousand, by sequence number.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Callable
from datetime import timedelta

import asyncpg
import uvloop

from gateway.serve import settle_heap
from schema.aggregate import AtHappened, AtPosition, AtRecorded, AtSequence, Moment
from schema.event import encode_body
from store.migrate import upgrade
from tests.aggregating import EPOCH, Aggregating, aggregating
from tests.benchmarks.harness import finish
from tests.benchmarks.ledger_gateway import server
from tests.events import draft

SIZES = {"small": 1_000, "large": 1_000_000}
ASKED = 500
REDUCERS = [
    {
        "on": "user.*",
        "operations": [
            {"increment": {"path": "sum", "expression": "event.payload.n"}},
            {"increment": {"path": "count", "value": 1}},
            {"set": {"path": "last", "expression": "event.payload.n"}},
        ],
    }
]

# One event a second, recorded a second later; every thousandth is an hour late. Straight into the table: how it is
# filled is not what is measured.
_FILL = """
insert into events (tenant, position, stream, sequence_number, ts, recorded_at, event_id, event_type, aggregate_type,
  aggregate_id, body)
select $1, $2 + n, $3, n, at, $4::timestamptz + ($2 + n + 1) * interval '1 second', id, 'user.created', 'User', $5,
  replace(replace(replace($6, '@id', id), '"@n"', n::text), '@at', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
from generate_series(1, $7::int) n,
  lateral (select 'evt_' || lpad(($2 + n)::text, 26, '0') as id,
    $4::timestamptz + ($2 + n - case when n % 1000 = 0 then 3600 else 0 end) * interval '1 second' as at) made
"""


async def fill(world: Aggregating, name: str, size: int, before: int) -> None:
    """An aggregate of that many events, after `before` others in the log."""
    tenant = await world.tenants.get(world.principal.tenant)
    envelope = draft(world.stream, name, id="@id", payload={"n": "@n"}).envelope
    body = encode_body(envelope).decode().replace("2026-01-01T00:00:00Z", "@at")
    connection = await asyncpg.connect(world.database.dsn)
    await connection.execute(_FILL, tenant.key, before, world.stream.key, EPOCH, name, body, size)
    await connection.execute("vacuum analyze events")
    await connection.close()


async def measure(world: Aggregating, name: str, moment: Callable[[int], Moment], size: int) -> list[float]:
    """Milliseconds of each of ASKED reads at random moments, sorted."""
    chance = random.Random(1)
    took = []
    for _ in range(ASKED):
        at = moment(chance.randint(1, size))
        started = time.perf_counter()
        found = await world.state(name, at)
        took.append((time.perf_counter() - started) * 1000)
        assert found is not None
        if isinstance(at, AtSequence):
            assert found.state["sum"] == at.number * (at.number + 1) // 2
    return sorted(took)


async def run(dsn: str) -> None:
    """Fill, take snapshots, ask."""
    async with aggregating(dsn) as world:
        await world.define(reducers=REDUCERS)
        tenant = await world.tenants.get(world.principal.tenant)
        before, starts = 0, {}
        for name, size in SIZES.items():
            starts[name] = before
            await fill(world, name, size, before)
            before += size
        started = time.perf_counter()
        async with world.snapshotter():
            while not await world.followed():  # noqa: ASYNC110 - it is asked, not told
                await asyncio.sleep(0.1)
        seconds = time.perf_counter() - started
        print(f"snapshots of {before:,} events taken in {seconds:.1f} s: {before / seconds:,.0f} events/s", flush=True)
        figures: dict[str, list[float]] = {}
        for name, size in SIZES.items():
            after = starts[name]
            kinds: dict[str, Callable[[int], Moment]] = {
                "sequence": AtSequence,
                "cursor": lambda n, begun=after: AtPosition(begun + n + 1, tenant.epoch),
                "recorded": lambda n, begun=after: AtRecorded(EPOCH + timedelta(seconds=begun + n + 1)),
                "happened": lambda n, begun=after: AtHappened(EPOCH + timedelta(seconds=begun + n)),
            }
            for kind, moment in kinds.items():
                took = figures[f"{name} {kind}"] = await measure(world, name, moment, size)
                print(
                    f"{size:>9,} events, by {kind:<9} p50 {statistics.median(took):6.2f} ms"
                    f"   p99 {took[int(0.99 * len(took))]:6.2f} ms   max {took[-1]:6.2f} ms",
                    flush=True,
                )
    large, small = figures["large sequence"], figures["small sequence"]
    finish(
        "as-of",
        {
            "p99_ms": {key: round(took[int(0.99 * len(took))], 2) for key, took in figures.items()},
            "p50_ms": {key: round(statistics.median(took), 2) for key, took in figures.items()},
            "growth": round(statistics.median(large) / statistics.median(small), 2),
            "snapshots_events_per_second": round(before / seconds),
        },
    )


async def main() -> None:
    """Run it on a PostgreSQL of its own, or the one of ESB_POSTGRES_URL."""
    settle_heap()
    async with server() as dsn:
        await asyncio.to_thread(upgrade, dsn)
        await run(dsn)


if __name__ == "__main__":
    uvloop.run(main())
