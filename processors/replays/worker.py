"""The worker: publishes what running replays have left, each served by one process at a time.

Exactly once, whatever is killed or frozen: copies have ids that follow from what they copy, so a batch that was
published before its progress was saved is known when it comes again; and whoever works goes on from saved progress in
the log's order, so that what the target holds is always a beginning of the whole, in order.
"""

import logging
import time
from collections.abc import Collection, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from processors.admission.admission import Admission
from processors.replays.copy import Copies
from processors.replays.pace import Pace
from processors.replays.past import Past
from processors.rota import Rota, Turn
from schema.errors import ErrorCode, EsbError
from schema.event import Event
from schema.input import ClientContext, EventInput
from schema.principal import Action, Grant, Principal
from schema.replay import Replay, ReplayPlace, ReplayStatus
from store.leases import Leases
from store.ledger.counting import EventCounts
from store.ledger.reader import EventReader
from store.replays import PREFIX, ReplayRows
from store.signals.port import Signals, replay_topic
from store.tenants import Tenant, Tenants

_log = logging.getLogger(__name__)

BATCH_EVENTS = 500
BATCH_BYTES = 2 * 1024 * 1024
_FIRST_READ = 50
_LONGEST_REST_S = 1.0
_TOPIC = replay_topic("")


class Publishing(NamedTuple):
    """What the worker reads with and publishes with."""

    admission: Admission
    reader: EventReader
    counts: EventCounts
    tenants: Tenants


class ReplayWorker:
    """Works at every tenant's running replays. `slots`: at so many at once in this process; others take turns."""

    def __init__(
        self,
        rows: ReplayRows,
        publishing: Publishing,
        leases: Leases,
        signals: Signals,
        *,
        slots: int = 8,
        poll_s: float = 1.0,
        batch_events: int = BATCH_EVENTS,
    ) -> None:
        self._rows = rows
        self._publishing = publishing
        self._signals = signals
        self._batch_events = batch_events
        self._rota = Rota(PREFIX, leases, self._due, self._serve, slots=slots, poll_s=poll_s)

    async def start(self) -> None:
        """Begin. May be called twice."""
        await self._rota.start()

    async def stop(self) -> None:
        """End after the batch in hand, and give the leases back. May be called twice."""
        await self._rota.stop()

    def on_signal(self, topic: str) -> None:
        """A replay was started, paused, resumed or cancelled. Never blocks; a lost signal costs a poll's time."""
        if topic.startswith(_TOPIC):
            self._rota.call(topic.removeprefix(_TOPIC))

    async def _due(self) -> Collection[str]:
        return await self._rows.running()

    async def _serve(self, _: str, turn: Turn) -> None:
        replay = await self._rows.claim(turn.lease)
        if replay is None or replay.status is not ReplayStatus.RUNNING:
            return
        tenant = await self._publishing.tenants.refresh(replay.tenant)
        run = _Run(replay, tenant, turn, self._rows, self._publishing, self._batch_events)
        try:
            if tenant.epoch != replay.plan.epoch:
                raise EsbError(ErrorCode.CURSOR_INVALID, "the log was restored since the replay began: start another")
            status = await run.work()
        except EsbError as error:
            if error.retryable:
                raise  # the rota tries again, later and later
            _log.warning("%s failed: %s: %s", replay.replay_id, error.code, error.message)
            status = await run.fail(f"{error.code}: {error.message}")
        if status is not ReplayStatus.RUNNING:
            self._signals.notify(replay_topic(replay.replay_id))


class _Run:
    """One turn of one replay."""

    def __init__(
        self,
        replay: Replay,
        tenant: Tenant,
        turn: Turn,
        rows: ReplayRows,
        publishing: Publishing,
        batch_events: int,
    ) -> None:
        self._replay = replay
        self._tenant = tenant
        self._turn = turn
        self._rows = rows
        self._publishing = publishing
        self._most = batch_events
        self._limit = min(_FIRST_READ, batch_events)
        self._copies = Copies(replay)
        self._past = Past(publishing.reader, publishing.counts, tenant, replay.plan)
        self._pace = Pace(replay.plan.speed, replay.place.clock, time.monotonic())
        self._place, self._done = replay.place, replay.done
        # Who started it may read the sources and manage the target. Nobody's name, or it would stand on the copies of
        # events that have none.
        grants = (Grant(Action.PUBLISH, replay.plan.stream), Grant(Action.MANAGE, replay.plan.stream))
        self._principal = Principal(tenant=tenant.name, grants=grants)

    async def work(self) -> ReplayStatus:
        """Publish on until the end, or the turn is over, or somebody said to stop; the status then."""
        await self._count()
        status = ReplayStatus.RUNNING
        while status is ReplayStatus.RUNNING and not self._turn.over:
            stretch = await self._past.read(self._place, self._limit)
            self._limit = _limit(stretch.events, self._limit, self._most)
            status = await self._publish_all(stretch.events, stretch.places)
            if status is ReplayStatus.RUNNING and not self._turn.over:
                self._place = replace(stretch.end, clock=self._pace.clock)
                if stretch.done or not stretch.events:
                    status = await self._save(ReplayStatus.DONE if stretch.done else None)
        return status

    async def fail(self, why: str) -> ReplayStatus:
        """It cannot go on from where it is."""
        return await self._save(ReplayStatus.FAILED, why)

    async def _count(self) -> None:
        if self._replay.total is None and not self._done:
            total = await self._past.total()
            if total is not None:
                await self._rows.count(self._replay.replay_id, total)

    async def _publish_all(self, events: Sequence[Event], places: Sequence[ReplayPlace]) -> ReplayStatus:
        """Each when it is due."""
        at = 0
        while at < len(events) and not self._turn.over:
            wait = self._pace.due(events[at].timestamp) - time.monotonic()
            if wait > 0:
                await self._turn.rest(min(wait, _LONGEST_REST_S))
                status = await self._rows.status(self._replay.replay_id)
            else:
                batch = self._due(events, at)
                await self._publish(batch)
                at += len(batch)
                self._done += len(batch)
                self._place = replace(places[at - 1], clock=self._pace.clock)
                status = await self._save()
            if status is not ReplayStatus.RUNNING:
                return status
        return ReplayStatus.RUNNING

    def _due(self, events: Sequence[Event], at: int) -> Sequence[Event]:
        """Those from `at` on that may be published now, as one batch."""
        now, size, end = time.monotonic(), 0, at
        while end < len(events) and self._pace.due(events[end].timestamp) <= now:
            size += len(events[end].body)
            if end > at and size > BATCH_BYTES:
                break
            self._pace.passed(events[end].timestamp)
            end += 1
        return events[at:end]

    async def _publish(self, events: Sequence[Event]) -> None:
        """All of them, or none and the reason."""
        copies = [self._copies.of(event) for event in events]
        refused = await self._append(copies)
        if refused is not None and refused[1].code is ErrorCode.DUPLICATE_CONFLICT:
            # Published before, up to somewhere, by who did not live to save it: the rest is left.
            known = await self._known(events)
            copies, events = copies[known:], events[known:]
            refused = await self._append(copies) if copies else None
        if refused is not None:
            index, error = refused
            event = events[index]
            place = f"position {event.position}" if event.position is not None else f"offset {event.offset}"
            said = f"event {event.event_id} ({event.stream}, {place}) is refused: {error.message}"
            raise EsbError(error.code, said, retry_after_ms=error.retry_after_ms, details=error.details)

    async def _append(self, copies: Sequence[EventInput]) -> tuple[int, EsbError] | None:
        report = await self._publishing.admission.publish(self._principal, copies, client=ClientContext())
        if not report.rejections:
            return None
        first = report.rejections[0]
        return first.index, EsbError(first.code, first.message, details=first.details)

    async def _known(self, events: Sequence[Event]) -> int:
        """How many of the first of these were published by this replay already."""
        ids = [self._copies.event_id(event) for event in events]
        found = await self._publishing.reader.by_ids(self._tenant, ids)
        known = 0
        for event, copy_id in zip(events, ids, strict=True):
            made = found.get(copy_id)
            if made is None or not self._copies.is_copy(made, event):
                break
            known += 1
        return known

    async def _save(self, end: ReplayStatus | None = None, error: str | None = None) -> ReplayStatus:
        lease, replay_id = self._turn.lease, self._replay.replay_id
        return await self._rows.step(lease, replay_id, self._done, self._place, end=end, error=error)


def _limit(events: Sequence[Event], limit: int, most: int) -> int:
    """How many to read next, so that they are about as many bytes as one batch."""
    if not events:
        return limit
    average = sum(len(event.body) for event in events) // len(events) + 1
    return max(1, min(most, BATCH_BYTES // average, 8 * limit))
