"""The tables of one value of the event: for every kind of probe, which of the known keys fit the value."""

from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from typing import Any, Protocol

from processors.live.index.intervals import Intervals
from processors.live.index.names import Patterns
from processors.live.index.parts import Affixes, Parts
from processors.live.index.probe import Kind, number_key, text_key, time_key


class Table(Protocol):
    """Knows keys; `find` gives those that fit a value, and may give some it does not know."""

    def add(self, key: Any) -> None:
        """A key that is not known yet."""

    def remove(self, key: Any) -> None:
        """A known key."""

    def find(self, value: Any) -> Iterable[Hashable]:
        """Each key once."""


class _Present:
    """The one key that fits whatever is there."""

    __slots__ = ()

    def add(self, key: Hashable) -> None:
        pass

    def remove(self, key: Hashable) -> None:
        pass

    def find(self, value: Any) -> Iterable[Hashable]:
        return (None,)


class _Ordered:
    """Intervals of the values of some types, by their place in the order of those."""

    __slots__ = ("_intervals", "_place", "_types")

    def __init__(self, place: Callable[[Any], int], *types: type) -> None:
        self._place = place
        self._types = types
        self._intervals = Intervals()

    def add(self, key: tuple[int, int]) -> None:
        self._intervals.add(key)

    def remove(self, key: tuple[int, int]) -> None:
        self._intervals.remove(key)

    def find(self, value: Any) -> Iterable[Hashable]:
        return self._intervals.find(self._place(value)) if type(value) in self._types else ()


class _OfTexts:
    """A table that only texts are looked up in."""

    __slots__ = ("_table", "add", "remove")

    def __init__(self, table: Table) -> None:
        self._table = table
        self.add = table.add
        self.remove = table.remove

    def find(self, value: Any) -> Iterable[Hashable]:
        return self._table.find(value) if type(value) is str else ()


TABLES: dict[Kind, Callable[[], Table]] = {
    Kind.NUMBERS: lambda: _Ordered(number_key, int, float),
    Kind.TEXTS: lambda: _Ordered(text_key, str),
    Kind.TIMES: lambda: _Ordered(time_key, datetime),
    Kind.PREFIX: lambda: _OfTexts(Affixes(ending=False)),
    Kind.SUFFIX: lambda: _OfTexts(Affixes(ending=True)),
    Kind.PATTERN: lambda: _OfTexts(Patterns()),
    Kind.PART: Parts,
    Kind.EXISTS: _Present,
}
"""An empty table for each kind of probe but EQUAL, whose keys are the value itself."""
