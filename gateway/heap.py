"""When Python looks for garbage in cycles.

Nearly all garbage goes by counting references. What is left is looked for by walking objects while the event loop
stands still. By itself Python walks all there are each time they have grown by a quarter, a second for what 10,000
subscribers hold: most often when thousands come at once. And it counts objects made less objects gone, of any age:
where old ones go as young ones come, it walks no young ones for long, and then a hundred thousand at once, for 70 ms.
So here young ones are walked in small portions and by the clock, and all of them seldom, where there are many more than
before.
"""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

PORTION = 2_000
YOUNG_EVERY_S = 0.1
FULL_EVERY_S = 600.0
MANY = 100_000
_NEVER = 1_000_000_000


def settle_heap() -> None:
    """What the start made stays for ever, and is not looked at again: that would cost a fifth of a publish."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(PORTION, _NEVER, _NEVER)


@contextlib.asynccontextmanager
async def garbage_by_the_clock() -> AsyncIterator[None]:
    """Look for garbage, for as long as the block runs."""
    tasks = [asyncio.create_task(_walk_young(), name="young-garbage"), asyncio.create_task(_walk_all(), name="garbage")]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _walk_young() -> None:
    while True:
        await asyncio.sleep(YOUNG_EVERY_S)
        gc.collect(0)


async def _walk_all() -> None:
    kept = 0
    while True:
        await asyncio.sleep(FULL_EVERY_S)
        if len(gc.get_objects()) > kept * 1.25 + MANY:
            gc.collect()
            kept = len(gc.get_objects())
