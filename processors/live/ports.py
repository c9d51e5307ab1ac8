"""What the live path needs of the parts below it and beside it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from schema.event import Event
from schema.filter.ast import Filter
from schema.stream import Stream
from store.log.port import Log
from store.tenants import Tenant


class Commit(Protocol):
    """Consecutive events of one tenant log that this process has just committed: positions `first` to `last`."""

    @property
    def tenant(self) -> str:
        """The tenant's name."""

    @property
    def epoch(self) -> int:
        """The log's epoch."""

    @property
    def first(self) -> int:
        """Position of the first event."""

    @property
    def last(self) -> int:
        """Position of the last event."""

    def events(self) -> Sequence[Event]:
        """The events, made at the first call."""


class Logs(Protocol):
    """Where logs come from."""

    async def ledger(self, tenant: str) -> Log:
        """The one log of all the tenant's ledger streams."""

    async def of(self, stream: Stream) -> Log:
        """The log of a stream; raises UNSUPPORTED_BY_ENGINE when its engine is not configured here."""


class Tenants(Protocol):
    """Where tenants come from."""

    async def get(self, name: str) -> Tenant:
        """The tenant of an authenticated name."""


class Scanned(Protocol):
    """What a scan found, and the position up to which it looked (exclusive)."""

    @property
    def events(self) -> Sequence[Event]:
        """The matching events, in position order."""

    @property
    def reached(self) -> int:
        """Everything before this position was looked at."""


class Reader(Protocol):
    """Reads a tenant log by filter, where the filter is evaluated beside the data."""

    async def scan(
        self,
        tenant: Tenant,
        *,
        streams: Collection[int] | None,
        where: Filter | None,
        start: int,
        end: int,
        limit: int,
    ) -> Scanned:
        """Up to `limit` matching events of positions [start, end), or fewer when the walk's budget is used up."""

    async def position_at(self, tenant: Tenant, recorded_at: datetime) -> int:
        """Position of the first event recorded at or after this time; the head when there is none."""


class Recorder(Protocol):
    """What telemetry learns of the live path. Called on the event loop: must not block."""

    def delivered(self, events: int, seconds: float | None) -> None:
        """So many events were handed to one subscriber; `seconds`: the newest one's age since its commit when live."""

    def overflowed(self, policy: str, events: int) -> None:
        """A subscriber's budget was used up: it was ended (0 events), or so many events were dropped."""


class SilentRecorder:
    """Records nothing."""

    def delivered(self, events: int, seconds: float | None) -> None:
        """Ignore."""

    def overflowed(self, policy: str, events: int) -> None:
        """Ignore."""
