"""What admission needs of others, and the words it answers with."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from schema.errors import ErrorCode
from schema.filter.ast import Filter
from schema.stream import Route, SchemaEnforcement, Stream, StreamEngine
from store.log.port import Log, Receipt


class TenantStreams(Protocol):
    """A tenant's live streams and routing rules as one process sees them. A changed view is a new object."""

    @property
    def streams(self) -> Sequence[Stream]:
        """Every stream that was not deleted."""

    @property
    def routes(self) -> Sequence[Route]:
        """Every routing rule."""


class StreamViews(Protocol):
    """Where the views come from."""

    async def view(self, tenant: str) -> TenantStreams:
        """The view this process holds."""

    async def refresh(self, tenant: str) -> TenantStreams:
        """The view as the store has it now: finds a stream that another process has just made."""


class Pins(Protocol):
    """Which ledger stream an aggregate type lives in: the first publish decides, for ever."""

    async def pin_aggregate_type(self, tenant: str, aggregate_type: str, stream_key: int) -> int:
        """Pin the type to the stream unless it is pinned already; the key of the stream it is pinned to."""


class LogsOfTenant(Protocol):
    """The log that commits a stream's events: one for all ledger streams of a tenant, one for each other stream."""

    async def of(self, stream: Stream) -> Log:
        """The log; raises UNSUPPORTED_BY_ENGINE when the engine is not configured here."""

    async def epoch(self, tenant: str) -> int:
        """The ledger's epoch."""


class PublishRecorder(Protocol):
    """What telemetry learns of publishing."""

    def published(self, engine: StreamEngine, events: int, seconds: float) -> None:
        """So many events were committed, so long after they were handed in."""

    def rejected(self, code: ErrorCode, events: int) -> None:
        """So many events were refused."""

    def violated(self, enforcement: SchemaEnforcement) -> None:
        """One event was not what its schema says."""


class AppendConditionInput(NamedTuple):
    """A dynamic consistency boundary as asked for: commit only if nothing matching came after the cursor (a text)."""

    none_matching: Filter
    after: str | None


class Rejection(msgspec.Struct, frozen=True):
    """One refused event. `index`: its place in the input, from 0."""

    index: int
    event_id: str | None
    code: ErrorCode
    message: str
    details: dict[str, Any] | None = None


class PublishReport(NamedTuple):
    """What became of a batch, in input order: (index, receipt) of what was committed, and the rest."""

    receipts: list[tuple[int, Receipt]]
    rejections: list[Rejection]
