"""The log: what every engine offers, and the words spoken to it.

One conformance suite (tests/conformance) holds all engines to this page. What each promises beyond per-aggregate order
is in its `Promises`.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from schema.cursor import Cursor
from schema.errors import ErrorCode
from schema.event import Envelope, Event
from schema.stream import Stream


class Promises(NamedTuple):
    """What an engine keeps besides order within an aggregate."""

    gapless: bool
    idempotent: bool
    atomic: bool


class Draft(msgspec.Struct, kw_only=True, gc=False):
    """An event ready to commit. `content_hash`: 8 bytes over what the client said, as a signed 64-bit integer.
    `expected_sequence`: the aggregate's version the publisher saw; 0: it must be new.
    """

    envelope: Envelope
    body: bytes
    stream: Stream
    content_hash: int
    expected_sequence: int | None = None


class Condition(msgspec.Struct, kw_only=True):
    """A dynamic consistency boundary: refuse unless no event of the tenant's log at or after position `after` matches
    `none_matching` (the filter AST of schema.filter)."""

    none_matching: Any
    after: int


class Command(msgspec.Struct, kw_only=True):
    """What commits as one: all its events or none. `condition` is checked after every earlier command."""

    events: Sequence[Draft]
    condition: Condition | None = None


class Receipt(NamedTuple):
    """Where an event came to rest. `cursor`: going on from here continues right after it."""

    event_id: str
    stream: str
    position: int | None
    partition: int | None
    offset: int | None
    sequence_number: int | None
    cursor: Cursor
    recorded_at: datetime
    duplicate: bool = False
    entry_id: str | None = None


class Refusal(msgspec.Struct, frozen=True):
    """Why a command was not committed. `index`: the event within the command it is about."""

    index: int
    code: ErrorCode
    message: str
    details: dict[str, Any] | None = None


Outcome = list[Receipt] | Refusal


class Batch(NamedTuple):
    """Consecutive events of a log, and the cursor that goes on after them. May be empty: the cursor moved on."""

    events: Sequence[Event]
    cursor: Cursor


class Log(Protocol):
    """One tenant log (ledger, memory) or one stream (Kafka, Redis). Cursors speak only of this log's own part."""

    promises: Promises

    async def append(self, commands: Sequence[Command]) -> list[Outcome]:
        """Commit each command, in order; one outcome each. Returns after the commit. Raises LOG_UNAVAILABLE when
        nothing can be said of the outcome yet: the same event ids may be sent again."""
        ...

    async def read(self, start: Cursor, limit: int) -> Batch:
        """Up to `limit` committed events from `start` on. Raises CURSOR_EXPIRED when events after `start` are gone."""
        ...

    async def head(self) -> Cursor:
        """The cursor after the last committed event."""
        ...

    def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        """All events from `start` on, then new ones as they are committed, for ever; ended by aclose()."""
        ...


@runtime_checkable
class Backward(Protocol):
    """A log that knows how to get at what lies right before a place."""

    async def before(self, place: Cursor, count: int) -> tuple[Cursor, Sequence[Event]]:
        """All events from a place about `count` events before `place` up to it, and that place; none at the oldest that
        is kept. Raises LOG_UNAVAILABLE, and CURSOR_EXPIRED when it is gone itself.
        """
        ...
