"""The pointer to the version that is read, moved in one statement while the version it leaves stands still."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from store.database import Connection, Database
from store.projections.registry import Version

_LOCKED = "select active, previous, candidate from projections where key = $1 for update"
_POSITION = "select position from projection_versions where key = $1 for update"
_FORWARD = "update projections set active = candidate, previous = active, candidate = null where key = $1"
_BACK = "update projections set active = previous, previous = active where key = $1"
# A version without history tells of its changes from the moment on at which it is read.
_LIVE = """
update projection_versions set live = true, changes_from = case when live or $2 then changes_from else position end
where key = $1
"""
_RETIRE = "update projection_versions set retired_at = clock_timestamp() where key = $1"


class Hold(NamedTuple):
    """The pointer in hand. `position`: where the version that is read stands; it does not move while this is held."""

    connection: Connection
    projection: int
    position: int
    previous: int | None
    candidate: int | None


class Pointer:
    """Moves it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def hold(self, version: Version) -> AsyncIterator[Hold | None]:
        """The pointer of the version's projection, for three seconds at most; committed at the end of the block. None:
        the projection is no more."""
        async with self._database.writing() as connection, connection.transaction():
            row = await connection.fetchrow(_LOCKED, version.projection)
            if row is None:
                yield None
                return
            position = await connection.fetchval(_POSITION, row["active"])
            yield Hold(connection, version.projection, position, row["previous"], row["candidate"])

    async def turn(self, hold: Hold, to: Version) -> bool:
        """Make the candidate, or the previous version, the one that is read; False: `to` is neither any more, or does
        not stand as far as the one that is read."""
        connection = hold.connection
        position = await connection.fetchval(_POSITION, to.key)
        if to.key not in (hold.candidate, hold.previous) or position < hold.position:
            return False
        await connection.execute(_FORWARD if to.key == hold.candidate else _BACK, hold.projection)
        await connection.execute(_LIVE, to.key, to.declaration.history)
        if to.key == hold.candidate and hold.previous is not None:
            await connection.execute(_RETIRE, hold.previous)
        return True
