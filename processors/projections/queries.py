"""Reading projections: what there are, their rows as they are and as they were, no earlier than the reader asks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from processors.pages import check_first
from processors.projections.reaching import Reaching
from processors.projections.rights import may_read, may_read_declared
from schema.cursor import Cursor, CursorCodec, CursorInvalid, PageCursor
from schema.errors import bad_input
from schema.filter.ast import Filter
from schema.principal import Principal
from schema.projections.declared import Mode
from schema.projections.ordering import MAX_TEXT_CHARS
from schema.projections.place import placed
from store.projections.reading import Ask, Found, ProjectionReader, Row
from store.projections.registry import Projection, ProjectionRegistry, Version, no_projection
from store.tenants import Tenant, Tenants


class Log(Protocol):
    """What is asked of the log itself."""

    async def head(self, tenant: Tenant) -> int:
        """The next position."""

    async def position_at(self, tenant: Tenant, recorded_at: datetime) -> int:
        """The first position recorded then or later."""


class Moment(NamedTuple):
    """A moment of the past: what lies before a cursor, or was recorded up to a time."""

    cursor: str | None = None
    recorded_at: datetime | None = None


class RowPage(NamedTuple):
    """A page of rows. `cursors`: for `after`; `as_of`: where a subscription goes on from it."""

    rows: Sequence[Row]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
    as_of: Cursor
    epoch: int


class ProjectionQueries:
    """The use cases of the queries. What a caller may not read is not there for it."""

    def __init__(
        self,
        registry: ProjectionRegistry,
        rows: ProjectionReader,
        log: Log,
        tenants: Tenants,
        reaching: Reaching,
        codec: CursorCodec,
    ) -> None:
        self._registry = registry
        self._rows = rows
        self._log = log
        self._tenants = tenants
        self._reaching = reaching
        self._codec = codec

    async def list(self, principal: Principal) -> list[Projection]:
        """The projections the caller may read, by name."""
        tenant = await self._tenants.get(principal.tenant)
        return [one for one in await self._registry.all(tenant.key) if may_read(principal, one)]

    async def by_id(self, principal: Principal, projection_id: str) -> Projection | None:
        """The projection of that id."""
        tenant = await self._tenants.get(principal.tenant)
        found = await self._registry.by_id(tenant.key, projection_id)
        return found if found is not None and may_read(principal, found) else None

    async def find(self, principal: Principal, name: str, consistent_with: str | None = None) -> Projection | None:
        """The projection of that name, once it has applied what lies before the cursor, and for one that is applied on
        read everything. Raises CURSOR_INVALID, TIMEOUT."""
        tenant = await self._tenants.get(principal.tenant)
        wanted = 0 if consistent_with is None else self._position(tenant, consistent_with)
        found = await self._registry.find(tenant.key, name)
        if found is None or not may_read(principal, found):
            return None
        if self._on_read(found):
            wanted = max(wanted, await self._log.head(tenant))
        if wanted > found.active.position:
            await self._reaching.reach(tenant, name, wanted)
            found = await self._registry.find(tenant.key, name)
        return found if found is not None and may_read(principal, found) else None

    async def lag(self, principal: Principal, version: Version) -> int:
        """How many positions of the log the version has still to look at."""
        tenant = await self._tenants.get(principal.tenant)
        return max(0, await self._log.head(tenant) - version.position)

    def applied(self, tenant: Tenant, version: Version) -> Cursor:
        """The place up to which the version has applied the log."""
        return placed(tenant.epoch, version.position, version.recorded_at, version.key)

    async def place(self, principal: Principal, version: Version) -> Cursor:
        """The same, for whoever asks."""
        return self.applied(await self._tenants.get(principal.tenant), version)

    async def row(self, principal: Principal, name: str, key: str, at: Moment | None) -> tuple[Row, Cursor] | None:
        """One row and where the log stood after its last change. Raises as `rows`."""
        tenant = await self._tenants.get(principal.tenant)
        position = await self._moment(tenant, name, at)
        projection, row = await self._rows.row(tenant.key, name, key, position)
        if row is None or not may_read(principal, projection):
            return None
        return row, row_place(tenant.epoch, row)

    async def row_by_id(
        self, principal: Principal, projection: Projection, key: str, position: int | None
    ) -> tuple[Row, Cursor] | None:
        """One row as it is, or as it was before a position its id names; None also where that is not kept."""
        if position is not None and not projection.active.declaration.history:
            return None
        tenant = await self._tenants.get(principal.tenant)
        _, row = await self._rows.row(tenant.key, projection.name, key, position)
        return None if row is None else (row, row_place(tenant.epoch, row))

    async def rows(
        self,
        principal: Principal,
        name: str,
        *,
        where: Filter | None,
        order: str | None,
        descending: bool,
        first: int,
        after: str | None,
        at: Moment | None,
    ) -> RowPage:
        """A page of rows, by key or by the values at a path; each page as the rows are then, or all as of one moment.

        Raises BAD_INPUT (a moment rows are not kept by, a projection without history), CURSOR_INVALID, TOO_COMPLEX (no
        index helps), TIMEOUT.
        """
        check_first(first)
        tenant = await self._tenants.get(principal.tenant)
        position = await self._moment(tenant, name, at)
        last = None if after is None else _last(self._codec.decode_page(tenant.name, after), order, descending)
        found = await self._rows.rows(tenant.key, name, Ask(where, order, descending, first, last, position))
        if not may_read_declared(principal, found.version.declaration):
            raise no_projection(name)
        return self._page(tenant, found, order, descending, after is not None, position)

    async def count(self, principal: Principal, name: str, where: Filter | None, at: Moment | None) -> int | None:
        """How many rows match; None: too many to count."""
        tenant = await self._tenants.get(principal.tenant)
        return await self._rows.count(tenant.key, name, where, await self._moment(tenant, name, at))

    def _page(
        self, tenant: Tenant, found: Found, order: str | None, descending: bool, has_previous: bool, at: int | None
    ) -> RowPage:
        position = found.version.position if at is None else at
        cursors = [
            self._codec.encode_page(
                tenant.name, PageCursor(tenant.epoch, position, ("rows", order or "", int(descending), text, row.key))
            )
            for text, row in found.rows
        ]
        as_of = placed(tenant.epoch, position, found.version.recorded_at, found.version.key)
        return RowPage([row for _, row in found.rows], cursors, found.more, has_previous, as_of, tenant.epoch)

    async def _moment(self, tenant: Tenant, name: str, at: Moment | None) -> int | None:
        """The position before which events count; None: all. Waits until they are applied."""
        if at is None:
            return None
        projection = await self._registry.find(tenant.key, name)
        if projection is None:
            raise no_projection(name)
        if not projection.active.declaration.history:
            raise bad_input(f"the projection {name!r} keeps no history: only its present can be read", field="at")
        if at.cursor is not None:
            position = self._position(tenant, at.cursor)
        else:
            assert at.recorded_at is not None
            position = await self._log.position_at(tenant, at.recorded_at + timedelta(microseconds=1))
        await self._reaching.reach(tenant, name, position)
        return position

    def _position(self, tenant: Tenant, text: str) -> int:
        cursor = self._codec.decode(tenant.name, text)
        if not cursor.position:
            raise bad_input("the cursor has no place in the ledger, which projections are made from")
        if cursor.epoch != tenant.epoch:
            raise CursorInvalid("it is from another epoch of the log")
        return cursor.position

    def _on_read(self, projection: Projection) -> bool:
        version = projection.active
        return version.live and version.declaration.mode is Mode.ON_READ and not version.paused and not version.error


def row_place(epoch: int, row: Row) -> Cursor:
    """Right after the event that changed the row last."""
    return Cursor(epoch, row.position + 1, int(row.recorded_at.timestamp() * 1000))


def _last(page: PageCursor, order: str | None, descending: bool) -> tuple[str, str]:
    match page.last:
        case ("rows", str(path), int(way), str(place), str(key)):
            if path != (order or "") or bool(way) != descending:
                raise bad_input("`after` is from a read in another order")
            return place[: MAX_TEXT_CHARS + 1], key
    raise bad_input("`after` is not from a page of rows")
