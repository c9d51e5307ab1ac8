"""Which groups want which events: the only place that knows all who follow a log."""

import logging
from collections.abc import Hashable, Iterator
from typing import Protocol

from processors.live.group import Group, Member
from processors.live.index import PredicateIndex
from processors.live.items import Delivered
from processors.live.shape import Gather, Shape, Sign
from processors.live.source import Query
from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError

GROUP_EVENTS = 64
"""More for one group are no longer worth waiting for: they share a write, and should find room on their sockets."""

_log = logging.getLogger(__name__)


class Follower(Member, Protocol):
    """A member that says what it wants, and how it wants to be told."""

    @property
    def query(self) -> Query:
        """What it wants."""

    @property
    def shape(self) -> Shape | None:
        """How items become its messages; None: it makes them itself."""

    @property
    def gather(self) -> Gather:
        """How its events wait for one another."""


class Wanted:
    """What groups want of the items of one step, in log order. `full`: one of them wants as many as it should get at
    once.
    """

    __slots__ = ("_items", "full")

    def __init__(self) -> None:
        self._items: dict[Group, list[Delivered]] = {}
        self.full = False

    def __iter__(self) -> Iterator[tuple[Group, list[Delivered]]]:
        return iter(self._items.items())

    def add(self, group: Group, item: Delivered) -> None:
        """A group wants an item that comes after all it wanted before."""
        items = self._items.get(group)
        if items is None:
            self._items[group] = [item]
            return
        items.append(item)
        if len(items) >= GROUP_EVENTS:
            self.full = True


class Matcher:
    """The groups of one log, by what they want."""

    def __init__(self, sign: Sign) -> None:
        self._sign = sign
        self._index: PredicateIndex[_Entry] = PredicateIndex(self._failed)
        self._entries: dict[Hashable, _Entry] = {}

    def __len__(self) -> int:
        """Followers."""
        return sum(len(entry.group) for entry in self._entries.values())

    def add(self, follower: Follower) -> Group:
        """From the next event on; the group it has become a member of."""
        key = _key(follower)
        entry = self._entries.get(key)
        if entry is None:
            query = follower.query
            entry = _Entry(key, query, Group(follower.shape, follower.gather, self._sign))
            self._index.add(query.where, query.names, entry)
            self._entries[key] = entry
        entry.group.add(follower)
        return entry.group

    def remove(self, follower: Follower) -> None:
        """From now on; unknown ones are ignored."""
        entry = self._entries.get(_key(follower))
        if entry is not None:
            entry.group.remove(follower)
            if not len(entry.group):
                self._forget(entry)

    def match(self, item: Delivered, wanted: "Wanted") -> None:
        """Say in `wanted` who wants the item and may read it."""
        for entry in self._index.match(item.event):
            readable = entry.query.readable
            if readable is None or readable(item.event):
                wanted.add(entry.group, item)

    def pulse(self, now: float, place: Cursor) -> None:
        """To be called about once a second, with the place up to which everything was matched."""
        for entry in list(self._entries.values()):
            entry.group.pulse(now, place)

    def fail(self, error: EsbError) -> None:
        """End every follower."""
        for entry in list(self._entries.values()):
            entry.group.fail(error)

    def _failed(self, entry: "_Entry", failure: Exception) -> None:
        """One filter must not end the events of others."""
        _log.error("a live filter failed", exc_info=failure)
        entry.group.fail(EsbError(ErrorCode.INTERNAL, "the filter failed on an event"))

    def _forget(self, entry: "_Entry") -> None:
        if self._entries.pop(entry.key, None) is not None:
            self._index.remove(entry)


def _key(follower: Follower) -> Hashable:
    return follower.query.key, follower.shape, follower.gather


class _Entry:
    """A group, and what it wants."""

    __slots__ = ("group", "key", "query")

    def __init__(self, key: Hashable, query: Query, group: Group) -> None:
        self.key = key
        self.query = query
        self.group = group
