"""The tenant log as its tailer sees it: what this process commits is handed over, everything else is read.

A commit is accepted only where it starts at the next position; a hole before it is read from the log first. A signal
or, when all signals are lost, a poll says that another process has committed.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator

from processors.live.ports import Commit
from processors.live.track import at_ms
from schema.cursor import Cursor, CursorInvalid
from schema.errors import ErrorCode, EsbError
from store.log.port import Batch, Log

POLL_SECONDS = 0.5
READ_EVENTS = 256
MAX_COMMITS = 256
MAX_WAITING_EVENTS = 8192


class Handover:
    """Feeds one tailer. `offer` and `wake` never block and may be called at any time on the event loop."""

    def __init__(self, log: Log, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._log = log
        self._poll = poll_seconds
        self._commits: list[tuple[int, int, Commit]] = []
        self._count = 0
        self._waiting_events = 0
        self._unread = False
        self._wake = asyncio.Event()

    def offer(self, commit: Commit) -> None:
        """Take a commit of this process. More than fit are let go: they are read from the log instead."""
        size = commit.last - commit.first + 1
        if len(self._commits) >= MAX_COMMITS or self._waiting_events + size > MAX_WAITING_EVENTS:
            self._unread = True
        else:
            self._count += 1
            self._waiting_events += size
            heapq.heappush(self._commits, (commit.first, self._count, commit))
        self._wake.set()

    def wake(self) -> None:
        """Another process has committed, perhaps."""
        self._unread = True
        self._wake.set()

    async def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        """Every event from `start` on, in order and once. Raises what the log raises; may then be called again from
        the last batch's cursor. Raises CURSOR_INVALID when the log's epoch changes, CURSOR_EXPIRED when it was cut off
        past the place.
        """
        place = start
        while True:
            batch = self._handed_over(place) or await self._read(place)
            if batch is not None:
                place = batch.cursor
                yield batch
            else:
                await self._wait()

    def _handed_over(self, place: Cursor) -> Batch | None:
        """The commit that continues the log, if it is here; those the log has gone past are let go."""
        while self._commits and self._commits[0][2].first <= place.position:
            commit = heapq.heappop(self._commits)[2]
            self._waiting_events -= commit.last - commit.first + 1
            if commit.epoch != place.epoch:
                raise CursorInvalid("the log was forked")
            if commit.last >= place.position:
                events = commit.events()[place.position - commit.first :]
                return Batch(events, Cursor(place.epoch, commit.last + 1, at_ms(events[-1])))
        return None

    async def _read(self, place: Cursor) -> Batch | None:
        if not self._unread and not self._commits:
            return None
        self._unread = False
        try:
            batch = await self._log.read(place, READ_EVENTS)
        except BaseException:
            self._unread = True
            raise
        events = [event for event in batch.events if (event.position or 0) >= place.position]
        if not events:
            return None
        if events[0].position != place.position:
            raise EsbError(ErrorCode.CURSOR_EXPIRED, "events after the cursor are no longer kept")
        # Signals tell nothing of how much there is: only an empty read ends the reading.
        self._unread = True
        return Batch(events, Cursor(place.epoch, (events[-1].position or 0) + 1, at_ms(events[-1])))

    async def _wait(self) -> None:
        """Until something is offered or signalled; after a quiet while, look anyway."""
        try:
            async with asyncio.timeout(self._poll):
                await self._wake.wait()
        except TimeoutError:
            self._unread = True
        self._wake.clear()
