"""Workers: one way to start, stop and keep alive whatever runs in the background."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

_log = logging.getLogger(__name__)

_HEALTHY_S = 30.0


class Startable(Protocol):
    """What wiring starts and stops. Both may be called twice, and stop without start."""

    async def start(self) -> None:
        """Begin; returns at once."""
        ...

    async def stop(self) -> None:
        """End, and wait until it has ended."""
        ...


class Worker:
    """Runs `work` until it is stopped; when it fails, again, after a pause that doubles up to `longest_s` seconds.

    `failure` is what it failed of last, None while it is well.
    """

    def __init__(
        self, name: str, work: Callable[[], Awaitable[None]], *, first_s: float = 0.2, longest_s: float = 15.0
    ) -> None:
        self.name = name
        self.failure: Exception | None = None
        self._work = work
        self._first_s = first_s
        self._longest_s = longest_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin. Does nothing while it runs."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._supervise(), name=self.name)

    async def stop(self) -> None:
        """Cancel the work and wait for its cleanup. Does nothing while it does not run."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _supervise(self) -> None:
        pause = self._first_s
        while True:
            began = time.monotonic()
            try:
                await self._work()
                self.failure = None
                return
            except Exception as failure:
                self.failure = failure
                _log.warning("%s failed, trying again: %r", self.name, failure)
            pause = self._first_s if time.monotonic() - began > _HEALTHY_S else min(pause * 2, self._longest_s)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, no secret
