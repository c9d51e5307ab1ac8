"""The newest events of one log, kept within a budget of bytes, for subscribers who are only a little behind."""

from collections.abc import Sequence

from processors.live.track import Track
from schema.cursor import Cursor
from schema.event import Event

EVENT_OVERHEAD_BYTES = 1024
"""What an event takes in memory besides its body, about: the decoded fields and the object."""


def weight(event: Event) -> int:
    """Bytes an event is counted with in every budget of the live path."""
    return len(event.body) + EVENT_OVERHEAD_BYTES


class Ring:
    """Consecutive events in log order under running indexes: `first_index` is the oldest kept, `next_index` comes next.

    `oldest` is the place before the first event kept, `place` the one after the last.
    """

    def __init__(self, track: Track, start: Cursor, limit_bytes: int) -> None:
        self._track = track
        self._limit = limit_bytes
        self._events: list[Event] = []
        self.first_index = 0
        self.oldest = start
        self.place = start
        self.bytes = 0

    @property
    def next_index(self) -> int:
        """Index the next event will get."""
        return self.first_index + len(self._events)

    def append(self, events: Sequence[Event], place: Cursor) -> None:
        """Add events that follow the last one; `place` is the log's place after them. The oldest make room."""
        self._events.extend(events)
        self.bytes += sum(map(weight, events))
        self.place = place
        gone = 0
        while self.bytes > self._limit:
            self.oldest = self._track.after(self.oldest, self._events[gone])
            self.bytes -= weight(self._events[gone])
            gone += 1
        # Cut off in one go: one by one each would move the whole list.
        del self._events[:gone]
        self.first_index += gone
        if not self._events:
            self.oldest = place

    def index_of(self, place: Cursor) -> int | None:
        """Index from which a reader at `place` must go on, skipping what it has passed; None: older than the ring."""
        if not self._track.covers(place, self.oldest):
            return None
        return min(self.first_index + self._track.between(self.oldest, place), self.next_index)

    def read(self, index: int, limit: int) -> Sequence[Event]:
        """Up to `limit` events from `index` on, which must not be older than `first_index`."""
        begin = index - self.first_index
        return self._events[begin : begin + limit]
