"""One subscriber of a projection: the rows as they are, what became of them since, what becomes of them.

States: telling all rows (after a RESET) -> catching up (changes are read from the table, at the subscriber's pace) ->
live (changes are pushed into a bounded buffer) -> ended. Another version that is read leads back to the first.
"""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

from processors.live.subscription import Draining, SlowConsumer
from processors.projections.rights import require_read
from processors.projections.tail import Tail
from processors.projections.telling import Happened, Kind, Told, Waiting, kind_of, row_of
from schema.cursor import Cursor
from schema.errors import EsbError
from schema.filter.ast import Filter
from schema.principal import Principal
from schema.projections.place import is_unfinished, placed, version_of
from store.projections.changes import ChangeReader
from store.projections.conditions import matcher
from store.projections.reading import Ask, ProjectionReader
from store.projections.registry import Version, no_projection
from store.tenants import Tenant

_PAGE = 500
_LOOK_AGAIN_S = 0.05
_AFTER_ALL = b"\xff"
"""Greater than every key: no UTF-8 text begins with it."""


class Following(NamedTuple):
    """What is followed, for whom. `start`: where; None: after all rows as they are are told. `buffer_bytes`: what may
    wait. `sign`: a place as its cursor."""

    tenant: Tenant
    name: str
    where: Filter | None
    start: Cursor | None
    conflate: bool
    buffer_bytes: int
    principal: Callable[[], Principal]
    sign: Callable[[Cursor], str]


class ChangeSubscription:
    """Asynchronous iteration over what is told; must be closed.

    Ends with FORBIDDEN (the caller has a token that may not read it any more), NOT_FOUND (it was deleted),
    `SlowConsumer`, `Draining`.
    """

    def __init__(
        self,
        following: Following,
        version: Version,
        tail: Tail,
        rows: ProjectionReader,
        changes: ChangeReader,
        on_close: Callable[["ChangeSubscription"], None],
    ) -> None:
        self._following = following
        self._tail = tail
        self._rows = rows
        self._changes = changes
        self._on_close = on_close
        self._wanted = matcher(following.where)
        self._waiting = Waiting(conflate=following.conflate)
        self._woken = asyncio.Event()
        self._error: EsbError | None = None
        self._closed = False
        self._version = version
        self._position = version.position
        self._turned = False
        self._seen: list[tuple[bytes, int]] = []
        start = following.start
        if start is None or not self._continues(start):
            self._turned = True
        else:
            self._position = start.position
        self.place = start or self._placed(unfinished=True)

    async def told(self) -> AsyncGenerator[Told, None]:
        """Everything, for ever."""
        try:
            async for told in self._all():
                # a token may be exchanged for one that sees less, and a rebuild may be made from more
                require_read(self._following.principal(), self._version.declaration)
                self.place = told.place
                yield told
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the projection. May be called twice."""
        if not self._closed:
            self._closed = True
            self._tail.detach(self)
            self._on_close(self)

    def tell(self, happened: list[Happened], version: Version, end: int) -> None:
        """See `Follower`."""
        self._version = version
        for one in happened:
            told = self._told(one)
            if told is not None:
                self._waiting.add(told)
        self._position = max(self._position, end)
        if self._waiting.size > self._following.buffer_bytes:
            self.end(SlowConsumer(self._following.buffer_bytes, self._following.sign(self.place)))
        self._woken.set()

    def turned(self) -> None:
        """See `Follower`."""
        self._turned = True
        self._woken.set()

    def end(self, error: EsbError) -> None:
        """End with an error at the next step, which says where to go on. The first one counts."""
        self._error = self._error or error
        self._waiting = Waiting(conflate=False)
        self._tail.detach(self)
        self._woken.set()

    def drain(self) -> None:
        """The process goes away."""
        self.end(Draining(self._following.sign(self.place)))

    async def _all(self) -> AsyncGenerator[Told, None]:
        while True:
            if self._turned:
                async for told in self._reset():
                    yield told
            async for told in self._catch_up():
                yield told
            if self._turned:
                continue
            yield Told(Kind.CAUGHT_UP, None, None, self._placed())
            async for told in self._live():
                yield told

    async def _reset(self) -> AsyncGenerator[Told, None]:
        """All rows as they are. Pages are of different moments: what each page has already is passed over later."""
        self._turned = False
        self._tail.detach(self)
        self._waiting = Waiting(conflate=self._following.conflate)
        self._seen, first, after = [], True, None
        while first or after is not None:
            self._alive()
            ask = Ask(None, None, False, _PAGE, after, None)
            found = await self._rows.rows(self._following.tenant.key, self._following.name, ask)
            if not first and found.version.key != self._version.key:
                self._turned = True
                return
            if first:
                self._version, self._position, first = found.version, found.version.position, False
                yield Told(Kind.RESET, None, None, self._placed(unfinished=True))
            last = found.rows[-1][1].key if found.rows else ""
            self._seen.append((last.encode() if found.more else _AFTER_ALL, found.version.position))
            for _, row in found.rows:
                if self._wanted is None or self._wanted.keeps_text(row.value):
                    yield Told(Kind.UPSERT, row.key, row, self._placed(unfinished=True))
            after = ("", last) if found.more else None

    async def _catch_up(self) -> AsyncGenerator[Told, None]:
        """Changes from the table, until nothing lies between this subscriber and the tail."""
        following = self._following
        while not self._turned:
            self._alive()
            if self._tail.version.key != self._version.key:
                stretch = await self._changes.read(following.tenant.key, following.name, self._version.key, 1 << 62)
                if stretch.projection is None:
                    raise no_projection(following.name)
                self._turned = stretch.projection.active.key != self._version.key
                if not self._turned:
                    await asyncio.sleep(_LOOK_AGAIN_S)  # the tail will see it, too
                continue
            if not self._version.declaration.history and not self._tail.version.live:
                await asyncio.sleep(_LOOK_AGAIN_S)  # until it is read, nobody tells of its changes
                continue
            if self._position >= max(self._tail.position, self._tail.version.changes_from):
                self._tail.attach(self)
                return
            stretch = await self._changes.read(following.tenant.key, following.name, self._version.key, self._position)
            if stretch.projection is None:
                raise no_projection(following.name)
            if stretch.projection.active.key != self._version.key:
                self._turned = True
                return
            if self._position < stretch.projection.active.changes_from:
                self._turned = True  # what lies between is forgotten
                return
            for change in stretch.changes:
                told = self._told(Happened(change))
                if told is not None:
                    yield told
            self._position = max(self._position, stretch.end)

    async def _live(self) -> AsyncGenerator[Told, None]:
        while not self._turned:
            while self._waiting and not self._turned:
                yield self._waiting.take()
            self._alive()
            if self._turned:
                return
            await self._woken.wait()
            self._woken.clear()

    def _told(self, happened: Happened) -> Told | None:
        change = happened.change
        if change.position < self._position or change.position < self._page_of(change.key):
            return None
        kind = kind_of(happened, self._wanted)
        if kind is None:
            return None
        place = placed(self._following.tenant.epoch, change.position + 1, change.recorded_at, self._version.key)
        return Told(kind, change.key, row_of(change) if kind is Kind.UPSERT else None, place)

    def _page_of(self, key: str) -> int:
        """The position as of which the key's row was told after a RESET."""
        if not self._seen:
            return 0
        if self._position >= max(position for _, position in self._seen):
            self._seen = []
            return 0
        return self._seen[bisect_left(self._seen, key.encode(), key=lambda page: page[0])][1]

    def _placed(self, *, unfinished: bool = False) -> Cursor:
        version = self._version
        return placed(
            self._following.tenant.epoch, self._position, version.recorded_at, version.key, unfinished=unfinished
        )

    def _continues(self, start: Cursor) -> bool:
        """Whether one can go on from there without telling all rows again."""
        version = version_of(start)
        if is_unfinished(start) or version not in (None, self._version.key):
            return False
        return start.position >= self._version.changes_from

    def _alive(self) -> None:
        if self._error is not None:
            raise self._error.with_traceback(None)
