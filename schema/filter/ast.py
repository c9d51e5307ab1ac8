"""The one filter language, as a tree: what typed filters and expressions both become, and what every back end reads.

Every node is two-valued: an event matches it or does not. A `Test` on a value the event does not have does not match,
`NE` included; `Not` turns that round.
"""

from enum import Enum, StrEnum
from typing import Any, TypeAlias

import msgspec

from schema.filter.syntax import Node, Path


class FieldKind(Enum):
    """What a field of the envelope holds."""

    TEXT = 1
    LONG = 2
    TIME = 3
    JSON = 4


FIELDS: dict[str, FieldKind] = {
    "event_id": FieldKind.TEXT,
    "event_type": FieldKind.TEXT,
    "event_version": FieldKind.TEXT,
    "source_capability": FieldKind.TEXT,
    "aggregate_id": FieldKind.TEXT,
    "aggregate_type": FieldKind.TEXT,
    "sequence_number": FieldKind.LONG,
    "timestamp": FieldKind.TIME,
    "recorded_at": FieldKind.TIME,
    "correlation_id": FieldKind.TEXT,
    "causation_id": FieldKind.TEXT,
    "tenant_id": FieldKind.TEXT,
    "user_id": FieldKind.TEXT,
    "schema_version": FieldKind.TEXT,
    "metadata": FieldKind.JSON,
    "payload": FieldKind.JSON,
}


class Op(StrEnum):
    """How a `Test` compares. Other JSON types than the wanted one never match and never fail."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    PATTERN = "pattern"
    EXISTS = "exists"


ORDERING = frozenset({Op.GT, Op.GTE, Op.LT, Op.LTE})


class Test(msgspec.Struct, frozen=True):
    """One comparison of one value of the event (`path` starts with a field of `FIELDS`) with a constant.

    `value`: a JSON value or an aware datetime; a list for IN; ignored by EXISTS. CONTAINS: an element of an array or a
    part of a string. A path's segment of digits is an array's index or an object's key, whichever is met.
    """

    __test__ = False  # pytest would collect the class by its name

    path: Path
    op: Op
    value: Any = None

    @property
    def field(self) -> str:
        """The envelope's field the path starts with."""
        return self.path.segments[0]

    @property
    def keys(self) -> tuple[str, ...]:
        """The way from the field on; empty for all but payload and metadata."""
        return self.path.segments[1:]


class And(msgspec.Struct, frozen=True):
    """All match; with no items: everything matches."""

    items: tuple["Filter", ...] = ()


class Or(msgspec.Struct, frozen=True):
    """At least one matches; with no items: nothing matches."""

    items: tuple["Filter", ...] = ()


class Not(msgspec.Struct, frozen=True):
    """Matches where `item` does not."""

    item: "Filter"


class Holds(msgspec.Struct, frozen=True):
    """Matches where the expression is exactly true; a failing one (a missing path, say) is not. `text`: as written."""

    tree: Node
    text: str = ""


Filter: TypeAlias = And | Or | Not | Test | Holds

EVERYTHING = And()
NOTHING = Or()
