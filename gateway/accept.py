"""New connections are served one at a time, as the pacer says.

An event loop's own server serves all that wait at once: of a thousand clients who come back in one moment each
handshake would be dealt with before anything else. Here they wait for their turn.
"""

import asyncio
import collections
import errno
import logging
import socket
from collections.abc import Callable

from processors.live.pacer import Pacer

WAITING = 16_384
AT_ONCE = 32
RETRY_S = 1.0
_OUT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = logging.getLogger(__name__)


class Listener:
    """One listening socket, from `start` to `close`; connections that are open outlive it. uvicorn takes it for an
    `asyncio.Server`.

    Parameters
    ----------
    listening:
        Bound, and not blocking; closed with this.
    protocol:
        Makes the protocol of a connection.
    backlog:
        How many connections may wait to be accepted.
    """

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        pacer: Pacer,
        *,
        backlog: int,
    ) -> None:
        self.sockets = (listening,)
        self._listening = listening
        self._protocol = protocol
        self._pacer = pacer
        self._backlog = backlog
        self._loop = asyncio.get_running_loop()
        self._waiting: collections.deque[socket.socket] = collections.deque()
        self._some = asyncio.Event()
        self._reading = self._held = False
        self._task: asyncio.Task[None] | None = None
        self._connecting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._listening.setblocking(False)
        self._listening.listen(self._backlog)
        self._read_on()
        self._task = asyncio.create_task(self._serve(), name="accept")

    def close(self) -> None:
        """Accept no more; who was waiting is hung up on. May be called twice."""
        if self._task is not None and self._listening.fileno() >= 0:
            self._pause()
            self._held = True
            self._task.cancel()
            while self._waiting:
                self._waiting.popleft().close()

    async def wait_closed(self) -> None:
        """Until nothing of it runs any more."""
        for task in (self._task, self._connecting):
            if task is not None:
                await asyncio.wait([task])
        self._listening.close()

    def _pause(self) -> None:
        self._loop.remove_reader(self._listening)
        self._reading = False

    def _read_on(self) -> None:
        if not (self._reading or self._held) and len(self._waiting) < WAITING:
            self._loop.add_reader(self._listening, self._take)
            self._reading = True

    def _take(self) -> None:
        """Take some from the kernel: it forgets those that do not fit into its own queue, who try again much later."""
        try:
            for _ in range(AT_ONCE):
                self._waiting.append(self._listening.accept()[0])
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in _OUT_OF:
                _log.error("no connection can be accepted for now: %s", error.strerror)
                self._pause()
                self._held = True
                self._loop.call_later(RETRY_S, self._retry)
        if self._waiting:
            self._some.set()
        if len(self._waiting) >= WAITING:
            self._pause()

    def _retry(self) -> None:
        if self._task is not None and not self._task.cancelling():
            self._held = False
            self._read_on()

    async def _serve(self) -> None:
        while True:
            while not self._waiting:
                self._some.clear()
                await self._some.wait()
            await self._pacer.turn()
            connection = self._waiting.popleft()
            self._read_on()
            self._connecting = asyncio.create_task(self._connect(connection), name="connect")
            # cut off in between, a connection would be made and its protocol never told of its end
            await asyncio.shield(self._connecting)

    async def _connect(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()  # it has gone
        except Exception:
            _log.exception("a connection could not be made")  # the others still can
            connection.close()
