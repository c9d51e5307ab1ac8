"""Live subscriptions over a real ledger: concurrent writers here and in another process, killed connections."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
import pytest

from processors.live.items import CaughtUp, Delivered
from processors.live.live import Live, LiveLimits
from processors.live.request import Edge, LiveRequest, Start
from schema.cursor import Cursor, CursorCodec
from schema.event import Event
from schema.filter.typed import parse_filter
from schema.principal import Action, Grant, Principal
from schema.stream import Stream
from store.database import Database
from store.ledger.reader import EventReader
from store.log.ledger import LedgerLog, LedgerLogs
from store.log.logs import Logs
from store.log.port import Command
from store.signals.postgres import postgres_signals
from store.tenants import Tenants
from tests.conformance.engines import ledger_stream
from tests.events import draft
from tests.integration.processors.live import writer_process

READER = Principal(tenant="acme", grants=(Grant(Action.READ),))
FILTERS: list[dict[str, Any] | None] = [
    None,
    {"aggregateId": {"eq": "near1"}},
    {"payload": [{"path": "n", "gte": 10}]},
    {"expression": "event.payload.n >= 5 && event.aggregate_id != 'far0'"},
]


class Gateway(NamedTuple):
    live: Live
    log: LedgerLog
    stream: Stream
    dsn: str


@asynccontextmanager
async def gateway(dsn: str, *, hand_over: bool = True, **limits: Any) -> AsyncIterator[Gateway]:
    """One process' ledger and live path."""
    database = Database(dsn)
    await database.start()
    tenants = Tenants(database)
    announce: list[Any] = []
    ledgers = LedgerLogs(database, tenants, lambda commit: [tell(commit) for tell in announce] and None)
    await ledgers.start()
    live = Live(
        EventReader(database),
        Logs(ledgers.get, tenants, {}),
        tenants,
        CursorCodec(b"k" * 32),
        limits=LiveLimits(**limits),
    )
    if hand_over:
        announce.append(live.on_commit)
    await live.start()
    try:
        yield Gateway(live, await ledgers.get("acme"), await ledger_stream(database, tenants), dsn)
    finally:
        await live.stop()
        await ledgers.close()
        await database.close()


class Reader:
    """Follows from a start on, cut and resumed at random; keeps what it saw."""

    def __init__(self, live: Live, start: Start, where: dict[str, Any] | None) -> None:
        self.live = live
        self.start = start
        self.where = parse_filter(where) if where is not None else None
        self.seen: list[Event] = []
        self.cuts = 0

    async def run(self, rng: random.Random) -> None:
        while True:
            asked = LiveRequest(principal=READER, start=self.start, where=self.where, max_events=rng.randint(1, 50))
            steps = rng.randint(1, 20)
            async with await self.live.subscribe(asked) as subscription:
                self.start = subscription.cursor
                async for items in subscription:
                    for item in items:
                        if isinstance(item, Delivered):
                            self.seen.append(item.event)
                        self.start = item.cursor
                    steps -= 1
                    if not steps:
                        break
            self.cuts += 1


async def everything(log: LedgerLog) -> list[Event]:
    events: list[Event] = []
    cursor = Cursor(1, 1)
    while True:
        batch = await log.read(cursor, 1000)
        if not batch.events:
            return events
        events += batch.events
        cursor = batch.cursor


async def follow_while(gate: Gateway, writing: Any, *, readers: int = 12, seconds: float = 60) -> int:
    """Run readers from random places beside the writers and check each against the log; how often were they cut?"""
    rng = random.Random(7)
    followers: list[tuple[Reader, int]] = []
    tasks: list[asyncio.Task[None]] = []

    async def join_now_and_then() -> None:
        for number in range(readers):
            head = (await gate.log.head()).position
            start = rng.randint(1, head)
            reader = Reader(gate.live, Cursor(1, start), FILTERS[number % len(FILTERS)])
            followers.append((reader, start))
            tasks.append(asyncio.create_task(reader.run(random.Random(number))))
            await asyncio.sleep(0.03)

    try:
        await asyncio.gather(writing, join_now_and_then())
        from schema.filter.python import compile_filter

        log = await everything(gate.log)
        assert [event.position for event in log] == list(range(1, len(log) + 1))
        for reader, start in followers:
            wants = compile_filter(reader.where) if reader.where is not None else lambda _: True
            expected = [event.position for event in log[start - 1 :] if wants(event)]
            async with asyncio.timeout(seconds):
                while len(reader.seen) < len(expected):
                    for task in tasks:
                        if task.done():
                            task.result()
                    await asyncio.sleep(0.01)
            assert [event.position for event in reader.seen] == expected
            for event in reader.seen:
                assert event.event_id == log[(event.position or 0) - 1].event_id
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert gate.live.subscriptions == 0
    return sum(reader.cuts for reader, _ in followers)


async def near_writers(gate: Gateway, writers: int, events: int) -> None:
    await asyncio.gather(*[writer_process.write(gate.log, gate.stream, f"near{w}", events) for w in range(writers)])


async def far_writers(gate: Gateway, writers: int, events: int, *options: str) -> None:
    arguments = (gate.dsn, str(gate.stream.key), str(writers), str(events), *options)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.processors.live.writer_process", *arguments
    )
    assert await process.wait() == 0


async def test_readers_cut_at_random_see_everything_once_beside_concurrent_writers(database_url: str) -> None:
    # The ring holds about thirty events: readers fall out of it all the time.
    async with gateway(database_url, ring_bytes=40_000) as gate:
        assert await follow_while(gate, near_writers(gate, 8, 200)) > 20


async def test_writers_in_two_processes_without_any_signal(database_url: str) -> None:
    async with gateway(database_url, ring_bytes=400_000, poll_seconds=0.1) as gate:

        async def both() -> None:
            await asyncio.gather(near_writers(gate, 4, 200), far_writers(gate, 4, 200))

        assert await follow_while(gate, both()) > 20


async def test_only_another_process_writes_and_signals(database_url: str) -> None:
    signals = postgres_signals(database_url)
    async with gateway(database_url, hand_over=False, poll_seconds=600) as gate:
        signals.listen(gate.live.on_signal, own=False)
        await signals.start()
        try:
            await follow_while(gate, far_writers(gate, 4, 100, "signals"))
        finally:
            await signals.stop()


async def test_killed_connections_cost_time_and_nothing_else(database_url: str) -> None:
    async with gateway(database_url, hand_over=False, ring_bytes=40_000, poll_seconds=0.02) as gate:

        async def kill_now_and_then() -> None:
            # not earlier: a process whose start is cut gives up, and rightly
            while (await gate.log.head()).position == 1:  # noqa: ASYNC110 - until another process has written
                await asyncio.sleep(0.01)
            killer = await asyncpg.connect(database_url, server_settings={"application_name": "killer"})
            try:
                for _ in range(10):
                    await asyncio.sleep(0.1)
                    await killer.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity"
                        " where datname = current_database() and application_name = 'esb'"
                    )
            finally:
                await killer.close()

        async def both() -> None:
            await asyncio.gather(far_writers(gate, 4, 200), kill_now_and_then())

        reads = Reader(gate.live, Edge.BEGINNING, None)

        async def patiently() -> None:
            while True:
                try:
                    await reads.run(random.Random(3))
                except Exception as error:
                    if getattr(error, "code", None) != "LOG_UNAVAILABLE":
                        raise
                    await asyncio.sleep(0.02)

        reading = asyncio.create_task(patiently())
        try:
            await both()
            log = await everything(gate.log)
            async with asyncio.timeout(60):
                while len(reads.seen) < len(log):
                    if reading.done():
                        reading.result()
                    await asyncio.sleep(0.02)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        assert [event.position for event in reads.seen] == [event.position for event in log]


@pytest.mark.parametrize("committed", [0, 3])
async def test_nothing_committed_after_the_subscription_is_acknowledged_is_missed(
    database_url: str, committed: int
) -> None:
    """Also when this process has not heard yet of what another one committed before."""
    async with gateway(database_url, hand_over=False, poll_seconds=0.05) as gate:
        async with await gate.live.subscribe(LiveRequest(principal=READER)) as early:
            await anext(early)
            for n in range(committed):
                await gate.log.append([Command(events=[draft(gate.stream, "before", payload={"n": n})])])
            async with await gate.live.subscribe(LiveRequest(principal=READER)) as late:
                receipts = await gate.log.append([Command(events=[draft(gate.stream, "after")])])
                items = [*await anext(late), *await anext(late)]
            assert isinstance(items[0], CaughtUp)
            assert isinstance(items[1], Delivered)
            assert items[1].event.event_id == receipts[0][0].event_id  # type: ignore[index,union-attr]
