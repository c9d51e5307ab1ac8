"""Queries over a Kafka stream's index in a real PostgreSQL: pages, merged with the ledger's, and where events stand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

import msgspec
import pytest

from processors.pages import Order
from processors.query import EventQueries
from processors.readable import ReadableStreams
from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.event import Event
from schema.filter.typed import parse_filter
from schema.stream import Stream, StreamEngine
from store.database import Database
from store.ledger.reader import EventReader
from store.log.ledger import LedgerLogs
from store.log.logs import Logs
from store.log.port import Command
from store.tenants import Tenants
from tests.conformance.engines import ledger_stream
from tests.events import draft
from tests.world import ADMIN, CODEC, FixedStreams

PARTITIONS = 3
_INDEX = """
insert into indexed_events (tenant, stream, ts, recorded_at, event_id, event_type, body, partition, "offset")
values ($1, $2, $3, $3, $4, 'telemetry.read', $5, $6, $7)
"""


class Indexed(NamedTuple):
    """A ledger stream, a Kafka stream whose records the test indexes, and the queries over both."""

    queries: EventQueries
    database: Database
    tenants: Tenants
    logs: LedgerLogs
    ledger: Stream
    kafka: Stream
    redis: Stream

    async def index(self, offsets: Sequence[tuple[int, int]]) -> None:
        """Index records of (partition, offset), each a second after the one before, from now on."""
        tenant = await self.tenants.get("acme")
        async with self.database.writing() as connection:
            for number, (partition, offset) in enumerate(offsets):
                made = draft(self.kafka, payload={"n": number})
                at = datetime.now(UTC) + timedelta(seconds=number)
                identity = made.envelope.event_id
                await connection.execute(
                    _INDEX, tenant.key, self.kafka.key, at, identity, made.body.decode(), partition, offset
                )

    async def commit(self, count: int) -> None:
        log = await self.logs.get("acme")
        await log.append([Command(events=[draft(self.ledger)]) for _ in range(count)])


@pytest.fixture
async def indexed(database_url: str) -> AsyncIterator[Indexed]:
    async with AsyncExitStack() as stack:
        database = Database(database_url)
        await database.start()
        stack.push_async_callback(database.close)
        tenants = Tenants(database)
        logs = LedgerLogs(database, tenants)
        await logs.start()
        stack.push_async_callback(logs.close)
        ledger = await ledger_stream(database, tenants)
        kafka = msgspec.structs.replace(
            await ledger_stream(database, tenants, name="telemetry", number=2),
            engine=StreamEngine.KAFKA,
            partitions=PARTITIONS,
        )
        redis = msgspec.structs.replace(
            await ledger_stream(database, tenants, name="presence", number=3), engine=StreamEngine.REDIS
        )
        queries = EventQueries(
            EventReader(database),
            ReadableStreams(FixedStreams(ledger, kafka, redis)),
            tenants,
            Logs(logs.get, tenants, {}),
            CODEC,
            consistency_seconds=0.5,
        )
        yield Indexed(queries, database, tenants, logs, ledger, kafka, redis)


async def follow(queries: EventQueries, first: int = 2, **asked: Any) -> tuple[list[Event], Cursor]:
    seen: list[Event] = []
    after: str | None = None
    while True:
        page = await queries.page(ADMIN, first=first, after=after, **asked)
        seen += page.events
        if not page.has_next:
            return seen, page.as_of
        after = page.end_cursor


async def test_a_kafka_stream_is_read_by_name_in_the_order_it_was_indexed(indexed: Indexed) -> None:
    records = [(0, 0), (1, 0), (0, 1), (2, 5), (0, 3)]
    await indexed.index(records)
    await indexed.commit(2)
    seen, as_of = await follow(indexed.queries, streams=["telemetry"])
    assert [(event.partition, event.offset) for event in seen] == records
    assert as_of.kafka == ((indexed.kafka.key, (4, 1, 6)),)
    back, _ = await follow(indexed.queries, streams=["telemetry"], order=Order.DESC)
    assert [event.offset for event in back] == [event.offset for event in reversed(seen)]
    unnamed, _ = await follow(indexed.queries)
    assert [event.position for event in unnamed] == [1, 2], "Kafka streams must be named"


async def test_a_page_of_both_is_by_time_and_pinned(indexed: Indexed) -> None:
    await indexed.commit(2)
    await indexed.index([(0, 0), (1, 0)])
    page = await indexed.queries.page(ADMIN, streams=["telemetry", "user-events"], first=3)
    await indexed.commit(1)
    await indexed.index([(0, 1), (2, 0)])
    rest = await indexed.queries.page(ADMIN, streams=["telemetry", "user-events"], first=3, after=page.end_cursor)
    assert [(event.position, event.partition) for event in [*page.events, *rest.events]] == [
        (1, None), (2, None), (None, 0), (None, 1),
    ]  # fmt: skip
    assert not rest.has_next
    assert page.as_of == rest.as_of
    assert (page.as_of.position, page.as_of.kafka) == (3, ((indexed.kafka.key, (1, 1, 0)),))


async def test_each_event_says_where_to_go_on(indexed: Indexed) -> None:
    await indexed.index([(1, 7)])
    page = await indexed.queries.page(ADMIN, streams=["telemetry"])
    (place,) = page.places
    assert place.kafka == ((indexed.kafka.key, (-1, 8, -1)),)
    assert place.position == 0
    found = await indexed.queries.placed(ADMIN, [page.events[0].event_id])
    assert found[page.events[0].event_id].place == place


async def test_counts_heads_and_what_redis_cannot(indexed: Indexed) -> None:
    await indexed.commit(3)
    await indexed.index([(0, 0), (0, 1)])
    assert await indexed.queries.count(ADMIN, indexed.ledger) == 3
    assert await indexed.queries.count(ADMIN, indexed.kafka) == 2
    assert (await indexed.queries.head(ADMIN, indexed.ledger)).position == 4
    for refused in (
        indexed.queries.page(ADMIN, streams=["presence"]),
        indexed.queries.head(ADMIN, indexed.kafka),
    ):
        with pytest.raises(EsbError) as caught:
            await refused
        assert caught.value.code is ErrorCode.UNSUPPORTED_BY_ENGINE


async def test_a_read_waits_for_the_index(indexed: Indexed) -> None:
    wanted = CODEC.encode("acme", Cursor(0, 0, 0, ((indexed.kafka.key, (2, -1, -1)),)))

    async def read() -> list[int | None]:
        page = await indexed.queries.page(ADMIN, streams=["telemetry"], consistent_with=wanted)
        return [event.offset for event in page.events]

    with pytest.raises(EsbError) as caught:
        await read()
    assert caught.value.code is ErrorCode.TIMEOUT
    reading = asyncio.create_task(read())
    await indexed.index([(0, 0), (0, 1)])
    assert await reading == [0, 1]


async def test_nothing_found_within_the_budget_says_where_to_go_on(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await indexed.commit(20)
    monkeypatch.setattr("store.ledger.walk._FIRST_WINDOW", 5)
    monkeypatch.setattr("store.ledger.walk._BUDGET_SECONDS", -1)
    monkeypatch.setattr(indexed.queries, "_walk_seconds", -1)
    never = parse_filter({"payload": [{"path": "never", "exists": True}]})
    after, refusals = None, 0
    while True:
        try:
            page = await indexed.queries.page(ADMIN, where=never, first=2, after=after)
        except EsbError as error:
            after, refusals = cast(dict[str, str], error.details)["cursor"], refusals + 1
        else:
            break
    assert refusals == 3
    assert (page.events, page.has_next) == ([], False)
