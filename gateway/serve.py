"""`esb serve`: build the parts, serve until told to stop, take the parts down again in the right order."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from types import FrameType

import structlog

from gateway.app import create_app
from gateway.server import Server, listening, server_config
from gateway.settings import Settings, is_loopback
from gateway.telemetry.logs import configure_logs
from schema.errors import EsbError
from store.embedded import EmbeddedPostgresError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger(__name__)


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
        listener = listening(settings)
    except OSError as error:
        _log.error("cannot listen", host=settings.host, port=settings.port, reason=error.strerror)
        return 1
    with contextlib.closing(listener):
        try:
            async with build(settings) as gateway:
                server = Server(server_config(settings, create_app(gateway)), gateway.drain)
                stopping.serving(server)
                settle_heap()
                _say_where(settings, listener)
                await server.serve([listener])
        except (EsbError, EmbeddedPostgresError) as error:
            _log.error("cannot start", reason=str(error), hint="`esb doctor` looks at every part")
            return 1
        except asyncio.CancelledError:
            if not stopping.asked:
                raise
    return 0


def settle_heap() -> None:
    """What the start made stays for ever: a collection that walks all of it costs a fifth of a publish, and stops the
    loop for tens of milliseconds. Garbage in cycles is rare here, and looked for every 10,000 objects instead of 700.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


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


def _say_where(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host  # noqa: S104 - compared only
    url = f"http://{shown}:{port}"
    _log.info("serving", url=url, graphiql=f"{url}/graphql", dev=settings.dev)
    if settings.dev:
        hint = "" if is_loopback(settings.host) else " (without a token: it listens beyond this machine)"
        print(f"\n  GraphiQL: {url}/graphql{hint}\n", file=sys.stderr, flush=True)  # noqa: T201
