"""Aggregates over a real PostgreSQL, without a gateway: events of the type User in one stream of the tenant acme."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from processors.aggregates.aggregates import AggregateInput, Aggregates, AggregateState
from processors.aggregates.folds import Folds
from processors.aggregates.history import History
from processors.aggregates.plugins import Plugins
from processors.aggregates.snapshotter import PREFIX, Snapshotter
from schema.aggregate import Moment
from schema.cursor import Cursor
from schema.event import Event
from schema.stream import Stream
from store.aggregate_types import AggregateTypes
from store.checkpoints import Checkpoints
from store.database import Database
from store.leases import Leases
from store.ledger.aggregates import AggregateLog
from store.ledger.reader import EventReader
from store.log.ledger import LedgerLogs
from store.log.port import Command
from store.snapshots import Snapshots
from store.tenants import Tenant, Tenants
from tests.conformance.engines import ledger_stream
from tests.events import draft
from tests.world import ADMIN

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = [
    {
        "on": "user.*",
        "operations": [
            {"append": {"path": "seen", "expression": "event.payload.n"}},
            {"increment": {"path": "sum", "expression": "event.payload.n"}},
        ],
    }
]
"""Reducers whose state tells the order, so that no event is missing, doubled or misplaced in it."""

_tenants = count(1)


def folded(numbers: Sequence[int]) -> dict[str, Any]:
    """The state that NUMBERS make of payloads {"n": number}."""
    return {"seen": list(numbers), "sum": sum(numbers)} if numbers else {}


class Aggregating:
    """The parts, on one database. Each may be made again, as another process would."""

    def __init__(self, database: Database, tenants: Tenants, logs: LedgerLogs, plugins: Plugins | None = None) -> None:
        self.database, self.tenants, self.logs = database, tenants, logs
        self.types, self.snapshots, self.log = AggregateTypes(database), Snapshots(database), AggregateLog(database)
        self.reader, self.checkpoints = EventReader(database), Checkpoints(database)
        self.plugins = plugins or Plugins({})
        self.folds = Folds(self.plugins)
        self.history = History(self.log, self.snapshots)
        self.aggregates = Aggregates(self.types, self.folds, self.history, tenants)
        self.principal = ADMIN
        self.stream: Stream

    async def begin(self) -> Tenant:
        """Begin with a tenant of its own."""
        name = f"t{next(_tenants)}"
        self.principal = type(ADMIN)(tenant=name, grants=ADMIN.grants)
        self.stream = await ledger_stream(self.database, self.tenants, name, "user-events", 1)
        tenant = await self.tenants.get(name)
        async with self.database.writing() as connection:
            await connection.execute("insert into aggregate_types values ($1, 'User', $2)", tenant.key, self.stream.key)
        return tenant

    async def define(self, **said: Any) -> int:
        """Declare the type User; its revision."""
        made = await self.aggregates.define(self.principal, AggregateInput("User", **({"reducers": NUMBERS} | said)))
        return made.declaration.revision

    async def publish(
        self, aggregate: str, numbers: Sequence[int], happened: Sequence[int] = (), type: str = "user.created"
    ) -> None:
        """An event a number; `happened`: seconds after EPOCH, by default none."""
        log = await self.logs.get(self.principal.tenant)
        times = [EPOCH + timedelta(seconds=s) for s in happened] or [EPOCH] * len(numbers)
        drafts = [
            draft(self.stream, aggregate, payload={"n": n}, at=at, type=type)
            for n, at in zip(numbers, times, strict=True)
        ]
        for start in range(0, len(drafts), 500):
            await log.append([Command(events=drafts[start : start + 500])])

    async def events(self) -> Sequence[Event]:
        """The whole log."""
        log = await self.logs.get(self.principal.tenant)
        return (await log.read(Cursor(1, 1), 1000)).events

    async def state(self, aggregate: str, at: Moment | None = None) -> AggregateState | None:
        """The aggregate."""
        return await self.aggregates.state(self.principal, "User", aggregate, at)

    async def taken(self, aggregate: str | None = None) -> list[int]:
        """Sequence numbers of the snapshots there are, of one aggregate or all of the tenant."""
        tenant = await self.tenants.get(self.principal.tenant)
        async with self.database.writing() as connection:
            rows = await connection.fetch(
                "select sequence_number from snapshots where tenant = $1 and ($2::text is null or aggregate_id = $2)"
                " order by revision, made_by, aggregate_id, sequence_number",
                tenant.key,
                aggregate,
            )
        return [row[0] for row in rows]

    @asynccontextmanager
    async def snapshotter(self, leases: Leases | None = None) -> AsyncIterator[Snapshotter]:
        """One at work."""
        own = leases or Leases(self.database)
        made = Snapshotter(
            self.types,
            Folds(self.plugins),
            self.history,
            self.log,
            self.snapshots,
            self.reader,
            self.checkpoints,
            own,
            poll_s=0.01,
        )
        await made.start()
        try:
            yield made
        finally:
            await made.stop()
            if leases is None:
                await own.close()

    async def followed(self) -> bool:
        """Whether the tenant's types have been followed to the end of the log, by the reducers of now."""
        for one in await self.types.followed(PREFIX):
            if one.tenant.name == self.principal.tenant:
                made_by = self.folds.of(one.declaration).made_by
                if one.checkpoint is None or one.checkpoint.state.get("made_by") != made_by:
                    return False
                if one.checkpoint.position <= one.head:
                    return False
        return True


@asynccontextmanager
async def aggregating(database_url: str, plugins: Plugins | None = None) -> AsyncIterator[Aggregating]:
    """The parts, started, with a tenant."""
    database = Database(database_url)
    await database.start()
    tenants = Tenants(database)
    logs = LedgerLogs(database, tenants)
    await logs.start()
    try:
        made = Aggregating(database, tenants, logs, plugins)
        await made.begin()
        yield made
    finally:
        await logs.close()
        await database.close()
