"""uvicorn's HTTP protocol with one more promise: an answer that nobody reads can be cut off.

Closing a transport waits until what was written is taken; a peer with a closed window never takes it. ASGI has no word
for cutting a connection off, so the application gets one as an extension of its scope.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

ABORT = "esb.abort"
"""The extension's name: its value is called, without arguments, to drop the connection and what waits for its peer."""


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection."""

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: self.transport.abort}  # type: ignore[dict-item]

    def handle_websocket_upgrade(self) -> None:
        """The connection becomes a WebSocket's; the parser, which holds us, would wait for the garbage collector."""
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]
