"""Moving a version on: rows, changes and how far it is, as one statement.

What makes it exactly once is the condition on the position. The states that were folded were read when the version
stood at `start`; the statement does nothing unless it still stands there, and whoever else moved it has changed the
position in the same breath as the rows. So a worker that was frozen and wakes up, a second one that got the same idea,
and one that was killed before its answer arrived all are harmless, whoever holds the lease.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg
import msgspec

from store.database import Database
from store.projections.registry import Stopped, Version
from store.projections.tables import changes_table, rows_table

REFUSED = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)
"""What PostgreSQL says of a row that it does not take, however often it is tried."""

# The locked row is looked at again after a wait, so `position`, `paused` and the like are as of now, not as of before.
_MOVE = """
with moved as (
  update projection_versions set position = $3, recorded_at = greatest(recorded_at, $4)
  where key = $1 and position = $2 and live = $5 and error is null and not paused and retired_at is null
  returning 1
), kept as (
  insert into {rows} (key, position, recorded_at, value)
  select * from unnest($6::text[], $7::bigint[], $8::timestamptz[], $9::text[]) where exists (select from moved)
  on conflict (key) do update
    set position = excluded.position, recorded_at = excluded.recorded_at, value = excluded.value
), dropped as (
  delete from {rows} where key = any($10::text[]) and exists (select from moved)
), told as (
  insert into {changes} (position, key, recorded_at, value, previous)
  select * from unnest($11::bigint[], $12::text[], $13::timestamptz[], $14::text[], $15::text[])
  where exists (select from moved)
)
select count(*) from moved
"""
_STOP = """
update projection_versions set error = $3
where key = $1 and position = $2 and error is null and retired_at is null returning 1
"""
_GO_LIVE = """
update projection_versions set live = true, changes_from = case when $3 then changes_from else position end
where key = $1 and position = $2 and not live and error is null and not paused and retired_at is null returning 1
"""
_TRIM = """
with trimmed as (
  update projection_versions set changes_from = $2
  where key = $1 and changes_from < $2 and retired_at is null returning 1
)
delete from {changes} where position < $2 and exists (select from trimmed)
"""


class Change(NamedTuple):
    """A row became `value`, or went (None), by the event at `position`. `previous`: what it was, where that is not to
    be found among older changes."""

    position: int
    key: str
    recorded_at: datetime
    value: str | None
    previous: str | None = None


class Batch(NamedTuple):
    """What a stretch of the log made of the rows. `end`: the next position. `rows`: the last change of each key that
    changed; `changes`: what is told of them."""

    end: int
    recorded_at: datetime
    rows: Sequence[Change]
    changes: Sequence[Change]


class ProjectionWriter:
    """Writes rows. Every method raises LOG_UNAVAILABLE and TIMEOUT."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def values(self, version: Version, keys: Collection[str]) -> Mapping[str, str]:
        """The rows of these keys as they are now, as JSON; only to be believed if `write` succeeds afterwards."""
        if not keys:
            return {}
        async with self._database.writing() as connection:
            rows = await connection.fetch(
                f"select key, value from {rows_table(version.key)} where key = any($1)", list(keys)
            )
        return {row["key"]: row["value"] for row in rows}

    async def write(self, version: Version, batch: Batch) -> bool:
        """Move the version on from where it stood; False, and nothing is done: it does not stand there any more, or it
        was paused, stopped or retired. Raises what is in REFUSED for a row PostgreSQL does not take."""
        kept = [row for row in batch.rows if row.value is not None]
        statement = _MOVE.format(rows=rows_table(version.key), changes=changes_table(version.key))
        async with self._database.writing() as connection:
            moved = await connection.fetchval(
                statement,
                version.key,
                version.position,
                batch.end,
                batch.recorded_at,
                version.live,
                [row.key for row in kept],
                [row.position for row in kept],
                [row.recorded_at for row in kept],
                [row.value for row in kept],
                [row.key for row in batch.rows if row.value is None],
                [change.position for change in batch.changes],
                [change.key for change in batch.changes],
                [change.recorded_at for change in batch.changes],
                [change.value for change in batch.changes],
                [change.previous for change in batch.changes],
            )
        return bool(moved)

    async def stop(self, version: Version, why: Stopped) -> bool:
        """The version cannot apply the event it stands at; False: it does not stand there any more."""
        async with self._database.writing() as connection:
            error = msgspec.json.encode(why).decode()
            return bool(await connection.fetchval(_STOP, version.key, version.position, error))

    async def go_live(self, version: Version) -> bool:
        """The version reached the end of the log; False: it does not stand there any more."""
        async with self._database.writing() as connection:
            return bool(await connection.fetchval(_GO_LIVE, version.key, version.position, version.declaration.history))

    async def trim(self, version: Version, before: int) -> None:
        """Forget changes before a position."""
        async with self._database.writing() as connection:
            await connection.execute(_TRIM.format(changes=changes_table(version.key)), version.key, before)
