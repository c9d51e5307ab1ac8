"""A gateway's publishing side without PostgreSQL: the memory engine, and streams that stand still."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from processors.admission.admission import Admission
from processors.admission.canonical import ContentHash
from schema.cursor import CursorCodec
from schema.errors import ErrorCode
from schema.identifier import IdentifierSource
from schema.principal import Action, Grant, Principal
from schema.stream import Route, Stream, StreamEngine
from store.log.memory import MemoryLog
from store.log.port import Log

CODEC = CursorCodec(b"k" * 32)
ADMIN = Principal(tenant="acme", subject="ann", client="tests", grants=tuple(Grant(action) for action in Action))


class StreamView(msgspec.Struct, frozen=True):
    streams: Sequence[Stream]
    routes: Sequence[Route] = ()


class FixedStreams:
    """Streams nobody changes."""

    def __init__(self, *streams: Stream) -> None:
        self._view = StreamView(streams)

    async def view(self, tenant: str) -> StreamView:
        return self._view

    async def refresh(self, tenant: str) -> StreamView:
        return self._view


class FirstPin:
    async def pin_aggregate_type(self, tenant: str, aggregate_type: str, stream_key: int) -> int:
        return stream_key


class OneLog:
    """One log for all streams."""

    def __init__(self, log: Log) -> None:
        self.log = log

    async def of(self, stream: Stream) -> Log:
        return self.log

    async def epoch(self, tenant: str) -> int:
        return 1


class Silent:
    def published(self, engine: StreamEngine, events: int, seconds: float) -> None: ...

    def rejected(self, code: ErrorCode, events: int) -> None: ...


USERS = Stream(
    key=1,
    tenant="acme",
    stream_id="str_01J2X3Y4Z5A6B7C8D9E0F1G2H3",
    stream_name="user-events",
    topic_name="users",
    engine=StreamEngine.LEDGER,
    event_patterns=("user.**",),
)


NOW = datetime(2026, 2, 3, 4, 5, 6, 789000, UTC)


class Counted(IdentifierSource):
    """Ids that are the same in every run."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def ulid(self) -> str:
        return f"{next(self._numbers):026d}"


def admission(log: Log | None = None) -> Admission:
    """Admission over one memory log, or the log given; its clock stands still."""
    return Admission(
        views=FixedStreams(USERS),
        pins=FirstPin(),
        logs=OneLog(log or MemoryLog({USERS.key}, now=lambda: NOW)),
        codec=CODEC,
        hashes=ContentHash(b"h" * 32),
        recorder=Silent(),
        identifiers=Counted(),
        now=lambda: NOW,
    )
