"""Each process's picture of the tenants' streams and routes: publishing must not ask PostgreSQL where to."""

import asyncio
import time
from collections import defaultdict
from typing import NamedTuple

from schema.errors import EsbError
from schema.stream import Route, Stream
from store.registry.registry import Registry
from store.signals.port import EVERYTHING, Signals, streams_topic

_POLL_S = 2.0
_PREFIX = streams_topic("")


class TenantView(NamedTuple):
    """A tenant's live streams and its routes. An unchanged view stays the same object."""

    streams: tuple[Stream, ...]
    routes: tuple[Route, ...]


class _Known(NamedTuple):
    view: TenantView
    asked_at: float


class StreamCache:
    """Views by tenant. A change in another process arrives by signal; where signals are lost, within two seconds."""

    def __init__(self, registry: Registry, signals: Signals) -> None:
        self._registry = registry
        self._known: dict[str, _Known] = {}
        self._stale: set[str] = set()
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        signals.listen(self.on_signal)

    def on_signal(self, topic: str) -> None:
        """Something changed; the next look asks PostgreSQL."""
        if topic == EVERYTHING:
            self._stale.update(self._known)
        elif topic.startswith(_PREFIX) and (tenant := topic.removeprefix(_PREFIX)) in self._known:
            self._stale.add(tenant)

    async def view(self, tenant: str) -> TenantView:
        """The view, asked for again when it changed or is two seconds old.

        While PostgreSQL cannot be asked the old view goes on being used; raises LOG_UNAVAILABLE when there is none.
        """
        known = self._known.get(tenant)
        if known is None:
            return await self.refresh(tenant)
        if tenant not in self._stale and time.monotonic() - known.asked_at < _POLL_S:
            return known.view
        if self._asking[tenant].locked():
            return known.view  # one asks for all
        try:
            return await self.refresh(tenant)
        except EsbError:
            self._stale.discard(tenant)
            self._known[tenant] = known._replace(asked_at=time.monotonic())  # not again at every publish
            return known.view

    async def refresh(self, tenant: str) -> TenantView:
        """The view as PostgreSQL has it, not older than this call; callers that come together share one question."""
        called_at = time.monotonic()
        async with self._asking[tenant]:
            known = self._known.get(tenant)
            if known is not None and known.asked_at >= called_at:
                return known.view
            self._stale.discard(tenant)
            asked_at = time.monotonic()
            try:
                streams, routes = await self._registry.configuration(tenant)
            except BaseException:
                self._stale.add(tenant)
                raise
            view = TenantView(tuple(streams), tuple(routes))
            if known is not None and known.view == view:
                view = known.view
            self._known[tenant] = _Known(view, asked_at)
            return view
