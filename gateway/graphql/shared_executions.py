"""Executions of one item for many subscribers: whoever comes first executes, the others wait for its result.

For selections that ask the log (`cause`, `effects`), which cannot be compiled.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

_KEPT_BYTES = 8 * 1024 * 1024


class SharedExecutions:
    """Results by key; those made lately are kept, within a budget of bytes, for subscribers who are a little behind."""

    def __init__(self, kept_bytes: int = _KEPT_BYTES) -> None:
        self._limit = kept_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._running: dict[Hashable, asyncio.Future[None]] = {}

    async def of(self, key: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """The result of the key. Raises what `make` raises; then the next one who asks makes it anew."""
        while (running := self._running.get(key)) is not None:
            await asyncio.shield(running)  # done whether it was made or not: look again
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        done = self._running[key] = asyncio.get_running_loop().create_future()
        try:
            made = await make()
            self._keep(key, made)
            return made
        finally:
            del self._running[key]
            done.set_result(None)

    def _keep(self, key: Hashable, made: bytes) -> None:
        self._kept[key] = made
        self._bytes += len(made)
        while self._bytes > self._limit:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone)
