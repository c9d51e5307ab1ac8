"""Who waits for a projection to move, and who says that one did."""

import asyncio
from collections import defaultdict

from store.signals.port import EVERYTHING, Signals, projections_topic

_PREFIX = projections_topic("")


class Progress:
    """Wakes waiters of this process, and by a signal those of others. A lost signal costs a waiter its poll."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        signals.listen(self._on_signal, own=False)

    def moved(self, tenant: str) -> None:
        """A projection of the tenant moved on, or became another. Never blocks."""
        self._wake(tenant)
        self._signals.notify(projections_topic(tenant))

    def watch(self, tenant: str) -> "Watch":
        """To be woken from now on, as long as the block lasts."""
        return Watch(self._waiting, tenant)

    def _on_signal(self, topic: str) -> None:
        if topic == EVERYTHING:
            for tenant in list(self._waiting):
                self._wake(tenant)
        elif topic.startswith(_PREFIX):
            self._wake(topic.removeprefix(_PREFIX))

    def _wake(self, tenant: str) -> None:
        for event in self._waiting.get(tenant, ()):
            event.set()


class Watch:
    """One waiter."""

    def __init__(self, waiting: defaultdict[str, set[asyncio.Event]], tenant: str) -> None:
        self._waiting = waiting
        self._tenant = tenant
        self._moved = asyncio.Event()

    def __enter__(self) -> "Watch":
        self._waiting[self._tenant].add(self._moved)
        return self

    def __exit__(self, *_: object) -> None:
        waiting = self._waiting[self._tenant]
        waiting.discard(self._moved)
        if not waiting:
            del self._waiting[self._tenant]

    def wake(self) -> None:
        """Wake this one."""
        self._moved.set()

    async def wait(self, seconds: float) -> None:
        """Until something moved since the last wait, for at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._moved.wait()
        except TimeoutError:
            return
        finally:
            self._moved.clear()
