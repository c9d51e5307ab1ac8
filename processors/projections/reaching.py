"""Waiting until a projection is as far as its reader wants, and helping where it is not."""

import asyncio
import time
from collections import OrderedDict
from weakref import WeakValueDictionary

from processors.projections.applying import Applier, Reader, Step
from processors.projections.progress import Progress
from schema.errors import ErrorCode, EsbError
from schema.projections.declared import Mode
from store.projections.registry import ProjectionRegistry, Version, no_projection
from store.projections.writing import ProjectionWriter
from store.tenants import Tenant

WAIT_S = 5.0
"""How long a reader waits for its own writes."""

_PATIENCE_S = 0.15
"""How long one waits for the background before one helps: its worker may just have been killed, and its lease has
seconds to run."""
_POLL_S = 0.02
_REMEMBERED = 64


class Reaching:
    """Brings versions to a position of the log."""

    def __init__(
        self, registry: ProjectionRegistry, reader: Reader, writer: ProjectionWriter, progress: Progress
    ) -> None:
        self._registry = registry
        self._reader = reader
        self._writer = writer
        self._progress = progress
        self._appliers: OrderedDict[int, Applier] = OrderedDict()
        # kept by who holds or awaits them: one that is free but awaited must not be made a second time
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def reach(self, tenant: Tenant, name: str, position: int, *, seconds: float = WAIT_S) -> None:
        """Wait until the version that is read has applied everything before `position`.

        Raises TIMEOUT, at once where the version stands still before it; NOT_FOUND for a projection that is no more.
        """
        began = time.monotonic()
        deadline = began + seconds
        with self._progress.watch(tenant.name) as watch:
            while True:
                projection = await self._registry.find(tenant.key, name)
                if projection is None:
                    raise no_projection(name)
                version = projection.active
                if version.position >= position:
                    return
                _refuse_standing(name, version)
                if time.monotonic() >= deadline:
                    raise _late(name, position - version.position)
                patient = version.declaration.mode is Mode.BACKGROUND or not version.live
                if patient and time.monotonic() - began < _PATIENCE_S:
                    await watch.wait(_POLL_S)
                else:
                    await self._help(tenant, version, position, deadline)

    async def _help(self, tenant: Tenant, version: Version, position: int, deadline: float) -> None:
        """Apply up to `position`, one task of this process a version at a time."""
        turn = self._turns.setdefault(version.key, asyncio.Lock())
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await turn.acquire()
        except TimeoutError:
            return
        try:
            applier = self._applier(tenant, version)
            while applier.version.position < position and time.monotonic() < deadline:
                step = await applier.step()
                if step is Step.AT_END:  # of the log: what is waited for may be committed by another process
                    await asyncio.sleep(_POLL_S)
                elif step is not Step.MOVED:
                    self._appliers.pop(version.key, None)
                    return
                else:
                    self._progress.moved(tenant.name)
        except BaseException:
            self._appliers.pop(version.key, None)
            raise
        finally:
            turn.release()

    def _applier(self, tenant: Tenant, version: Version) -> Applier:
        known = self._appliers.get(version.key)
        if known is None or known.version.position < version.position or known.version.live != version.live:
            known = self._appliers[version.key] = Applier(tenant, version, self._reader, self._writer)
        self._appliers.move_to_end(version.key)
        while len(self._appliers) > _REMEMBERED:
            self._appliers.popitem(last=False)
        return known


def _refuse_standing(name: str, version: Version) -> None:
    if version.error is not None:
        raise EsbError(
            ErrorCode.TIMEOUT,
            f"the projection {name!r} stands still before what is asked for: {version.error.message}",
            details={"eventId": version.error.event_id, "position": version.error.position},
        )
    if version.paused:
        raise EsbError(ErrorCode.TIMEOUT, f"the projection {name!r} is paused before what is asked for")


def _late(name: str, behind: int) -> EsbError:
    return EsbError(
        ErrorCode.TIMEOUT,
        f"the projection {name!r} is still {behind} positions behind what is asked for",
        retry_after_ms=1000,
        details={"behind": behind},
    )
