"""GraphQL over server-sent events (html.spec.whatwg.org, "Server-sent events"), one connection an operation
(github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md, "distinct connections mode").

Each message of a subscription carries its cursor as `id:`; a browser sends the last one back as `Last-Event-ID` when it
connects again, and the subscription goes on from there. A stream that ends without `complete` is one to come back to.
"""

import asyncio
import contextlib

from starlette.types import Receive, Send

from gateway.graphql.connections import Connections, SendClock
from gateway.graphql.documents import Operation
from gateway.graphql.following import Ended, Following, Next
from gateway.graphql.operations import Answer, Caller, Operations, refusal
from gateway.graphql.request import GraphQLRequest
from processors.live.subscription import Draining
from schema.errors import EsbError

EVENT_STREAM = "text/event-stream"

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_COMPLETE = b"event: complete\ndata: \n\n"
_HEARTBEAT = b":\n\n"


class EventStream:
    """One response that stays open."""

    def __init__(
        self, receive: Receive, send: Send, *, operations: Operations, connections: Connections, expires_in: float
    ) -> None:
        self._receive = receive
        self._raw_send = send
        self._operations = operations
        self._connections = connections
        self._expires_in = expires_in
        self._clock = SendClock()
        self._loop = asyncio.get_running_loop()
        self._deadline: asyncio.Timeout | None = None
        self._last = 0.0

    async def serve(self, found: Operation | Answer, request: GraphQLRequest, caller: Caller) -> None:
        """Answer with everything the operation says, until it ends, the client leaves or its token expires."""
        await self._raw_send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        watching = asyncio.create_task(self._watch())
        limit = None if self._expires_in == float("inf") else max(0.0, self._expires_in)
        try:
            async with asyncio.timeout(limit) as self._deadline:
                self._connections.enter(self)
                await self._write(b"retry: 1000\n\n")
                if await self._run(found, request, caller):
                    await self._write(_COMPLETE)
        except (TimeoutError, Draining, OSError):
            pass  # ended without `complete`: the client comes back with Last-Event-ID
        finally:
            self._connections.leave(self)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._raw_send({"type": "http.response.body", "body": b"", "more_body": False})

    def drain(self) -> None:
        """The process goes away: the client shall connect again, elsewhere."""
        self._end()

    def look(self, now: float) -> None:
        """End where the peer has not read for too long."""
        if self._clock.waiting(now) > self._connections.limits.send_timeout_s:
            self._end()

    async def _run(self, found: Operation | Answer, request: GraphQLRequest, caller: Caller) -> bool:
        """Whether the operation came to its end."""
        if isinstance(found, Operation) and found.is_subscription:
            return await self._follow(found, request, caller)
        answer = await self._operations.answer(found, request, caller) if isinstance(found, Operation) else found
        await self._write(message(answer.body))
        return True

    async def _follow(self, operation: Operation, request: GraphQLRequest, caller: Caller) -> bool:
        tenant = caller.principal.tenant
        try:
            self._connections.take(tenant)
        except EsbError as error:
            await self._write(message(refusal(error).body))
            return True
        try:
            following = await self._operations.follow(operation, request, caller)
            if isinstance(following, Answer):
                await self._write(message(following.body))
                return True
            async with contextlib.aclosing(following):
                await self._pass_on(following)
            return True
        finally:
            self._connections.give_back(tenant)

    async def _pass_on(self, following: Following) -> None:
        try:
            async for said in following:
                await self._write(resumable(said, following))
        except Ended as ended:
            await self._write(message(ended.body))

    async def _write(self, body: bytes) -> None:
        self._clock.begin(self._loop.time())
        try:
            await self._raw_send({"type": "http.response.body", "body": body, "more_body": True})
        finally:
            self._last = self._loop.time()
            self._clock.end(self._last)

    async def _watch(self) -> None:
        """Heartbeats, so that proxies keep the connection; and the end, as soon as the client has gone."""
        pulse = asyncio.create_task(self._beat())
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self._end()
        finally:
            pulse.cancel()
            await asyncio.gather(pulse, return_exceptions=True)

    async def _beat(self) -> None:
        every = self._connections.limits.heartbeat_s
        while True:
            await asyncio.sleep(every)
            if self._loop.time() - self._last >= every:
                await self._write(_HEARTBEAT)

    def _end(self) -> None:
        if self._deadline is not None and not self._deadline.expired():
            with contextlib.suppress(RuntimeError):  # it is being left already
                self._deadline.reschedule(self._loop.time())


def message(response: bytes) -> bytes:
    """A response as one event. Payloads are spliced in as they were published, line breaks between values included;
    a line break would end the event, and in JSON any blank says the same."""
    return b"event: next\ndata: " + response.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n\n"


def resumable(said: Next, following: Following) -> bytes:
    """A subscription's message with where to go on after it."""
    return b"id: " + following.sign(said.place).encode() + b"\n" + message(said.body)
