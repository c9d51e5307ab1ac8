"""Partitions of the events table: always there before the first position that needs them."""

import asyncio
import logging

from store.database import Database

PARTITION_EVENTS = 1 << 24
"""Positions in a partition. Few and large ones: every append looks for last versions in each of them."""

_log = logging.getLogger(__name__)


class Partitions:
    """Keeps at least one whole spare partition ahead of the positions it is told of. One instance a process."""

    def __init__(self, database: Database, size: int = PARTITION_EVENTS) -> None:
        self._database = database
        self._size = size
        self._secured = 0
        self._task: asyncio.Task[None] | None = None

    async def ensure(self, position: int) -> None:
        """Have partitions up to one beyond the position's own. Raises LOG_UNAVAILABLE."""
        wanted = position + self._size
        async with self._database.writing() as connection:
            await connection.execute("select ledger_partitions($1, $2)", wanted, self._size)
        self._secured = max(self._secured, wanted)

    def reached(self, position: int) -> None:
        """A commit went up to here: make the next partition in the background when it comes near."""
        if self._secured - position < self._size // 2 and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._ahead(position))

    async def close(self) -> None:
        """End the background work."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _ahead(self, position: int) -> None:
        try:
            await self.ensure(position)
        except Exception:
            # The next commit asks again, and a commit that finds no partition makes it itself.
            _log.warning("could not make a partition of the events table ahead of need", exc_info=True)
