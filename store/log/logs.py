"""Which log a stream's events are committed to and read from: the one place that knows all engines."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from schema.errors import ErrorCode, EsbError
from schema.stream import Stream, StreamEngine
from store.log.port import Log
from store.tenants import Tenants


class StreamLog(Log, Protocol):
    """The log of one stream, which holds connections of its own."""

    async def close(self) -> None:
        """Give them back. May be called twice."""


MakeLog = Callable[[Stream], StreamLog]


class Logs:
    """`ledger`: the log of a tenant's ledger streams, by the tenant's name. `others`: how to make the log of one stream
    of the engines that are configured; each is made once and kept."""

    def __init__(
        self, ledger: Callable[[str], Awaitable[Log]], tenants: Tenants, others: dict[StreamEngine, MakeLog]
    ) -> None:
        self._ledger = ledger
        self._tenants = tenants
        self._others = others
        self._made: dict[int, StreamLog] = {}

    async def of(self, stream: Stream) -> Log:
        """The log of a stream; raises UNSUPPORTED_BY_ENGINE when its engine is not configured in this process."""
        if stream.engine is StreamEngine.LEDGER:
            return await self._ledger(stream.tenant)
        if stream.key not in self._made:
            make = self._others.get(stream.engine)
            if make is None:
                setting = {StreamEngine.KAFKA: "ESB_KAFKA_SERVERS", StreamEngine.REDIS: "ESB_REDIS_URL"}[stream.engine]
                raise EsbError(
                    ErrorCode.UNSUPPORTED_BY_ENGINE,
                    f"stream {stream.stream_name!r} needs {stream.engine}, which is not configured here: set {setting}",
                )
            self._made[stream.key] = make(stream)
        return self._made[stream.key]

    async def ledger(self, tenant: str) -> Log:
        """The log of all a tenant's ledger streams; raises LOG_UNAVAILABLE for a tenant that cannot be asked for."""
        return await self._ledger(tenant)

    async def epoch(self, tenant: str) -> int:
        """The epoch of a tenant's ledger."""
        return (await self._tenants.get(tenant)).epoch

    async def close(self) -> None:
        """Close every log of one stream; the ledger's are closed by who made them. May be called twice."""
        await asyncio.gather(*(log.close() for log in self._made.values()))
