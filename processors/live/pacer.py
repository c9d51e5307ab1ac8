"""Who comes back takes turns: between any two steps of newcomers the event loop comes round to everybody else.

When a gateway restarts all its clients are back within a second. Whatever they need until they are live (to be
accepted, let in, subscribed, shown what they missed) is cut into steps of a millisecond or less that ask here first.
So what is live waits for one step at most each time it has something to do, however many newcomers there are.
"""

import asyncio
from collections import deque

REST_TURNS = 8
"""An event on its way from its publisher to its subscribers takes about eight turns of the loop."""


class Pacer:
    """One step at a time, first come, first served, `rest_turns` turns of the event loop apart.

    Turns of a loop that has nothing else to do take microseconds: then newcomers have it nearly for themselves.
    """

    def __init__(self, rest_turns: int = REST_TURNS) -> None:
        self._rest_turns = rest_turns
        self._left = 0
        self._running = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def turn(self) -> None:
        """Wait for the next step's time; the caller goes on with one step. At once where nobody has had one lately."""
        loop = asyncio.get_running_loop()
        if not self._running:
            self._running = True
            self._rest(loop)
            return
        waiter = loop.create_future()
        self._waiting.append(waiter)
        await waiter

    def _rest(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self._rest_turns
        loop.call_soon(self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._left > 0:
            self._left -= 1
            loop.call_soon(self._tick, loop)
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():  # else who waited was cancelled
                waiter.set_result(None)
                self._rest(loop)
                return
        self._running = False
