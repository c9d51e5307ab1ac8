"""What a replay still has to read: ledger events by position, indexed Kafka events by place, merged by `recorded_at`.

As stored, whatever newer versions of their schemas say: a copy is what was published.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from processors.merging import is_done, merge, walk
from processors.pages import Bounds, Order
from schema.event import Event
from schema.filter.ast import Filter
from schema.filter.typed import parse_filter
from schema.replay import ReplayPlace, ReplayPlan
from schema.stream import StreamEngine
from store.ledger.counting import Counted, EventCounts
from store.ledger.reader import EventReader
from store.ledger.walk import INDEXED, LEDGER, Scan
from store.tenants import Tenant

_WALK_SECONDS = 2.0


class Stretch(NamedTuple):
    """Events of the past, each with the place after it. `end`: the place after all that was looked at."""

    events: Sequence[Event]
    places: Sequence[ReplayPlace]
    end: ReplayPlace
    done: bool


class Past:
    """Reads what one replay publishes."""

    def __init__(self, reader: EventReader, counts: EventCounts, tenant: Tenant, plan: ReplayPlan) -> None:
        self._reader = reader
        self._counts = counts
        self._tenant = tenant
        self._plan = plan
        self._where = _filter(plan)
        self._ledger = [source.key for source in plan.sources if source.engine is StreamEngine.LEDGER]
        self._kafka = {source.name: source.key for source in plan.sources if source.engine is StreamEngine.KAFKA}

    async def read(self, place: ReplayPlace, limit: int) -> Stretch:
        """Up to `limit` events from the place on; none, where nothing matched for a while: go on from `end`."""
        plan = self._plan
        bounds = Bounds(plan.epoch, Order.ASC, place.ledger, plan.ledger_end, place.indexed, plan.indexed_end, at_ms=0)
        deadline = time.monotonic() + _WALK_SECONDS
        nothing = Scan([], 0, [])
        ledger, index = nothing, nothing
        if place.ledger < plan.ledger_end:
            scan = partial(self._reader.scan, self._tenant, streams=self._ledger, where=self._where)
            ledger = await walk(scan, Order.ASC, place.ledger, plan.ledger_end, limit, deadline)
        if place.indexed < plan.indexed_end:
            keys = list(self._kafka.values())
            scan = partial(self._reader.scan_indexed, self._tenant, streams=keys, where=self._where)
            index = await walk(scan, Order.ASC, place.indexed, plan.indexed_end, limit, deadline)
        events, marks = merge(bounds, ledger, index, limit)
        if len(ledger.events) + len(index.events) > len(events):
            end = marks[-1]
        else:
            end = bounds._replace(ledger=max(ledger.reached, place.ledger), indexed=max(index.reached, place.indexed))
        kept = [(event, mark) for event, mark in zip(events, marks, strict=True) if self._wants(event)]
        return Stretch(
            [event for event, _ in kept],
            [ReplayPlace(mark.ledger, mark.indexed) for _, mark in kept],
            ReplayPlace(end.ledger, end.indexed),
            is_done(end),
        )

    async def total(self) -> int | None:
        """How many events there are in all, where that can be known soon."""
        plan = self._plan
        if self._kafka and (plan.since_offsets or plan.until_offsets or plan.since_ms or plan.until_ms):
            return None
        ledger = await self._counts.of(
            self._tenant, Counted(LEDGER, self._ledger, self._where, plan.ledger, plan.ledger_end)
        )
        if ledger is None:
            return None
        index = await self._counts.of(
            self._tenant, Counted(INDEXED, self._kafka.values(), self._where, plan.indexed, plan.indexed_end)
        )
        return None if index is None else ledger + index

    def _wants(self, event: Event) -> bool:
        """Whether an event of a Kafka stream lies within the plan's bounds; those of the ledger do."""
        if event.partition is None or event.offset is None:
            return True
        plan, key = self._plan, self._kafka[event.stream]
        at_ms = event.recorded_at.timestamp() * 1000
        since = _bound(plan.since_offsets, key, event.partition)
        until = _bound(plan.until_offsets, key, event.partition)
        after = event.offset >= since if since >= 0 else plan.since_ms is None or at_ms >= plan.since_ms
        before = event.offset < until if until >= 0 else plan.until_ms is None or at_ms < plan.until_ms
        return after and before


def _bound(offsets: dict[int, tuple[int, ...]], key: int, partition: int) -> int:
    """The partition's offset, -1 where none is given."""
    of = offsets.get(key, ())
    return of[partition] if partition < len(of) else -1


def _filter(plan: ReplayPlan) -> Filter | None:
    return None if plan.where is None else parse_filter(plan.where)
