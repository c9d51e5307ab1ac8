"""A log's past, read stretch by stretch as it is asked for: from the ring where it reaches back, else from the log."""

import asyncio

from processors.live.backoff import Backoff
from processors.live.gates import Gates
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

    `budget`: about how many bytes of matching events a stretch may hold.
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

    def over(self) -> bool:
        """Whether nothing is left to read at this moment."""
        return self._track.covers(self.place, self._target) and self._track.covers(self.place, self._tailer.ring.place)

    async def step(self) -> Stretch:
        """The next stretch; may be empty. The caller goes on in the same turn of the loop in which it ended.

        Raises CURSOR_EXPIRED when the log no longer holds what comes next, and whatever else the log refuses. While
        the log does not answer it waits.
        """
        if self._ring_index() is None:
            await self._tailer.warm()
        if self._ring_index() is not None:
            async with self._gates.ring:
                # A pause before, none after: `over` must speak of the ring as it was read.
                await asyncio.sleep(0)
                index = self._ring_index()
                if index is not None:
                    return self._read_ring(index)
        return await self._read_log()

    def _ring_index(self) -> int | None:
        """Where in the ring to go on; None: it does not reach back so far, or holds nothing that is still missing."""
        ring = self._tailer.ring
        index = ring.index_of(self.place)
        if self._ring_next is not None and self._ring_next[0] is ring and self._ring_next[1] >= ring.first_index:
            index = self._ring_next[1]
        return None if index == ring.next_index and self._track.covers(self.place, ring.place) else index

    def _read_ring(self, index: int) -> Stretch:
        ring, track = self._tailer.ring, self._track
        found, reached = ring.find(self._query, index, RING_EVENTS)
        # where places do not count events, the ring may begin before the place
        wanted = [item.event for item in found if not track.passed(self.place, item.event)]
        self.place = track.join(self.place, ring.place_at(reached))
        self._ring_next = (ring, reached)
        return Stretch(wanted, self.place, reached - index)

    async def _read_log(self) -> Stretch:
        self._ring_next = None
        stretch = await self._scan()
        if stretch.place == self.place:
            # Nothing can be seen yet (a transaction still open at the broker): looking again at once would spin.
            await asyncio.sleep(STALLED_SECONDS)
        self.place = stretch.place
        if stretch.events:
            each = sum(map(weight, stretch.events)) // len(stretch.events)
            self._rows = max(1, min(self._rows * 2, self._budget // each, MAX_ROWS))
        return stretch

    async def _scan(self) -> Stretch:
        backoff = Backoff()
        while True:
            end = self._track.join(self._target, self._tailer.ring.place)
            try:
                async with self._gates.log:
                    return await self._tailer.source.scan(self._query, self.place, end, self._rows)
            except EsbError as error:
                if error.code is not ErrorCode.LOG_UNAVAILABLE:
                    raise
            await backoff.wait()
