"""A response that is held open: what event streams and multipart answers have in common.

It ends when its work is done, or earlier for a reason: the client left, its token expired, the process drains, nobody
reads, or whoever holds the object says so by `end`. What the reason looks like on the wire is its format's business.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from starlette.types import Receive, Scope, Send

from gateway.auth.sessions import Session
from gateway.graphql.connections import Connections, SendClock
from gateway.http_protocol import ABORT
from processors.live.subscription import Draining
from schema.errors import ErrorCode, EsbError
from schema.principal import Principal

_FINISH_S = 1.0

Headers = Sequence[tuple[bytes, bytes]]


class HeldOpen:
    """One such response. `principal`: whose token it lives by. `heartbeat`: what is written when nothing else is."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        connections: Connections,
        principal: Principal,
        headers: Headers,
        heartbeat: bytes,
    ) -> None:
        self._abort: Callable[[], None] | None = scope.get("extensions", {}).get(ABORT)
        self._receive = receive
        self._send = send
        self._connections = connections
        self._headers = headers
        self._heartbeat = heartbeat
        self._principal = principal
        self._session: Session | None = None
        self._loop = asyncio.get_running_loop()
        self._clock = SendClock()
        # one message at a time: what waits for a slow reader waits in subscriptions, which have budgets
        self._turn = asyncio.Lock()
        self._last = 0.0
        self._deadline: asyncio.Timeout | None = None
        self._reason: EsbError | None = None
        self._readable = True

    async def serve(self, work: Callable[[], Awaitable[None]]) -> EsbError | None:
        """Send the head and do the work; why it was ended before its time, or None where it came to its end.

        `finish` has to follow.
        """
        await self._send({"type": "http.response.start", "status": 200, "headers": list(self._headers)})
        watching = asyncio.create_task(self._watch())
        try:
            async with asyncio.timeout(None) as self._deadline:
                with self._connections.sessions.open(self._principal, self._lapsed) as self._session:
                    self._connections.enter(self)
                    await work()
        except TimeoutError:
            if self._reason is None:
                raise
            return self._reason
        except Draining as draining:
            return draining
        except OSError:
            return _gone()
        finally:
            self._deadline = None
            self._connections.leave(self)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return None

    async def write(self, body: bytes) -> None:
        """Write one message; waits while the peer does not read."""
        async with self._turn:
            self._clock.begin(self._loop.time())
            try:
                await self._send({"type": "http.response.body", "body": body, "more_body": True})
            finally:
                self._last = self._loop.time()
                self._clock.end(self._last)

    async def finish(self, body: bytes) -> None:
        """The last bytes, for who still reads."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_FINISH_S):
                if self._readable:
                    await self._send({"type": "http.response.body", "body": body, "more_body": False})
                elif self._abort is not None:
                    self._abort()  # closing in order would wait for the reader who does not read
                    # until the server knows: it would take an answer without an end for our mistake
                    while (await self._receive())["type"] != "http.disconnect":
                        pass

    def end(self, reason: EsbError) -> None:
        """End it now. The first reason counts."""
        if self._deadline is not None and not self._deadline.expired() and self._reason is None:
            self._reason = reason
            self._deadline.reschedule(self._loop.time())

    def prolong(self, principal: Principal) -> None:
        """The same caller has shown a fresh token: go on until that one expires."""
        if self._session is not None and principal.expires_at > self._session.principal.expires_at:
            self._session.renew(principal)

    def drain(self) -> None:
        """The process goes away: the client shall connect again, elsewhere."""
        self.end(EsbError(ErrorCode.LOG_UNAVAILABLE, "this gateway is shutting down; reconnect", retry_after_ms=0))

    def look(self, now: float) -> None:
        """End where the peer has not read for too long."""
        if self._clock.waiting(now) > self._connections.limits.send_timeout_s:
            self._readable = False
            self.end(EsbError(ErrorCode.SLOW_CONSUMER, "the client does not read"))

    def _lapsed(self, reason: str) -> None:
        self.end(EsbError(ErrorCode.UNAUTHENTICATED, reason))

    async def _watch(self) -> None:
        """Heartbeats, so that proxies keep the connection; and the end, as soon as the client has gone."""
        pulse = asyncio.create_task(self._beat())
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self.end(_gone())
        finally:
            pulse.cancel()
            await asyncio.gather(pulse, return_exceptions=True)

    async def _beat(self) -> None:
        every = self._connections.limits.heartbeat_s
        while True:
            await asyncio.sleep(every)
            if self._loop.time() - self._last >= every:
                await self.write(self._heartbeat)


def _gone() -> EsbError:
    return EsbError(ErrorCode.LOG_UNAVAILABLE, "the client has gone")
