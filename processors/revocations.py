"""The revocations in force, as this process knows them: asked at every request, so they rest in memory.

A process that revokes knows at once; the others hear a signal, and look every `POLL_SECONDS` in case it was lost. While
PostgreSQL cannot be reached the last list stays in force and sockets go on: what needs the log fails by itself then,
and a process that cannot hear of revocations is not ready (/readyz), so that balancers send nobody there.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from processors.revoked_tokens import RevokedTokens
from schema.errors import EsbError
from schema.principal import Principal
from schema.revocation import Revocation, RevocationRequest
from store.signals.port import EVERYTHING, REVOCATIONS

POLL_SECONDS = 0.75
_STALE_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Rows(Protocol):
    """Where revocations rest: store.revocations."""

    async def put(self, request: RevocationRequest, most: int) -> Revocation | None:
        """Record one; None when too many of its kind stand."""

    async def since(self, number: int) -> list[Revocation]:
        """Those made after that one, in order, by the chunk."""


class Signals(Protocol):
    """Tells other processes."""

    def notify(self, topic: str) -> None:
        """Wake whoever listens."""


class Revocations:
    """One instance a process. `per_tenant`: how many of each kind a tenant may have at once."""

    def __init__(self, rows: Rows, signals: Signals, *, per_tenant: int = 10_000) -> None:
        self._rows = rows
        self._signals = signals
        self._per_tenant = per_tenant
        self._tokens = RevokedTokens()
        self._last = 0
        self._reading = asyncio.Lock()
        self._wake = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._read_at = 0.0

    def revoked(self, principal: Principal) -> bool:
        """Whether the token a caller came with is refused by now."""
        return self._tokens.hold(principal)

    def listen(self, callback: Callable[[], None]) -> None:
        """Call back, on the event loop, each time more is refused than before."""
        self._listeners.append(callback)

    def on_signal(self, topic: str) -> None:
        """Another process may have revoked something. Never blocks."""
        if topic in (REVOCATIONS, EVERYTHING):
            self._wake.set()

    async def add(self, request: RevocationRequest) -> Revocation | None:
        """Record one; in force here when this returns, and elsewhere within two seconds. None: too many stand."""
        made = await self._rows.put(request, self._per_tenant)
        if made is not None:
            self._signals.notify(REVOCATIONS)
            self._take([made])
        return made

    async def start(self) -> None:
        """Read what is in force, and keep reading. Raises LOG_UNAVAILABLE: nobody is let in on an unknown list."""
        await self._read()
        self._task = asyncio.create_task(self._follow(), name="revocations")

    async def stop(self) -> None:
        """Stop reading. May be called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        told = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._read()
                told = False
            except EsbError as error:
                if not told and time.monotonic() - self._read_at > _STALE_SECONDS:
                    told = True
                    _log.warning("revocations cannot be read, the last known ones stay in force: %s", error.message)
            except Exception:
                _log.exception("revocations cannot be read, the last known ones stay in force")

    async def _read(self) -> None:
        async with self._reading:
            while True:
                rows = await self._rows.since(self._last)
                self._read_at = time.monotonic()
                if not rows:
                    break
                self._last = rows[-1].number
                self._take(rows)
        self._tokens.forget(time.time())

    def _take(self, made: Sequence[Revocation]) -> None:
        for one in made:
            self._tokens.add(one)
        for listener in self._listeners:
            listener()
