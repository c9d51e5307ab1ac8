"""`esb serve`: build the parts, serve until told to stop, take the parts down again in the right order."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import FrameType
from typing import Protocol

import structlog
from starlette.types import ASGIApp

from gateway.app import Gateway, create_app
from gateway.heap import garbage_by_the_clock, settle_heap
from gateway.probes import Scraped
from gateway.server import Server, listening, server_config
from gateway.settings import Settings, is_loopback
from gateway.telemetry.logs import configure_logs
from schema.errors import EsbError
from store.embedded import EmbeddedPostgresError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger(__name__)


class Place(Protocol):
    """The place of one gateway among several that serve a port as one."""

    @property
    def doors(self) -> Sequence[socket.socket]:
        """What this one listens on besides the port."""

    def among_others(self, app: ASGIApp) -> AbstractAsyncContextManager[ASGIApp]:
        """The application, which passes on to others what is theirs, for as long as the block runs."""

    def watch(self, gone: Callable[[], None]) -> None:
        """Call back, once, when whoever looks after the gateways is gone."""

    def metrics(self, own: Scraped) -> AbstractAsyncContextManager[Scraped]:
        """The metrics of all of them, for as long as the block runs."""

    def ready(self) -> None:
        """This one serves now."""


def serve(settings: Settings) -> int:
    """Run the gateway until SIGTERM or SIGINT; the process's exit code. A second SIGINT does not wait any longer."""
    configure_logs(settings.log_format, settings.log_level)
    try:
        # bound first: a port in use is said before PostgreSQL is started for nothing
        listener = listening(settings)
    except OSError as error:
        _log.error("cannot listen", host=settings.host, port=settings.port, reason=error.strerror)
        return 1
    with listener:
        if settings.workers == 1:
            return run(settings, listener)
        port = listener.getsockname()[1]
    from gateway.serve_workers import serve_workers

    return serve_workers(settings, port)


def run(settings: Settings, listener: socket.socket, place: Place | None = None) -> int:
    """Run one gateway in this process; its exit code. `place`: its place among several, where it has one."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings, listener, place))


async def _run(settings: Settings, listener: socket.socket, place: Place | None) -> int:
    from gateway.wiring import build

    stopping = _Stopping()
    if place is not None:
        place.watch(lambda: stopping.on(signal.SIGTERM))
    try:
        async with build(settings) as gateway, _placed(gateway, place) as placed, contextlib.AsyncExitStack() as stack:
            app: ASGIApp = create_app(placed)
            if place is not None:
                app = await stack.enter_async_context(place.among_others(app))
            server = Server(server_config(settings, app), placed.drain)
            stopping.serving(server)
            settle_heap()
            await stack.enter_async_context(garbage_by_the_clock())
            if place is None:
                say_where(settings, listener.getsockname()[1])
            server.on_serving = place.ready if place is not None else None
            await server.serve([listener, *(place.doors if place is not None else ())])
    except (EsbError, EmbeddedPostgresError) as error:
        _log.error("cannot start", reason=str(error), hint="`esb doctor` looks at every part")
        return 1
    except asyncio.CancelledError:
        if not stopping.asked:
            raise
    return 0


@contextlib.asynccontextmanager
async def _placed(gateway: Gateway, place: Place | None) -> AsyncIterator[Gateway]:
    """The gateway, whose metrics are those of all where it is one of several."""
    if place is None:
        yield gateway
        return
    async with place.metrics(gateway.metrics) as metrics:
        yield replace(gateway, metrics=metrics)


class _Stopping:
    """Turns signals into an orderly end, at whatever stage they come."""

    def __init__(self) -> None:
        self.asked = False
        self._task = asyncio.current_task()
        self._server: Server | None = None
        for each in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(each, self.on, each)

    def serving(self, server: Server) -> None:
        """From now on the server is what has to stop."""
        self._server = server

    def on(self, number: signal.Signals) -> None:
        """A signal came, or what is as good as one."""
        first, self.asked = not self.asked, True
        if self._server is not None:
            self._server.handle_exit(number, _NO_FRAME)
        elif first and self._task is not None:
            self._task.cancel()


_NO_FRAME: FrameType | None = None


def say_where(settings: Settings, port: int, **more: object) -> None:
    """One line of log, and in development mode one for the person at the terminal. `more`: for the log."""
    host = settings.host
    shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host  # noqa: S104 - compared only
    url = f"http://{shown}:{port}"
    _log.info("serving", url=url, graphiql=f"{url}/graphql", dev=settings.dev, **more)
    if settings.dev:
        hint = "" if is_loopback(settings.host) else " (without a token: it listens beyond this machine)"
        print(f"\n  GraphiQL: {url}/graphql{hint}\n", file=sys.stderr, flush=True)  # noqa: T201
