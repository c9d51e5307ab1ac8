"""How long to wait before asking again what did not answer."""

import asyncio
import random

FIRST_SECONDS = 0.05
LONGEST_SECONDS = 2.0


class Backoff:
    """Doubling delays with jitter, so that the subscribers of a log that comes back do not all ask at once."""

    def __init__(self) -> None:
        self._delay = FIRST_SECONDS

    async def wait(self) -> None:
        """Sleep for the next delay."""
        delay, self._delay = self._delay, min(self._delay * 2, LONGEST_SECONDS)
        await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret

    def reset(self) -> None:
        """It answered."""
        self._delay = FIRST_SECONDS
