"""Replays: a range of the past published again, elsewhere, each event once."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from schema.stream import StreamEngine


class ReplayStatus(StrEnum):
    """How it stands with a replay."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    DONE = "DONE"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self in (ReplayStatus.DONE, ReplayStatus.CANCELLED)


class ReplaySource(msgspec.Struct, frozen=True):
    """A stream that is replayed. `partitions`: of the Kafka engine, else 0."""

    key: int
    name: str
    engine: StreamEngine
    partitions: int = 0


class ReplayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, never changed afterwards.

    `sources`: the streams. `where`: the filter's document, None: everything. `epoch`, `ledger`, `ledger_end`: positions
    of the tenant's log, from the first to before the last; `indexed`, `indexed_end`: places of the Kafka engine's
    index. `since_offsets`, `until_offsets`: by stream key, the first offset of each partition that is in and that is
    not, -1 where none is known; there `since_ms` and `until_ms` decide, milliseconds since 1970 (None: no bound).
    `stream`: the name of the stream that is filled. `speed`: seconds of the timestamps a second; 0: as fast as it goes.
    """

    sources: tuple[ReplaySource, ...]
    where: dict[str, Any] | None
    epoch: int
    ledger: int
    ledger_end: int
    indexed: int
    indexed_end: int
    since_offsets: dict[int, tuple[int, ...]] = {}
    until_offsets: dict[int, tuple[int, ...]] = {}
    since_ms: int | None = None
    until_ms: int | None = None
    stream: str
    speed: float = 0.0


class ReplayPlace(msgspec.Struct, frozen=True):
    """How far a replay is: the next position, the next place of the index, and the latest timestamp passed (seconds
    since 1970; None: none yet)."""

    ledger: int
    indexed: int
    clock: float | None = None


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A replay as it stands. `done`: events published. `total`: of all it comes to, None where that is not known."""

    replay_id: str
    tenant: str
    status: ReplayStatus
    plan: ReplayPlan
    place: ReplayPlace
    done: int
    total: int | None
    error: str | None
    started_at: datetime
    finished_at: datetime | None
