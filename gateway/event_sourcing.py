"""Event sourcing, wired: one small async builder a part, called by `gateway.wiring.build`, each giving the use case
that is one field of `resolvers.context.Services`.

A builder takes what every part stands on, starts what runs in the background on the stack (so that it stops in the
reverse order, whatever failed), and knows nothing of the other parts: what one needs of another is an argument.

    async def aggregates(ground: Ground, stack: AsyncExitStack) -> Aggregates: ...
    async def projections(ground: Ground, stack: AsyncExitStack) -> Projections: ...
    async def schemas(ground: Ground, stack: AsyncExitStack) -> Schemas: ...
    async def replays(ground: Ground, admission: Admission, stack: AsyncExitStack) -> Replays: ...
"""

from contextlib import AsyncExitStack
from typing import NamedTuple

from processors.aggregates.aggregates import Aggregates
from processors.aggregates.following import Following
from processors.aggregates.folds import Folds
from processors.aggregates.history import History
from processors.aggregates.plugins import Plugins
from processors.live.live import Live
from processors.readable import ReadableStreams
from schema.cursor import CursorCodec
from store.aggregate_types import AggregateTypes
from store.database import Database
from store.ledger.aggregates import AggregateLog
from store.ledger.reader import EventReader
from store.log.logs import Logs
from store.registry import StreamCache
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
    types, snapshots, folds = AggregateTypes(ground.database), Snapshots(ground.database), Folds(Plugins.installed())
    history = History(AggregateLog(ground.database), snapshots)
    made = Aggregates(types, folds, history, ground.reader, ground.tenants)
    return AggregateParts(made, Following(made, live, ground.reader))


# ---- projections: tables folded from the log, what builds and what reads them

# ---- schemas: what payloads must look like

# ---- replays: the past, published again
