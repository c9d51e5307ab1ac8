"""uvicorn as we run it: our signals, our WebSocket protocol, our limits."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from gateway.drain import Drain
from gateway.http_protocol import HttpProtocol
from gateway.settings import Settings
from gateway.ws.protocol import SocketProtocol


class Server(uvicorn.Server):
    """uvicorn, told when draining begins; signals are handled by `serve`, which also hears them while parts start."""

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, close WebSockets with 1012, let requests in flight finish (see gateway.drain)."""
        self._drain.begin()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn would raise them again at the end, and the process would not exit with 0."""
        yield


def listening(settings: Settings) -> socket.socket:
    """A socket bound to the configured address; raises OSError when that is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def server_config(settings: Settings, app: Starlette) -> uvicorn.Config:
    """How uvicorn serves the application."""
    limits = settings.limits
    return uvicorn.Config(
        app,
        loop="none",
        http=HttpProtocol,
        ws=SocketProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        limit_concurrency=limits.sockets,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(limits.drain_timeout_s) or 1,
        backlog=2048,
        ws_max_size=limits.websocket_message_bytes,
        ws_ping_interval=limits.ping_interval_s,
        ws_ping_timeout=limits.ping_interval_s,
        # compression costs more than loopback and most networks save, and ~300 KB a socket
        ws_per_message_deflate=False,
    )
