"""GraphQL over one WebSocket, by the protocol graphql-transport-ws.

States: opened (3 s to say connection_init) → acknowledged (any number of operations at once, until the token expires)
→ closed. Whatever ends the socket, every operation is cancelled and its cleanup awaited.
"""

import asyncio
import contextlib

import msgspec
import structlog
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from gateway.auth.renewal import expiry, renewal_of
from gateway.auth.sessions import Session
from gateway.client import client_context
from gateway.graphql import socket_messages as protocol
from gateway.graphql.connections import Connections, SendClock
from gateway.graphql.direct import DirectOutlet
from gateway.graphql.documents import Operation
from gateway.graphql.errors import formatted_refusal
from gateway.graphql.following import Compiled, Ended, Following, with_cursor
from gateway.graphql.operations import Answer, Caller, Operations
from gateway.graphql.request import GraphQLRequest, decode_request
from gateway.graphql.socket_door import SocketDoor
from gateway.graphql.socket_messages import CloseCode, InitPayload, Message
from gateway.telemetry import logs
from gateway.ws.frames import EXTENSION, Frames
from processors.live.subscription import Draining
from schema.errors import ErrorCode, EsbError

_CLOSE_WAIT_S = 1.0
_MAX_ID_CHARS = 256
_FRAMES_AT_ONCE = 16
_MAX_REASON_BYTES = 120  # RFC 6455, section 5.5.1: 123

_log = structlog.get_logger(__name__)


class _Close(Exception):
    """Close the socket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")


class Socket:
    """One connection."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        door: SocketDoor,
        operations: Operations,
        connections: Connections,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._raw_send = send
        self._door = door
        self._operations = operations
        self._connections = connections
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._caller: Caller | None = None
        self._session: Session | None = None
        self._followings: set[Following] = set()
        self._with_cursors = False
        self._with_progress = False
        self._clock = SendClock()
        self._loop = asyncio.get_running_loop()
        self._deadline: asyncio.Timeout | None = None
        self._at_deadline = _Close(CloseCode.INIT_TIMEOUT, "Connection initialisation timeout")
        self._writable = True
        self._frames: Frames | None = scope.get("extensions", {}).get(EXTENSION)
        self._has_room = asyncio.Event()
        self._outlets: dict[str, DirectOutlet] = {}

    async def serve(self) -> None:
        """Hold the connection until one side ends it."""
        if (await self._receive())["type"] != "websocket.connect":
            return
        if protocol.SUBPROTOCOL not in self._scope.get("subprotocols", ()):
            await self._raw_send({"type": "websocket.accept"})
            await self._close(_Close(CloseCode.SUBPROTOCOL, "Subprotocol not acceptable"))
            return
        await self._door.wait()
        try:
            await self._raw_send({"type": "websocket.accept", "subprotocol": protocol.SUBPROTOCOL})
        except OSError:
            return  # it has gone while it waited
        try:
            await self._until_closed()
        finally:
            if self._session is not None:
                self._session.close()
            self._connections.leave(self)
            await self._cancel_all()

    def drain(self) -> None:
        """The process goes away: the client shall connect again, elsewhere."""
        self._end(_Close(CloseCode.RESTART, "Service restart"))

    def look(self, now: float) -> None:
        """End where the peer has not read for too long: what waits for it would only grow."""
        if self._clock.waiting(now) > self._connections.limits.send_timeout_s:
            self._writable = False
            self._end(_Close(CloseCode.RESTART, "not reading"))

    def _forbid(self, reason: str) -> None:
        # never 4401 after the ack, after which graphql-ws stays away; after 4403 it comes back with a fresh token
        self._end(_Close(CloseCode.FORBIDDEN, reason))

    async def _until_closed(self) -> None:
        try:
            async with asyncio.timeout(self._connections.limits.init_timeout_s) as self._deadline:
                self._connections.enter(self)
                while True:
                    event = await self._receive()
                    if event["type"] == "websocket.disconnect":
                        return
                    await self._handle(_decoded(event.get("text"), self._connections.limits.message_bytes))
                    del event  # or the last thing a client said would be kept until it says another
        except TimeoutError:
            await self._close(self._at_deadline)
        except _Close as close:
            await self._close(close)
        except OSError:
            return  # the peer is gone (ASGI: sending to a closed socket)

    async def _handle(self, message: Message) -> None:
        match message.type:
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                running = self._running.pop(message.id or "", None)
                if running is not None:
                    if (outlet := self._outlets.pop(message.id or "", None)) is not None:
                        outlet.close()  # at once: the id may come again before the task has ended
                    self._ending.add(running)
                    running.add_done_callback(self._ending.discard)
                    running.cancel()
            case "ping":
                await self._pong(message.payload)
            case "pong":
                pass
            case "connection_init":
                await self._init(message.payload)
            case _:
                raise _invalid("unknown message type")

    async def _pong(self, payload: msgspec.Raw) -> None:
        """Answer a ping. One that shows a fresh token makes the connection live by that one from now on."""
        authorization = renewal_of(payload)
        if authorization is None:
            await self._send(protocol.pong(payload))
            return
        if self._caller is None or self._session is None:
            raise _Close(CloseCode.UNAUTHORIZED, "Unauthorized")
        try:
            principal = await self._door.renewed(self._session.principal, authorization)
        except EsbError as error:
            if not error.retryable:
                raise _Close(CloseCode.FORBIDDEN, error.message) from None
            await self._send(protocol.renewed_pong(False, retry_after_ms=error.retry_after_ms))
            return
        self._session.renew(principal)
        self._caller = self._caller._replace(principal=principal)
        for following in self._followings:
            following.reauthorise(principal)
        await self._send(protocol.renewed_pong(True, expires_at=expiry(principal)))

    async def _init(self, payload: msgspec.Raw) -> None:
        if self._caller is not None:
            raise _Close(CloseCode.TOO_MANY_INITS, "Too many initialisation requests")
        raw = bytes(memoryview(payload))
        try:
            said = InitPayload() if raw in (b"", b"null") else protocol.init_decoder.decode(raw)
        except msgspec.MsgspecError:
            raise _invalid("connection_init carries an object") from None
        assert self._deadline is not None
        self._deadline.reschedule(None)  # it was said in time; what follows is ours to do
        await self._door.wait()
        connection, self._scope = HTTPConnection(self._scope), {}  # not needed again, and two kilobytes
        try:
            principal = await self._door.caller(connection, said)
        except EsbError as error:
            # 4403, and not 4401: graphql-ws then asks for a fresh token and tries again
            raise _Close(CloseCode.FORBIDDEN, error.message) from None
        self._caller = Caller(principal, client_context(connection))
        self._with_cursors = said.cursors
        self._with_progress = said.progress
        logs.tenant.set(principal.tenant)
        self._session = self._connections.sessions.open(principal, self._forbid)
        await self._send(protocol.ACK)

    async def _subscribe(self, message: Message) -> None:
        if self._caller is None:
            raise _Close(CloseCode.UNAUTHORIZED, "Unauthorized")
        if not message.id or len(message.id) > _MAX_ID_CHARS:
            raise _invalid("subscribe needs an id")
        if message.id in self._running:
            raise _Close(CloseCode.SUBSCRIBER_EXISTS, f"Subscriber for {message.id} already exists")
        if message.payload == protocol.NOTHING:
            raise _invalid("subscribe needs a payload")
        quoted = protocol.quoted(message.id)
        if len(self._running) >= self._connections.limits.operations_per_connection:
            limit = self._connections.limits.operations_per_connection
            error = EsbError(ErrorCode.RATE_LIMITED, f"a connection carries at most {limit} operations at once")
            await self._send(protocol.error_of(quoted, formatted_refusal(error)))
            return
        try:
            request = decode_request(message.payload)
        except EsbError as error:
            raise _invalid(error.message) from None
        self._running[message.id] = asyncio.create_task(self._run(message.id, quoted, request, self._caller))

    async def _run(self, operation_id: str, quoted: bytes, request: GraphQLRequest, caller: Caller) -> None:
        try:
            found = self._operations.find(request)
            if isinstance(found, Operation) and found.is_subscription:
                await self._follow(operation_id, quoted, found, request, caller)
            else:
                answer = (
                    await self._operations.answer(found, request, caller) if isinstance(found, Operation) else found
                )
                await self._answer(quoted, answer)
        except OSError:
            pass  # the socket went away meanwhile
        except Draining:
            self.drain()
        except Exception:
            _log.exception("operation failed")
            self._end(_Close(1011, "Internal error"))
        finally:
            if self._running.get(operation_id) is asyncio.current_task():
                del self._running[operation_id]

    async def _answer(self, quoted: bytes, answer: Answer) -> None:
        if not answer.executed:
            await self._send(protocol.error_of(quoted, answer.errors))
            return
        await self._send(protocol.next_of(quoted, answer.body))
        await self._send(protocol.complete_of(quoted))

    async def _follow(
        self, operation_id: str, quoted: bytes, operation: Operation, request: GraphQLRequest, caller: Caller
    ) -> None:
        tenant = caller.principal.tenant
        try:
            self._connections.take(tenant)
        except EsbError as error:
            await self._send(protocol.error_of(quoted, formatted_refusal(error)))
            return
        try:
            following = await self._operations.follow(operation, request, caller)
            if isinstance(following, Answer):
                await self._send(protocol.error_of(quoted, following.errors))
                return
            async with contextlib.aclosing(following):
                self._followings.add(following)
                try:
                    if self._caller is not None and self._caller.principal is not caller.principal:
                        following.reauthorise(self._caller.principal)  # the token changed while it began
                    if self._with_progress and following.place is not None:
                        await self._send(protocol.progress_of(quoted, following.sign(following.place)))
                    await self._pass_on(operation_id, quoted, following)
                finally:
                    self._followings.discard(following)
        finally:
            self._connections.give_back(tenant)

    async def _pass_on(self, operation_id: str, quoted: bytes, following: Following) -> None:
        try:
            if self._frames is not None and isinstance(following, Compiled):
                await self._pass_on_frames(self._frames, operation_id, quoted, following)
            else:
                async for message in following:
                    body = message.body
                    if self._with_cursors and message.place is not None:
                        body = with_cursor(body, following.sign(message.place))
                    await self._send(protocol.next_of(quoted, body))
        except Ended as ended:
            await self._send(protocol.error_of(quoted, ended.errors))
            return
        await self._send(protocol.complete_of(quoted))

    async def _pass_on_frames(self, frames: Frames, operation_id: str, quoted: bytes, following: Compiled) -> None:
        """Past ASGI; while nothing waits for the subscriber, what it shares with others goes past this task, too."""
        outlet = DirectOutlet(frames, quoted, cursors=self._with_cursors)
        self._outlets[operation_id] = outlet
        following.live.send_to(outlet)
        try:
            while True:
                messages = await following.step()
                for start in range(0, len(messages), _FRAMES_AT_ONCE):
                    await self._room(frames)
                    outlet.write(messages[start : start + _FRAMES_AT_ONCE], following.sign)
                await self._room(frames)
        except StopAsyncIteration:
            return
        finally:
            outlet.close()
            if self._outlets.get(operation_id) is outlet:
                del self._outlets[operation_id]

    async def _room(self, frames: Frames) -> None:
        """Wait while the peer does not read."""
        while not frames.writable:
            self._clock.begin(self._loop.time())
            self._has_room.clear()
            frames.on_writable = self._has_room.set
            try:
                await self._has_room.wait()
            finally:
                self._clock.end(self._loop.time())

    async def _send(self, message: bytes) -> None:
        self._clock.begin(self._loop.time())
        try:
            await self._raw_send({"type": "websocket.send", "text": message.decode()})
        finally:
            self._clock.end(self._loop.time())

    def _end(self, close: _Close) -> None:
        """End the socket from outside of its reading task."""
        if self._deadline is not None and not self._deadline.expired():
            self._at_deadline = close
            with contextlib.suppress(RuntimeError):  # it is being left already
                self._deadline.reschedule(self._loop.time())

    async def _close(self, close: _Close) -> None:
        await self._cancel_all()
        if not self._writable:
            return  # the close frame would wait behind what the peer does not read
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(_CLOSE_WAIT_S):
                await self._raw_send({"type": "websocket.close", "code": int(close.code), "reason": close.reason})

    async def _cancel_all(self) -> None:
        tasks = [*self._running.values(), *self._ending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _invalid(reason: str) -> _Close:
    return _Close(CloseCode.INVALID_MESSAGE, f"Invalid message: {reason}")


def _decoded(text: str | None, limit: int) -> Message:
    if text is None:
        raise _invalid("text frames only")
    if len(text) > limit:
        raise _Close(1009, "message too big")
    try:
        return protocol.message_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        raise _invalid("not a message of this protocol") from None
