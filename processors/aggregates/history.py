"""Folding an aggregate's events up to a bound, from the nearest snapshot that lies within it.

Events never change and their sequence numbers have no gaps, so a fold may read them in many short transactions: what is
committed meanwhile comes after, or lies beyond the bound.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from processors.aggregates.folds import Folding, TypeFold
from schema.event import NEVER, Event
from store.ledger.aggregates import END, FUTURE, AggregateKey, AggregateLog
from store.snapshots import Snapshots
from store.tenants import Tenant

CHUNK_EVENTS = 500
"""Folded at once: a few milliseconds in which nothing else of the process runs."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Bound(NamedTuple):
    """Which events belong to a state: with sequence numbers up to `last`, positions below `before`, recorded no later
    than `recorded`, and timestamps up to `happened`. One of them is given."""

    last: int = END
    before: int = END
    recorded: datetime = FUTURE
    happened: datetime | None = None


class Reached(NamedTuple):
    """How far a fold came. `version`, `position`, `recorded_at`: of its last event. `newest`: the latest timestamp of
    its events."""

    folding: Folding
    version: int
    position: int
    recorded_at: datetime
    newest: datetime

    @property
    def state(self) -> Any:
        """The state; an aggregate that no reducer has touched is an empty object."""
        state = self.folding.state
        return {} if state is None else state

    def after(self, event: Event) -> "Reached":
        """Fold one more event in. Raises what the fold raises; this value is not to be used any more."""
        assert event.sequence_number is not None, "only the ledger has aggregates"
        assert event.position is not None
        self.folding.apply(event)
        newest = max(self.newest, event.timestamp)
        return Reached(self.folding, event.sequence_number, event.position, event.recorded_at, newest)


class History:
    """Folds aggregates. Its methods may raise LOG_UNAVAILABLE, TIMEOUT, and what the fold of an event raises."""

    def __init__(self, log: AggregateLog, snapshots: Snapshots) -> None:
        self._log = log
        self._snapshots = snapshots

    async def fold(self, tenant: Tenant, key: AggregateKey, fold: TypeFold, bound: Bound) -> Reached:
        """The fold of all events within the bound; `version` 0 where there is none."""
        reached = await self.start(tenant, key, fold, bound)
        async for events in self._within(tenant, key, fold, bound, reached.version + 1):
            for event in events:
                reached = reached.after(event)
        return reached

    async def start(self, tenant: Tenant, key: AggregateKey, fold: TypeFold, bound: Bound) -> Reached:
        """The nearest snapshot within the bound, or the beginning."""
        found = await self._snapshots.nearest(tenant, key, fold.made_by, **bound._asdict())
        if found is None:
            return Reached(fold.folder.begin(), 0, 0, NEVER, _LONG_AGO)
        folding = fold.folder.begin(found.state)
        return Reached(folding, found.sequence_number, found.position, found.recorded_at, found.newest)

    async def events(
        self, tenant: Tenant, key: AggregateKey, first: int, last: int = END
    ) -> AsyncIterator[list[Event]]:
        """Events with sequence numbers `first` to `last`, by the chunk."""
        async for chunk in self._up_to(tenant, key, first, Bound(last=last)):
            yield chunk

    async def _up_to(self, tenant: Tenant, key: AggregateKey, first: int, bound: Bound) -> AsyncIterator[list[Event]]:
        last = bound.last
        while first <= last:
            end = min(last, first + CHUNK_EVENTS - 1)
            chunk = await self._log.events(
                tenant, key, first=first, last=end, before=bound.before, recorded=bound.recorded
            )
            if chunk:
                yield chunk
            if len(chunk) <= end - first:
                return
            first = end + 1

    async def _within(
        self, tenant: Tenant, key: AggregateKey, fold: TypeFold, bound: Bound, first: int
    ) -> AsyncIterator[list[Event]]:
        """The events within the bound from a sequence number on, by the chunk."""
        if bound.happened is None:
            async for chunk in self._up_to(tenant, key, first, bound):
                yield chunk
            return
        by = bound.happened
        for begin, end in await self._snapshots.stretches(tenant, key, fold.made_by, first=first, happened=by):
            start = begin
            while start <= end:
                chunk = await self._log.happened(tenant, key, by, first=start, last=end, limit=CHUNK_EVENTS)
                yield chunk
                if len(chunk) < CHUNK_EVENTS:
                    break
                start = (chunk[-1].sequence_number or 0) + 1
