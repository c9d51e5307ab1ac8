"""Taking snapshots in the background, so that no state has to be folded from far away.

Each declared type is followed along the log by one process at a time. An aggregate gets a snapshot when `snapshotEvery`
events came since its last one, and as soon as one of its events is older than `snapshotMaxAgeMs` without one. Large
states get fewer: together they take little more room than the events themselves.

Nothing here decides what a state is: whoever is killed, frozen or overtaken in the middle leaves snapshots that are
right, or of reducers nobody asks for any more; the next one goes on from the last checkpoint and finds them there.
"""

import asyncio
import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from processors.aggregates.folds import Folds, TypeFold
from processors.aggregates.history import Bound, History, Reached
from processors.rota import Rota, Turn
from schema.aggregate import AggregateDeclaration
from schema.errors import EsbError
from schema.event import Event
from store.aggregate_types import AggregateTypes, Followed
from store.checkpoints import Checkpoint, Checkpoints, Fenced
from store.leases import Leases
from store.ledger.aggregates import AggregateKey, AggregateLog
from store.ledger.reader import EventReader
from store.snapshots import Latest, Snapshots, Taken
from store.tenants import Tenant

PREFIX = "snapshots:"

_WINDOW = 10_000
_IDS = 1000
_BYTES_AN_EVENT = 256
_NONE = Latest(0, 0)
_FLUSH_BYTES = 1024 * 1024
_DROPPED = 5000
_POLL_SECONDS = 1.0
_SLOTS = 4
# Between chunks of a fold, so that a long one never takes the loop from those who wait for an answer.
_BREATH_SECONDS = 0.002

_log = logging.getLogger(__name__)


class _Progress(msgspec.Struct):
    """How far a type is followed: by count up to `counted`, by age up to `aged`, both positions."""

    made_by: str
    counted: int = 1
    aged: int = 1

    @classmethod
    def of(cls, checkpoint: Checkpoint, made_by: str) -> "_Progress":
        """Where to go on; from the beginning where other reducers made the snapshots so far."""
        state = checkpoint.state
        if state.get("made_by") != made_by:
            return cls(made_by)
        return cls(made_by, max(checkpoint.position, 1), state.get("aged", 1))

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.counted, {"made_by": self.made_by, "aged": self.aged})


class _Work(NamedTuple):
    """A type, and how it is folded."""

    tenant: Tenant
    stream: int
    declared: AggregateDeclaration
    fold: TypeFold


class Snapshotter:
    """One instance a process; the work is shared among processes by leases."""

    def __init__(
        self,
        types: AggregateTypes,
        folds: Folds,
        history: History,
        log: AggregateLog,
        snapshots: Snapshots,
        reader: EventReader,
        checkpoints: Checkpoints,
        leases: Leases,
        *,
        poll_s: float = _POLL_SECONDS,
    ) -> None:
        self._types = types
        self._folds = folds
        self._history = history
        self._log = log
        self._snapshots = snapshots
        self._reader = reader
        self._checkpoints = checkpoints
        self._followed: dict[str, Followed] = {}
        self._rota = Rota(PREFIX, leases, self._due, self._serve, slots=_SLOTS, poll_s=poll_s)

    async def start(self) -> None:
        """Begin. May be called twice."""
        await self._rota.start()

    async def stop(self) -> None:
        """Stop. May be called twice."""
        await self._rota.stop()

    async def _due(self) -> Collection[str]:
        followed = await self._types.followed(PREFIX)
        self._followed = {one.declaration.declaration_id: one for one in followed}
        return [name for name, one in self._followed.items() if self._has_work(one)]

    def _has_work(self, one: Followed) -> bool:
        if one.checkpoint is None:
            return True
        try:
            progress = _Progress.of(one.checkpoint, self._folds.of(one.declaration).made_by)
        except EsbError:
            return False  # a plug-in that is not installed here; others may have it
        behind = progress.counted if one.declaration.snapshot_max_age_ms is None else progress.aged
        return behind <= one.head or progress.counted <= one.head

    async def _serve(self, name: str, turn: Turn) -> None:
        found = self._followed.get(name)
        if found is None:
            return
        work = _Work(found.tenant, found.stream_key, found.declaration, self._folds.of(found.declaration))
        try:
            checkpoint = await self._checkpoints.claim(turn.lease)
            progress = _Progress.of(checkpoint, work.fold.made_by)
            if progress.counted == 1:
                await self._drop_older(work, turn)
            await self._follow(work, progress, turn)
        except Fenced:
            return

    async def _drop_older(self, work: _Work, turn: Turn) -> None:
        revision = work.declared.revision
        while not turn.over and await self._snapshots.drop_older(work.tenant, work.declared.type, revision, _DROPPED):
            pass

    async def _follow(self, work: _Work, progress: _Progress, turn: Turn) -> None:
        head = await self._reader.head(work.tenant)
        while progress.counted < head and not turn.over:
            end = min(progress.counted + _WINDOW, head)
            if not await self._window(work, progress.counted, end, turn, aged=False):
                return
            progress.counted = end
            await self._checkpoints.save(turn.lease, progress.checkpoint())
        age = work.declared.snapshot_max_age_ms
        if age is None:
            return
        old = await self._reader.position_at(work.tenant, datetime.now(UTC) - timedelta(milliseconds=age))
        while progress.aged < old and not turn.over:
            end = min(progress.aged + _WINDOW, old)
            if not await self._window(work, progress.aged, end, turn, aged=True):
                return
            progress.aged = end
            await self._checkpoints.save(turn.lease, progress.checkpoint())

    async def _window(self, work: _Work, start: int, end: int, turn: Turn, *, aged: bool) -> bool:
        """Take what the events of positions [start, end) make due; whether it came to the end of them."""
        declared = work.declared
        least = 1 if aged else declared.snapshot_every
        versions = await self._log.versions(work.tenant, work.stream, declared.type, start, end, least)
        ids = list(versions)
        for at in range(0, len(ids), _IDS):
            some = ids[at : at + _IDS]
            latest = await self._snapshots.latest(work.tenant, declared.type, work.fold.made_by, some)
            for aggregate_id in some:
                last, version = latest.get(aggregate_id, _NONE), versions[aggregate_id]
                if version - last.sequence_number < (1 if aged else _interval(declared, last.size)):
                    continue
                if turn.over:
                    return False
                await self._take(work, AggregateKey(declared.type, aggregate_id), version, last.size, aged)
        return True

    async def _take(self, work: _Work, key: AggregateKey, version: int, size: int, aged: bool) -> None:
        """The snapshots of one aggregate that are due up to a version; `aged`: and one at that version. `size`: of its
        last snapshot."""
        begun = await self._history.start(work.tenant, key, work.fold, Bound(last=version))
        taking = _Taking(work, begun, size)
        try:
            async for chunk in self._history.events(work.tenant, key, begun.version + 1, version):
                for event in chunk:
                    taking.take(event, at_once=aged and event.sequence_number == version)
                if taking.bytes > _FLUSH_BYTES:
                    await self._put(work, key, taking)
                await asyncio.sleep(_BREATH_SECONDS)
        except EsbError as error:
            if error.retryable:
                raise
            # Who reads the aggregate is told the same; the others must not wait for it.
            _log.warning("no snapshot of %s %s: %s", key.type, key.id, error.message)
        await self._put(work, key, taking)

    async def _put(self, work: _Work, key: AggregateKey, taking: "_Taking") -> None:
        taken, taking.taken, taking.bytes = taking.taken, [], 0
        if taken:
            fold = work.fold
            await self._snapshots.put(work.tenant, key, fold.made_by, fold.revision, taken)


class _Taking:
    """A run over one aggregate's events that leaves snapshots behind."""

    def __init__(self, work: _Work, reached: Reached, size: int) -> None:
        self._declared = work.declared
        self.reached = reached
        self.taken: list[Taken] = []
        self.bytes = 0
        self._last = reached.version
        self._interval = _interval(work.declared, size)
        self._oldest: datetime | None = None

    def take(self, event: Event, *, at_once: bool) -> None:
        """Fold an event in, and keep the state where one is due."""
        self.reached = reached = self.reached.after(event)
        self._oldest = event.timestamp if self._oldest is None else min(self._oldest, event.timestamp)
        if reached.version - self._last < self._interval and not at_once:
            return
        state = msgspec.json.encode(reached.folding.state)
        self._interval = _interval(self._declared, len(state))
        self.bytes += len(state)
        self.taken.append(
            Taken(
                sequence_number=reached.version,
                position=reached.position,
                recorded_at=reached.recorded_at,
                newest=reached.newest,
                from_sequence=self._last + 1,
                segment_oldest=self._oldest,
                state=state.decode(),
            )
        )
        self._last, self._oldest = reached.version, None


def _interval(declared: AggregateDeclaration, size: int) -> int:
    """Events from a snapshot of that many bytes to the next one."""
    return max(declared.snapshot_every, size // _BYTES_AN_EVENT)
