"""Random histories: the ledger decides each command as the plain serial log does, however commands were grouped."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.cursor import Cursor
from schema.event import NEVER
from schema.filter.typed import parse_filter
from schema.stream import Stream
from store.database import Database
from store.ledger.committer import Bounds
from store.log.ledger import LedgerLogs
from store.log.memory import MemoryLog
from store.log.port import Command, Condition, Draft, Log, Outcome
from store.tenants import Tenants
from tests.conformance.engines import ledger_stream
from tests.events import draft, event_id

_tenants = count(1)

FILTERS = (
    {"eventType": {"eq": "user.renamed"}},
    {"aggregateId": {"eq": "a"}, "payload": [{"path": "n", "gte": 2}]},
    {"not": {"eventType": {"in": ["user.created", "user.renamed"]}}},
    {"or": [{"correlationId": {"eq": "c%s $1 'x'"}}, {"payload": [{"path": "n", "eq": 5}]}]},
)


class Said(NamedTuple):
    """An event as generated. Its content follows from its number, unless `other`, so that ids meet again in earnest."""

    number: int
    other: bool
    stream: int
    expected: int | None

    def draft(self, streams: list[Stream]) -> Draft:
        n = self.number + (100 if self.other else 0)
        return draft(
            streams[self.stream],
            (None, "a", "b", "c'")[n % 4],
            id=event_id(self.number),
            type=("user.created", "user.renamed", "user.left")[n % 3],
            payload={"n": n},
            correlation=(None, "c%s $1 'x'")[n % 2],
            expected=self.expected,
        )


said = st.builds(
    Said,
    st.integers(0, 14),
    st.sampled_from((False,) * 7 + (True,)),
    st.sampled_from((0, 0, 0, 1, 1, 2)),
    st.sampled_from((None, None, None, 0, 1, 2, 3)),
)
conditions = st.none() | st.tuples(st.sampled_from(FILTERS), st.integers(1, 12))
commands = st.tuples(st.lists(said, min_size=1, max_size=3), st.one_of(st.none(), st.none(), conditions))
appends = st.lists(commands, min_size=1, max_size=6)
histories = st.lists(st.lists(appends, min_size=1, max_size=3), min_size=1, max_size=4)


def command(spoken: list[Said], condition: tuple[dict[str, Any], int] | None, streams: list[Stream]) -> Command:
    boundary = Condition(none_matching=parse_filter(condition[0]), after=condition[1]) if condition else None
    return Command(events=[one.draft(streams) for one in spoken], condition=boundary)


class Bench(NamedTuple):
    database: Database
    tenants: Tenants
    logs: LedgerLogs


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    database = Database(database_url)
    await database.start()
    tenants = Tenants(database)
    logs = LedgerLogs(database, tenants, bounds=Bounds(group_events=12))
    await logs.start()
    yield Bench(database, tenants, logs)
    await logs.close()
    await database.close()


async def streams_of(bench: Bench, tenant: str) -> list[Stream]:
    """Two streams that live, and one that was deleted."""
    made = [await ledger_stream(bench.database, bench.tenants, tenant, f"s{n}-events", n) for n in range(3)]
    async with bench.database.writing() as connection:
        await connection.execute("update streams set deleted_at = now() where key = $1", made[2].key)
    return made


def comparable(outcome: Outcome) -> Any:
    """An outcome without times: those are each log's own."""
    if not isinstance(outcome, list):
        return outcome
    return [receipt._replace(recorded_at=NEVER, cursor=receipt.cursor._replace(at_ms=0)) for receipt in outcome]


async def stored(log: Log) -> list[Any]:
    batch = await log.read(Cursor(1, 1), 1000)
    assert [one.recorded_at for one in batch.events] == sorted(one.recorded_at for one in batch.events)
    return [(one.position, one.stream, one.sequence_number, one.event_id, one.body) for one in batch.events]


@settings(
    max_examples=60,
    deadline=timedelta(seconds=20),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories)
async def test_the_ledger_decides_as_a_serial_log(bench: Bench, history: list[Any]) -> None:
    tenant = f"t{next(_tenants)}"
    streams = await streams_of(bench, tenant)
    ledger = await bench.logs.get(tenant)
    model = MemoryLog({streams[0].key, streams[1].key})
    for round_ in history:
        sent = [[command(*spoken, streams) for spoken in append] for append in round_]
        got = await asyncio.gather(*[ledger.append(batch) for batch in sent])
        wanted = [await model.append(batch) for batch in sent]
        assert [[comparable(one) for one in outcomes] for outcomes in got] == [
            [comparable(one) for one in outcomes] for outcomes in wanted
        ]
    assert await stored(ledger) == await stored(model)
