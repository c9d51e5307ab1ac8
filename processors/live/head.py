"""The head of a log as it is now, however many ask at once."""

import asyncio
import contextlib

from schema.cursor import Cursor
from store.log.port import Log


class FreshHead:
    """Concurrent askers share one read, which always begins after each of them asked: a head read earlier could miss
    what was acknowledged before the asker came.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._running: asyncio.Task[Cursor] | None = None
        self._next: asyncio.Task[Cursor] | None = None

    async def read(self) -> Cursor:
        """The cursor after the last event committed when this was called, or a later one."""
        if self._next is None:
            self._next = asyncio.create_task(self._read_after(self._running), name="live-head")
            # Every asker may be gone by the time it fails.
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        # Shielded: one asker's cancellation must not fail the others.
        return await asyncio.shield(self._next)

    async def close(self) -> None:
        """Cancel what is under way."""
        for task in (self._running, self._next):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    async def _read_after(self, running: asyncio.Task[Cursor] | None) -> Cursor:
        if running is not None:
            await asyncio.wait([running])
        self._running, self._next = self._next, None
        return await self._log.head()
