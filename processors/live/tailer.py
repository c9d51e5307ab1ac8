"""One log followed once for all its subscribers in this process: log → ring → match → listeners."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from processors.live.backoff import Backoff
from processors.live.group import Group
from processors.live.head import FreshHead
from processors.live.items import Delivered
from processors.live.matcher import Follower, Matcher, Wanted
from processors.live.ports import Recorder
from processors.live.ring import Ring
from processors.live.shape import Sign
from processors.live.source import Source
from processors.live.turn import Step
from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from store.log.port import Batch

STEP_EVENTS = 1024
TURN_SECONDS = 0.005
WARM_SECONDS = 2.0
_SIGNED = 1024

_log = logging.getLogger(__name__)


class Tailer:
    """Begins at the head its first subscriber saw and then follows the log through every failure of it.

    `ring` holds its newest events; `users` counts the subscriptions that hold on to it; `sign` writes its places.
    """

    def __init__(self, source: Source, ring_bytes: int, sign: Sign, recorder: Recorder) -> None:
        self.source = source
        self.sign: Sign = lru_cache(maxsize=_SIGNED)(sign)
        self.users = 0
        self.idle_since = 0.0
        self._ring_bytes = ring_bytes
        self._ring: Ring | None = None
        self._head = FreshHead(source.log)
        self._matcher = Matcher(self.sign)
        self._recorder = recorder
        self._task: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._error: EsbError | None = None

    @property
    def ring(self) -> Ring:
        """The newest events. Only after `head`."""
        assert self._ring is not None, "the head comes first"
        return self._ring

    @property
    def ring_bytes(self) -> int:
        """Bytes the ring holds now."""
        return self._ring.bytes if self._ring is not None else 0

    async def head(self) -> Cursor:
        """The log's head as it is now; the first one read is where following begins.

        Raises LOG_UNAVAILABLE when the log does not answer.
        """
        head = await self._head.read()
        if self._task is None or self._task.done():
            self._error = None
            if self._warming is not None:
                self._warming.cancel()
                self._warming = None
            self._ring = Ring(self.source.track, head, self._ring_bytes)
            self._task = asyncio.create_task(self._follow(), name=f"live-tailer-{self.source.key}")
        return head

    async def warm(self) -> None:
        """Fill the ring with what lies before it, once: then those who come back after a restart need not each read
        the log for themselves. Waits a short while at most.
        """
        if self._warming is None:
            self._warming = asyncio.create_task(self._warm(self.ring), name="live-warm")
        # not awaited itself: when it is cancelled or fails, those who wait are not
        await asyncio.wait([self._warming], timeout=WARM_SECONDS)

    def attach(self, follower: Follower) -> Group:
        """Hand over every event after `ring.place` as it is now. Raises what ended the following, if it has ended."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        return self._matcher.add(follower)

    def detach(self, follower: Follower) -> None:
        """Hand over nothing more."""
        self._matcher.remove(follower)

    def pulse(self) -> None:
        """To be called about once a second: direct subscribers are told of progress."""
        if self._ring is not None:
            self._matcher.pulse(time.monotonic(), self._ring.place)

    async def stop(self) -> None:
        """Cancel and await what runs. May be called twice."""
        await self._head.close()
        for task in (self._warming, self._task):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _warm(self, ring: Ring) -> None:
        """Slice by slice, the newest first, until nothing fits any more or nothing lies before."""
        track = self.source.track
        while True:
            oldest = ring.oldest
            try:
                start, events = await self.source.before(oldest)
            except EsbError:
                return  # without it everybody reads the log, which says what is wrong
            place, items = start, list[Delivered]()
            for event in events:
                place = track.after(place, event)
                items.append(Delivered(event, place))
            if ring.oldest != oldest:
                if ring.next_index > ring.first_index:
                    return  # it is full: the oldest make room already
                continue
            ring.prepend(items, start)
            if not items or ring.oldest != start:
                return

    async def _follow(self) -> None:
        backoff = Backoff()
        while True:
            before = self.ring.place
            try:
                await self._take_all()
            except EsbError as error:
                if not error.retryable:
                    self._end(error)
                    return
            except Exception:
                _log.exception("following %s failed", self.source.key)
                self._end(EsbError(ErrorCode.INTERNAL, "following the log failed; go on from the last cursor"))
                return
            if self.ring.place != before:
                backoff.reset()
            await backoff.wait()

    async def _take_all(self) -> None:
        batches = self.source.tail(self.ring.place)
        try:
            async for batch in batches:
                await self._take(batch)
        finally:
            close = getattr(batches, "aclose", None)
            if close is not None:
                await close()

    async def _take(self, batch: Batch) -> None:
        """Hand a batch out in steps: what groups want of many events costs them little more than of one, but the loop
        must come to others, too.
        """
        track, place, began = self.source.track, self.ring.place, time.monotonic()
        items, wanted = list[Delivered](), Wanted()
        for event in batch.events:
            if track.passed(place, event):
                continue  # what the log repeats was handed out already
            place = track.after(place, event)
            item = Delivered(event, place)
            items.append(item)
            self._matcher.match(item, wanted)
            late = time.monotonic() - began > TURN_SECONDS
            if late or wanted.full or len(items) == STEP_EVENTS:
                self._hand_out(items, wanted, place)
                items, wanted = [], Wanted()
                if late:
                    await asyncio.sleep(0)
                    began = time.monotonic()
        self._hand_out(items, wanted, track.join(place, batch.cursor))

    def _hand_out(self, items: Sequence[Delivered], wanted: Wanted, place: Cursor) -> None:
        """Nothing pauses between matching and this: whoever attaches sees either all of these events in the ring or
        none.
        """
        step = Step(self.ring.place, self.sign)
        self.ring.append(items, place)
        for group, found in wanted:
            group.push(found, step)
        if step.delivered:
            age = datetime.now(UTC) - items[-1].event.recorded_at
            self._recorder.delivered(step.delivered, age.total_seconds())

    def _end(self, error: EsbError) -> None:
        self._error = error
        self._matcher.fail(error)
