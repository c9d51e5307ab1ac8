"""Reading what became of rows, in log order."""

from collections.abc import Sequence
from typing import NamedTuple

from store.database import Database
from store.projections.registry import Projection, Version, find_projection
from store.projections.tables import changes_table
from store.projections.writing import Change

CHUNK_CHANGES = 500
CHUNK_BYTES = 4 * 1024 * 1024

# The sum is over the stored sizes: values are fetched only of the changes that stay.
_CHANGES = """
select c.position, c.key, c.recorded_at, c.value, {previous} as previous
from (
  select position, sum(coalesce(octet_length(value), 0)) over (order by position) as bytes
  from {changes} where position >= $1 and position < $2 order by position limit $3
) chosen
join {changes} c on c.position = chosen.position
where chosen.bytes <= $4::bigint or chosen.position = (select min(position) from {changes} where position >= $1)
order by c.position
"""
_PREVIOUS = """(
  select p.value from {changes} p where p.key = c.key and p.position < c.position order by p.position desc limit 1
)"""


class Stretch(NamedTuple):
    """Changes from a position on. `end`: the position up to which these are all. `projection`: as it stood then; None:
    it is no more."""

    projection: Projection | None
    changes: Sequence[Change]
    end: int


class ChangeReader:
    """Reads changes. Raises LOG_UNAVAILABLE and TIMEOUT."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, tenant: int, name: str, version: int, start: int) -> Stretch:
        """The next changes of the version that is read from `start` on, none where it is another one than `version`."""
        async with self._database.reading(tenant) as connection:
            projection = await find_projection(connection, tenant, name)
            if projection is None or projection.active.key != version or projection.active.position <= start:
                return Stretch(projection, (), start)
            active = projection.active
            rows = await connection.fetch(_statement(active), start, active.position, CHUNK_CHANGES, CHUNK_BYTES)
            changes = [Change(*row) for row in rows]
            left = changes and await connection.fetchval(
                f"select exists (select from {changes_table(version)} where position > $1 and position < $2)",
                changes[-1].position,
                active.position,
            )
            return Stretch(projection, changes, changes[-1].position + 1 if left else active.position)


def _statement(version: Version) -> str:
    changes = changes_table(version.key)
    previous = _PREVIOUS.format(changes=changes) if version.declaration.history else "c.previous"
    return _CHANGES.format(changes=changes, previous=previous)
