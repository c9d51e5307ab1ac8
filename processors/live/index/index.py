"""The index of live filters: from an event to those who want it, at the price of those, not of all."""

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from processors.live.index.conjunctions import conjunctions
from processors.live.index.tree import Found, Leaf, Node
from schema.event import Event
from schema.filter.ast import EVERYTHING, Filter
from schema.filter.normal import normal_form
from schema.filter.python import compile_normalised

T = TypeVar("T", bound=Hashable)

_FEW = 8


class PredicateIndex(Generic[T]):
    """Targets by what they want of a log.

    The tables only have to find all that may match; whatever they cannot tell for certain is left to the filter's own
    predicate, which is compiled when the first event needs it. Targets of one meaning are one entry.

    Parameters
    ----------
    failed:
        Told of every target whose filter raised, and what; such a target is not among the matches. It may change the
        index.

    Attributes
    ----------
    verified:
        How many predicates were asked so far: much more than matched means that the tables do not tell enough.
    """

    def __init__(self, failed: Callable[[T, Exception], None]) -> None:
        self._failed = failed
        self._root: Node[_Entry[T]] = Node()
        self._entries: dict[Hashable, _Entry[T]] = {}
        self._of: dict[T, _Entry[T]] = {}
        self.verified = 0

    def __len__(self) -> int:
        return len(self._of)

    def add(self, where: Filter | None, streams: frozenset[str] | None, target: T) -> None:
        """From the next event on; a target that is there already changes what it wants.

        `where`: None for every event. `streams`: names of streams; None for any.
        """
        self.remove(target)
        normal = normal_form(EVERYTHING if where is None else where)
        key = (normal.fingerprint, streams)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(key, normal.filter, streams)
            for leaf in entry.leaves:
                self._root.add(leaf, 0)
        entry.join(target)
        self._of[target] = entry

    def remove(self, target: T) -> None:
        """From now on; unknown ones are ignored."""
        entry = self._of.pop(target, None)
        if entry is None:
            return
        entry.leave(target)
        if not entry.targets:
            del self._entries[entry.key]
            for leaf in entry.leaves:
                self._root.remove(leaf, 0)

    def match(self, event: Event) -> list[T]:
        """The targets that want the event, each once."""
        found = self._find(event)
        matched: list[T] = []
        sure = dict.fromkeys(found.sure)
        for entry in sure:
            matched += entry.targets
        if not found.unsure:
            return matched
        failures: list[tuple[_Entry[T], Exception]] = []
        for entry in dict.fromkeys(found.unsure):
            if entry in sure:
                continue
            self.verified += 1
            try:
                if entry.accepts(event):
                    matched.extend(entry.targets)
            except Exception as failure:
                failures.append((entry, failure))
        for entry, problem in failures:
            for target in list(entry.targets):
                self._failed(target, problem)
        return matched

    def _find(self, event: Event) -> "Found[_Entry[T]]":
        found: Found[_Entry[T]] = Found(event)
        try:
            found.take(self._root, 0)
        except Exception:
            # An event that cannot be looked into (a payload that is no JSON): each filter says for itself whether it
            # needs to.
            found = Found(event)
            found.unsure = list(self._entries.values())
        return found


class _Entry(Generic[T]):
    """All targets of one filter and one set of streams."""

    __slots__ = ("_predicate", "_streams", "_where", "key", "leaves", "targets")

    def __init__(self, key: Hashable, where: Filter, streams: frozenset[str] | None) -> None:
        self.key = key
        # A dict costs four times a list of one, and most filters are of one target.
        self.targets: list[T] | dict[T, None] = []
        self.leaves = tuple(Leaf(conjunction, self) for conjunction in conjunctions(where, streams))
        self._where = where
        self._streams = streams
        self._predicate: Callable[[Any], bool] | None = None

    def join(self, target: T) -> None:
        """A target that is not there yet."""
        if isinstance(self.targets, list) and len(self.targets) == _FEW:
            self.targets = dict.fromkeys(self.targets)
        if isinstance(self.targets, list):
            self.targets.append(target)
        else:
            self.targets[target] = None

    def leave(self, target: T) -> None:
        """A target that is there."""
        if isinstance(self.targets, list):
            self.targets.remove(target)
        else:
            del self.targets[target]

    def accepts(self, event: Event) -> bool:
        """Whether the event matches; raises what the filter raises."""
        if self._streams is not None and event.stream not in self._streams:
            return False
        if self._predicate is None:
            self._predicate = compile_normalised(self._where)
        return self._predicate(event)
