"""uvicorn as we run it: our signals, our WebSocket protocol, our limits."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from gateway.accept import Listener
from gateway.drain import Drain
from gateway.http_protocol import HttpProtocol
from gateway.settings import Settings
from gateway.ws.protocol import SocketProtocol
from processors.live.pacer import Pacer


class Server(uvicorn.Server):
    """uvicorn, told when draining begins; signals are handled by `serve`, which also hears them while parts start.

    Listens to the sockets it is given, and to nothing else.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain
        self.on_serving: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        kind = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        protocol = partial(kind, self.config, self.server_state, self.lifespan.state)
        # of their own: behind all that newcomers want besides, who calls for a moment only would wait for seconds
        pacer = Pacer()
        listeners = [Listener(each, protocol, pacer, backlog=self.config.backlog) for each in sockets or ()]
        self.servers = cast("list[asyncio.base_events.Server]", listeners)
        for listener in listeners:
            listener.start()
        self.started = True
        if self.on_serving is not None:
            self.on_serving()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, close WebSockets with 1012, let requests in flight finish (see gateway.drain)."""
        self._drain.begin()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn would raise them again at the end, and the process would not exit with 0."""
        yield


def listening(settings: Settings, port: int | None = None, *, shared: bool = False) -> socket.socket:
    """A socket bound to the configured address; raises OSError when that is taken.

    `port`: instead of the configured one. `shared`: others of this user may bind it too, and the kernel spreads
    connections over all that listen (SO_REUSEPORT).
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((settings.host, settings.port if port is None else port))
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def server_config(settings: Settings, app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves the application."""
    limits = settings.limits
    return uvicorn.Config(
        app,
        interface="asgi3",  # uvicorn takes an application that only returns a coroutine for an older kind
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
