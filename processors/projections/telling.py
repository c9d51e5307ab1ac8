"""What a subscriber of a projection is told, and what of it is left when it reads slowly."""

from collections import OrderedDict
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from schema.cursor import Cursor
from store.projections.conditions import Rest
from store.projections.reading import Row
from store.projections.writing import Change

_decode = msgspec.json.Decoder().decode
_TOLD_BYTES = 300


class Kind(Enum):
    """RESET: forget all rows, they come anew; CAUGHT_UP: all that was is told."""

    UPSERT = "UPSERT"
    DELETE = "DELETE"
    RESET = "RESET"
    CAUGHT_UP = "CAUGHT_UP"


class Told(NamedTuple):
    """One thing that is told. `place`: where to go on after it."""

    kind: Kind
    key: str | None
    row: Row | None
    place: Cursor

    @property
    def size(self) -> int:
        """Bytes it keeps while it waits, roughly."""
        return _TOLD_BYTES + (0 if self.row is None else len(self.row.value))


class Happened:
    """A change as all subscribers of a process share it: its values are decoded once, when first looked at."""

    __slots__ = ("_after", "_before", "change")

    def __init__(self, change: Change) -> None:
        self.change = change
        self._before: Any = msgspec.UNSET
        self._after: Any = msgspec.UNSET

    def was(self, wanted: Rest) -> bool:
        """Whether the row matched before."""
        if self.change.previous is None:
            return False
        if self._before is msgspec.UNSET:
            self._before = _decode(self.change.previous)
        return wanted.keeps(self._before)

    def is_now(self, wanted: Rest) -> bool:
        """Whether it matches now."""
        if self.change.value is None:
            return False
        if self._after is msgspec.UNSET:
            self._after = _decode(self.change.value)
        return wanted.keeps(self._after)


def kind_of(happened: Happened, wanted: Rest | None) -> Kind | None:
    """What a change is to a subscriber who wants these rows; None: nothing. `wanted` None: all rows."""
    change = happened.change
    if change.value is not None and (wanted is None or happened.is_now(wanted)):
        return Kind.UPSERT
    if wanted is None or happened.was(wanted):
        return Kind.DELETE
    return None


def row_of(change: Change) -> Row | None:
    """The row as the change left it."""
    return None if change.value is None else Row(change.key, change.value, change.position, change.recorded_at)


class Waiting:
    """What waits for a slow reader, in order. `conflate`: of each key only the newest."""

    def __init__(self, *, conflate: bool) -> None:
        self._conflate = conflate
        self._told: OrderedDict[object, Told] = OrderedDict()
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._told)

    def add(self, told: Told) -> None:
        """Put at the end."""
        name: object = told.key if self._conflate and told.key is not None else object()
        old = self._told.pop(name, None)
        self.size += told.size - (0 if old is None else old.size)
        self._told[name] = told

    def take(self) -> Told:
        """The first."""
        _, told = self._told.popitem(last=False)
        self.size -= told.size
        return told
