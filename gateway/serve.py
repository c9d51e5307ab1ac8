"""`esb serve`: build the parts, serve until told to stop, take the parts down again in the right order."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from types import FrameType

import structlog
import uvicorn
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.drain import Drain
from gateway.settings import Settings, is_loopback
from gateway.telemetry.logs import configure_logs
from gateway.ws.protocol import SocketProtocol
from schema.errors import EsbError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger(__name__)


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


def serve(settings: Settings) -> int:
    """Run the gateway until SIGTERM or SIGINT; the process's exit code. A second SIGINT does not wait any longer."""
    import uvloop

    configure_logs(settings.log_format, settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    from gateway.wiring import build

    stopping = _Stopping()
    try:
        # bound first: a port in use is said before PostgreSQL is started for nothing
        listener = _listener(settings)
    except OSError as error:
        _log.error("cannot listen", host=settings.host, port=settings.port, reason=error.strerror)
        return 1
    with contextlib.closing(listener):
        try:
            async with build(settings) as gateway:
                server = Server(_config(settings, create_app(gateway)), gateway.drain)
                stopping.serving(server)
                _say_where(settings, listener)
                await server.serve([listener])
        except EsbError as error:
            _log.error("cannot start", code=error.code.value, reason=error.message)
            return 1
        except asyncio.CancelledError:
            if not stopping.asked:
                raise
    return 0


class _Stopping:
    """Turns signals into an orderly end, at whatever stage they come."""

    def __init__(self) -> None:
        self.asked = False
        self._task = asyncio.current_task()
        self._server: Server | None = None
        for each in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(each, self._on, each)

    def serving(self, server: Server) -> None:
        """From now on the server is what has to stop."""
        self._server = server

    def _on(self, number: signal.Signals) -> None:
        first, self.asked = not self.asked, True
        if self._server is not None:
            self._server.handle_exit(number, _NO_FRAME)
        elif first and self._task is not None:
            self._task.cancel()


_NO_FRAME: FrameType | None = None


def _listener(settings: Settings) -> socket.socket:
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


def _config(settings: Settings, app: Starlette) -> uvicorn.Config:
    limits = settings.limits
    return uvicorn.Config(
        app,
        loop="none",
        http="httptools",
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


def _say_where(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host  # noqa: S104 - compared only
    url = f"http://{shown}:{port}"
    _log.info("serving", url=url, graphiql=f"{url}/graphql", dev=settings.dev)
    if settings.dev:
        hint = "" if is_loopback(settings.host) else " (without a token: it listens beyond this machine)"
        print(f"\n  GraphiQL: {url}/graphql{hint}\n", file=sys.stderr, flush=True)  # noqa: T201
