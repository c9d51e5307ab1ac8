"""What the index can look up: a question about one value of the event that a table answers for all filters at once."""

from collections.abc import Hashable
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple, cast

from schema.filter.values import is_number


class Kind(IntEnum):
    """How the value is compared. What the keys of a probe are stands beside each."""

    EQUAL = 1  # `scalar_key` of each wanted value
    NUMBERS = 2  # one (low, high) in `number_key`, both ends included; so the next two
    TEXTS = 3
    TIMES = 4
    PREFIX = 5  # a text
    SUFFIX = 6  # a text
    PATTERN = 7  # a pattern over dotted names
    PART = 8  # `scalar_key` of an element of a list, or of a part of a text
    EXISTS = 9  # None


class Probe(NamedTuple):
    """True for no event that its filter matches is it false: a probe may let through too much, never too little.

    `path`: the segments from the envelope's field on. `keys`: several only for EQUAL, any one of which will do.
    """

    path: tuple[str, ...]
    kind: Kind
    keys: tuple[Hashable, ...]

    @property
    def rank(self) -> int:
        """The smaller, the earlier it is asked: first what leads to one place of a table, last what leads to many."""
        match self.kind:
            case Kind.EQUAL:
                if self.path == STREAM:
                    return 3
                return 0 if len(self.path) > 1 or self.path[0].endswith("_id") else 1 if len(self.keys) == 1 else 2
            case Kind.NUMBERS | Kind.TEXTS | Kind.TIMES:
                return 4 if _two_sided(self) else 7
            case Kind.PREFIX | Kind.SUFFIX | Kind.PATTERN:
                return 5
            case Kind.PART:
                return 6
        return 8


def _two_sided(probe: Probe) -> bool:
    ((low, high),) = cast("tuple[tuple[int, int]]", probe.keys)
    least, most = WHOLE[probe.kind]
    return low != least and high != most


STREAM = ("stream",)
"""Not a field filters may name: where the restriction to streams is looked up."""

TEXT_BYTES = 64
"""How far texts are told apart by ranges; what is equal up to there is left to the filter itself."""

_EPOCH = datetime.min.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_SIGN = 1 << 63
_as_double = Struct(">d").pack
_as_long = Struct(">q").unpack

WHOLE = {
    Kind.NUMBERS: (0, (1 << 64) - 1),
    Kind.TEXTS: (0, (1 << 8 * TEXT_BYTES) - 1),
    Kind.TIMES: (0, (1 << 60) - 1),
}
"""The smallest and the largest key of each order."""


def scalar_key(value: Any) -> Hashable:
    """A key that is equal for JSON values that are: Python's own equality takes 1 for true."""
    return (value,) if value is True or value is False else value


def number_key(value: int | float) -> int:
    """The place among all doubles, from 0 on: neighbours differ by one, and a larger number is never before a smaller.

    Whole numbers beyond 2^53 share the place of the double next to them.
    """
    try:
        bits: int = _as_long(_as_double(value))[0]
    except StructError:  # a whole number beyond all doubles
        return WHOLE[Kind.NUMBERS][1] if value > 0 else 0
    return bits + _SIGN if bits >= 0 else -bits


def text_key(value: str) -> int:
    """The first bytes as a number: UTF-8 sorts as its characters do."""
    return int.from_bytes(value.encode(errors="surrogatepass")[:TEXT_BYTES].ljust(TEXT_BYTES, b"\0"))


def time_key(value: datetime) -> int:
    """Microseconds."""
    return (value - _EPOCH) // _MICROSECOND


def order_of(value: Any) -> tuple[Kind, int] | None:
    """The order a value belongs to and its place there; None for what has no order."""
    if is_number(value):
        return Kind.NUMBERS, number_key(value)
    if type(value) is str:
        return Kind.TEXTS, text_key(value)
    if type(value) is datetime:
        return Kind.TIMES, time_key(value)
    return None
