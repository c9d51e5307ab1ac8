"""What waits for one subscriber, within its budget of bytes, and what gives way when the budget is used up."""

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple, Protocol

from processors.live.feed import Feed
from processors.live.request import Overflow
from processors.live.weight import weight
from schema.event import Event


class Entry(NamedTuple):
    """A matching event, and the feed it came by."""

    feed: Feed
    event: Event


class Bytes:
    """A running total shared by many buffers."""

    def __init__(self) -> None:
        self.total = 0


class Buffer(Protocol):
    """A bounded queue of entries."""

    def __len__(self) -> int:
        """Entries waiting."""

    def put(self, entry: Entry) -> bool:
        """Add an entry; False: the budget is used up and nothing may give way."""

    def take(self, limit: int) -> list[Entry]:
        """Remove up to `limit` of the oldest."""

    def clear(self) -> None:
        """Drop everything."""


class KeepAll:
    """DISCONNECT: nothing gives way."""

    __slots__ = ("_budget", "_bytes", "_entries", "_shared")

    def __init__(self, budget: int, shared: Bytes) -> None:
        self._budget = budget
        self._shared = shared
        self._entries: deque[Entry] | None = None  # an empty one takes 700 bytes, and most stay empty
        self._bytes = 0

    def __len__(self) -> int:
        return 0 if self._entries is None else len(self._entries)

    def put(self, entry: Entry) -> bool:
        """See `Buffer.put`."""
        size = weight(entry.event)
        if self._bytes + size > self._budget:
            return False
        if self._entries is None:
            self._entries = deque()
        self._entries.append(entry)
        self._count(size)
        return True

    def take(self, limit: int) -> list[Entry]:
        """See `Buffer.take`."""
        taken = [self._pop() for _ in range(min(limit, len(self)))]
        if not len(self):
            self._entries = None
        return taken

    def clear(self) -> None:
        """See `Buffer.clear`."""
        self._entries = None
        self._count(-self._bytes)

    def _pop(self) -> Entry:
        assert self._entries is not None
        entry = self._entries.popleft()
        self._count(-weight(entry.event))
        return entry

    def _count(self, size: int) -> None:
        self._bytes += size
        self._shared.total += size


class DropOldest(KeepAll):
    """DROP_OLDEST: the oldest entries give way, each said to `dropped`."""

    __slots__ = ("_dropped",)

    def __init__(self, budget: int, shared: Bytes, dropped: Callable[[Entry], None]) -> None:
        super().__init__(budget, shared)
        self._dropped = dropped

    def put(self, entry: Entry) -> bool:
        """Always has room: an event larger than the whole budget is itself dropped."""
        while not super().put(entry):
            if not len(self):
                self._dropped(entry)
                break
            self._dropped(self._pop())
        return True


class Conflate:
    """CONFLATE: once the budget is used up, only the newest entry of each aggregate is kept until all was taken.

    Entries stay in the order of their newest event; those without an aggregate are all kept.
    """

    def __init__(self, budget: int, shared: Bytes) -> None:
        self._budget = budget
        self._shared = shared
        self._entries: dict[object, Entry] = {}
        self._bytes = 0
        self._conflating = False

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, entry: Entry) -> bool:
        """See `Buffer.put`."""
        if not self._conflating and self._bytes + weight(entry.event) > self._budget:
            self._conflate()
        self._add(entry)
        if self._bytes <= self._budget:
            return True
        self._remove(next(reversed(self._entries)))
        return False

    def take(self, limit: int) -> list[Entry]:
        """See `Buffer.take`."""
        taken = [self._remove(key) for key in list(islice(self._entries, limit))]
        self._conflating = self._conflating and bool(self._entries)
        return taken

    def clear(self) -> None:
        """See `Buffer.clear`."""
        self._entries.clear()
        self._count(-self._bytes)

    def _conflate(self) -> None:
        self._conflating = True
        entries = list(self._entries.values())
        self.clear()
        for entry in entries:
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        event = entry.event
        key: object = id(entry)
        if self._conflating and event.aggregate_id is not None:
            key = (id(entry.feed), event.aggregate_type, event.aggregate_id)
            if key in self._entries:
                self._remove(key)
        self._entries[key] = entry
        self._count(weight(event))

    def _remove(self, key: object) -> Entry:
        entry = self._entries.pop(key)
        self._count(-weight(entry.event))
        return entry

    def _count(self, size: int) -> None:
        self._bytes += size
        self._shared.total += size


def buffer_for(overflow: Overflow, budget: int, shared: Bytes, dropped: Callable[[Entry], None]) -> Buffer:
    """The buffer of a policy."""
    if overflow is Overflow.DROP_OLDEST:
        return DropOldest(budget, shared, dropped)
    if overflow is Overflow.CONFLATE:
        return Conflate(budget, shared)
    return KeepAll(budget, shared)
