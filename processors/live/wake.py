"""A flag one task waits for. `asyncio.Event` serves many waiters, and takes ten times the memory of this: a process
holds one for each idle subscriber.
"""

import asyncio


class Wake:
    """Set from anywhere on the event loop, waited for by one task at a time."""

    __slots__ = ("_set", "_waiter")

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Let the waiter go on, or the next one not wait at all."""
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """The next one waits again."""
        self._set = False

    async def wait(self) -> None:
        """Until it is set."""
        if self._set:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
