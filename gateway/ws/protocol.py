"""A WebSocket under uvicorn: ASGI for the application, and frames past ASGI (RFC 6455).

uvicorn's own protocol keeps 20 KB a socket for its life: the parsed handshake, three queues, two timers. This one keeps
what an open socket needs. As there, websockets parses handshake and frames; compression is not offered. Who reads
nothing can neither keep a closed socket for ever, nor make us keep what it does not read.
"""

import asyncio
import logging
from collections.abc import Awaitable
from enum import Enum, auto
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected, get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from gateway.ws.frames import EXTENSION, HIGH_WATER_BYTES, LOW_WATER_BYTES, Frames, binary_header, text_header
from gateway.ws.handshake import Handshake, refusal, scope_of
from gateway.ws.inbox import Inbox, Message
from gateway.ws.sockets import sockets_of

LINGER_S = 15.0
CLOSE_TIMEOUT_S = 10.0
GOING_AWAY_TIMEOUT_S = 1.0

_log = logging.getLogger("uvicorn.error")
_parser_log = logging.getLogger("websockets.server")


class _Stage(Enum):
    """What may be said: OPENING → OPEN → CLOSED by the application, or GONE for another reason."""

    OPENING = auto()
    OPEN = auto()
    CLOSED = auto()
    GONE = auto()


class SocketProtocol(asyncio.Protocol):
    """One socket.

    Closing a transport waits until what was written is taken; a peer with a closed window never takes it, and pings
    stop at the close. So whatever is not gone `LINGER_S` after the application finished is cut off. Longer than the
    `CLOSE_TIMEOUT_S` that a close handshake may take.
    """

    __slots__ = (
        "_binary",
        "_conn",
        "_frames",
        "_handshake",
        "_inbox",
        "_linger",
        "_owed_pong",
        "_parts",
        "_resumed",
        "_shared",
        "_spoke",
        "_stage",
        "_timer",
        "_transport",
        "unanswered",
    )

    _transport: asyncio.Transport
    _frames: Frames
    _inbox: Inbox
    _conn: Protocol

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        self._shared = sockets_of(config, server_state, app_state)
        self._stage = _Stage.OPENING
        self._handshake: Handshake | None = Handshake(server_state.default_headers)
        self._resumed: asyncio.Event | None = None
        self._parts: bytearray | None = None
        self._binary = False
        self._owed_pong: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._spoke: set[Any] | None = None
        self.unanswered: bytes | None = None

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: HTTP has handed the connection over."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        self._frames = Frames(self._shared.turn, self._transport)
        self._inbox = Inbox(self._transport)
        self._shared.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._leave(CloseCode.ABNORMAL_CLOSURE)
        self._shared.connections.discard(self)
        for timer in (self._timer, self._linger):
            if timer is not None:
                timer.cancel()
        if self._resumed is not None:
            self._resumed.set()  # or a send would wait for ever

    def pause_writing(self) -> None:
        """The transport holds more than it should."""
        self._resumed = asyncio.Event()
        self._frames.hold()

    def resume_writing(self) -> None:
        """The peer reads again."""
        if self._owed_pong is not None and self._stage is _Stage.OPEN:
            self._transport.write(self._owed_pong)
        self._owed_pong = None
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None
        self._frames.release()

    def data_received(self, data: bytes) -> None:
        """The peer says something: first its request, then, when that is answered, frames."""
        if self._handshake is not None:
            self._asked(self._handshake, data)
            return
        if self._stage is _Stage.GONE:
            return
        self._conn.receive_data(data)
        for frame in self._conn.events_received():
            self._take(cast("Frame", frame))
        output = self._conn.data_to_send()
        if self._conn.state is State.OPEN:
            self._answer_pings(output)
        elif self._stage is _Stage.CLOSED:
            if self._conn.close_rcvd is not None or self._conn.parser_exc is not None:
                self._transport.close()  # it has answered our close, or cannot any more
        elif self._stage is _Stage.OPEN and self._conn.parser_exc is not None:
            self._fail(output)
        elif self._stage is _Stage.OPEN:
            closed = self._conn.close_rcvd
            assert closed is not None
            self._leave(closed.code, closed.reason)
            self._transport.write(b"".join(output))
            self._transport.close()

    def shutdown(self) -> None:
        """The process goes away: close with 1012, and do not wait for those that do not read."""
        if self._stage is _Stage.OPEN:
            self._frames.flush()
            self._conn.send_close(CloseCode.SERVICE_RESTART)
            self._leave(CloseCode.SERVICE_RESTART)
            self._transport.write(b"".join(self._conn.data_to_send()))
            self._hang_up(GOING_AWAY_TIMEOUT_S)
        else:
            if self._handshake is not None:
                self._refuse(503)
            self._stage = _Stage.GONE
            self._leave(CloseCode.SERVICE_RESTART)
            self._transport.close()
        self._cut_later()

    # The wheel's side

    def ping(self, frame: bytes) -> None:
        """Send a ping."""
        if not self._transport.is_closing():
            self._transport.write(frame)

    def lost(self) -> None:
        """The peer answers no pings: it is gone, and is not waited for."""
        if self._stage is _Stage.OPEN:
            self._conn.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
            self._leave(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
            self._transport.write(b"".join(self._conn.data_to_send()))
            self._transport.close()
            self._cut_later()

    # The application's side

    def receive(self) -> Awaitable[Message]:
        """ASGI's receive."""
        return self._inbox.receive()

    async def send(self, message: Message) -> None:
        """ASGI's send: waits while the peer does not read. Raises ClientDisconnected (an OSError) when it is gone."""
        if self._resumed is None:
            self._send(message)
            return
        self._frames.hold()  # or frames written meanwhile would come before this message
        try:
            while self._resumed is not None and not self._resumed.is_set():
                await self._resumed.wait()
            self._send(message)
        finally:
            self._frames.release()

    def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._stage is _Stage.GONE:
            if kind != "websocket.close":
                raise ClientDisconnected
        elif self._handshake is not None:
            self._answer(self._handshake, kind, message)
        elif self._stage is _Stage.OPEN and kind == "websocket.send":
            self._frames.write(_framed(message))
        elif self._stage is _Stage.OPEN and kind == "websocket.close":
            self._close(message.get("code", CloseCode.NORMAL_CLOSURE), message.get("reason") or "")
        else:
            raise RuntimeError(f"{kind} is not what may be sent now")

    def _answer(self, handshake: Handshake, kind: str, message: Message) -> None:
        match kind:
            case "websocket.accept" if not handshake.denying:
                self._accept(handshake.accept(message.get("headers", ()), message.get("subprotocol")))
            case "websocket.close" if not handshake.denying:
                self._refuse(403)
            case "websocket.http.response.start" if not handshake.denying:
                handshake.deny(message["status"], list(message.get("headers", ())))
            case "websocket.http.response.body" if handshake.denying:
                whole = handshake.denied(message.get("body", b""), more=message.get("more_body", False))
                if whole:
                    self._end_opening(whole)
            case _:
                raise RuntimeError(f"{kind} is not what may answer a handshake now")

    async def _run(self, handshake: Handshake, head: bytes) -> None:
        """Read the request when it is its turn, run the application, then see to it that the connection really ends."""
        await self._shared.pacer.turn()
        scope = self._scope_of(handshake, head) if self._stage is _Stage.OPENING else None
        del handshake, head
        if scope is None:
            return
        code = CloseCode.NORMAL_CLOSURE
        try:
            running = self._shared.app(scope, self.receive, self.send)
            del scope  # or it would be kept as long as the application runs
            await running
        except ClientDisconnected:
            pass
        except Exception:
            _log.exception("Exception in ASGI application\n")
            code = CloseCode.INTERNAL_ERROR
        finally:
            if self._handshake is not None and self._stage is _Stage.OPENING:
                self._refuse(500)
            elif self._stage is _Stage.OPEN:
                self._close(code, "")
            self._cut_later()

    # Opening

    def _asked(self, handshake: Handshake, data: bytes) -> None:
        if handshake.asked or self._stage is not _Stage.OPENING:
            self._transport.abort()  # it may say nothing before it is answered (section 4.1)
            return
        handshake.asked = True
        task = self._shared.loop.create_task(self._run(handshake, data))
        self._shared.tasks.add(task)
        task.add_done_callback(self._shared.tasks.discard)

    def _scope_of(self, handshake: Handshake, head: bytes) -> Message | None:
        """The application's scope of a request; None where that was refused."""
        request = handshake.read(head)
        shared = self._shared
        if isinstance(request, bytes):
            self._end_opening(request)
            return None
        if shared.limit is not None and len(shared.connections) > shared.limit:
            self._refuse(503)
            return None
        self._inbox.put({"type": "websocket.connect"})
        return scope_of(
            request,
            shared.root_path,
            scheme="wss" if is_ssl(self._transport) else "ws",
            server=get_local_addr(self._transport),
            client=get_remote_addr(self._transport),
            extensions={"websocket.http.response": {}, EXTENSION: self._frames},
            **shared.scope(),
        )

    def _accept(self, answer: bytes) -> None:
        self._handshake = None
        self._stage = _Stage.OPEN
        self._conn = Protocol(
            Side.SERVER, state=State.OPEN, max_size=self._shared.max_message_bytes, logger=_parser_log
        )
        self._transport.write(answer)
        self._frames.open()
        self._spoke = self._shared.keepalive.add(self)

    def _refuse(self, status: int) -> None:
        self._end_opening(refusal(status))

    def _end_opening(self, answer: bytes) -> None:
        self._stage = _Stage.CLOSED
        self._handshake = None
        self._inbox.end(CloseCode.ABNORMAL_CLOSURE)
        self._transport.write(answer)
        self._transport.close()

    # Open

    def _take(self, frame: Frame) -> None:
        if self._stage is not _Stage.OPEN:
            return
        if frame.opcode is Opcode.PONG:
            if self.unanswered is not None and bytes(frame.data) == self.unanswered:
                self.unanswered = None
        elif frame.opcode is Opcode.CONT:
            assert self._parts is not None
            self._parts += frame.data
            if frame.fin:
                whole, self._parts = bytes(self._parts), None
                self._hear(whole)
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._binary = frame.opcode is Opcode.BINARY
            if frame.fin:
                self._hear(bytes(frame.data))
            else:
                # in one buffer: a million small fragments in a list would be fifty times as large
                self._parts = bytearray(frame.data)

    def _hear(self, data: bytes) -> None:
        if self._binary:
            self._inbox.put({"type": "websocket.receive", "bytes": data}, len(data))
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            if self._conn.state is State.OPEN:
                self._conn.fail(CloseCode.INVALID_DATA)
                self._fail(self._conn.data_to_send())
            return
        self._inbox.put({"type": "websocket.receive", "text": text}, len(data))

    def _answer_pings(self, pongs: list[bytes]) -> None:
        """Never pile up answers for a peer that does not read: the last is enough (section 5.5.3)."""
        if not pongs or self._stage is not _Stage.OPEN:
            return
        if self._resumed is None:
            self._transport.write(b"".join(pongs))
        else:
            self._owed_pong = pongs[-1]

    # Closing

    def _close(self, code: int, reason: str) -> None:
        self._conn.send_close(code, reason)  # raises for a code or a reason that cannot be sent
        self._frames.flush()
        self._leave(code, reason)
        self._stage = _Stage.CLOSED
        self._transport.write(b"".join(self._conn.data_to_send()))
        self._timer = self._shared.loop.call_later(CLOSE_TIMEOUT_S, self._transport.close)

    def _fail(self, output: list[bytes]) -> None:
        """The peer broke the rules (1002, 1007, 1009): say so, and hang up when it has heard."""
        assert self._conn.close_sent is not None
        self._leave(self._conn.close_sent.code, self._conn.close_sent.reason)
        self._transport.write(b"".join(output))
        self._hang_up(CLOSE_TIMEOUT_S)

    def _hang_up(self, seconds: float) -> None:
        """End our side and wait for the peer's: closing at once, with bytes of the peer's unread, would reset the
        connection and take our close frame from it."""
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # asyncio's own loop: the peer has reset the connection
            self._transport.abort()
        else:
            self._timer = self._shared.loop.call_later(seconds, self._transport.close)

    def _leave(self, code: int, reason: str = "") -> None:
        """From now on nothing is written but a close frame."""
        if self._stage is not _Stage.CLOSED:
            self._stage = _Stage.GONE
        self._frames.end()
        self._inbox.end(code, reason)
        self._owed_pong = self._parts = self.unanswered = None
        if self._spoke is not None:
            self._shared.keepalive.remove(self, self._spoke)
            self._spoke = None

    def _cut_later(self) -> None:
        if self._linger is None and self in self._shared.connections:
            self._linger = self._shared.loop.call_later(LINGER_S, self._transport.abort)


def _framed(message: Message) -> bytes:
    data: bytes | None = message.get("bytes")
    if data is not None:
        return binary_header(len(data)) + data
    text: bytes = message["text"].encode()
    return text_header(len(text)) + text
