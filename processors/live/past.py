"""A log's past, page by page as it is asked for: from what others have read, from the ring, else from the log."""

import asyncio
from collections import deque

from processors.live.backoff import Backoff
from processors.live.gates import Gates
from processors.live.pages import Page, PageKey, cut
from processors.live.ring import Ring
from processors.live.source import Query, Stretch
from processors.live.tailer import Tailer
from processors.live.weight import weight
from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError

RING_EVENTS = 256
FIRST_ROWS = 32
MAX_ROWS = 500
STALLED_SECONDS = 0.05


class Past:
    """Reads on from `place`; over once it covers `target`, the head when the subscription began, and the tailer.

    `budget`: about how many bytes of matching events may be read from the log at once.
    """

    def __init__(
        self, tailer: Tailer, query: Query, place: Cursor, target: Cursor, *, gates: Gates, budget: int
    ) -> None:
        self.place = place
        self._tailer = tailer
        self._track = tailer.source.track
        self._query = query
        self._target = target
        self._gates = gates
        self._budget = budget
        self._rows = FIRST_ROWS
        self._ring_next: tuple[Ring, int] | None = None
        self._read: deque[Page] = deque()

    def over(self) -> bool:
        """Whether nothing is left to read at this moment."""
        return self._track.covers(self.place, self._target) and self._track.covers(self.place, self._tailer.ring.place)

    async def step(self) -> Page:
        """The next page; may be empty. The caller goes on in the same turn of the loop in which it ended.

        Raises CURSOR_EXPIRED when the log no longer holds what comes next, and whatever else the log refuses. While
        the log does not answer it waits.
        """
        if self._known() is None and self._ring_index() is None:
            await self._tailer.warm()
        # A pause before, none after: `over` must speak of the ring as it was read.
        await self._gates.pacer.turn()
        page = self._known()
        if page is None:
            index = self._ring_index()
            page = self._read_ring(index) if index is not None else await self._read_log()
        self._pass(page)
        return page

    def _known(self) -> Page | None:
        """What is read already from here, unless there is more of it by now in the ring."""
        page = self._own() or self._gates.pages.get(self._key(self.place))
        if page is None or page.full or self._ring_index() is None:
            return page
        after = self._index(page.place, page.ring_next)
        return None if after is not None and self._tailer.ring.find(self._query, after, 1)[0] else page

    def _own(self) -> Page | None:
        """What follows of its own last reading: others may have pushed it out of what is kept for all."""
        while self._read and self._read[0].before != self.place:
            self._read.popleft()
        return self._read[0] if self._read else None

    def _pass(self, page: Page) -> None:
        """Go on behind the page and what follows it in the ring without a match, which mostly is the ring's end."""
        self.place, self._ring_next = page.place, page.ring_next
        after = None if page.full else self._index(page.place, page.ring_next)
        if after is not None:
            ring = self._tailer.ring
            found, reached = ring.find(self._query, after, 1)
            if not found:
                self.place, self._ring_next = self._track.join(self.place, ring.place_at(reached)), (ring, reached)

    def _ring_index(self) -> int | None:
        """Where in the ring to go on; None: it does not reach back so far, or holds nothing that is still missing."""
        ring, index = self._tailer.ring, self._index(self.place, self._ring_next)
        return None if index == ring.next_index and self._track.covers(self.place, ring.place) else index

    def _index(self, place: Cursor, known: tuple[Ring, int] | None) -> int | None:
        ring = self._tailer.ring
        if known is not None and known[0] is ring and known[1] >= ring.first_index:
            return known[1]
        return ring.index_of(place)

    def _read_ring(self, index: int) -> Page:
        ring, track = self._tailer.ring, self._track
        found, reached = ring.find(self._query, index, RING_EVENTS)
        # where places do not count events, the ring may begin before the place
        wanted = [item.event for item in found if not track.passed(self.place, item.event)]
        read = Stretch(wanted, track.join(self.place, ring.place_at(reached)), reached - index)
        return self._keep(read, full=reached < ring.next_index, ring_next=(ring, reached))

    async def _read_log(self) -> Page:
        self._ring_next = None
        read = await self._scan()
        if isinstance(read, Page):
            return read
        if read.place == self.place:
            # Nothing can be seen yet (a transaction still open at the broker): looking again at once would spin.
            await asyncio.sleep(STALLED_SECONDS)
        if read.events:
            each = sum(map(weight, read.events)) // len(read.events)
            self._rows = max(1, min(self._rows * 2, self._budget // each, MAX_ROWS))
        return self._keep(read, full=not self._track.covers(read.place, self._end()))

    async def _scan(self) -> Stretch | Page:
        backoff = Backoff()
        while True:
            try:
                async with self._gates.log:
                    # another one may have read it while we waited
                    page = self._known()
                    if page is not None:
                        return page
                    return await self._tailer.source.scan(self._query, self.place, self._end(), self._rows)
            except EsbError as error:
                if error.code is not ErrorCode.LOG_UNAVAILABLE:
                    raise
            await backoff.wait()

    def _end(self) -> Cursor:
        return self._track.join(self._target, self._tailer.ring.place)

    def _keep(self, read: Stretch, *, full: bool, ring_next: tuple[Ring, int] | None = None) -> Page:
        """The first page of what was read; all of it is there for others."""
        pages = cut(self._track, self.place, read, full=full)
        pages[-1].ring_next = ring_next
        for page in pages:
            if page.events:
                self._gates.pages.put(self._key(page.before), page)
        self._read = deque(pages[1:])
        return pages[0]

    def _key(self, place: Cursor) -> PageKey:
        return PageKey(self._tailer.source.key, self._query.key, place)
