"""Reading back: by id, by place, by filter, by time; and never what another tenant owns."""

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from schema.errors import ErrorCode, EsbError
from schema.event import NEVER, Event
from schema.filter.python import compile_filter
from schema.filter.typed import parse_filter
from store.ledger.walk import Order, Scan
from store.log.port import Command
from tests.conformance.engines import ledger_stream
from tests.events import draft, event_id
from tests.integration.store.ledger.conftest import Process

BEYOND = 1 << 40


@pytest.fixture
async def filled(ledger: Process) -> Process:
    """3,000 events of 30 aggregates, every tenth in another stream."""
    other = await ledger_stream(ledger.database, ledger.tenants, name="other-events", number=2)
    for start in range(0, 3000, 500):
        await ledger.log.append(
            [
                Command(
                    events=[
                        draft(
                            other if n % 10 == 0 else ledger.stream,
                            f"u{n % 30}",
                            type=f"user.kind{n % 3}",
                            payload={"n": n, "list": [n % 2, 0.5]},
                        )
                    ]
                )
                for n in range(start, start + 500)
            ]
        )
    return ledger


async def scan(process: Process, **asked: Any) -> Scan:
    said = {"streams": None, "where": None, "start": 1, "end": BEYOND, "limit": 1000} | asked
    return await process.reader.scan(process.tenant, **said)


async def test_a_scan_stops_at_the_limit_and_goes_on_where_it_stopped(filled: Process) -> None:
    positions: list[int | None] = []
    start = 1
    while (found := await scan(filled, start=start, limit=700)).events:
        positions += [event.position for event in found.events]
        start = found.reached
    assert positions == list(range(1, 3001))
    assert start == 3001, "never beyond the end: what is committed next must still be found"


async def test_a_scan_goes_back_too(filled: Process) -> None:
    found = await scan(filled, order=Order.DESCENDING, limit=10)
    assert [event.position for event in found.events] == list(range(3000, 2990, -1))
    found = await scan(filled, order=Order.DESCENDING, limit=10, end=found.reached, start=2985)
    assert [event.position for event in found.events] == list(range(2990, 2984, -1))
    assert found.reached == 2985


@pytest.mark.parametrize(
    "said",
    [
        {"aggregateId": {"eq": "u7"}},
        {"eventType": {"pattern": "user.kind1"}, "aggregateId": {"in": ["u1", "u4", "u5"]}},
        {"payload": [{"path": "n", "gte": 2990}]},
        {"payload": [{"path": "list", "eq": [1, 0.5]}]},
        {"expression": "event.payload.n % 100.0 == 7.0"},
        {"not": {"payload": [{"path": "n", "exists": True}]}},
    ],
)
async def test_a_filtered_scan_finds_what_the_filter_matches(filled: Process, said: dict[str, Any]) -> None:
    where = parse_filter(said)
    matches = compile_filter(where)
    everything = [event for start in (1, 1001, 2001) for event in (await scan(filled, start=start)).events]
    wanted = [event.position for event in everything if matches(event)]
    for order, limit in ((Order.ASCENDING, 1000), (Order.ASCENDING, 7), (Order.DESCENDING, 13)):
        positions: list[int | None] = []
        start, end = 1, BEYOND
        while True:
            found = await scan(filled, where=where, order=order, limit=limit, start=start, end=end)
            assert len(found.events) <= limit
            positions += [event.position for event in found.events]
            if order is Order.ASCENDING:
                start = found.reached
            else:
                end = found.reached
            if not found.events:
                break
        assert positions == (wanted if order is Order.ASCENDING else wanted[::-1])


async def test_a_scan_of_streams_sees_only_theirs(filled: Process) -> None:
    found = await scan(filled, streams=[filled.stream.key + 1])
    assert len(found.events) == 300
    assert {event.stream for event in found.events} == {"other-events"}
    assert not (await scan(filled, streams=[])).events


async def test_an_event_is_found_by_its_id(filled: Process) -> None:
    wanted = (await scan(filled, start=1500, limit=1)).events[0]
    assert await filled.reader.by_id(filled.tenant, wanted.event_id) == wanted
    assert await filled.reader.by_id(filled.tenant, "evt_nothing") is None
    found = await filled.reader.by_ids(filled.tenant, [wanted.event_id, "evt_nothing"])
    assert list(found) == [wanted.event_id]


async def test_a_time_leads_to_the_first_position_recorded_then_or_later(filled: Process) -> None:
    events: list[Event] = [event for start in (1, 1001, 2001) for event in (await scan(filled, start=start)).events]
    for at in (events[0].recorded_at, events[1234].recorded_at, events[-1].recorded_at, NEVER):
        wanted = next(event.position for event in events if event.recorded_at >= at)
        assert await filled.reader.position_at(filled.tenant, at) == wanted
    later = events[-1].recorded_at + timedelta(microseconds=1)
    assert await filled.reader.position_at(filled.tenant, later) == 3001


async def test_an_empty_log_has_its_first_position_as_head(ledger: Process) -> None:
    assert await ledger.reader.head(ledger.tenant) == 1
    assert await ledger.reader.position_at(ledger.tenant, NEVER) == 1
    assert (await scan(ledger))[:2] == ([], 1)


async def test_another_tenants_events_are_not_there(filled: Process) -> None:
    stranger = await filled.tenants.get("globex")
    wanted = (await scan(filled, limit=1)).events[0]
    assert await filled.reader.by_id(stranger, wanted.event_id) is None
    found = await filled.reader.scan(stranger, streams=None, where=None, start=1, end=BEYOND, limit=10)
    assert found.events == []


@pytest.mark.parametrize("table", ["events", "event_ids", "streams"])
async def test_the_reader_sees_its_tenant_only_whatever_the_query_says(filled: Process, table: str) -> None:
    globex = await filled.tenants.get("globex")
    where = await ledger_stream(filled.database, filled.tenants, "globex", "theirs-events", 3)
    log = await filled.logs.get("globex")
    await log.append([Command(events=[draft(where, id=event_id(1))])])
    wrong = f"select distinct tenant from {table} where tenant > 0 or true"
    async with filled.database.reading(globex.key) as connection:
        assert [row["tenant"] for row in await connection.fetch(wrong)] == [globex.key]
    async with filled.database.reading(filled.tenant.key) as connection:
        assert [row["tenant"] for row in await connection.fetch(wrong)] == [filled.tenant.key]


@pytest.mark.parametrize("statement", ["select * from tenants", "select * from events_from_0", "select * from secrets"])
async def test_the_reader_may_do_nothing_else(filled: Process, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with filled.database.reading(filled.tenant.key) as connection:
            await connection.fetch(statement)


async def test_a_read_without_a_tenant_sees_nothing(filled: Process) -> None:
    async with filled.database.writing() as connection, connection.transaction():
        await connection.execute("set local role esb_reader")
        with pytest.raises(asyncpg.UndefinedObjectError):
            await connection.fetch("select * from events")


async def test_a_read_that_takes_too_long_says_so(filled: Process) -> None:
    async def slow() -> None:
        async with filled.database.reading(filled.tenant.key) as connection:
            await connection.execute("set local statement_timeout = 50")
            await connection.fetch("select pg_sleep(10)")

    with pytest.raises(EsbError) as caught:
        await slow()
    assert caught.value.code is ErrorCode.TIMEOUT
    assert await filled.reader.head(filled.tenant) == 3001, "the pool's connection is fit for use again"
