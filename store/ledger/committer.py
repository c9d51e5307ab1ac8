"""The committer: gathers what one tenant's publishers send at once, and commits it as one call.

While a call is under way the next group fills; nobody waits for a timer. The queue is bounded in bytes and events: what
does not fit is refused at once, so that a slow PostgreSQL is felt by publishers and not by memory. Every caller gets an
answer in bounded time, whatever PostgreSQL or this class do.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from schema.errors import ErrorCode, EsbError
from store.database import unavailable
from store.ledger.answer import Commit
from store.ledger.appender import Appender
from store.log.port import Command, Outcome

_log = logging.getLogger(__name__)

_ROW_BYTES = 512
"""What an event keeps in memory beside its body, roughly."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much may wait at one tenant's committer, and how much goes in one call (a larger command goes alone)."""

    queue_events: int = 50_000
    queue_bytes: int = 64 * 1024 * 1024
    group_events: int = 2_000
    group_bytes: int = 4 * 1024 * 1024


class _Submission(msgspec.Struct, gc=False):
    commands: Sequence[Command]
    events: int
    bytes: int
    future: "asyncio.Future[list[Outcome]]"


class Committer:
    """Commits one tenant's commands, in the order they are handed in.

    Parameters
    ----------
    appender:
        Makes the call, with its retries and deadlines.
    on_commit:
        Told of every commit before its publishers are answered. Must not block; what it raises is logged.
    """

    def __init__(self, appender: Appender, on_commit: Callable[[Commit], None], bounds: Bounds | None = None) -> None:
        self._appender = appender
        self._on_commit = on_commit
        self._bounds = bounds or Bounds()
        self._queue: deque[_Submission] = deque()
        self._under_way: list[_Submission] = []
        self._events = 0
        self._bytes = 0
        self._events_a_second = 1000.0
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, commands: Sequence[Command]) -> list[Outcome]:
        """Commit the commands; one outcome each.

        Raises RATE_LIMITED when too much waits already (nothing was done), LOG_UNAVAILABLE when the outcome is unknown.
        """
        if self._closed:
            raise unavailable("this gateway is shutting down")
        events = sum([len(command.events) for command in commands])
        size = sum([len(draft.body) + _ROW_BYTES for command in commands for draft in command.events])
        bounds = self._bounds
        if self._events and (self._events + events > bounds.queue_events or self._bytes + size > bounds.queue_bytes):
            raise self._full()
        future: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Submission(commands, events, size, future))
        self._events += events
        self._bytes += size
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
            self._task.add_done_callback(self._ended)
        return await future

    async def close(self, seconds: float = 10.0) -> None:
        """Refuse new commands, commit those handed in; after `seconds` fail what is left. May be called twice."""
        self._closed = True
        task = self._task
        if task is not None:
            await asyncio.wait([task], timeout=seconds)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _drain(self) -> None:
        while self._queue:
            group = self._under_way = self._take()
            commands = [command for submission in group for command in submission.commands]
            started = time.monotonic()
            try:
                outcomes = await self._appender.append(commands, self._announce)
            except EsbError as error:
                self._settle(group, error)
                continue
            events = sum([submission.events for submission in group])
            rate = events / max(time.monotonic() - started, 1e-4)
            self._events_a_second += (rate - self._events_a_second) / 8
            self._settle(group, outcomes)
        # In the same step as the look at the queue: what is handed in from now on starts another task.
        self._task = None

    def _take(self) -> list[_Submission]:
        """The next group: at least one submission, else as many as fit."""
        bounds = self._bounds
        group: list[_Submission] = []
        events = size = 0
        while self._queue:
            head = self._queue[0]
            if group and (events + head.events > bounds.group_events or size + head.bytes > bounds.group_bytes):
                break
            group.append(self._queue.popleft())
            events += head.events
            size += head.bytes
        return group

    def _settle(self, group: list[_Submission], answer: list[Outcome] | EsbError) -> None:
        start = 0
        for submission in group:
            stop = start + len(submission.commands)
            self._events -= submission.events
            self._bytes -= submission.bytes
            if not submission.future.done():
                if isinstance(answer, EsbError):
                    submission.future.set_exception(answer)
                else:
                    submission.future.set_result(answer[start:stop])
            start = stop
        self._under_way = []

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Nobody is left waiting by a task that did not end by itself, and the next command starts another."""
        if task is not self._task:
            return
        self._task = None
        if not task.cancelled() and task.exception() is not None:
            _log.error("a committer died", exc_info=task.exception())
        left = self._under_way + list(self._queue)
        self._queue.clear()
        self._settle(left, unavailable("the committer stopped"))

    def _announce(self, commit: Commit) -> None:
        try:
            self._on_commit(commit)
        except Exception:
            _log.exception("a listener failed on a commit; the commit stands")

    def _full(self) -> EsbError:
        wait_ms = int(1000 * self._events / max(self._events_a_second, 1.0))
        return EsbError(
            ErrorCode.RATE_LIMITED,
            "too many events of this tenant wait to be committed; send them again later",
            retry_after_ms=min(max(wait_ms, 20), 10_000),
        )
