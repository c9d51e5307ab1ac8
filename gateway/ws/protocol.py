"""uvicorn's WebSocket protocol with one more promise: who reads nothing cannot keep a closed socket for ever."""

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER_S = 15.0


class SocketProtocol(WebSocketsSansIOProtocol):
    """Closing a transport waits until what was written is taken; a peer with a closed window never takes it, and pings
    stop at the close. So whatever is not gone `LINGER_S` after the application finished is cut off. Longer than the ten
    seconds a close handshake may take.
    """

    _linger: asyncio.TimerHandle | None = None

    async def run_asgi(self) -> None:
        """Run the application, then see to it that the connection really ends."""
        await super().run_asgi()
        if not self.disconnected:
            self._linger = self.loop.call_later(LINGER_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._linger is not None:
            self._linger.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The process goes away: close with 1012, and do not wait for those that do not read."""
        super().shutdown()
        self._linger = self._linger or self.loop.call_later(LINGER_S, self.transport.abort)
