"""The newest events of one log, kept within a budget of bytes, for subscribers who are only a little behind."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Hashable, Sequence

from processors.live.items import Delivered
from processors.live.source import Query
from processors.live.track import Track
from processors.live.weight import weight
from schema.cursor import Cursor

MATCHED_QUERIES = 512
LOOKED_THROUGH = 1024


class Ring:
    """Consecutive events in log order under running indexes, each with the log's place after it.

    `first_index` is the oldest kept, `next_index` comes next; `oldest` is the place before the first event kept,
    `place` the one after the last.
    """

    def __init__(self, track: Track, start: Cursor, limit_bytes: int) -> None:
        self._track = track
        self._limit = limit_bytes
        self._items: list[Delivered] = []
        self._matches: OrderedDict[Hashable, _Matches] = OrderedDict()
        self.first_index = 0
        self.oldest = start
        self.place = start
        self.bytes = 0

    @property
    def next_index(self) -> int:
        """Index the next event will get."""
        return self.first_index + len(self._items)

    @property
    def room(self) -> int:
        """Bytes that still fit."""
        return self._limit - self.bytes

    def append(self, items: Sequence[Delivered], place: Cursor) -> None:
        """Add events that follow the last one; `place` is the log's place after them. The oldest make room."""
        self._items.extend(items)
        self.bytes += sum([weight(item.event) for item in items])
        self.place = place
        gone = 0
        while self.bytes > self._limit:
            self.bytes -= weight(self._items[gone].event)
            gone += 1
        if gone:
            self.oldest = self._items[gone - 1].cursor
            # Cut off in one go: one by one each would move the whole list.
            del self._items[:gone]
            self.first_index += gone
        if not self._items:
            self.oldest = place

    def prepend(self, items: Sequence[Delivered], start: Cursor) -> None:
        """Add events that end where the oldest kept begins, and begin at `start`, as far as they fit."""
        fitting, room = len(items), self.room
        while fitting and weight(items[fitting - 1].event) <= room:
            fitting -= 1
            room -= weight(items[fitting].event)
        kept = items[fitting:]
        if kept:
            self._items[:0] = kept
            self.first_index -= len(kept)
            self.bytes = self._limit - room
            self.oldest = items[fitting - 1].cursor if fitting else start

    def index_of(self, place: Cursor) -> int | None:
        """Index from which a reader at `place` must go on, skipping what it has passed; None: older than the ring."""
        if not self._track.covers(place, self.oldest):
            return None
        return min(self.first_index + self._track.between(self.oldest, place), self.next_index)

    def find(self, query: Query, index: int, limit: int) -> tuple[Sequence[Delivered], int]:
        """Up to `limit` events that the query accepts, from `index` on, which must not be older than `first_index`; and
        the index up to which was looked, which may be far from the end. What matches is worked out once for all who ask
        the same.
        """
        matches = self._matches.get(query.key)
        if matches is None or index < matches.start:
            matches = self._matches[query.key] = _Matches(index)
            if len(self._matches) > MATCHED_QUERIES:
                self._matches.popitem(last=False)
        self._matches.move_to_end(query.key)
        if matches.reached < self.first_index:
            matches.skip(self.first_index)
        begin = matches.reached - self.first_index
        for offset, item in enumerate(self._items[begin : begin + LOOKED_THROUGH], matches.reached):
            if query.accepts(item.event):
                matches.indexes.append(offset)
            matches.reached = offset + 1
        return self._found(matches, index, limit)

    def _found(self, matches: "_Matches", index: int, limit: int) -> tuple[Sequence[Delivered], int]:
        begin = bisect_left(matches.indexes, index)
        found = matches.indexes[begin : begin + limit]
        reached = found[-1] + 1 if len(found) == limit else max(matches.reached, index)
        return [self._items[one - self.first_index] for one in found], reached

    def place_at(self, index: int) -> Cursor:
        """The log's place before the event at `index`."""
        if index == self.next_index:
            return self.place
        return self.oldest if index == self.first_index else self._items[index - 1 - self.first_index].cursor


class _Matches:
    """Which events of the ring a query accepts, of those from `start` to before `reached`."""

    __slots__ = ("indexes", "reached", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.reached = start
        self.indexes: list[int] = []

    def skip(self, index: int) -> None:
        """What lay before `index` is no longer kept."""
        self.indexes.clear()
        self.start = self.reached = index
