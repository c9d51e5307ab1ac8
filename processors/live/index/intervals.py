"""Which of many intervals hold a number.

An interval tree over a fixed skeleton (Edelsbrunner's, whose nodes split at powers of two): an interval rests at the
one node at whose middle it is cut, the node is found by hash, and only nodes in use exist. A look-up visits one node
for each size in use (at most the keys' bits) and takes from it exactly the intervals that hold the number, whatever
their number, lengths and overlaps. Adding and removing touch one node; nothing is ever balanced.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

Interval = tuple[int, int]


class Intervals:
    """Distinct intervals of whole numbers from 0 on, both ends included."""

    __slots__ = ("_sizes",)

    def __init__(self) -> None:
        self._sizes: dict[int, dict[int, Interval | _Cut]] = {}

    def add(self, key: Interval) -> None:
        """One that is not there yet."""
        size = (key[0] ^ key[1]).bit_length()
        nodes = self._sizes.setdefault(size, {})
        place = key[0] >> size
        node = nodes.get(place)
        if node is None:
            nodes[place] = key  # most nodes hold one, and a node costs ten times that
            return
        if not isinstance(node, _Cut):
            first, node = node, _Cut()
            node.add(first)
            nodes[place] = node
        node.add(key)

    def remove(self, key: Interval) -> None:
        """One that is there."""
        size = (key[0] ^ key[1]).bit_length()
        nodes = self._sizes[size]
        place = key[0] >> size
        node = nodes[place]
        if isinstance(node, _Cut):
            node.remove(key)
            if node.lows:
                return
        del nodes[place]
        if not nodes:
            del self._sizes[size]

    def find(self, value: int) -> Iterator[Interval]:
        """Those that hold `value`."""
        for size, nodes in self._sizes.items():
            node = nodes.get(value >> size)
            if node is None:
                continue
            if isinstance(node, _Cut):
                yield from node.left(value) if not size or not value >> (size - 1) & 1 else node.right(value)
            elif node[0] <= value <= node[1]:
                yield node


class _Cut:
    """Intervals with a point in common: of a number left of it only their beginning matters, else only their end."""

    __slots__ = ("highs", "lows")

    def __init__(self) -> None:
        self.lows: list[Interval] = []
        self.highs: list[Interval] = []  # turned round, to be sorted by the end

    def add(self, key: Interval) -> None:
        insort(self.lows, key)
        insort(self.highs, key[::-1])

    def remove(self, key: Interval) -> None:
        del self.lows[bisect_left(self.lows, key)]
        del self.highs[bisect_left(self.highs, key[::-1])]

    def left(self, value: int) -> Iterable[Interval]:
        return self.lows[: bisect_right(self.lows, value, key=_first)]

    def right(self, value: int) -> Iterable[Interval]:
        return [(low, high) for high, low in self.highs[bisect_left(self.highs, (value,)) :]]


def _first(pair: Interval) -> int:
    return pair[0]
