"""Who comes back takes turns: between any two steps of newcomers the event loop comes round to everybody else.

When a gateway restarts all its clients are back within a second. Whatever they need until they are live (to be
accepted, let in, subscribed, shown what they missed) is cut into steps of a millisecond or less that ask here first.
So what is live waits for one step at most each time it has something to do, however many newcomers there are, and
finds most of the loop's time free.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

REST_TURNS = 8
"""An event on its way from its publisher to its subscribers takes about eight turns of the loop."""

REST_RATIO = 3.0
"""Rest for each second of a step: newcomers have a quarter of the loop's time, what is live the others."""

LONGEST_STEP_S = 0.01
"""What a step is held for at most: in its turn of the loop others work, too, or the process was frozen."""

LONGEST_TURNS_S = 0.02
"""On a loop that is full of other work newcomers wait no longer for its turns, so that they get on there, too."""

_SHORT_S = 0.002


class Pacer:
    """One step at a time, first come, first served, some turns of the event loop apart, and some time.

    `clock`: in seconds. Rests shorter than a timer can measure are saved up.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = 0.0
        self._owed_s = 0.0
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
        self._left = REST_TURNS
        self._began = self._clock()
        loop.call_soon(self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        passed = self._clock() - self._began
        if self._left == REST_TURNS:  # the turn of the step is over
            self._owed_s += min(passed, LONGEST_STEP_S) * REST_RATIO
        if self._left > 0 and passed < LONGEST_TURNS_S:
            self._left -= 1
            loop.call_soon(self._tick, loop)
        elif self._owed_s >= _SHORT_S:
            rest, self._owed_s, self._left = self._owed_s, 0.0, 0
            loop.call_later(rest, self._tick, loop)
        else:
            self._next(loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():  # else who waited was cancelled
                waiter.set_result(None)
                self._rest(loop)
                return
        self._running = False
        self._owed_s = 0.0
