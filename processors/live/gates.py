"""How much catching up may go on at once in one process: live subscribers come first."""

import asyncio

LOG_READS = 4
RING_READS = 2


class Gates:
    """First come, first served. `log`: reads of logs under way. `ring`: reads of rings a turn of the event loop."""

    def __init__(self) -> None:
        self.log = asyncio.Semaphore(LOG_READS)
        self.ring = asyncio.Semaphore(RING_READS)
