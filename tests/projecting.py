"""What tests of projections need around them: gateway processes, as far as projections go, on one database."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from processors.projections.admin import ProjectionAdmin
from processors.projections.applying import Applier, Step
from processors.projections.live import LiveProjections
from processors.projections.progress import Progress
from processors.projections.queries import ProjectionQueries
from processors.projections.reaching import Reaching
from processors.projections.worker import ProjectionWorker
from processors.readable import ReadableStreams
from schema.cursor import Cursor
from schema.stream import Stream
from store.database import Database
from store.leases import Leases
from store.ledger.reader import EventReader
from store.log.ledger import LedgerLogs
from store.log.port import Command
from store.projections.changes import ChangeReader
from store.projections.pointer import Pointer
from store.projections.reading import Ask, ProjectionReader
from store.projections.registry import Projection, ProjectionRegistry, Version
from store.projections.stretching import Stretching
from store.projections.writing import ProjectionWriter
from store.signals.memory import memory_signals
from store.signals.port import log_topic
from store.tenants import Tenant, Tenants
from tests.conformance.engines import ledger_stream
from tests.events import draft
from tests.world import ADMIN, CODEC, FixedStreams

TOTALS: dict[str, Any] = {
    "name": "totals",
    "streams": ["user-events"],
    "where": {"event_type": {"eq": "sale"}},
    "key": "event.payload.who",
    "indexes": ["total"],
    "reducers": [
        {"on": "sale", "operations": [{"increment": {"path": "total", "expression": "event.payload.amount"}}]}
    ],
}


def declared(**changes: Any) -> dict[str, Any]:
    """`TOTALS`, but for what is said."""
    return {**TOTALS, **changes}


def counting(**changes: Any) -> dict[str, Any]:
    """The same, counting sales as well."""
    (reducer,) = TOTALS["reducers"]
    more = {"increment": {"path": "count", "value": 1}}
    return declared(reducers=[{**reducer, "operations": [*reducer["operations"], more]}], **changes)


class World:
    """One process's projections. Nothing runs in the background unless `background` is started."""

    def __init__(self, database: Database, tenant: Tenant, stream: Stream, logs: LedgerLogs) -> None:
        self.database, self.tenant, self.stream, self.logs = database, tenant, stream, logs
        self.tenants = Tenants(database)
        self.signals = memory_signals()
        self.reader, self.registry = EventReader(database), ProjectionRegistry(database)
        self.writer, self.pointer = ProjectionWriter(database), Pointer(database)
        self.stretching = Stretching(database)
        self.rows, self.changes = ProjectionReader(database), ChangeReader(database)
        self.progress, self.leases = Progress(self.signals), Leases(database)
        self.background = ProjectionWorker(
            self.registry,
            self.reader,
            self.writer,
            self.pointer,
            self.stretching,
            self.leases,
            self.progress,
            self.signals,
            poll_s=0.05,
        )
        self.admin = ProjectionAdmin(
            self.registry,
            ReadableStreams(FixedStreams(stream)),
            self.tenants,
            self.reader,
            self.writer,
            self.pointer,
            self.background,
            self.progress,
        )
        self.reaching = Reaching(self.registry, self.reader, self.writer, self.progress)
        self.queries = ProjectionQueries(self.registry, self.rows, self.reader, self.tenants, self.reaching, CODEC)
        self.live = LiveProjections(
            self.registry,
            self.rows,
            self.changes,
            self.reader,
            self.tenants,
            self.reaching,
            self.progress,
            self.signals,
            CODEC,
        )

    async def sell(self, who: str, amount: Any, *, type: str = "sale") -> Cursor:
        """Commit one event; the cursor after it."""
        return (await self.sell_all([(who, amount)], type=type))[-1]

    async def sell_all(self, sales: list[tuple[str, Any]], *, type: str = "sale") -> list[Cursor]:
        log = await self.logs.get("acme")
        events = [draft(self.stream, type=type, payload={"who": who, "amount": amount}) for who, amount in sales]
        (receipts,) = await log.append([Command(events=events)])
        self.signals.notify(log_topic("acme"))
        return [receipt.cursor for receipt in receipts]  # type: ignore[union-attr]

    async def create(self, said: Mapping[str, Any] = TOTALS) -> Projection:
        return await self.admin.create(ADMIN, said)

    async def applier(self, version: Version) -> Applier:
        """Somebody who is about to move the version on."""
        work = await self.registry.work(version.key)
        assert work is not None
        return Applier(*work, self.reader, self.writer)

    async def apply(self, version: Version) -> Step:
        """Apply all there is; what the last step said."""
        applier = await self.applier(version)
        while (step := await applier.step()) is Step.MOVED:
            pass
        return step

    async def find(self, name: str = "totals") -> Projection:
        found = await self.registry.find(self.tenant.key, name)
        assert found is not None
        return found

    async def all_rows(self, position: int | None = None, name: str = "totals") -> dict[str, Any]:
        found = await self.rows.rows(self.tenant.key, name, Ask(None, None, False, 1000, None, position))
        assert not found.more
        return {row.key: json.loads(row.value) for _, row in found.rows}

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait, as long as the test may take, for what the background does."""
        async with asyncio.timeout(30):
            while not await holds():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def is_version(self, number: int) -> None:
        async def holds() -> bool:
            found = await self.find()
            return found.active.number == number and found.active.live and found.candidate is None

        await self.until(holds)


@asynccontextmanager
async def projecting(dsn: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        database = Database(dsn)
        await database.start()
        stack.push_async_callback(database.close)
        tenants = Tenants(database)
        logs = LedgerLogs(database, tenants)
        await logs.start()
        stack.push_async_callback(logs.close)
        where = await ledger_stream(database, tenants)
        world = World(database, await tenants.get("acme"), where, logs)
        await world.signals.start()
        stack.push_async_callback(world.signals.stop)
        stack.push_async_callback(world.leases.close)
        stack.push_async_callback(world.background.stop)
        await world.live.start()
        stack.push_async_callback(world.live.stop)
        yield world
