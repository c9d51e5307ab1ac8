"""One subscriber's way through one log: stretches of the past as they are asked for, then live, without a seam."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from processors.live.group import Group
from processors.live.items import Delivered
from processors.live.pages import Page
from processors.live.past import Past
from processors.live.request import LiveRequest
from processors.live.shape import Gather, Shape, Sign
from processors.live.source import Query
from processors.live.tailer import Tailer
from processors.live.turn import Outlet, Turn
from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.event import Event

_log = logging.getLogger(__name__)


class Subscriber(Protocol):
    """Whom a feed serves."""

    request: LiveRequest

    def push(self, feed: "Feed", events: Sequence[Event]) -> None:
        """Take live events."""

    def wake(self) -> None:
        """A stretch of the past is there."""

    def end(self, error: EsbError) -> None:
        """The log cannot be followed any more."""


class Feed:
    """`shown`: the place after everything the subscriber was shown or does not want; not kept up while direct.
    `live`: the past is over. `direct`: events go straight to the subscriber's outlet. `scanned`: events looked through
    since this was last set to 0.
    """

    __slots__ = (
        "_ahead",
        "_dropped",
        "_group",
        "_page",
        "_past",
        "_reading",
        "_subscriber",
        "_tailer",
        "_track",
        "direct",
        "live",
        "query",
        "scanned",
        "shown",
        "waiting",
    )

    def __init__(self, tailer: Tailer, query: Query, past: Past, subscriber: Subscriber) -> None:
        self.query = query
        self.shown = past.place
        self.live = False
        self.direct = False
        self.scanned = 0
        self.waiting: deque[Event] | None = None
        self._tailer = tailer
        self._track = tailer.source.track
        self._past: Past | None = past
        self._page: Page | None = None
        self._subscriber = subscriber
        self._group: Group | None = None
        self._ahead: Cursor | None = None
        self._dropped: Cursor | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def shape(self) -> Shape | None:
        """See `Follower.shape`."""
        return self._subscriber.request.shape

    @property
    def gather(self) -> Gather:
        """See `Follower.gather`."""
        return self._subscriber.request.gather

    def look_back(self) -> None:
        """Go live if the past is over, else see that its next page is being read, unless one is waiting."""
        if self.live or self.waiting or self._reading is not None or self._went_live():
            return
        self._reading = asyncio.create_task(self._read(), name="live-past")

    def send_past(self, outlet: Outlet, shape: Shape, sign: Sign, limit: int) -> int:
        """Send the page that waits as it is, as others were sent it; how many events that were. 0: it has to be taken,
        as it is no whole page any more, or has more than `limit` events, or the outlet takes nothing now.
        """
        page = self._page
        if page is None or not self.waiting or len(page.events) > limit or not outlet.ready():
            return 0
        try:
            turn = page.turn(shape, sign)
        except Exception:
            return 0  # who takes the events meets the failure, and tells its client of it
        if not outlet.send(turn):
            return 0
        self.waiting = self._page = None
        self.shown = self._track.join(self.shown, turn.items[-1].cursor)
        self.settle()
        self.scanned = 0
        return len(page.events)

    def take_past(self, limit: int) -> list[Event]:
        """Up to `limit` waiting events of the past, each to be told to `show` in this order."""
        self._page = None
        waiting = self.waiting or deque()
        return [waiting.popleft() for _ in range(min(limit, len(waiting)))]

    def show(self, event: Event) -> None:
        """The subscriber is shown the event."""
        self.shown = self._track.after(self.shown, event)

    def settle(self) -> None:
        """With no stretch waiting any more, what was looked at and did not match is passed, too."""
        if not self.waiting:
            self.waiting = None
            if self._past is not None:
                self.shown = self._track.join(self.shown, self._past.place)
                if self.live:
                    self._past = None  # it holds a good deal, and is over

    def pass_quiet(self) -> None:
        """With nothing pushed that is not shown yet, everything the tailer has handed out is passed."""
        self.settle()
        if self.live:
            self.shown = self._track.join(self.shown, self._tailer.ring.place)

    def drop(self, event: Event) -> None:
        """The subscriber will not be shown this pushed event."""
        self._dropped = self._track.after(
            self._dropped or (self._past.place if self._past is not None else self.shown), event
        )

    def admit_drops(self) -> None:
        """The subscriber is told that events were dropped."""
        if self._dropped is not None:
            self.shown, self._dropped = self._track.join(self.shown, self._dropped), None

    def go_direct(self, outlet: Outlet) -> None:
        """Send live events to the outlet from now on, if nothing is waiting and the tailer is not behind the past."""
        if not self.live or self.waiting or self.direct or self._is_ahead() or self._group is None:
            return
        self.settle()
        self._group.go_direct(self, outlet, self._tailer.ring.place)
        self.direct = True

    def come_back(self) -> None:
        """Take live events into the subscriber's buffer again; `shown` is true again."""
        if self.direct and self._group is not None:
            self._group.come_back(self)
        if self.direct:
            self.direct = False
            self.shown = self._track.join(self.shown, self._tailer.ring.place)

    def push(self, items: Sequence[Delivered]) -> None:
        """Live events from the tailer."""
        events = [item.event for item in items]
        if self._ahead is not None:
            # The past was read beyond where the tailer was: those were shown already.
            events = [event for event in events if not self._track.passed(self._ahead, event)]
            self._is_ahead()
        if events:
            self._subscriber.push(self, events)

    def fall_back(self, turn: Turn) -> None:
        """The outlet did not take this turn."""
        self.direct = False
        self.shown = self._track.join(self.shown, turn.before)
        self._subscriber.push(self, [item.event for item in turn.items if isinstance(item, Delivered)])

    def fail(self, error: EsbError) -> None:
        """The tailer has given up."""
        self._subscriber.end(error)

    def detach(self) -> None:
        """Listen and read no more; `close` awaits what is under way."""
        self._tailer.detach(self)
        self.waiting = self._page = None
        if self._reading is not None:
            self._reading.cancel()

    async def close(self) -> None:
        """Detach and wait until nothing runs any more."""
        self.detach()
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def _read(self) -> None:
        assert self._past is not None
        try:
            page = await self._past.step()
        except EsbError as error:
            self._reading = None
            self._subscriber.end(error)
            return
        except Exception:
            _log.exception("reading the past of %s failed", self._tailer.source.key)
            self._reading = None
            self._subscriber.end(EsbError(ErrorCode.INTERNAL, "reading the log failed; go on from the last cursor"))
            return
        self._reading = None
        self.scanned += page.scanned
        if page.events:
            self.waiting, self._page = deque(page.events), page
        self._went_live()
        self._subscriber.wake()

    def _went_live(self) -> bool:
        """Attach if the past is over. Asking and attaching are one turn of the loop: no event comes between."""
        if self._past is None or not self._past.over():
            return False
        try:
            self._group = self._tailer.attach(self)
        except EsbError as error:
            self._subscriber.end(error)
            return False
        self._ahead = self._past.place
        self._is_ahead()
        self.live = True
        return True

    def _is_ahead(self) -> bool:
        """Whether the past was read beyond where the tailer is."""
        if self._ahead is not None and self._track.covers(self._tailer.ring.place, self._ahead):
            self._ahead = None
        return self._ahead is not None
