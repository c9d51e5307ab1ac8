"""What moves projections on in the background: one process at a time a version, all versions shared out by leases.

The lease only keeps two from doing the same work twice: what makes it exact is in store/projections/writing.py.
"""

import asyncio
import logging
import time
from collections.abc import Collection

from processors.projections.applying import Applier, Reader, Step
from processors.projections.leaping import Leaps
from processors.projections.progress import Progress
from processors.projections.switching import turn_to
from processors.rota import Rota, Turn
from processors.worker import Worker
from schema.projections.declared import Mode
from store.leases import Leases
from store.projections.pointer import Pointer
from store.projections.registry import ProjectionRegistry, Version
from store.projections.stretching import Stretching
from store.projections.writing import ProjectionWriter
from store.signals.port import EVERYTHING, Signals, log_topic

_log = logging.getLogger(__name__)

PREFIX = "projection:"
_LOG_PREFIX = log_topic("")
_IDLE_S = 20.0
_POLL_S = 1.0
_SWEEP_S = 30.0
KEPT_CHANGES = 20_000
"""Positions for which the changes of rows without history are kept, for subscribers who come back."""


class ProjectionWorker:
    """Serves every tenant's projections. `slots`: versions moved on at once by this process."""

    def __init__(
        self,
        registry: ProjectionRegistry,
        reader: Reader,
        writer: ProjectionWriter,
        pointer: Pointer,
        stretching: Stretching,
        leases: Leases,
        progress: Progress,
        signals: Signals,
        *,
        slots: int = 64,
        poll_s: float = _POLL_S,
    ) -> None:
        self._registry = registry
        self._reader = reader
        self._writer = writer
        self._pointer = pointer
        self._stretching = stretching
        self._progress = progress
        self._rota = Rota(PREFIX, leases, self._due, self._serve, slots=slots, poll_s=poll_s)
        self._sweeper = Worker("projections-sweep", self._sweep)
        self._names: dict[str, set[str]] = {}
        signals.listen(self.on_signal)

    async def start(self) -> None:
        """Begin. May be called twice."""
        await self._rota.start()
        await self._sweeper.start()

    async def stop(self) -> None:
        """End, and give the leases back. May be called twice."""
        await self._sweeper.stop()
        await self._rota.stop()

    def on_signal(self, topic: str) -> None:
        """A log has new events, or may have."""
        if topic == EVERYTHING:
            for tenant in self._names:
                self.on_commit(tenant)
        elif topic.startswith(_LOG_PREFIX):
            self.on_commit(topic.removeprefix(_LOG_PREFIX))

    def on_commit(self, tenant: str) -> None:
        """The tenant's log has new events."""
        for name in self._names.get(tenant, ()):
            self._rota.call(name)

    def call(self, version: int) -> None:
        """A version has something to do that no poll has seen yet."""
        self._rota.call(str(version))

    async def _due(self) -> Collection[str]:
        return await self._registry.due()

    async def _serve(self, name: str, turn: Turn) -> None:
        work = await self._registry.work(int(name))
        if work is None or work.version.paused or work.version.error or _left_to_readers(work.version):
            for names in self._names.values():
                names.discard(name)
            return
        self._names.setdefault(work.tenant.name, set()).add(name)
        leaps = None if work.version.live else Leaps(self._stretching, work.version)
        applier = Applier(*work, self._reader, self._writer, leaps)
        quiet_since = time.monotonic()
        while not turn.over and not _left_to_readers(applier.version) and time.monotonic() - quiet_since < _IDLE_S:
            step = await applier.step()
            if step is Step.AT_END:
                if applier.version.live:
                    await turn.rest(_POLL_S)
                    continue
                await self._arrive(applier, turn)
            self._progress.moved(work.tenant.name)
            quiet_since = time.monotonic()
            if step is Step.STOPPED:
                _log.warning("projection %r stands still: %s", work.version.declaration.name, applier.version.error)
            if step in (Step.STOPPED, Step.OVERTAKEN):
                return
            await self._trim(applier)

    async def _trim(self, applier: Applier) -> None:
        """Rows without history keep their latest changes only, for subscribers who come back."""
        version = applier.version
        if (
            version.live
            and not version.declaration.history
            and version.position - version.changes_from > 2 * KEPT_CHANGES
        ):
            before = version.position - KEPT_CHANGES
            await self._writer.trim(version, before)
            applier.version = version._replace(changes_from=before)

    async def _arrive(self, applier: Applier, turn: Turn) -> None:
        """The version reached the end of the log for the first time: let it be read."""
        owner = await self._registry.owner(applier.version)
        if owner is None:
            await turn.rest(_POLL_S)
        elif owner.active.key == applier.version.key:
            if await self._writer.go_live(applier.version):
                applier.version = applier.version._replace(live=True)
            else:
                await turn.rest(_POLL_S)
        elif not await turn_to(applier, self._pointer):
            await asyncio.sleep(0)

    async def _sweep(self) -> None:
        while True:
            await self._registry.sweep()
            await asyncio.sleep(_SWEEP_S)


def _left_to_readers(version: Version) -> bool:
    return version.live and version.declaration.mode is Mode.ON_READ
