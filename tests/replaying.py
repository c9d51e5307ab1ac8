"""What tests of replays need around them: gateway processes, as far as replays go, on one database."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from processors.admission.admission import Admission
from processors.admission.canonical import ContentHash
from processors.query import EventQueries
from processors.readable import ReadableStreams
from processors.replays.planning import Planner
from processors.replays.replays import Replays
from processors.replays.worker import Publishing, ReplayWorker
from processors.stream_admin import StreamAdmin, StreamInput
from schema.cursor import CursorCodec
from schema.event import Event
from schema.identifier import IdentifierSource
from schema.input import ClientContext, EventInput
from schema.principal import Action, Grant, Principal
from schema.replay import Replay, ReplayStatus
from store.checkpoints import Checkpoints
from store.database import Database
from store.leases import Leases
from store.ledger.counting import EventCounts
from store.ledger.reader import EventReader
from store.log.ledger import LedgerLogs
from store.log.logs import Logs
from store.log.port import Receipt
from store.registry import Registry, StreamCache
from store.replays import ReplayRows
from store.signals.memory import memory_signals
from store.tenants import Tenants
from tests.world import Silent

START = datetime(2026, 1, 1, tzinfo=UTC)
CODEC = CursorCodec(b"k" * 32)
ADMIN = Principal(tenant="acme", subject="ann", client="shop", grants=tuple(Grant(action) for action in Action))


class Process:
    """One gateway process. Its worker runs only where `worker.start()` says so."""

    def __init__(self, database: Database, dsn: str) -> None:
        self.database = database
        self.tenants = Tenants(database)
        self.reader = EventReader(database)
        self.registry = Registry(dsn)
        self.signals = memory_signals()
        views = StreamCache(self.registry, self.signals)
        self.ledger = LedgerLogs(database, self.tenants)
        logs = Logs(self.ledger.get, self.tenants, {})
        readable = ReadableStreams(views)
        self.queries = EventQueries(self.reader, readable, self.tenants, logs, CODEC)
        self.streams = StreamAdmin(self.registry, views, self.signals, None, engines=())
        self.admission = Admission(
            views=views,
            pins=self.registry,
            logs=logs,
            codec=CODEC,
            hashes=ContentHash(b"h" * 32),
            recorder=Silent(),
            identifiers=IdentifierSource(),
        )
        self.rows = ReplayRows(database, Checkpoints(database))
        self.leases = Leases(database, ttl_s=2)
        planner = Planner(
            views=views,
            readable=readable,
            queries=self.queries,
            logs=logs,
            reader=self.reader,
            tenants=self.tenants,
            codec=CODEC,
        )
        self.replays = Replays(self.rows, planner, self.reader, self.tenants, self.signals)
        self.worker = self.make_worker()

    def make_worker(
        self, *, rows: ReplayRows | None = None, admission: Any = None, batch_events: int = 50
    ) -> ReplayWorker:
        """A worker of this process; parts of it may be others than the process has."""
        publishing = Publishing(admission or self.admission, self.reader, EventCounts(self.database), self.tenants)
        worker = ReplayWorker(
            rows or self.rows, publishing, self.leases, self.signals, poll_s=0.05, batch_events=batch_events
        )
        self.signals.listen(worker.on_signal)
        return worker

    async def publish(self, events: Sequence[EventInput]) -> list[Receipt]:
        """Commit them, in order."""
        report = await self.admission.publish(ADMIN, events, client=ClientContext())
        assert not report.rejections
        return [receipt for _, receipt in report.receipts]

    async def events(self, stream: str) -> list[Event]:
        """Everything in a stream, in order."""
        found: list[Event] = []
        after = None
        while True:
            page = await self.queries.page(ADMIN, streams=[stream], first=1000, after=after)
            found += page.events
            if not page.has_next:
                return found
            after = page.end_cursor

    async def ended(self, replay: Replay, *statuses: str) -> Replay:
        """The replay, once it is over or in one of these states."""
        async with asyncio.timeout(60):
            async for each in self.replays.follow(lambda: ADMIN, replay.replay_id):
                if each.status.over or each.status in statuses:
                    return each
                assert each.status is not ReplayStatus.FAILED, each.error
        raise AssertionError("it is not followed to its end")


def said(number: int, **fields: Any) -> EventInput:
    """Event `number` of the stream `orders`: a second after the one before, of one of three aggregates."""
    known = {
        "event_type": "order.placed",
        "aggregate_type": "Order",
        "aggregate_id": f"o{number % 3}",
        "timestamp": START + timedelta(seconds=number),
        "correlation_id": f"c{number % 2}",
        "payload": msgspec.Raw(b'{"n":%d}' % number),
        "stream": "orders",
    }
    return EventInput(**(known | fields))


@asynccontextmanager
async def processes(dsn: str, count: int = 1) -> AsyncIterator[list[Process]]:
    """So many processes on one database, with the streams `orders` and `copy` of the tenant `acme`."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            database = Database(dsn, max_size=6)
            await database.start()
            stack.push_async_callback(database.close)
            process = Process(database, dsn)
            stack.push_async_callback(process.registry.close)
            stack.push_async_callback(process.ledger.close)
            stack.push_async_callback(process.leases.close)
            stack.push_async_callback(process.worker.stop)
            await process.ledger.start()
            await process.signals.start()
            stack.push_async_callback(process.signals.stop)
            made.append(process)
        for name in ("orders", "copy"):
            await made[0].streams.create(ADMIN, StreamInput(stream_name=name))
        yield made
