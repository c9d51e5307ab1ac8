"""Event sourcing, wired: one small async builder a part, called by `gateway.wiring.build`, each giving the use case
that is one field of `resolvers.context.Services`.

A builder takes what every part stands on, starts what runs in the background on the stack (so that it stops in the
reverse order, whatever failed), and knows nothing of the other parts: what one needs of another is an argument.

    async def aggregates(ground: Ground, stack: AsyncExitStack) -> Aggregates: ...
    async def projections(ground: Ground, stack: AsyncExitStack) -> Projections: ...
    def schemas(ground: Ground) -> SchemaParts: ...
    async def replays(ground: Ground, admission: Admission, stack: AsyncExitStack) -> Replays: ...
"""

from contextlib import AsyncExitStack
from typing import NamedTuple

from processors.admission.admission import Admission
from processors.aggregates.aggregates import Aggregates
from processors.aggregates.folds import Folds
from processors.aggregates.following import Following
from processors.aggregates.history import History
from processors.aggregates.plugins import Plugins
from processors.aggregates.snapshotter import Snapshotter
from processors.live.live import Live
from processors.projections.admin import ProjectionAdmin
from processors.projections.live import LiveProjections
from processors.projections.progress import Progress
from processors.projections.queries import ProjectionQueries
from processors.projections.reaching import Reaching
from processors.projections.service import Projections
from processors.projections.worker import ProjectionWorker
from processors.query import EventQueries
from processors.readable import ReadableStreams
from processors.replays.planning import Planner
from processors.replays.replays import Replays
from processors.replays.worker import Publishing, ReplayWorker
from processors.schemas.schemas import Schemas
from schema.cursor import CursorCodec
from store.aggregate_types import AggregateTypes
from store.checkpoints import Checkpoints
from store.database import Database
from store.leases import Leases
from store.ledger.aggregates import AggregateLog
from store.ledger.counting import EventCounts
from store.ledger.reader import EventReader
from store.log.logs import Logs
from store.projections.changes import ChangeReader
from store.projections.pointer import Pointer
from store.projections.reading import ProjectionReader
from store.projections.registry import ProjectionRegistry
from store.projections.stretching import Stretching
from store.projections.writing import ProjectionWriter
from store.registry import StreamCache
from store.replays import ReplayRows
from store.schemas import SchemaCache, SchemaRows
from store.signals.port import Signals
from store.snapshots import Snapshots
from store.tenants import Tenants


class Ground(NamedTuple):
    """What every part stands on, started."""

    database: Database
    tenants: Tenants
    signals: Signals
    views: StreamCache
    readable: ReadableStreams
    logs: Logs
    reader: EventReader
    codec: CursorCodec


# ---- aggregates: types, snapshots, states at every moment


class AggregateParts(NamedTuple):
    """Aggregates asked for, and followed."""

    aggregates: Aggregates
    following: Following


async def aggregates(ground: Ground, live: Live, stack: AsyncExitStack) -> AggregateParts:
    """Folds aggregates, and takes snapshots of them from now on."""
    database, reader = ground.database, ground.reader
    types, snapshots, folds = AggregateTypes(database), Snapshots(database), Folds(Plugins.installed())
    log = AggregateLog(database)
    history = History(log, snapshots)
    leases = Leases(database)
    stack.push_async_callback(leases.close)
    snapshotter = Snapshotter(types, folds, history, log, snapshots, reader, Checkpoints(database), leases)
    stack.push_async_callback(snapshotter.stop)
    await snapshotter.start()
    made = Aggregates(types, folds, history, ground.tenants)
    return AggregateParts(made, Following(made, live, reader))


# ---- projections: tables folded from the log, what builds and what reads them


async def projections(ground: Ground, stack: AsyncExitStack) -> Projections:
    """Moves projections on from now on, and reads them."""
    leases = Leases(ground.database)
    stack.push_async_callback(leases.close)
    registry, writer = ProjectionRegistry(ground.database), ProjectionWriter(ground.database)
    pointer, progress = Pointer(ground.database), Progress(ground.signals)
    stretching = Stretching(ground.database)
    worker = ProjectionWorker(registry, ground.reader, writer, pointer, stretching, leases, progress, ground.signals)
    stack.push_async_callback(worker.stop)
    await worker.start()
    reaching = Reaching(registry, ground.reader, writer, progress)
    rows = ProjectionReader(ground.database)
    live = LiveProjections(
        registry,
        rows,
        ChangeReader(ground.database),
        ground.reader,
        ground.tenants,
        reaching,
        progress,
        ground.signals,
        ground.codec,
    )
    stack.push_async_callback(live.stop)
    await live.start()
    return Projections(
        admin=ProjectionAdmin(
            registry, ground.readable, ground.tenants, ground.reader, writer, pointer, worker, progress
        ),
        queries=ProjectionQueries(registry, rows, ground.reader, ground.tenants, reaching, ground.codec),
        live=live,
    )


# ---- schemas: what payloads must look like


class SchemaParts(NamedTuple):
    """Schemas registered, and what admission holds payloads against."""

    schemas: Schemas
    cache: SchemaCache


def schemas(ground: Ground) -> SchemaParts:
    """Nothing of it runs in the background."""
    rows = SchemaRows(ground.database)
    cache = SchemaCache(rows, ground.tenants, ground.signals)
    return SchemaParts(Schemas(rows, cache, ground.tenants, ground.signals), cache)


# ---- replays: the past, published again


async def replays(ground: Ground, admission: Admission, queries: EventQueries, stack: AsyncExitStack) -> Replays:
    """Works at replays from now on, and starts new ones."""
    leases = Leases(ground.database)
    stack.push_async_callback(leases.close)
    rows = ReplayRows(ground.database, Checkpoints(ground.database))
    publishing = Publishing(admission, ground.reader, EventCounts(ground.database), ground.tenants)
    worker = ReplayWorker(rows, publishing, leases, ground.signals)
    ground.signals.listen(worker.on_signal)
    stack.push_async_callback(worker.stop)
    await worker.start()
    planner = Planner(
        views=ground.views,
        readable=ground.readable,
        queries=queries,
        logs=ground.logs,
        reader=ground.reader,
        tenants=ground.tenants,
        codec=ground.codec,
    )
    return Replays(rows, planner, ground.reader, ground.tenants, ground.signals)
