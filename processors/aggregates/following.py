"""Aggregates live: the state now, then a state an event.

Events come from the live path, where a subscriber that reads slowly gets only an aggregate's newest events. Sequence
numbers have no gaps, so what was left out is noticed, and read from the log before the next state is told.
"""

import time
from collections.abc import AsyncGenerator
from datetime import datetime

from processors.aggregates.aggregates import Aggregates, AggregateState
from processors.aggregates.folds import TypeFold
from processors.aggregates.history import Bound, Reached
from processors.live.items import Delivered
from processors.live.live import Live
from processors.live.request import Edge, LiveRequest, Overflow, Start
from processors.live.subscription import LiveSubscription
from schema.cursor import Cursor
from schema.event import Event
from schema.filter.typed import parse_filter
from schema.principal import Principal
from store.ledger.aggregates import AggregateKey
from store.ledger.reader import EventReader
from store.tenants import Tenant

_RECHECK_SECONDS = 1.0


class AggregateFollowing:
    """One subscriber of one aggregate. `live`: where its events come from; closed when `states` is."""

    def __init__(
        self,
        aggregates: Aggregates,
        principal: Principal,
        tenant: Tenant,
        key: AggregateKey,
        live: LiveSubscription,
        fold: TypeFold,
        reached: Reached,
    ) -> None:
        self.live = live
        self._aggregates = aggregates
        self._principal = principal
        self._tenant = tenant
        self._key = key
        self._fold = fold
        self._reached = reached
        self._checked = time.monotonic()

    async def states(self) -> AsyncGenerator[AggregateState, None]:
        """The state it begins with, if there is one; then one an event. Raises what ends the live subscription, and
        what an event that cannot be folded raises."""
        async with self.live:
            if self._reached.version:
                yield self._state()
            async for items in self.live:
                await self._recheck()
                for item in items:
                    if isinstance(item, Delivered) and await self._take(item.event):
                        yield self._state()

    async def _take(self, event: Event) -> bool:
        """Fold the event in, and before it those that were left out; whether it was new."""
        number = event.sequence_number or 0
        if number <= self._reached.version:
            return False
        if number > self._reached.version + 1:
            missing = self._aggregates.history.events(self._tenant, self._key, self._reached.version + 1, number - 1)
            async for chunk in missing:
                for one in chunk:
                    self._reached = self._reached.after(one)
        self._reached = self._reached.after(event)
        return True

    async def _recheck(self) -> None:
        """Reducers may have changed: fold anew what was told so far, so that the next state is of the new ones."""
        if time.monotonic() - self._checked < _RECHECK_SECONDS:
            return
        self._tenant, fold = await self._aggregates.fold_of(self._principal, self._key.type)
        self._checked = time.monotonic()
        if fold.made_by != self._fold.made_by:
            self._fold = fold
            bound = Bound(last=self._reached.version)
            self._reached = await self._aggregates.history.fold(self._tenant, self._key, fold, bound)

    def _state(self) -> AggregateState:
        shown = self._aggregates.shown(self._tenant, self._key, self._reached, None)
        assert shown is not None, "asked only once there is an event"
        return shown


class Following:
    """Where live aggregates come from."""

    def __init__(self, aggregates: Aggregates, live: Live, reader: EventReader) -> None:
        self._aggregates = aggregates
        self._live = live
        self._reader = reader

    async def follow(
        self, principal: Principal, aggregate_type: str, aggregate_id: str, start: Start
    ) -> AggregateFollowing:
        """Follow from a start on: LIVE begins with the state now, a cursor or a time with the state as of it.

        Raises FORBIDDEN, BAD_INPUT, CURSOR_INVALID, RATE_LIMITED, LOG_UNAVAILABLE, and what folding raises.
        """
        tenant, fold = await self._aggregates.fold_of(principal, aggregate_type)
        key = AggregateKey(aggregate_type, aggregate_id)
        live = await self._live.subscribe(
            LiveRequest(
                principal=principal,
                where=parse_filter({"aggregate_type": {"eq": key.type}, "aggregate_id": {"eq": key.id}}),
                start=start,
                overflow=Overflow.CONFLATE,
            )
        )
        try:
            # After subscribing: what is committed from here on comes live, and what the state has already is passed.
            bound = await self._bound(tenant, start)
            reached = await self._aggregates.history.fold(tenant, key, fold, bound)
            return AggregateFollowing(self._aggregates, principal, tenant, key, live, fold, reached)
        except BaseException:
            await live.aclose()
            raise

    async def _bound(self, tenant: Tenant, start: Start) -> Bound:
        match start:
            case Edge.BEGINNING:
                return Bound(last=0)
            case Cursor():
                return Bound(before=start.position)
            case datetime():
                return Bound(before=await self._reader.position_at(tenant, start))
        return Bound()
