"""When Python looks for garbage in cycles.

Nearly all garbage goes by counting references. What is left is looked for by walking objects while the event loop
stands still. Told to walk 10,000 young ones at once Python takes 20 ms where they are cold, ten times that for those it
has walked once; and it walks all there are each time they have grown by a quarter, a second for what 10,000 subscribers
hold: most often when thousands come at once. Here a portion of young objects is what can be walked in a millisecond,
and all are walked by the clock, where many have been made since.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator
from typing import Any

FULL_EVERY_S = 600.0
FULL_AFTER = 1_000_000
PORTION_S = 0.001
SMALLEST, LARGEST = 500, 2_000
_NEVER = 1_000_000_000


class Portions:
    """Makes the portions of young objects as large as they may be. `objects`: the next one's. `walked`: objects in all
    portions since it was last set to 0.
    """

    def __init__(self) -> None:
        self.objects = LARGEST
        self.walked = 0
        self._began = 0.0

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """For `gc.callbacks`."""
        if phase == "start":
            self._began = time.perf_counter()
        elif info["generation"] == 0:
            self.took(time.perf_counter() - self._began)
            gc.set_threshold(self.objects, _NEVER, _NEVER)

    def took(self, seconds: float) -> None:
        """A portion was walked."""
        self.walked += self.objects
        factor = min(2.0, max(0.5, PORTION_S / max(seconds, 1e-6)))
        self.objects = int(min(LARGEST, max(SMALLEST, self.objects * factor)))


def settle_heap() -> None:
    """What the start made stays for ever, and is not looked at again: that would cost a fifth of a publish."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(LARGEST, _NEVER, _NEVER)


@contextlib.asynccontextmanager
async def garbage_in_portions() -> AsyncIterator[None]:
    """Young objects in portions, all of them now and then, for as long as the block runs."""
    portions = Portions()
    gc.callbacks.append(portions)
    task = asyncio.create_task(_walk_all(portions), name="full-collections")
    try:
        yield
    finally:
        gc.callbacks.remove(portions)
        task.cancel()
        await asyncio.wait([task])


async def _walk_all(portions: Portions) -> None:
    while True:
        await asyncio.sleep(FULL_EVERY_S)
        if portions.walked >= FULL_AFTER:
            portions.walked = 0
            gc.collect()
