"""Following one projection's changes, once a process for all its subscribers."""

import contextlib
from collections.abc import Callable
from typing import Protocol

from processors.projections.progress import Progress, Watch
from processors.projections.telling import Happened
from processors.worker import Worker
from schema.errors import EsbError
from schema.projections.declared import Mode
from store.projections.changes import ChangeReader
from store.projections.registry import Version, no_projection
from store.tenants import Tenant

_POLL_S = 1.0


class Follower(Protocol):
    """Who is told of changes. None of the methods may block."""

    def tell(self, happened: list[Happened], version: Version, end: int) -> None:
        """What happened up to the position `end`, in the rows of that version."""

    def turned(self) -> None:
        """Another version is read now."""

    def end(self, error: EsbError) -> None:
        """There will be no more."""


class Tail:
    """The end of one projection's changes. `version`, `position`: of which rows, and up to where it was told."""

    def __init__(
        self,
        tenant: Tenant,
        name: str,
        version: Version,
        reader: ChangeReader,
        progress: Progress,
        refresh: "Refresh",
    ) -> None:
        self.version = version
        self.position = version.position
        self._tenant = tenant
        self._name = name
        self._reader = reader
        self._progress = progress
        self._refresh = refresh
        self._followers: dict[Follower, None] = {}
        self._worker = Worker(f"projection-tail:{name}", self._run)
        self._watch: Watch | None = None
        self.users = 0

    @property
    def tenant(self) -> str:
        """The tenant's name."""
        return self._tenant.name

    def wake(self) -> None:
        """The log went on: look, where looking is what applies it."""
        if self._watch is not None and self.version.declaration.mode is Mode.ON_READ:
            self._watch.wake()

    async def start(self) -> None:
        """Begin."""
        await self._worker.start()

    async def stop(self) -> None:
        """End."""
        await self._worker.stop()

    def attach(self, follower: Follower) -> None:
        """From now on the follower is told what comes after `position`."""
        self._followers[follower] = None

    def detach(self, follower: Follower) -> None:
        """Not any more. May be called twice."""
        self._followers.pop(follower, None)

    async def _run(self) -> None:
        with self._progress.watch(self._tenant.name) as watch:
            self._watch = watch
            while True:
                if self.version.declaration.mode is Mode.ON_READ and self._followers:
                    with contextlib.suppress(EsbError):  # it says itself why it stands still
                        await self._refresh(self._tenant, self._name)
                if not await self._step():
                    await watch.wait(_POLL_S)

    async def _step(self) -> bool:
        """Tell what is new; whether there was something."""
        stretch = await self._reader.read(self._tenant.key, self._name, self.version.key, self.position)
        if stretch.projection is None:
            self._each(lambda follower: follower.end(no_projection(self._name)))
            return False
        active = stretch.projection.active
        if active.key != self.version.key:
            self.version, self.position = active, active.position
            self._each(lambda follower: follower.turned())
            return True
        self.version = active
        if stretch.end == self.position:
            return False
        self.position = stretch.end
        happened = [Happened(change) for change in stretch.changes]
        self._each(lambda follower: follower.tell(happened, active, stretch.end))
        return True

    def _each(self, tell: Callable[[Follower], None]) -> None:
        for follower in list(self._followers):
            tell(follower)


class Refresh(Protocol):
    """Applies everything there is to a projection that is applied when it is read."""

    async def __call__(self, tenant: Tenant, name: str) -> None:
        """Up to the head of the log."""
