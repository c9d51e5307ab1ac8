"""The tree the alternatives of all filters are put down: by one probe a level, so that each level narrows what is left.

What few share a place is not told apart further: the next level is made when more come.
"""

from collections.abc import Hashable
from typing import Any, Generic, TypeAlias, TypeVar

from processors.live.index.conjunctions import Conjunction
from processors.live.index.probe import Kind, Probe, scalar_key
from processors.live.index.tables import TABLES, Table
from schema.event import Event
from schema.filter.ast import FIELDS, FieldKind
from schema.filter.values import MISSING

TOGETHER = 4
"""As many may wait at one place before the next level is made: below that asking each is as fast."""

E = TypeVar("E")


class Leaf(Generic[E]):
    """One alternative of `entry`, which is whatever the tree's owner finds by it."""

    __slots__ = ("entry", "probes", "sure_from")

    def __init__(self, conjunction: Conjunction, entry: E) -> None:
        self.probes = conjunction.probes
        self.entry = entry
        # Found at that depth, all probes hold, and they say all that the filter says.
        self.sure_from = len(conjunction.probes) if conjunction.exact else 1 << 30


class Found(Generic[E]):
    """What an event led to: `sure` ones match, `unsure` ones may. The same may be there more than once."""

    __slots__ = ("event", "sure", "unsure")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.sure: list[E] = []
        self.unsure: list[E] = []

    def take(self, slot: "Slot[E]", depth: int) -> None:
        """All that is at a place `depth` probes down."""
        if isinstance(slot, Leaf):
            (self.sure if depth >= slot.sure_from else self.unsure).append(slot.entry)
            return
        for leaf in slot.ended:
            (self.sure if depth >= leaf.sure_from else self.unsure).append(leaf.entry)
        below = slot.below
        if below is not None:
            below.find(self, depth)
            return
        for leaf in slot.few:
            (self.sure if depth >= leaf.sure_from else self.unsure).append(leaf.entry)


class Node(Generic[E]):
    """A place of several leaves. `ended`: those without a further probe; `few`: those not yet told apart by theirs."""

    __slots__ = ("below", "ended", "few")

    def __init__(self) -> None:
        self.ended: dict[Leaf[E], None] = {}
        self.few: list[Leaf[E]] = []
        self.below: _Level[E] | None = None

    def __bool__(self) -> bool:
        return bool(self.ended) or bool(self.few) or self.below is not None

    def add(self, leaf: Leaf[E], depth: int) -> None:
        """One whose probes hold down to here."""
        if depth == len(leaf.probes):
            self.ended[leaf] = None
        elif self.below is not None:
            self.below.add(leaf, depth)
        else:
            self.few.append(leaf)
            if len(self.few) > TOGETHER:
                self.below = _Level()
                for one in self.few:
                    self.below.add(one, depth)
                self.few = []

    def remove(self, leaf: Leaf[E], depth: int) -> None:
        """One that was added."""
        if depth == len(leaf.probes):
            del self.ended[leaf]
        elif self.below is None:
            self.few.remove(leaf)
        else:
            self.below.remove(leaf, depth)
            if not self.below:
                self.below = None


Slot: TypeAlias = Leaf[E] | Node[E]


class _Level(Generic[E]):
    """Leaves told apart by one probe each: envelope fields by name, documents by the way into them."""

    __slots__ = ("documents", "fields")

    def __init__(self) -> None:
        self.fields: dict[str, _Value[E]] = {}
        self.documents: dict[str, _Path[E]] = {}

    def __bool__(self) -> bool:
        return bool(self.fields) or bool(self.documents)

    def add(self, leaf: Leaf[E], depth: int) -> None:
        probe = leaf.probes[depth]
        field, *keys = probe.path
        if FIELDS.get(field) is FieldKind.JSON:
            path = self.documents.get(field)
            if path is None:
                path = self.documents[field] = _Path()
            path.value_at(keys).add(leaf, probe, depth + 1)
            return
        value = self.fields.get(field)
        if value is None:
            value = self.fields[field] = _Value()
        value.add(leaf, probe, depth + 1)

    def remove(self, leaf: Leaf[E], depth: int) -> None:
        probe = leaf.probes[depth]
        field, *keys = probe.path
        if FIELDS.get(field) is FieldKind.JSON:
            self.documents[field].remove(keys, leaf, probe, depth + 1)
            if not self.documents[field]:
                del self.documents[field]
            return
        self.fields[field].remove(leaf, probe, depth + 1)
        if not self.fields[field]:
            del self.fields[field]

    def find(self, found: Found[E], depth: int) -> None:
        event = found.event
        for field, value in self.fields.items():
            given = getattr(event, field)
            if given is not None:
                value.find(given, found, depth + 1)
        for field, path in self.documents.items():
            path.find(event.payload_document if field == "payload" else event.metadata_document, found, depth + 1)


class _Path(Generic[E]):
    """A place in a document, and the places below it that are asked about."""

    __slots__ = ("below", "value")

    def __init__(self) -> None:
        self.value: _Value[E] | None = None
        self.below: dict[str, _Path[E]] = {}

    def __bool__(self) -> bool:
        return self.value is not None or bool(self.below)

    def value_at(self, keys: list[str]) -> "_Value[E]":
        path = self
        for key in keys:
            below = path.below.get(key)
            if below is None:
                below = path.below[key] = _Path()
            path = below
        if path.value is None:
            path.value = _Value()
        return path.value

    def remove(self, keys: list[str], leaf: Leaf[E], probe: Probe, depth: int) -> None:
        if keys:
            self.below[keys[0]].remove(keys[1:], leaf, probe, depth)
            if not self.below[keys[0]]:
                del self.below[keys[0]]
        elif self.value is not None:
            self.value.remove(leaf, probe, depth)
            if not self.value:
                self.value = None

    def find(self, document: Any, found: Found[E], depth: int) -> None:
        """Follows the document or the paths asked about, whichever is less."""
        if self.value is not None:
            self.value.find(document, found, depth)
        below = self.below
        if not below:
            return
        if type(document) is dict:
            if len(below) <= len(document):
                for key, path in below.items():
                    if (inner := document.get(key, MISSING)) is not MISSING:
                        path.find(inner, found, depth)
            else:
                for key, inner in document.items():
                    if key in below:
                        below[key].find(inner, found, depth)
        elif type(document) is list:
            for index, inner in enumerate(document):
                if (key := str(index)) in below:
                    below[key].find(inner, found, depth)


class _Value(Generic[E]):
    """What is asked about one value: where each text, number and truth that it may be equal to leads, and for every
    other kind of probe a table, and where each of its keys leads.
    """

    __slots__ = ("equal", "kinds")

    def __init__(self) -> None:
        self.equal: dict[Hashable, Slot[E]] = {}
        self.kinds: dict[Kind, tuple[Table, dict[Hashable, Slot[E]]]] = {}

    def __bool__(self) -> bool:
        return bool(self.equal) or bool(self.kinds)

    def add(self, leaf: Leaf[E], probe: Probe, depth: int) -> None:
        if probe.kind is Kind.EQUAL:
            for key in probe.keys:
                _put(self.equal, key, leaf, depth)
            return
        if probe.kind not in self.kinds:
            self.kinds[probe.kind] = (TABLES[probe.kind](), {})
        table, slots = self.kinds[probe.kind]
        for key in probe.keys:
            if key not in slots:
                table.add(key)
            _put(slots, key, leaf, depth)

    def remove(self, leaf: Leaf[E], probe: Probe, depth: int) -> None:
        if probe.kind is Kind.EQUAL:
            for key in probe.keys:
                _take(self.equal, key, leaf, depth)
            return
        table, slots = self.kinds[probe.kind]
        for key in probe.keys:
            _take(slots, key, leaf, depth)
            if key not in slots:
                table.remove(key)
        if not slots:
            del self.kinds[probe.kind]

    def find(self, value: Any, found: Found[E], depth: int) -> None:
        if self.equal and type(value) is not dict and type(value) is not list:
            slot = self.equal.get(scalar_key(value))
            if slot is not None:
                found.take(slot, depth)
        for table, slots in self.kinds.values():
            for key in table.find(value):
                slot = slots.get(key)
                if type(slot) is Leaf:
                    (found.sure if depth >= slot.sure_from else found.unsure).append(slot.entry)
                elif slot is not None:
                    found.take(slot, depth)


def _put(slots: dict[Hashable, Slot[E]], key: Hashable, leaf: Leaf[E], depth: int) -> None:
    slot = slots.get(key)
    if slot is None:
        slots[key] = leaf
        return
    if isinstance(slot, Leaf):
        first, slot = slot, Node()
        slot.add(first, depth)
        slots[key] = slot
    slot.add(leaf, depth)


def _take(slots: dict[Hashable, Slot[E]], key: Hashable, leaf: Leaf[E], depth: int) -> None:
    slot = slots[key]
    if isinstance(slot, Node):
        slot.remove(leaf, depth)
        if slot:
            return
    del slots[key]
