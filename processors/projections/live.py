"""Live projections of one process: who follows what, within which limits."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol

from processors.live.request import DEFAULT_BUFFER_BYTES, Edge, Start
from processors.projections.progress import Progress
from processors.projections.reaching import Reaching
from processors.projections.rights import may_read
from processors.projections.subscription import ChangeSubscription, Following
from processors.projections.tail import Tail
from processors.worker import Worker
from schema.cursor import Cursor, CursorCodec, CursorInvalid
from schema.errors import ErrorCode, EsbError, bad_input
from schema.filter.ast import Filter
from schema.principal import Principal
from schema.projections.place import placed
from store.projections.changes import ChangeReader
from store.projections.reading import ProjectionReader
from store.projections.registry import ProjectionRegistry, Version, no_projection
from store.signals.port import EVERYTHING, Signals, log_topic
from store.tenants import Tenant, Tenants

MAX_SUBSCRIPTIONS = 10_000
_REAP_S = 5.0


class Log(Protocol):
    """What is asked of the log itself."""

    async def head(self, tenant: Tenant) -> int:
        """The next position."""

    async def position_at(self, tenant: Tenant, recorded_at: datetime) -> int:
        """The first position recorded then or later."""


class LiveProjections:
    """Where subscriptions to projections come from. `most`: subscriptions of one tenant at once."""

    def __init__(
        self,
        registry: ProjectionRegistry,
        rows: ProjectionReader,
        changes: ChangeReader,
        log: Log,
        tenants: Tenants,
        reaching: Reaching,
        progress: Progress,
        signals: Signals,
        codec: CursorCodec,
        *,
        most: int = MAX_SUBSCRIPTIONS,
    ) -> None:
        self._registry = registry
        self._rows = rows
        self._changes = changes
        self._log = log
        self._tenants = tenants
        self._reaching = reaching
        self._progress = progress
        self._codec = codec
        self._most = most
        self._tails: dict[tuple[int, str], Tail] = {}
        self._subscriptions: dict[ChangeSubscription, tuple[Tail, str]] = {}
        self._of_tenant: Counter[str] = Counter()
        self._reaper = Worker("projection-tails", self._reap)
        self._draining = False
        signals.listen(self._on_signal)

    @property
    def subscriptions(self) -> int:
        """How many there are now."""
        return len(self._subscriptions)

    async def start(self) -> None:
        """Begin to take subscriptions."""
        self._draining = False
        await self._reaper.start()

    async def stop(self) -> None:
        """Drain: every subscription ends with `Draining`. May be called twice."""
        self._draining = True
        for subscription in list(self._subscriptions):
            subscription.drain()
        await self._reaper.stop()
        for tail in list(self._tails.values()):
            await tail.stop()
        self._tails.clear()

    async def subscribe(
        self,
        tenant_name: str,
        name: str,
        *,
        where: Filter | None,
        start: Start,
        conflate: bool,
        principal: Callable[[], Principal],
    ) -> ChangeSubscription:
        """Follow a projection's rows.

        LIVE: changes from now on; BEGINNING: all rows as they are, then changes; a cursor or a time: the changes since,
        or all rows where those are not kept, or are of another version's rows. `principal`: the caller as of now.

        Raises NOT_FOUND, CURSOR_INVALID, RATE_LIMITED, LOG_UNAVAILABLE.
        """
        if self._draining:
            raise EsbError(ErrorCode.LOG_UNAVAILABLE, "this gateway is shutting down; reconnect", retry_after_ms=0)
        if self._of_tenant[tenant_name] >= self._most:
            raise EsbError(ErrorCode.RATE_LIMITED, "too many live subscriptions at once", retry_after_ms=5000)
        tenant = await self._tenants.get(tenant_name)
        projection = await self._registry.find(tenant.key, name)
        if projection is None or not may_read(principal(), projection):
            raise no_projection(name)
        place = await self._place(tenant, start)
        tail = await self._tail(tenant, name, projection.active)
        if start is Edge.LIVE:
            active = projection.active
            place = placed(tenant.epoch, active.position, active.recorded_at, active.key)
        sign = partial(self._codec.encode, tenant.name)
        following = Following(tenant, name, where, place, conflate, DEFAULT_BUFFER_BYTES, principal, sign)
        subscription = ChangeSubscription(following, projection.active, tail, self._rows, self._changes, self._closed)
        tail.users += 1
        self._subscriptions[subscription] = (tail, tenant.name)
        self._of_tenant[tenant.name] += 1
        return subscription

    async def _place(self, tenant: Tenant, start: Start) -> Cursor | None:
        if isinstance(start, datetime):
            return Cursor(tenant.epoch, await self._log.position_at(tenant, start))
        if not isinstance(start, Cursor):
            return None
        if not start.position:
            raise bad_input("the cursor has no place in the ledger, which projections are made from", field="from")
        if start.epoch != tenant.epoch:
            raise CursorInvalid("the log was forked or restored since")
        if start.position > await self._log.head(tenant):
            raise CursorInvalid("it lies beyond the head of the log")
        return start

    async def _tail(self, tenant: Tenant, name: str, version: Version) -> Tail:
        key = (tenant.key, name)
        tail = self._tails.get(key)
        if tail is None:
            tail = self._tails[key] = Tail(tenant, name, version, self._changes, self._progress, self._refresh)
            await tail.start()
        return tail

    async def _refresh(self, tenant: Tenant, name: str) -> None:
        await self._reaching.reach(tenant, name, await self._log.head(tenant))

    def _closed(self, subscription: ChangeSubscription) -> None:
        tail, tenant = self._subscriptions.pop(subscription)
        tail.users -= 1
        self._of_tenant[tenant] -= 1

    def _on_signal(self, topic: str) -> None:
        """A log has new events: who follows what is applied on read reads now."""
        for tail in self._tails.values():
            if topic in (EVERYTHING, log_topic(tail.tenant)):
                tail.wake()

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(_REAP_S)
            for key, tail in list(self._tails.items()):
                if not tail.users:
                    del self._tails[key]
                    await tail.stop()
