"""The tailers in use: one a log, begun by its first subscriber, stopped a while after its last one."""

import time
from collections.abc import Awaitable, Callable, Iterator

from processors.live.ports import Recorder
from processors.live.shape import Sign
from processors.live.source import Source
from processors.live.tailer import Tailer

LINGER_SECONDS = 30.0


class Tailers:
    """Shares tailers by source key."""

    def __init__(self, ring_bytes: int, recorder: Recorder, *, linger_seconds: float = LINGER_SECONDS) -> None:
        self._ring_bytes = ring_bytes
        self._recorder = recorder
        self._linger = linger_seconds
        self._tailers: dict[str, Tailer] = {}

    def __iter__(self) -> Iterator[Tailer]:
        return iter(list(self._tailers.values()))

    def __len__(self) -> int:
        return len(self._tailers)

    def get(self, key: str) -> Tailer | None:
        """The tailer in use, if there is one."""
        return self._tailers.get(key)

    async def acquire(self, key: str, make: Callable[[], Awaitable[Source]], sign: Sign) -> Tailer:
        """The tailer of a log, held until `release`. `sign` writes places for the log's tenant."""
        tailer = self._tailers.get(key)
        if tailer is None:
            source = await make()
            # Another subscriber may have made it meanwhile: two tailers of one log would share no ring.
            tailer = self._tailers.setdefault(key, Tailer(source, self._ring_bytes, sign, self._recorder))
        tailer.users += 1
        return tailer

    def release(self, tailer: Tailer) -> None:
        """Let go of it; without users it lingers, for the subscriber who reconnects."""
        tailer.users -= 1
        tailer.idle_since = time.monotonic()

    async def reap(self) -> None:
        """Stop those without users for long."""
        now = time.monotonic()
        for tailer in self:
            if not tailer.users and now - tailer.idle_since >= self._linger:
                del self._tailers[tailer.source.key]
                await tailer.stop()

    async def stop(self) -> None:
        """Stop all."""
        tailers, self._tailers = list(self), {}
        for tailer in tailers:
            await tailer.stop()
