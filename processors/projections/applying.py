"""Applying events to a version of a projection: the same code for the background, for reads and for rebuilds."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Protocol

import msgspec

from processors.projections.leaping import Leaps
from processors.projections.plan import Plan
from schema.errors import ErrorCode, EsbError
from schema.event import Event
from schema.filter.ast import Filter
from schema.folding.fold import Folding
from store.ledger.walk import Scan
from store.projections.registry import Stopped, Version
from store.projections.stretching import Went
from store.projections.writing import REFUSED, Batch, Change
from store.tenants import Tenant

MOST_EVENTS = 2000
"""Events of one batch: a batch is folded while the process has other things to do."""
_SLICE = 200
_BATCH_BYTES = 8 * 1024 * 1024
_CACHED_BYTES = 16 * 1024 * 1024
_CACHED_ROW_BYTES = 400
_END = 2**62

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Reader(Protocol):
    """Reads the log."""

    async def scan(
        self,
        tenant: Tenant,
        *,
        streams: Collection[int] | None,
        where: Filter | None,
        start: int,
        end: int,
        limit: int,
    ) -> Scan:
        """See store.ledger.reader."""


class Writer(Protocol):
    """Reads and writes rows; see store.projections.writing."""

    async def values(self, version: Version, keys: Collection[str]) -> Mapping[str, str]:
        """Rows as they are."""

    async def write(self, version: Version, batch: Batch) -> bool:
        """Move on."""

    async def stop(self, version: Version, why: Stopped) -> bool:
        """Stand still."""


class Step(Enum):
    """What became of a step."""

    MOVED = 1
    AT_END = 2
    STOPPED = 3
    OVERTAKEN = 4


class _Poison(Exception):
    """The event that cannot be applied, and why."""

    def __init__(self, event: Event, error: EsbError) -> None:
        super().__init__(error.message)
        self.event = event
        self.error = error


class _Row:
    """A row while events are folded into it. `text`: as it stands in the table."""

    __slots__ = ("folding", "last", "text", "told")

    def __init__(self, folding: Folding, text: str | None) -> None:
        self.folding = folding
        self.text = text
        self.told = text
        self.last: Event | None = None

    def said(self) -> str | None:
        state = self.folding.state
        return None if state is None else _encode(state).decode()


class Applier:
    """Moves one version on, and remembers the rows it touched: they are as remembered as long as nobody else moves it.

    Not for two tasks at once. `version`: as it stands, as far as this one knows. `leaps`: how to build it faster.
    """

    def __init__(
        self, tenant: Tenant, version: Version, reader: Reader, writer: Writer, leaps: Leaps | None = None
    ) -> None:
        self.tenant = tenant
        self.version = version
        self._reader = reader
        self._writer = writer
        self._leaps = leaps
        self._plan = Plan(version.declaration)
        self._rows: dict[str, _Row] = {}
        self._cached = 0
        self._limit = MOST_EVENTS

    async def step(self, end: int = _END) -> Step:
        """Apply the next events, none from `end` on. AT_END: there is none; STOPPED: the version stands still at an
        event it cannot apply; OVERTAKEN: somebody else moved or stopped it, and this object is of no use any more."""
        leapt = None if self._leaps is None or end != _END else await self._leaps.leap(self.version)
        if leapt is not None:
            self._forget()
            self.version = leapt.version
            return Step.MOVED if leapt.went is Went.MOVED else Step.OVERTAKEN
        scan = await self._reader.scan(
            self.tenant,
            streams=self.version.streams,
            where=self._plan.wanted,
            start=self.version.position,
            end=end,
            limit=self._limit,
        )
        if scan.reached <= self.version.position:
            return Step.AT_END
        self._adapt(scan.events)
        return await self._apply(scan.events, scan.reached)

    async def _apply(self, events: Sequence[Event], reached: int) -> Step:
        try:
            return await self._write(await self._fold(events, reached))
        except _Poison as poison:
            self._forget()
            return await self._stop_at(events, poison)
        except REFUSED as refusal:
            self._forget()
            return await self._find_refused(events, refusal)
        except BaseException:
            self._forget()
            raise

    async def _write(self, batch: Batch) -> Step:
        if not await self._writer.write(self.version, batch):
            self._forget()
            return Step.OVERTAKEN
        self.version = self.version._replace(position=batch.end, recorded_at=batch.recorded_at)
        for row in batch.rows:
            known = self._rows[row.key]
            self._cached += len(row.value or "") - len(known.text or "")
            known.text = row.value
        if self._cached > _CACHED_BYTES:
            self._forget()
        return Step.MOVED

    async def _fold(self, events: Sequence[Event], reached: int) -> Batch:
        found = self._keyed(events)
        await self._load({key for _, key in found})
        every = self.version.declaration.history
        changes: list[Change] = []
        touched: dict[str, _Row] = {}
        for number, (event, key) in enumerate(found):
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)  # a batch takes milliseconds, and others want to be served meanwhile
            row = touched[key] = self._rows[key]
            _applied(row, event)
            if not every:
                row.last = event
            elif (value := row.said()) != row.told:
                changes.append(Change(_position(event), key, event.recorded_at, value))
                row.told, row.last = value, event
        rows = [_changed(key, row, every) for key, row in touched.items() if row.last is not None]
        kept = [row for row in rows if row.value != self._rows[row.key].text]
        if not every and self.version.live:
            changes = [row._replace(previous=self._rows[row.key].text) for row in kept]
        last = max((event.recorded_at for event in events[-1:]), default=self.version.recorded_at)
        return Batch(reached, max(last, self.version.recorded_at), kept, changes)

    def _keyed(self, events: Sequence[Event]) -> list[tuple[Event, str]]:
        found = []
        for event in events:
            try:
                key = self._plan.key_of(event)
            except EsbError as error:
                raise _Poison(event, error) from error
            if key is not None:
                found.append((event, key))
        return found

    async def _load(self, keys: set[str]) -> None:
        missing = keys.difference(self._rows)
        values = await self._writer.values(self.version, missing)
        for key in missing:
            text = values.get(key)
            state = None if text is None else _decode(text)
            self._rows[key] = _Row(self._plan.fold.begin(state), text)
            self._cached += len(text or "") + _CACHED_ROW_BYTES

    async def _stop_at(self, events: Sequence[Event], poison: _Poison) -> Step:
        """Apply what comes before the event, then say that it cannot be applied."""
        at = _position(poison.event)
        before = [event for event in events if _position(event) < at]
        if at > self.version.position:
            step = await self._apply(before, at)
            if step is not Step.MOVED:
                return step
        error = poison.error
        why = Stopped(error.code.value, error.message, poison.event.event_id, at)
        stopped = await self._writer.stop(self.version, why)
        self.version = self.version._replace(error=why)
        return Step.STOPPED if stopped else Step.OVERTAKEN

    async def _find_refused(self, events: Sequence[Event], refusal: Exception) -> Step:
        """Apply events one by one up to the one whose row PostgreSQL does not take."""
        for event in events:
            try:
                step = await self._write(await self._fold([event], _position(event) + 1))
            except REFUSED as error:
                self._forget()
                why = EsbError(ErrorCode.BAD_INPUT, f"event {event.event_id}: PostgreSQL refuses its row: {error}")
                return await self._stop_at([event], _Poison(event, why))
            if step is not Step.MOVED:
                return step
        raise refusal  # each alone is taken: then it is not the rows

    def _forget(self) -> None:
        self._rows = {}
        self._cached = 0

    def _adapt(self, events: Sequence[Event]) -> None:
        """Batches of about the same bytes, whatever the size of events."""
        if events:
            mean = sum(len(event.body) for event in events) // len(events) + 1
            self._limit = max(1, min(MOST_EVENTS, _BATCH_BYTES // mean))


def _applied(row: _Row, event: Event) -> None:
    try:
        row.folding.apply(event)
    except EsbError as error:
        raise _Poison(event, error) from error
    except Exception as error:
        # Trying again would give the same again, for ever: better to stand still and say so.
        why = EsbError(ErrorCode.INTERNAL, f"event {event.event_id} cannot be folded: {error!r}")
        raise _Poison(event, why) from error


def _changed(key: str, row: _Row, told: bool) -> Change:
    """What became of a row in a batch. `told`: `row.told` is of after the last event."""
    assert row.last is not None
    event, row.last = row.last, None
    if not told:
        row.told = row.said()
    return Change(_position(event), key, event.recorded_at, row.told)


def _position(event: Event) -> int:
    assert event.position is not None
    return event.position
