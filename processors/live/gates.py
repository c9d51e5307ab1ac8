"""How much catching up may go on at once in one process: live subscribers come first."""

import asyncio

from processors.live.pacer import Pacer
from processors.live.pages import Pages

LOG_READS = 4


class Gates:
    """What all who catch up share. `log`: reads of logs under way, first come, first served. `pages`: what others have
    caught up with lately.
    """

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.log = asyncio.Semaphore(LOG_READS)
        self.pages = Pages()
