"""A live subscription: what its subscriber iterates over.

States: catching up (pages of the past are read as they are asked for, so a slow reader slows only its own scan) →
live (events are pushed into a bounded buffer, and the overflow policy guards it) → ended: by the subscriber, by an
error, or by the process draining.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Self

from processors.live.buffer import Bytes, Entry, buffer_for
from processors.live.feed import Feed
from processors.live.group import PROGRESS_SECONDS
from processors.live.items import CaughtUp, Delivered, Gap, Item, Progress
from processors.live.ports import Recorder
from processors.live.request import LiveRequest
from processors.live.scope import covers
from processors.live.shape import Sign
from processors.live.track import together
from processors.live.turn import Outlet
from processors.live.wake import Wake
from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.event import Event
from schema.principal import Principal

PROGRESS_EVENTS = 10_000


class Draining(EsbError):
    """The process is shutting down: the subscription goes on elsewhere from `details["cursor"]`. This is no end of the
    stream: a socket is closed with 1012, its operations are not completed.
    """

    def __init__(self, cursor: str) -> None:
        super().__init__(
            ErrorCode.LOG_UNAVAILABLE,
            "this gateway is shutting down; reconnect and go on from the cursor",
            retry_after_ms=0,
            details={"cursor": cursor},
        )


class SlowConsumer(EsbError):
    """The subscriber reads more slowly than events arrive; nothing is lost for who goes on from `details["cursor"]`."""

    def __init__(self, buffer_bytes: int, cursor: str) -> None:
        super().__init__(
            ErrorCode.SLOW_CONSUMER,
            f"more than {buffer_bytes} bytes of events were waiting to be read; go on from the cursor",
            retry_after_ms=0,
            details={"cursor": cursor},
        )


class LiveSubscription:
    """Asynchronous iterator over non-empty lists of items, each at most `max_events` long; an item's cursor goes on
    after it. Cancelling a step loses nothing. Must be closed: `async with`, or `aclose`.

    Ends with `SlowConsumer`, `Draining`, CURSOR_EXPIRED, or what made the log impossible to follow.
    """

    __slots__ = (
        "_buffer",
        "_caught_up",
        "_closed",
        "_dropped",
        "_error",
        "_feeds",
        "_on_close",
        "_outlet",
        "_progress_due",
        "_quiet_since",
        "_recorder",
        "_turn",
        "_wake",
        "request",
        "sign",
    )

    def __init__(
        self,
        request: LiveRequest,
        *,
        buffered: Bytes,
        recorder: Recorder,
        sign: Sign,
        on_close: Callable[["LiveSubscription"], None],
    ) -> None:
        self.request = request
        self._recorder = recorder
        self.sign = sign
        self._on_close = on_close
        self._feeds: list[Feed] = []
        self._buffer = buffer_for(request.overflow, request.buffer_bytes, buffered, self._drop)
        self._dropped = 0
        self._caught_up = False
        self._turn = 0
        self._quiet_since = time.monotonic()
        self._progress_due = False
        self._error: EsbError | None = None
        self._closed = False
        self._wake = Wake()
        self._outlet: Outlet | None = None

    def follow(self, feed: Feed) -> None:
        """Add a log, before the first step."""
        self._feeds.append(feed)

    def send_to(self, outlet: Outlet) -> None:
        """Send live events to the outlet from the first step on that finds nothing waiting, while the outlet takes
        them; what it does not take comes by the next step. For requests with a shape.
        """
        self._outlet = outlet

    @property
    def caught_up(self) -> bool:
        """Whether `CaughtUp` was handed out."""
        return self._caught_up

    @property
    def cursor(self) -> Cursor:
        """Goes on after the last item handed out."""
        return together([feed.shown for feed in self._feeds])

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def __anext__(self) -> list[Item]:
        gathered = not self.request.max_wait_ms
        while not self._closed:
            if self._error is None:
                for feed in self._feeds:
                    feed.look_back()
            if self._error is not None:
                await self.aclose()
                # One failure may end many: without this its traceback would grow with each of them.
                raise self._error.with_traceback(None)
            if self._caught_up and self._buffer and not gathered:
                await self._gather()
                gathered = True
                continue
            if self._send_past():
                continue
            items = self._take()
            if items:
                self._quiet_since = time.monotonic()
                return items
            self._wake.clear()
            self._go_direct()
            await self._wake.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let go of everything; nothing of the subscription runs afterwards. May be called twice."""
        if not self._closed:
            self._closed = True
            self._detach()
            self._on_close(self)
        for feed in self._feeds:
            await feed.close()

    def end(self, error: EsbError) -> None:
        """End with an error at the next step. The first error counts."""
        if self._error is None and not self._closed:
            self._error = error
            self._detach()

    def drain(self) -> None:
        """End because the process shuts down."""
        for feed in self._feeds:
            feed.come_back()
        self.end(Draining(self.sign(self.cursor) if self._feeds else ""))

    def reauthorise(self, principal: Principal) -> None:
        """Its caller has a new token: go on as begun, or end with FORBIDDEN and the cursor where it grants less."""
        if not covers(principal, self.request):
            for feed in self._feeds:
                feed.come_back()
            message = "the new token does not grant what this subscription reads; go on from the cursor"
            self.end(EsbError(ErrorCode.FORBIDDEN, message, details={"cursor": self.sign(self.cursor)}))

    def pulse(self) -> None:
        """To be called about once a second: says `Progress` when nothing has matched for a while."""
        if self._buffer or (self._feeds and self._feeds[0].direct):
            return
        if time.monotonic() - self._quiet_since >= PROGRESS_SECONDS:
            self._progress_due = True
            self.wake()

    def wake(self) -> None:
        """Something may be ready."""
        self._wake.set()

    def push(self, feed: Feed, events: Sequence[Event]) -> None:
        """Take live events from a feed; over the budget the overflow policy decides. Never blocks."""
        for event in events:
            if not self._buffer.put(Entry(feed, event)):
                self._recorder.overflowed(self.request.overflow, 0)
                self.end(SlowConsumer(self.request.buffer_bytes, self.sign(self.cursor)))
                return
        self.wake()

    def _go_direct(self) -> None:
        """With several logs nobody shares this subscription's cursors, so it stays with its own buffer."""
        if self._outlet is not None and self._caught_up and len(self._feeds) == 1 and self._outlet.ready():
            self._feeds[0].go_direct(self._outlet)

    def _drop(self, entry: Entry) -> None:
        entry.feed.drop(entry.event)
        self._dropped += 1

    def _detach(self) -> None:
        for feed in self._feeds:
            feed.detach()
        self._buffer.clear()
        self.wake()

    def _take(self) -> list[Item]:
        """What is ready, if anything; what a feed left waiting comes before what it pushed since."""
        waiting = [feed for feed in self._feeds if feed.waiting]
        first = [feed for feed in waiting if feed.live] or waiting
        self._turn += 1
        # Logs still behind and those that are live take turns: neither may keep the other waiting.
        if first and (first[0].live or not self._buffer or self._turn % 2):
            return self._take_past(first[self._turn // 2 % len(first)])
        if not self._caught_up and all(feed.live and not feed.waiting for feed in self._feeds):
            self._caught_up = True
            for feed in self._feeds:
                feed.settle()
            return [CaughtUp(self.cursor)]
        if self._dropped or self._buffer:
            return self._take_live()
        if self._progress_due or sum(feed.scanned for feed in self._feeds) >= PROGRESS_EVENTS:
            return self._take_progress()
        return []

    def _send_past(self) -> bool:
        """Whether what waits from the past was sent past this task. With several logs nobody shares its cursors."""
        shape = self.request.shape
        if self._outlet is None or shape is None or len(self._feeds) != 1:
            return False
        sent = self._feeds[0].send_past(self._outlet, shape, self.sign, self.request.max_events)
        if sent:
            self._quiet_since = time.monotonic()
            self._recorder.delivered(sent, None)
        return sent > 0

    def _take_past(self, feed: Feed) -> list[Item]:
        events = feed.take_past(self.request.max_events)
        items: list[Item] = [self._show(feed, event) for event in events]
        feed.settle()
        feed.scanned = 0
        self._recorder.delivered(len(events), None)
        return items

    def _take_live(self) -> list[Item]:
        items: list[Item] = []
        if self._dropped:
            for feed in self._feeds:
                feed.admit_drops()
            items.append(Gap(self.cursor, self._dropped))
            self._recorder.overflowed(self.request.overflow, self._dropped)
            self._dropped = 0
        entries = self._buffer.take(self.request.max_events - len(items))
        items.extend(self._show(entry.feed, entry.event) for entry in entries)
        if entries:
            age = datetime.now(UTC) - entries[-1].event.recorded_at
            self._recorder.delivered(len(entries), age.total_seconds())
        return items

    def _take_progress(self) -> list[Item]:
        self._progress_due = False
        before = self.cursor
        for feed in self._feeds:
            feed.pass_quiet()
            feed.scanned = 0
        self._quiet_since = time.monotonic()
        cursor = self.cursor
        return [Progress(cursor, datetime.now(UTC))] if cursor != before else []

    def _show(self, feed: Feed, event: Event) -> Delivered:
        feed.show(event)
        return Delivered(event, self.cursor)

    async def _gather(self) -> None:
        """Wait for a fuller message, at most `max_wait_ms`."""
        try:
            async with asyncio.timeout(self.request.max_wait_ms / 1000):
                while len(self._buffer) < self.request.max_events and not (
                    self._dropped or self._error or self._closed
                ):
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            return
