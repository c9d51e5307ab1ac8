"""uvicorn's HTTP protocol with two more promises: an answer that nobody reads can be cut off, and a short one leaves in
one piece.

Closing a transport waits until what was written is taken; a peer with a closed window never takes it. ASGI has no word
for cutting a connection off, so the application gets one as an extension of its scope.

ASGI's two messages of an answer are two writes, and a write is a system call: a fifth of what HTTP costs a publish.
"""

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

ABORT = "esb.abort"
"""The extension's name: its value is called, without arguments, to drop the connection and what waits for its peer."""


_CONTINUE = b"HTTP/1.1 100 "
_GONE = None


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection."""

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: self.transport.abort}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        """Its headers are there: it is handed to the application, in a task that has not begun yet."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before and self.scope["method"] != "HEAD":
            self.cycle.transport = cast("asyncio.Transport", _Gathered(self.transport))

    def handle_websocket_upgrade(self) -> None:
        """The connection becomes a WebSocket's; the parser, which holds us, would wait for the garbage collector."""
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]


class _Gathered:
    """The transport as one answer's writer sees it: the head of an answer that says its length waits for the body.

    An answer without a length is a stream, whose reader may have to see its head long before anything else.
    """

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = b""

    def write(self, data: bytes) -> None:
        """Write; or keep a head for the next write, which uvicorn makes even where the body is empty."""
        if self._head is _GONE:
            self._transport.write(data)
        elif self._head:
            self._transport.writelines([self._head, data])
            self._head = _GONE
        elif b"\r\ncontent-length: " in data:
            self._head = data
        else:
            self._transport.write(data)
            if not data.startswith(_CONTINUE):
                self._head = _GONE

    def close(self) -> None:
        """Close, after all that was written."""
        if self._head:
            self.write(b"")
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport.is_closing()
