"""Several gateways on one port, each in a process of its own: what they share, and the place each has."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from secrets import token_hex

from starlette.types import ASGIApp

from gateway.probes import Scraped
from gateway.serve import run, say_where
from gateway.server import listening
from gateway.settings import Settings
from gateway.telemetry import logs
from gateway.telemetry.siblings import Siblings
from gateway.workers import Supervisor, Worker

_LAST_STEPS_S = 30.0
"""What ends after the drain: PostgreSQL's shutdown, if it is the embedded one."""


def serve_workers(settings: Settings, port: int) -> int:
    """Run `settings.workers` gateways on the port until SIGTERM or SIGINT; the exit code.

    `port`: one that was free a moment ago.
    """
    # imported before the fork: the workers share these pages, and start in a fraction of the time
    import gateway.wiring  # noqa: F401

    with ExitStack() as stack:
        # bound, and never listening: it keeps the port while no worker runs
        stack.enter_context(listening(settings, port, shared=True))
        # held here, so that each has its address for as long as the gateway runs, whoever is worker then
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(settings.workers)]
        doors = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(settings.workers)]
        secret = token_hex().encode()
        gc.collect()
        gc.freeze()
        supervisor = Supervisor(
            settings.workers,
            lambda worker: _work(settings, port, _Place(worker, listeners, doors, secret)),
            grace_s=settings.limits.drain_timeout_s + _LAST_STEPS_S,
            serving=lambda pids: say_where(settings, port, workers=pids),
        )
        return supervisor.run()


def _work(settings: Settings, port: int, place: "_Place") -> int:
    logs.worker.set(place.number)
    with listening(settings, port, shared=True) as listener:
        return run(settings, listener, place)


class _Place:
    """A worker's place, as gateway.serve sees it. `listeners`, `doors`: what each worker answers the others on, by
    its metrics and for the event streams it holds. `secret`: by which workers know each other.
    """

    def __init__(
        self, worker: Worker, listeners: Sequence[socket.socket], doors: Sequence[socket.socket], secret: bytes
    ) -> None:
        self._worker = worker
        self._listeners = listeners
        self._doors = doors
        self._secret = secret

    @property
    def number(self) -> int:
        """The worker's."""
        return self._worker.number

    @property
    def doors(self) -> Sequence[socket.socket]:
        """What this one listens on besides the port."""
        return self._doors[self.number : self.number + 1]

    @contextlib.asynccontextmanager
    async def among_others(self, app: ASGIApp) -> AsyncIterator[ASGIApp]:
        """The application, which passes on to others what is theirs."""
        from gateway.neighbours import Neighbours

        addresses = [door.getsockname()[:2] for door in self._doors]
        neighbours = Neighbours(app, self.number, addresses, self._secret)
        try:
            yield neighbours
        finally:
            await neighbours.close()

    def watch(self, gone: Callable[[], None]) -> None:
        """Call back when the supervisor is gone."""
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(self._worker.lifeline)
            gone()

        loop.add_reader(self._worker.lifeline, ended)

    def metrics(self, own: Scraped) -> AbstractAsyncContextManager[Scraped]:
        """Those of all workers."""
        return _running(Siblings(self._worker.number, self._listeners, own))

    def ready(self) -> None:
        """Tell the supervisor."""
        self._worker.ready()


@contextlib.asynccontextmanager
async def _running(siblings: Siblings) -> AsyncIterator[Scraped]:
    await siblings.start()
    try:
        yield siblings
    finally:
        await siblings.stop()
