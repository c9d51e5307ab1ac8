"""Event sourcing, wired: one small async builder a part, called by `gateway.wiring.build`, each giving the use case
that is one field of `resolvers.context.Services`.

A builder takes what every part stands on, starts what runs in the background on the stack (so that it stops in the
reverse order, whatever failed), and knows nothing of the other parts: what one needs of another is an argument.

    async def aggregates(ground: Ground, stack: AsyncExitStack) -> Aggregates: ...
    async def projections(ground: Ground, stack: AsyncExitStack) -> Projections: ...
    async def schemas(ground: Ground, stack: AsyncExitStack) -> Schemas: ...
    async def replays(ground: Ground, admission: Admission, stack: AsyncExitStack) -> Replays: ...
"""

from typing import NamedTuple

from processors.readable import ReadableStreams
from schema.cursor import CursorCodec
from store.database import Database
from store.ledger.reader import EventReader
from store.log.logs import Logs
from store.registry import StreamCache
from store.signals.port import Signals
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

# ---- projections: tables folded from the log, what builds and what reads them

# ---- schemas: what payloads must look like

# ---- replays: the past, published again
