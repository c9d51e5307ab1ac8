"""Which of many intervals hold a number: few lengths are in use, and of each length few lie where the number is.

Intervals rest by their length to the next power of two, and there in cells of that size by where they begin: those that
hold a number begin in its cell or in the one before. Where a cell fills up all the same, a `Skeleton` takes its place.
"""

from processors.live.index.skeleton import Interval, Skeleton

FEW = 12
"""So many of a cell are looked at one by one."""


class Intervals:
    """Distinct intervals of whole numbers from 0 on, both ends included."""

    __slots__ = ("_lengths",)

    def __init__(self) -> None:
        # By the bits of the length, by the number of the cell.
        self._lengths: dict[int, dict[int, list[Interval] | Skeleton]] = {}

    def add(self, key: Interval) -> None:
        """One that is not there yet."""
        low, high = key
        bits = (high - low).bit_length()
        cells = self._lengths.setdefault(bits, {})
        place = low >> bits
        cell = cells.get(place)
        if cell is None:
            cells[place] = [key]
        elif isinstance(cell, Skeleton):
            cell.add(key)
        elif len(cell) < FEW:
            cell.append(key)
        else:
            cells[place] = Skeleton((*cell, key))

    def remove(self, key: Interval) -> None:
        """One that is there."""
        low, high = key
        bits = (high - low).bit_length()
        cells = self._lengths[bits]
        place = low >> bits
        cell = cells[place]
        cell.remove(key)
        if not cell:
            del cells[place]
            if not cells:
                del self._lengths[bits]

    def find(self, value: int) -> list[Interval]:
        """Those that hold `value`."""
        found: list[Interval] = []
        for bits, cells in self._lengths.items():
            place = value >> bits
            for at in (place, place - 1):
                cell = cells.get(at)
                if cell is None:
                    continue
                if isinstance(cell, list):
                    found += [key for key in cell if key[0] <= value <= key[1]]
                else:
                    found += cell.find(value)
        return found
