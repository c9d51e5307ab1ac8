"""The past in pages that are read and encoded once for all who come by the same way.

Members of a group are told the same, so when they are cut off together they come back with the same cursor. The first
one reads what they missed; the others find its page here, already as messages. For a while only, and within a budget.
"""

import time
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from processors.live.items import Delivered
from processors.live.ring import Ring
from processors.live.shape import Shape, Sign
from processors.live.source import Stretch
from processors.live.track import Track
from processors.live.turn import Turn
from processors.live.weight import weight
from schema.cursor import Cursor
from schema.event import Event

PAGE_EVENTS = 128
PAGE_BYTES = 65_536
LIMIT_BYTES = 64 * 1024 * 1024
KEPT_SECONDS = 15.0
_SHAPES = 4


class Page:
    """Matching events that follow a place, few enough to be sent in one go.

    `before`, `place`: around all that was looked through, `scanned` events. `full`: what follows was left for the next
    page; else the log ended there. `ring_next`: where that is in a ring, where this is known. `bytes`: what the page
    counts: its events, their messages and the messages' frames.
    """

    __slots__ = ("_track", "_turns", "before", "bytes", "events", "full", "place", "ring_next", "scanned")

    def __init__(
        self, track: Track, before: Cursor, events: Sequence[Event], place: Cursor, *, scanned: int, full: bool
    ) -> None:
        self.before = before
        self.events = events
        self.place = place
        self.scanned = scanned
        self.full = full
        self.ring_next: tuple[Ring, int] | None = None
        self.bytes = sum([weight(event) + 2 * len(event.body) for event in events])
        self._track = track
        self._turns: dict[Shape, Turn] = {}

    def turn(self, shape: Shape, sign: Sign) -> Turn:
        """The events as messages of backfill. Raises what the shape raises."""
        turn = self._turns.get(shape)
        if turn is None:
            place, items = self.before, list[Delivered]()
            for event in self.events:
                place = self._track.after(place, event)
                items.append(Delivered(event, place))
            turn = Turn(items, self.before, shape.messages(items, sign, caught_up=False), sign)
            if len(self._turns) == _SHAPES:
                self._turns.clear()
            self._turns[shape] = turn
        return turn


class PageKey(NamedTuple):
    """Where a page begins, and for whom: a log's key, a query's, and the place."""

    log: str
    query: Hashable
    place: Cursor


class Pages:
    """Those of late, in two generations: what was not asked for while the younger one filled, or for a while, goes.

    `limit_bytes`: of both together.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes // 2
        self._young: dict[PageKey, Page] = {}
        self._old: dict[PageKey, Page] = {}
        self._bytes = 0
        self._began = time.monotonic()

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def get(self, key: PageKey) -> Page | None:
        """The page, if it is kept."""
        page = self._young.get(key)
        if page is None and (page := self._old.pop(key, None)) is not None:
            self.put(key, page)
        return page

    def put(self, key: PageKey, page: Page) -> None:
        """Keep it, in the place of an earlier one."""
        if self._bytes + page.bytes > self._limit:
            self._grow_old()
        earlier = self._young.get(key)
        self._young[key] = page
        self._bytes += page.bytes - (earlier.bytes if earlier is not None else 0)

    def pulse(self, now: float) -> None:
        """To be called about once a second, with the monotonic clock's time."""
        if now - self._began >= KEPT_SECONDS:
            self._grow_old()

    def _grow_old(self) -> None:
        self._old, self._young, self._bytes = self._young, {}, 0
        self._began = time.monotonic()


def cut(track: Track, before: Cursor, read: Stretch, *, full: bool) -> list[Page]:
    """What was read from the place `before` on, in pages: at least one. `full`: as of the last page."""
    pages: list[Page] = []
    first, size = 0, 0
    for index, event in enumerate(read.events):
        if index > first and (index - first == PAGE_EVENTS or size + len(event.body) > PAGE_BYTES):
            some, place = read.events[first:index], before
            for one in some:
                place = track.after(place, one)
            pages.append(Page(track, before, some, place, scanned=len(some), full=True))
            before, first, size = place, index, 0
        size += len(event.body)
    pages.append(Page(track, before, read.events[first:], read.place, scanned=read.scanned - first, full=full))
    return pages
