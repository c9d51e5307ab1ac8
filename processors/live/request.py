"""What a live subscription asks for."""

from datetime import datetime
from enum import Enum, StrEnum

import msgspec

from processors.live.shape import Gather, Shape
from schema.cursor import Cursor
from schema.errors import bad_input
from schema.filter.ast import Filter
from schema.principal import Principal
from schema.stream import Stream

# A burst as large as a whole batch may be (8 MiB) reaches a subscriber in turns; half of it may wait by default.
DEFAULT_BUFFER_BYTES = 4 * 1024 * 1024
MIN_BUFFER_BYTES = 16 * 1024
MAX_BUFFER_BYTES = 64 * 1024 * 1024

DEFAULT_ITEMS = 256
MAX_ITEMS = 1000
MAX_WAIT_MS = 10_000


class Edge(Enum):
    """The two ends of a log: LIVE starts after the newest committed event, BEGINNING at the oldest kept one."""

    LIVE = "live"
    BEGINNING = "beginning"


Start = Edge | Cursor | datetime
"""Where to start; a datetime (with its zone) is a `recordedAt`, a cursor comes already decoded for the tenant."""


class Overflow(StrEnum):
    """What happens to a subscriber that reads more slowly than events arrive, once its buffer is full."""

    DISCONNECT = "DISCONNECT"
    DROP_OLDEST = "DROP_OLDEST"
    CONFLATE = "CONFLATE"


class LiveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One live subscription.

    `streams`: those named, of any engine; None: every ledger stream the principal may read, also those made later.
    `buffer_bytes`: how much may wait for the subscriber before `overflow` applies. `max_events`: most items a step.
    `max_wait_ms`: how long a step waits for more events after the first one. `shape`: how they become messages, for
    those who may share them; None: the subscriber makes its own.
    """

    principal: Principal
    streams: tuple[Stream, ...] | None = None
    where: Filter | None = None
    start: Start = Edge.LIVE
    overflow: Overflow = Overflow.DISCONNECT
    buffer_bytes: int = DEFAULT_BUFFER_BYTES
    max_events: int = DEFAULT_ITEMS
    max_wait_ms: int = 0
    shape: Shape | None = None

    @property
    def gather(self) -> Gather:
        """How events wait for one another."""
        return Gather(self.max_events, self.max_wait_ms / 1000)

    def check(self) -> None:
        """Raise BAD_INPUT for a number out of its range, a start without its zone or no stream at all."""
        _within("bufferBytes", self.buffer_bytes, MIN_BUFFER_BYTES, MAX_BUFFER_BYTES)
        _within("maxEvents", self.max_events, 1, MAX_ITEMS)
        _within("maxWaitMs", self.max_wait_ms, 0, MAX_WAIT_MS)
        if self.streams is not None and not self.streams:
            raise bad_input("streams names no stream; leave it out to follow every ledger stream", path="streams")
        if isinstance(self.start, datetime) and self.start.tzinfo is None:
            raise bad_input("a start time needs its zone", path="from.time")


def _within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise bad_input(f"{name} must be between {least} and {most}, not {value}", path=name)
