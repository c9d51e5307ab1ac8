"""Checkpoints: how far a worker got, guarded by its lease's token.

A worker claims its checkpoint before it works. From then on every holder with a smaller token is refused, also one that
was frozen in the middle of its work and wakes up later.
"""

from typing import Any, NamedTuple

import msgspec

from store.database import Connection, Database
from store.leases import Lease

_CLAIM = """
insert into checkpoints as c (name, token) values ($1, $2)
on conflict (name) do update set token = excluded.token where c.token <= excluded.token
returning position, state
"""
_SAVE = """
update checkpoints set position = $3, state = $4, updated_at = clock_timestamp()
where name = $1 and token = $2 returning 1
"""


class Fenced(Exception):
    """Another worker claimed this checkpoint: stop, and leave everything to it."""


class Checkpoint(NamedTuple):
    """`position`: the worker's own measure of progress, 0 at first. `state`: JSON-able facts beside it."""

    position: int
    state: dict[str, Any]


class Checkpoints:
    """The checkpoints of all workers, by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, lease: Lease) -> Checkpoint:
        """The checkpoint named as the lease; earlier holders can no longer save. Raises Fenced if it is ours."""
        async with self._database.writing() as connection:
            row = await connection.fetchrow(_CLAIM, lease.name, lease.token)
        if row is None:
            raise Fenced(lease.name)
        return Checkpoint(row["position"], msgspec.json.decode(row["state"]))

    async def save(self, lease: Lease, checkpoint: Checkpoint) -> None:
        """Save in a transaction of its own. Raises Fenced."""
        async with self._database.writing() as connection:
            await self.save_within(connection, lease, checkpoint)

    async def save_within(self, connection: Connection, lease: Lease, checkpoint: Checkpoint) -> None:
        """Save in the caller's transaction, which must roll back on Fenced."""
        state = msgspec.json.encode(checkpoint.state).decode()
        if not await connection.fetchval(_SAVE, lease.name, lease.token, checkpoint.position, state):
            raise Fenced(lease.name)
