"""Building a version by the stretch: a statement folds tens of thousands of events into rows, or says that it must not.

Exactly once by the same condition on the position as in store/projections/writing.py.
"""

from enum import Enum
from typing import NamedTuple

from store.database import Database
from store.projections.compiling import Folding, compile_folding
from store.projections.registry import Version
from store.projections.tables import changes_table, rows_table

_HEAD = "select position from events where tenant = $1 order by position desc limit 1"
# Rows whose value stays are left alone, as in Python. A version that is being built tells nobody of its changes, but
# where history is kept.
_STATEMENT = """
with {source},
rows as materialized ({rows}),
verdict as (
  select not exists (select from source where not plain) and not exists (select from rows where not fits) as good
),
moved as (
  update projection_versions v
  set position = {end},
    recorded_at = greatest(recorded_at, (select max(recorded_at) from source))
  where v.key = {version} and v.position = {start} and not v.live and v.error is null and not v.paused
    and v.retired_at is null and (select good from verdict)
  returning v.recorded_at
){kept}
select (select good from verdict) as good, (select recorded_at from moved) as recorded_at
"""
_KEPT = """, kept as (
  insert into {table} (key, position, recorded_at, value)
  select key, position, recorded_at, value from rows
  where exists (select from moved) and (old is null or old::jsonb <> value::jsonb)
  on conflict (key) do update
    set position = excluded.position, recorded_at = excluded.recorded_at, value = excluded.value
)"""
_TOLD = """, states as (
  select *, coalesce(lag(value) over (partition by key order by position), old) as before from rows
), changed as (
  select *, row_number() over (partition by key order by position desc) = 1 as latest from states
  where before is null or before::jsonb <> value::jsonb
), kept as (
  insert into {table} (key, position, recorded_at, value)
  select key, position, recorded_at, value from changed where latest and exists (select from moved)
  on conflict (key) do update
    set position = excluded.position, recorded_at = excluded.recorded_at, value = excluded.value
), told as (
  insert into {changes} (position, key, recorded_at, value)
  select position, key, recorded_at, value from changed where exists (select from moved)
)"""


class Went(Enum):
    """What became of a stretch."""

    MOVED = 1
    NOT_PLAIN = 2
    OVERTAKEN = 3


class Done(NamedTuple):
    """`version`: as it stands now, where it moved."""

    went: Went
    version: Version


class Stretching:
    """Builds versions whose declarations are plain. Raises LOG_UNAVAILABLE and TIMEOUT."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def folding(self, version: Version) -> Folding | None:
        """How the version is folded in SQL; None: it is not."""
        return compile_folding(version.declaration, rows_table(version.key))

    async def head(self, version: Version) -> int:
        """The next position of the log."""
        async with self._database.writing() as connection:
            return int(await connection.fetchval(_HEAD, version.tenant) or 0) + 1

    async def move(self, version: Version, folding: Folding, end: int) -> Done:
        """Fold what lies before `end`, all or nothing."""
        statement = self._statement(version, folding, end)
        async with self._database.writing() as connection:
            row = await connection.fetchrow(statement, *folding.values)
        if row["recorded_at"] is not None:
            return Done(Went.MOVED, version._replace(position=end, recorded_at=row["recorded_at"]))
        return Done(Went.OVERTAKEN if row["good"] else Went.NOT_PLAIN, version)

    def _statement(self, version: Version, folding: Folding, end: int) -> str:
        # Places stand in the text, so that the planner knows the partitions; it is ours, and no caller's.
        places = f"e.tenant = {version.tenant:d} and e.position >= {version.position:d} and e.position < {end:d}"
        if version.streams is not None:
            places += f" and e.stream = any(array[{', '.join(f'{key:d}' for key in version.streams)}])"
        kept = (_TOLD if version.declaration.history else _KEPT).format(
            table=rows_table(version.key), changes=changes_table(version.key)
        )
        return _STATEMENT.format(
            source=folding.source.replace("{places}", places),
            rows=folding.rows,
            start=int(version.position),
            end=int(end),
            version=int(version.key),
            kept=kept,
        )
