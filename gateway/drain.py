"""Draining: on SIGTERM the process stops taking work, finishes what it holds, and tells every socket to come back.

The order matters to clients. uvicorn stops listening and closes the WebSockets with 1012 first; only then, in the next
turn of the loop, do those that wait here go on and end live subscriptions. The other way round a subscriber would read
`complete`, believe the stream had ended, and never come back.
"""

import asyncio


class Drain:
    """A flag that is raised once. One instance an application."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """The process is going away. May be called twice."""
        self._begun.set()

    @property
    def begun(self) -> bool:
        """Whether new work should go elsewhere."""
        return self._begun.is_set()

    async def wait(self) -> None:
        """Until draining begins."""
        await self._begun.wait()
