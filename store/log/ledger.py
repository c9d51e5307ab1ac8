"""The ledger engine: a tenant's log in PostgreSQL, gapless, idempotent, atomic."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from schema.cursor import Cursor, CursorInvalid
from schema.errors import ErrorCode, EsbError
from store.database import Database
from store.ledger.answer import Commit
from store.ledger.appender import PATIENCE_SECONDS, Appender
from store.ledger.committer import Bounds, Committer
from store.ledger.partitions import Partitions
from store.ledger.reader import EventReader
from store.log.port import Batch, Command, Outcome, Promises
from store.tenants import Tenant, Tenants

_LONGEST_LOG = """
select coalesce(max(l.position), 0) from tenants t cross join lateral
  (select e.position from events e where e.tenant = t.tenant order by e.position desc limit 1) l
"""

_POLL_SECONDS = 0.25
_TAIL_EVENTS = 1000


class LedgerLog:
    """One tenant's log; implements `store.log.port.Log`."""

    promises = Promises(gapless=True, idempotent=True, atomic=True)

    def __init__(self, tenant: Tenant, tenants: Tenants, reader: EventReader, committer: Committer) -> None:
        self._tenant = tenant
        self._tenants = tenants
        self._reader = reader
        self._committer = committer
        self._grown = asyncio.Event()

    async def append(self, commands: Sequence[Command]) -> list[Outcome]:
        """Commit the commands, whose streams must be this tenant's; see the port."""
        if not commands:
            return []
        return await self._committer.submit(commands)

    async def read(self, start: Cursor, limit: int) -> Batch:
        """Up to `limit` events from the cursor on.

        Raises CURSOR_INVALID for a cursor of another epoch or beyond the end, CURSOR_EXPIRED for one whose next event
        was truncated.
        """
        tenant = await self._tenants.get(self._tenant.name)
        if start.epoch > tenant.epoch:
            tenant = await self._tenants.refresh(tenant.name)  # the cursor is newer than what this process knew
        if start.epoch != tenant.epoch:
            raise CursorInvalid("it is of an earlier life of this log, before it was restored; start again")
        scan = await self._reader.scan(
            tenant, streams=None, where=None, start=start.position, end=start.position + limit, limit=limit
        )
        if not scan.events:
            if scan.reached < start.position:
                raise CursorInvalid("it lies beyond the end of the log")
            return Batch((), start)
        if scan.events[0].position != start.position:
            raise EsbError(ErrorCode.CURSOR_EXPIRED, "the events after this cursor are not kept any more; start again")
        last = scan.events[-1]
        return Batch(scan.events, Cursor(tenant.epoch, scan.reached, int(last.recorded_at.timestamp() * 1000)))

    async def head(self) -> Cursor:
        """The cursor after the last committed event."""
        tenant = await self._tenants.get(self._tenant.name)
        position, recorded_at = await self._reader.end(tenant)
        return Cursor(tenant.epoch, position, int(recorded_at.timestamp() * 1000))

    async def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        """Every event from the cursor on, for ever; events of other processes are seen within a quarter of a second."""
        while True:
            self._grown.clear()
            batch = await self.read(start, _TAIL_EVENTS)
            if batch.events:
                start = batch.cursor
                yield batch
            else:
                await self._growth()

    def grew(self) -> None:
        """This process has committed: tails look at once."""
        self._grown.set()

    async def close(self) -> None:
        """Commit what was handed in, refuse what comes."""
        await self._committer.close()

    async def _growth(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await self._grown.wait()
        except TimeoutError:
            return


class LedgerLogs:
    """The logs of all tenants in use, one each.

    `on_commit` is told of every commit of this process, and must not block. `patience`: seconds a command may wait for
    PostgreSQL to come back before its publisher is told LOG_UNAVAILABLE.
    """

    def __init__(
        self,
        database: Database,
        tenants: Tenants,
        on_commit: Callable[[Commit], None] = lambda _: None,
        *,
        bounds: Bounds | None = None,
        partitions: Partitions | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._database = database
        self._tenants = tenants
        self._on_commit = on_commit
        self._bounds = bounds
        self.partitions = partitions or Partitions(database)
        self._patience = patience
        self._reader = EventReader(database)
        self._logs: dict[str, LedgerLog] = {}

    async def start(self) -> None:
        """Make sure that the first positions have a place to go. Raises LOG_UNAVAILABLE."""
        async with self._database.writing() as connection:
            last = await connection.fetchval(_LONGEST_LOG)
        await self.partitions.ensure(last)

    async def get(self, tenant_name: str) -> LedgerLog:
        """The tenant's log. Raises LOG_UNAVAILABLE when a tenant not seen before cannot be asked for."""
        log = self._logs.get(tenant_name)
        if log is not None:
            return log
        tenant = await self._tenants.get(tenant_name)
        log = self._logs.get(tenant_name)
        if log is None:
            log = self._logs[tenant_name] = self._make(tenant)
        return log

    async def close(self) -> None:
        """Commit what was handed in, then stop. May be called twice."""
        await asyncio.gather(*[log.close() for log in self._logs.values()])
        await self.partitions.close()

    def _make(self, tenant: Tenant) -> LedgerLog:
        appender = Appender(tenant, self._database, self.partitions, self._patience)
        committer = Committer(appender, self._committed, self._bounds)
        return LedgerLog(tenant, self._tenants, self._reader, committer)

    def _committed(self, commit: Commit) -> None:
        self._logs[commit.tenant].grew()
        self._on_commit(commit)
