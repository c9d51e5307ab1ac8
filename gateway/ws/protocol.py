"""uvicorn's WebSocket protocol, with frames past ASGI, and with one more promise: who reads nothing can neither keep a
closed socket for ever, nor make us keep what it does not read.
"""

import asyncio
from typing import Any, Final
from weakref import WeakKeyDictionary

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import OPEN

from gateway.ws.frames import EXTENSION, HIGH_WATER_BYTES, LOW_WATER_BYTES, Frames, Turn

LINGER_S = 15.0

_turns: Final[WeakKeyDictionary[ServerState, Turn]] = WeakKeyDictionary()


class SocketProtocol(WebSocketsSansIOProtocol):
    """Closing a transport waits until what was written is taken; a peer with a closed window never takes it, and pings
    stop at the close. So whatever is not gone `LINGER_S` after the application finished is cut off. Longer than the ten
    seconds a close handshake may take.
    """

    _linger: asyncio.TimerHandle | None = None
    _owed_pong: bytes | None = None
    _peer_failed = False
    _frames: Frames

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self._turn = _turns.get(server_state) or _turns.setdefault(server_state, Turn(self.loop))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: HTTP has handed the connection over."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        self._frames = Frames(self._turn, self.transport, self.conn)

    def handle_connect(self, event: Request) -> None:
        """Start the application, which finds its frames in the scope."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, object] = self.scope["extensions"]  # type: ignore[assignment]
            extensions[EXTENSION] = self._frames

    async def run_asgi(self) -> None:
        """Run the application, then see to it that the connection really ends."""
        await super().run_asgi()
        self._frames.end()
        self._cut_later()

    async def send(self, message: ASGISendEvent) -> None:
        """ASGI's send: waits while the peer does not read. Raises ClientDisconnected once the peer has failed."""
        self._frames.flush()
        if self.writable.is_set():
            await self._send(message)
            return
        self._frames.hold()  # or frames written meanwhile would come before this message
        try:
            while not self.writable.is_set():
                await self.writable.wait()
            await self._send(message)
        finally:
            self._frames.release()

    async def _send(self, message: ASGISendEvent) -> None:
        if self._peer_failed:
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.accept" and self.conn.state is OPEN:
            self._frames.release()
        elif message["type"] == "websocket.close":
            self._frames.end()

    def pause_writing(self) -> None:
        """The transport holds more than it should."""
        super().pause_writing()
        self._frames.hold()

    def resume_writing(self) -> None:
        """The peer reads again."""
        if self._owed_pong is not None:
            owed, self._owed_pong = self._owed_pong, None
            self.transport.write(owed)
        super().resume_writing()
        self._frames.release()

    def data_received(self, data: bytes) -> None:
        """Take what the peer sends; it may not say anything before the handshake is answered (section 4.1)."""
        if self.handshake_initiated and not self.handshake_complete:
            self.transport.abort()
            return
        super().data_received(data)

    def handle_ping(self) -> None:
        """Answer, but never pile up answers for a peer that does not read: the last is enough (section 5.5.3)."""
        output = self.conn.data_to_send()
        if self.close_sent or not output:
            return
        if self.writable.is_set() or self.conn.state is not OPEN:
            self.transport.write(b"".join(output))
        else:
            self._owed_pong = output[-1]

    def handle_cont(self, event: Frame) -> None:
        """Gather a message's fragments in one buffer: a million small ones in a list would be fifty times as large."""
        if not isinstance(self.frames[0], bytearray):
            self.frames[0] = bytearray(self.frames[0])  # type: ignore[call-overload]
        self.frames[0] += event.data
        if event.fin:
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        """A message is whole. What is not UTF-8 is the peer's mistake (1007), and nothing for our log."""
        data, self.frames = self.frames[0], []
        if self.close_sent:
            return
        message: ASGIReceiveEvent = {"type": "websocket.receive", "bytes": bytes(data)}
        if self.curr_msg_data_type == "text":
            try:
                message = {"type": "websocket.receive", "text": data.decode()}
            except UnicodeDecodeError:
                if self.conn.state is OPEN:
                    self.conn.send_close(CloseCode.INVALID_DATA)
                    self.handle_parser_exception()
                return
        self.queue.put_nowait(message)
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def handle_close(self, event: Frame) -> None:
        """The peer closes."""
        self._frames.end()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        """The peer broke the protocol (1002, 1007, 1009): say so, and hang up when it has heard.

        Closing at once, with its bytes unread, would reset the connection and take our close frame from it.
        """
        self._frames.end()
        if self.close_sent or self.conn.close_sent is None or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._failed(self.conn.close_sent.code, self.conn.close_sent.reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)

    def keepalive_timeout(self) -> None:
        """The peer answers no pings: it is gone, and is not waited for."""
        if self.close_sent or self.transport.is_closing():
            return
        super().keepalive_timeout()
        self._failed(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
        self._cut_later()

    def _failed(self, code: int, reason: str) -> None:
        self._frames.end()
        self.close_sent = self._peer_failed = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._linger is not None:
            self._linger.cancel()
        self._frames.end()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The process goes away: close with 1012, and do not wait for those that do not read."""
        self._frames.flush()
        self._frames.end()
        if self.handshake_complete and self.conn.state is not OPEN:
            self.transport.close()  # closing already; uvicorn would raise, and the others would not be told
        else:
            super().shutdown()
        self._cut_later()

    def _cut_later(self) -> None:
        if not self.disconnected:
            self._linger = self._linger or self.loop.call_later(LINGER_S, self.transport.abort)
