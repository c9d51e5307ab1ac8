"""A log in memory whose hand-overs, signals and answers a test controls, and `Live` over it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from processors.live.live import Live, LiveLimits
from processors.live.request import Edge, LiveRequest
from schema.cursor import Cursor, CursorCodec
from schema.errors import ErrorCode, EsbError
from schema.event import NEVER, Event
from schema.principal import Action, Grant, Principal
from schema.stream import Stream, StreamEngine
from store.log.port import Batch, Command, Outcome, Promises
from store.tenants import Tenant

TENANT = "acme"
CODEC = CursorCodec(b"k" * 32)
READER = Principal(tenant=TENANT, grants=(Grant(Action.READ),))


def stream(key: int, engine: StreamEngine = StreamEngine.LEDGER, partitions: int = 2) -> Stream:
    return Stream(
        key=key,
        tenant=TENANT,
        stream_id=f"str_{key}",
        stream_name=f"s{key}",
        topic_name=f"s{key}",
        engine=engine,
        partitions=partitions,
    )


def event(number: int, *, stream_key: int = 1, aggregate: str | None = None, body_bytes: int = 100) -> Event:
    """Event number `number` of a ledger: its position, its payload and the second it was recorded at."""
    return Event(
        event_id=f"evt_{number}",
        event_type="thing.done",
        event_version="1.0",
        source_capability=None,
        aggregate_id=aggregate,
        aggregate_type="Thing" if aggregate else None,
        timestamp=NEVER,
        correlation_id=None,
        causation_id=None,
        tenant_id=TENANT,
        user_id=None,
        metadata=msgspec.Raw(b"{}"),
        payload=msgspec.Raw(str(number).encode()),
        schema_version=None,
        stream=f"s{stream_key}",
        position=number,
        recorded_at=NEVER + timedelta(seconds=number),
        body=b"x" * body_bytes,
    )


class Committed(NamedTuple):
    tenant: str
    epoch: int
    first: int
    last: int
    made: list[Event]

    def events(self) -> Sequence[Event]:
        return self.made


class Found(NamedTuple):
    events: list[Event]
    reached: int


class MemoryLedger:
    """Log, reader and directory of one tenant at once. `failures`: so many of the next reads fail; `reads` counts."""

    promises = Promises(gapless=True, idempotent=True, atomic=True)

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.epoch = 1
        self.truncated = 0
        self.failures = 0
        self.reads = 0
        self.scans = 0
        self.chunk = 1000

    def commit(self, count: int = 1, **attributes: Any) -> Committed:
        first = len(self.events) + 1
        for number in range(first, first + count):
            chosen = {"stream_key": number % 3 + 1, **attributes}
            self.events.append(event(number, **chosen))
        return Committed(TENANT, self.epoch, first, len(self.events), self.events[first - 1 :])

    async def append(self, commands: Sequence[Command]) -> list[Outcome]:
        raise NotImplementedError

    async def read(self, start: Cursor, limit: int) -> Batch:
        await self._answer()
        if start.position <= self.truncated:
            raise EsbError(ErrorCode.CURSOR_EXPIRED, "gone")
        events = self.events[start.position - 1 : start.position - 1 + min(limit, self.chunk)]
        return Batch(events, Cursor(self.epoch, start.position + len(events)))

    async def head(self) -> Cursor:
        await self._answer()
        return Cursor(self.epoch, len(self.events) + 1)

    def tail(self, start: Cursor) -> AsyncIterator[Batch]:
        raise NotImplementedError

    async def scan(
        self, tenant: Tenant, *, streams: Collection[int] | None, where: object, start: int, end: int, limit: int
    ) -> Found:
        self.scans += 1
        await self._answer()
        if start <= self.truncated:
            raise EsbError(ErrorCode.CURSOR_EXPIRED, "gone")
        names = None if streams is None else {f"s{key}" for key in streams}
        found: list[Event] = []
        reached = start
        for one in self.events[start - 1 : min(end - 1, start - 1 + self.chunk)]:
            reached += 1
            if names is None or one.stream in names:
                found.append(one)
            if len(found) == limit:
                break
        return Found(found, reached)

    async def position_at(self, tenant: Tenant, recorded_at: datetime) -> int:
        return sum(one.recorded_at < recorded_at for one in self.events) + 1

    async def ledger(self, tenant: str) -> "MemoryLedger":
        return self

    async def of(self, asked: Stream) -> "MemoryLedger":
        raise NotImplementedError

    async def get(self, name: str) -> Tenant:
        return Tenant(1, name, self.epoch)

    async def _answer(self) -> None:
        self.reads += 1
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise EsbError(ErrorCode.LOG_UNAVAILABLE, "away")


def live_over(ledger: MemoryLedger, **limits: Any) -> Live:
    return Live(ledger, ledger, ledger, CODEC, limits=LiveLimits(**{"poll_seconds": 0.01, **limits}))


def request(**changes: Any) -> LiveRequest:
    return LiveRequest(**{"principal": READER, "start": Edge.LIVE, **changes})


async def turns(count: int = 20) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)
