"""Reading rows: one by its key or a page of them, as they are or as they were.

Every read sees the pointer, how far the version is and its rows in one snapshot, as the role that row-level security
binds.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from schema.errors import ErrorCode, EsbError
from schema.filter.ast import Filter
from store.database import Connection, Database
from store.projections.conditions import Conditions, conditions
from store.projections.registry import Projection, Version, find_projection, no_projection
from store.projections.tables import changes_table, index_column, rows_table

MAX_SCANNED = 50_000
"""Rows that may be looked through where no declared index helps."""

_LOOK = 1000


class Row(NamedTuple):
    """`value`: JSON text. `position`, `recorded_at`: of the event that changed it last."""

    key: str
    value: str
    position: int
    recorded_at: datetime


class Ask(NamedTuple):
    """Which rows. `order`: a dotted path, None: by key. `after`: the last row's order text and key. `position`: as the
    rows were before that position of the log; None: as they are."""

    where: Filter | None
    order: str | None
    descending: bool
    limit: int
    after: tuple[str, str] | None
    position: int | None


class Found(NamedTuple):
    """Rows with their order texts. `more`: there are others after them. `version`: of which they are, as it stood."""

    version: Version
    rows: Sequence[tuple[str, Row]]
    more: bool


class ProjectionReader:
    """Reads rows. Every method raises NOT_FOUND, LOG_UNAVAILABLE and TIMEOUT."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def row(self, tenant: int, name: str, key: str, position: int | None) -> tuple[Projection, Row | None]:
        """One row, None where there is none. `position`: as it was before that one."""
        async with self._database.reading(tenant) as connection:
            projection = await _projection(connection, tenant, name)
            version = projection.active.key
            if position is None:
                statement = f"select key, value, position, recorded_at from {rows_table(version)} where key = $1"
                row = await connection.fetchrow(statement, key)
            else:
                statement = (
                    f"select key, value, position, recorded_at from {changes_table(version)}"
                    " where key = $1 and position < $2 order by position desc limit 1"
                )
                row = await connection.fetchrow(statement, key, position)
        return projection, None if row is None or row["value"] is None else Row(*row)

    async def rows(self, tenant: int, name: str, ask: Ask) -> Found:
        """A page of rows. Raises TOO_COMPLEX where no index helps and there are too many to look through."""
        async with self._database.reading(tenant) as connection:
            projection = await _projection(connection, tenant, name)
            return await _page(connection, projection.active, ask)

    async def count(self, tenant: int, name: str, where: Filter | None, position: int | None) -> int | None:
        """How many rows match; None where there are too many to count."""
        async with self._database.reading(tenant) as connection:
            version = (await _projection(connection, tenant, name)).active
            values: list[Any] = []
            relation = _relation(version, position, values)
            found = conditions(where, version.declaration.indexes if position is None else (), values)
            if found.rest is not None or not await _affordable(connection, version, position):
                return None
            return int(await connection.fetchval(f"select count(*) from {relation} where {found.text}", *values))


async def _projection(connection: Connection, tenant: int, name: str) -> Projection:
    projection = await find_projection(connection, tenant, name)
    if projection is None:
        raise no_projection(name)
    return projection


async def _page(connection: Connection, version: Version, ask: Ask) -> Found:
    indexes = version.declaration.indexes
    values: list[Any] = []
    relation = _relation(version, ask.position, values)
    wanted = conditions(ask.where, indexes if ask.position is None else (), values)
    cheap = ask.position is None and (
        wanted.narrowed or (ask.where is None and (ask.order is None or ask.order in indexes))
    )
    if not cheap and not await _affordable(connection, version, ask.position):
        raise _too_many(ask, indexes)
    order = _order(version, ask, values)
    rows: list[tuple[str, Row]] = []
    after, looked = ask.after, 0
    # One more than asked for says whether there are more; what SQL could not decide takes a longer look.
    many = ask.limit + 1 if wanted.rest is None else max(ask.limit + 1, _LOOK)
    while looked <= MAX_SCANNED:
        found = await _some(connection, f"{relation} where {wanted.text}", order, ask, after, many, values)
        rows.extend(_kept(found, wanted))
        if len(found) < many or len(rows) > ask.limit:
            return Found(version, rows[: ask.limit], len(rows) > ask.limit)
        after, looked = (found[-1][0], found[-1][1].key), looked + many
    raise _too_many(ask, indexes)


async def _some(
    connection: Connection,
    source: str,
    order: str,
    ask: Ask,
    after: tuple[str, str] | None,
    many: int,
    values: Sequence[Any],
) -> list[tuple[str, Row]]:
    """The next rows in their order."""
    given = list(values)
    sign, way = ("<", "desc") if ask.descending else (">", "asc")
    place, by = ("(key)", f"key {way}") if ask.order is None else (f"({order}, key)", f"{order} {way}, key {way}")
    text = f"select {order} as placed, key, value, position, recorded_at from {source}"
    if after is not None:
        given.extend(after if ask.order is not None else after[1:])
        mine = ", ".join(f"${number}::text" for number in range(len(values) + 1, len(given) + 1))
        text += f" and {place} {sign} ({mine})"
    given.append(many)
    rows = await connection.fetch(f"{text} order by {by} limit ${len(given)}", *given)
    return [(row["placed"], Row(row["key"], row["value"], row["position"], row["recorded_at"])) for row in rows]


def _kept(found: Sequence[tuple[str, Row]], wanted: Conditions) -> list[tuple[str, Row]]:
    rest = wanted.rest
    return [one for one in found if rest is None or rest.keeps_text(one[1].value)]


def _relation(version: Version, position: int | None, values: list[Any]) -> str:
    """Rows under the alias `e`, with a `body` filters can look into."""
    body = "jsonb_build_object('payload', {0}.value::jsonb) as body"
    if position is None:
        return f"(select r.*, {body.format('r')} from {rows_table(version.key)} r) e"
    values.append(position)
    return f"""(
      {_every_key(version)}
      select l.*, {body.format("l")} from keys k cross join lateral (
        select c.key, c.value, c.position, c.recorded_at from {changes_table(version.key)} c
        where c.key = k.key and c.position < ${len(values)} order by c.position desc limit 1
      ) l where l.value is not null
    ) e"""


def _every_key(version: Version) -> str:
    """The keys there ever were, from one to the next by the index: as many steps as keys, not as there were changes."""
    changes = changes_table(version.key)
    return f"""with recursive keys as (
        (select key from {changes} order by key limit 1)
        union all
        select (select c.key from {changes} c where c.key > k.key order by c.key limit 1) from keys k
        where k.key is not null
      )"""


def _order(version: Version, ask: Ask, values: list[Any]) -> str:
    if ask.order is None:
        return "''::text"
    if ask.position is None and ask.order in version.declaration.indexes:
        return index_column(version.declaration.indexes.index(ask.order))
    values.append(ask.order.split("."))
    return f"projection_order(body #> '{{payload}}' #> ${len(values)}::text[]) collate \"C\""


async def _affordable(connection: Connection, version: Version, position: int | None) -> bool:
    """Whether all rows may be looked through."""
    if position is None:
        some = f"select count(*) from (select from {rows_table(version.key)} limit {MAX_SCANNED + 1}) chosen"
    else:
        some = f"{_every_key(version)} select count(*) from (select from keys limit {MAX_SCANNED + 1}) chosen"
    count: int = await connection.fetchval(some)
    return count <= MAX_SCANNED


def _too_many(ask: Ask, indexes: Sequence[str]) -> EsbError:
    declared = ", ".join(indexes) or "none"
    hint = (
        f"filter and order by an index that the projection declares (declared: {declared})"
        if ask.position is None
        else "the past has no indexes: ask for rows by their keys"
    )
    return EsbError(ErrorCode.TOO_COMPLEX, f"there are over {MAX_SCANNED} rows to look through; {hint}")
