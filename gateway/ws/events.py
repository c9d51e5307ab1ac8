"""`/ws/events/{stream_name}?from=live|beginning|CURSOR&where=JSON`: one envelope with its `cursor` a frame.

For those who do not speak GraphQL. What cannot be opened is refused as an HTTP answer, before the handshake. A socket
is closed with 1012 when the process drains, 4403 when its token expires or is revoked, 4429 after an error frame with
the cursor when it reads too slowly: connecting again with `from=CURSOR` misses and repeats nothing. A client that shows
a fresh token in time, as the text frame `{"authorization": "Bearer …"}`, stays connected.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.auth.credentials import Credentials
from gateway.auth.renewal import expiry, renewal_of
from gateway.auth.sessions import Session, Sessions
from gateway.drain import Drain
from gateway.problems import close_code, problem
from gateway.rest.encoding import event_with_cursor
from gateway.rest.query import where_of
from gateway.telemetry import logs
from processors.live.items import Delivered, Item
from processors.live.request import Edge, LiveRequest, Start
from processors.live.subscription import Draining
from schema.cursor import CursorCodec
from schema.errors import ErrorCode, EsbError
from schema.principal import Principal
from schema.stream import Stream

GOING_AWAY = 1012
FORBIDDEN = 4403

_encoder = msgspec.json.Encoder()


class Subscription(Protocol):
    """A live subscription: steps of items until it ends, and a way to end it."""

    def __aiter__(self) -> AsyncIterator[Sequence[Item]]:
        """Each step's items, never none."""

    async def aclose(self) -> None:
        """End it and free what it holds."""

    def reauthorise(self, principal: Principal) -> None:
        """Go on for a caller whose token changed, or end with FORBIDDEN."""


class Live(Protocol):
    """Where live subscriptions come from: processors.live."""

    async def subscribe(self, request: LiveRequest) -> Subscription:
        """Begin one; raises what refuses it."""


class Streams(Protocol):
    """Finds streams by name: processors.readable."""

    async def named(self, principal: Principal, names: Sequence[str]) -> tuple[Stream, ...]:
        """The streams; raises FORBIDDEN before it looks, UNKNOWN_STREAM."""


class EventSocket:
    """The endpoint. `send_timeout_s`: a client that takes nothing for so many seconds is cut off."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        streams: Streams,
        live: Live,
        codec: CursorCodec,
        drain: Drain,
        sessions: Sessions,
        send_timeout_s: float,
        buffer_bytes: int,
    ) -> None:
        self._credentials = credentials
        self._streams = streams
        self._live = live
        self._codec = codec
        self._drain = drain
        self._sessions = sessions
        self._send_timeout_s = send_timeout_s
        self._buffer_bytes = buffer_bytes

    def route(self) -> WebSocketRoute:
        """The route."""
        return WebSocketRoute("/ws/events/{stream_name}", self._serve)

    async def _serve(self, socket: WebSocket) -> None:
        try:
            principal = await self._credentials.of_stream(socket)
            logs.tenant.set(principal.tenant)
            subscription = await self._live.subscribe(await self._request(socket, principal))
        except EsbError as error:
            await _deny(socket, error)
            return
        try:
            await socket.accept()
            await self._run(socket, principal, subscription)
        except WebSocketDisconnect:
            return
        finally:
            await subscription.aclose()

    async def _request(self, socket: WebSocket, principal: Principal) -> LiveRequest:
        return LiveRequest(
            principal=principal,
            streams=await self._streams.named(principal, [socket.path_params["stream_name"]]),
            where=where_of(socket.query_params),
            start=self._start(principal, socket.query_params.get("from", "live")),
            buffer_bytes=self._buffer_bytes,
        )

    def _start(self, principal: Principal, text: str) -> Start:
        if text in ("live", "beginning"):
            return Edge(text)
        return self._codec.decode(principal.tenant, text)

    async def _run(self, socket: WebSocket, principal: Principal, subscription: Subscription) -> None:
        """Send until something ends it: the client, the subscription, the token, or the process going away."""
        lapsed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        with self._sessions.open(principal, lapsed.set_result) as session:
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(self._listen(socket, session, subscription))
                sending = tasks.create_task(self._send_all(socket, principal, subscription))
                draining = tasks.create_task(self._drain.wait())
                all_tasks = (listening, sending, draining)
                await asyncio.wait((*all_tasks, lapsed), return_when=asyncio.FIRST_COMPLETED)
                for task in all_tasks:
                    task.cancel()
        if listening.done() and not listening.cancelled():
            refused = listening.result()
            if refused is not None:
                await self._close(socket, FORBIDDEN, refused.message)
        elif draining.done() and not draining.cancelled():
            await self._close(socket, GOING_AWAY, "the gateway is going away; connect again")
        elif sending.done() and not sending.cancelled():
            await self._ended(socket, sending.result())
        else:
            await self._close(socket, FORBIDDEN, f"{lapsed.result()}; connect again with a new one")

    async def _listen(self, socket: WebSocket, session: Session, subscription: Subscription) -> EsbError | None:
        """Reads, so that a close is noticed, until then; or why a token shown is refused. Other words mean nothing."""
        while True:
            said = await socket.receive()
            if said["type"] == "websocket.disconnect":
                return None
            authorization = renewal_of(said.get("text") or "")
            if authorization is None:
                continue
            try:
                principal = await self._credentials.renewed(session.principal, authorization)
            except EsbError as error:
                if not error.retryable:
                    return error
                answer: dict[str, object] = {"authorized": False, "retry_after_ms": error.retry_after_ms}
            else:
                session.renew(principal)
                subscription.reauthorise(principal)
                answer = {"authorized": True, "expires_at": expiry(principal)}
            try:
                await socket.send_text(_said(answer))
            except WebSocketDisconnect:
                return None

    async def _send_all(self, socket: WebSocket, principal: Principal, subscription: Subscription) -> EsbError | None:
        frame = framer(self._codec, principal.tenant)
        try:
            async for items in subscription:
                async with asyncio.timeout(self._send_timeout_s):
                    for item in items:
                        if isinstance(item, Delivered):
                            await socket.send_text(frame(item))
        except EsbError as error:
            return error
        except WebSocketDisconnect:
            return None
        except TimeoutError:
            return EsbError(ErrorCode.SLOW_CONSUMER, "nothing was read for too long")
        return None

    async def _ended(self, socket: WebSocket, error: EsbError | None) -> None:
        if error is None or isinstance(error, Draining):
            await self._close(socket, GOING_AWAY, "the gateway is going away; connect again")
            return
        await self._close(socket, close_code(error), error.code.value, _error_frame(error))

    async def _close(self, socket: WebSocket, code: int, reason: str, last: str | None = None) -> None:
        """Close, after a last frame where there is one; a peer that does not take it is not waited for."""
        try:
            async with asyncio.timeout(1):
                if last is not None:
                    await socket.send_text(last)
                await socket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            return


async def _deny(socket: WebSocket, error: EsbError) -> None:
    """Refuse the handshake with the whole problem, where the server can; else with the bare close."""
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(problem(error))
    else:
        await socket.close(close_code(error), error.code.value)


def framer(codec: CursorCodec, tenant: str) -> Callable[[Delivered], str]:
    """Writes one delivered event as a frame: the envelope with its place and its cursor, nothing encoded twice."""

    def frame(item: Delivered) -> str:
        return event_with_cursor(item.event, codec.encode(tenant, item.cursor)).decode()

    return frame


def _error_frame(error: EsbError) -> str:
    return _said({"error": {"code": error.code.value, "message": error.message, "details": error.details}})


def _said(document: object) -> str:
    return _encoder.encode(document).decode()
