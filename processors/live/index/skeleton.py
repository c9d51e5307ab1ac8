"""Which of many intervals hold a number, however they lie.

An interval tree over a fixed skeleton (Edelsbrunner's, whose nodes split at powers of two): an interval rests at the
one node at whose middle it is cut, the node is found by hash, and only nodes in use exist. A look-up visits one node
for each size in use (at most the keys' bits) and takes from it exactly the intervals that hold the number, whatever
their number, lengths and overlaps. Adding and removing touch one node; nothing is ever balanced.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from typing import TypeAlias

Interval: TypeAlias = tuple[int, int]
"""The first and the last number, from 0 on."""


class Skeleton:
    """Distinct intervals."""

    __slots__ = ("_sizes",)

    def __init__(self, keys: Iterable[Interval]) -> None:
        # By the number of bits cut off, by what is left of them.
        self._sizes: dict[int, dict[int, _Node]] = {}
        for key in keys:
            self.add(key)

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, key: Interval) -> None:
        """One that is not there yet."""
        size = (key[0] ^ key[1]).bit_length()
        nodes = self._sizes.setdefault(size, {})
        place = key[0] >> size
        node = nodes.get(place)
        if node is None:
            node = nodes[place] = _Node(size, place)
        node.add(key)

    def remove(self, key: Interval) -> None:
        """One that is there."""
        size = (key[0] ^ key[1]).bit_length()
        nodes = self._sizes[size]
        place = key[0] >> size
        node = nodes[place]
        node.remove(key)
        if not node.lows:
            del nodes[place]
            if not nodes:
                del self._sizes[size]

    def find(self, value: int) -> list[Interval]:
        """Those that hold `value`."""
        found: list[Interval] = []
        for size, nodes in self._sizes.items():
            node = nodes.get(value >> size)
            if node is not None:
                found += node.find(value)
        return found


class _Node:
    """Intervals with a point in common: of a number left of it only their beginning matters, else only their end."""

    __slots__ = ("highs", "lows", "middle")

    def __init__(self, size: int, place: int) -> None:
        self.lows: list[Interval] = []
        self.highs: list[Interval] = []  # turned round, to be sorted by the end
        # The first number of the upper half; of one number alone there is no half.
        self.middle = (place << size) + (1 << size >> 1)

    def add(self, key: Interval) -> None:
        insort(self.lows, key)
        insort(self.highs, key[::-1])

    def remove(self, key: Interval) -> None:
        del self.lows[bisect_left(self.lows, key)]
        del self.highs[bisect_left(self.highs, key[::-1])]

    def find(self, value: int) -> list[Interval]:
        if value < self.middle:
            return self.lows[: bisect_right(self.lows, (value + 1,))]
        return [(low, high) for high, low in self.highs[bisect_left(self.highs, (value,)) :]]
