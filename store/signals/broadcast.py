"""Signals over the `broadcaster` package, whatever its backend.

What broadcaster leaves open is closed here. Its first subscribers race each other, and a channel without subscribers is
not listened to: there is one channel, subscribed once, before anything is sent. A killed connection leaves subscribers
waiting for ever: each process sends itself a message now and then, and who does not hear itself connects anew. Its
queues have no bound: the one here is emptied as fast as it fills, because listeners only take note. No call to it is
without a deadline.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any

from broadcaster import Broadcast
from broadcaster._backends.base import BroadcastBackend
from broadcaster._base import Subscriber

from store.signals.port import EVERYTHING

log = logging.getLogger(__name__)

CHANNEL = "esb_signals"
LOST = ""
"""A message no process sends: a backend that sees its connection go hands it out, and broadcaster passes it on."""

_DEADLINE_S = 2.0
_ECHO_EVERY_S = 2.0
_LONGEST_PAUSE_S = 2.0
_MAX_PENDING = 10_000
_MAX_MESSAGE_BYTES = 7_000  # NOTIFY carries less than 8,000


class BroadcastSignals:
    """`store.signals.port.Signals`. `backend`: makes a fresh, unconnected backend for each attempt to connect.

    Listeners of this process are called directly, so they hear of its own changes while the wire is down.
    """

    def __init__(self, backend: Callable[[], BroadcastBackend], *, echo_every_s: float = _ECHO_EVERY_S) -> None:
        self._backend = backend
        self._echo_every_s = echo_every_s
        self._me = secrets.token_hex(8)
        self._listeners: list[Callable[[str], None]] = []
        self._own_listeners: list[Callable[[str], None]] = []
        self._near: set[str] = set()
        self._far: set[str] = set()
        self._to_send = asyncio.Event()
        self._heard = asyncio.Event()
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether messages pass now, as far as is known."""
        return self._connected.is_set()

    def notify(self, topic: str) -> None:
        """Wake listeners here at the end of this tick of the loop, and those of other processes soon after."""
        if not self._near:
            asyncio.get_running_loop().call_soon(self._wake_near)
        self._near.add(topic)
        if len(self._far) >= _MAX_PENDING:  # nobody has taken them for long
            self._far = {EVERYTHING}
        self._far.add(topic)
        self._to_send.set()

    def listen(self, callback: Callable[[str], None], *, own: bool = True) -> None:
        """Call `callback` with the topics of every process, or of every other one."""
        self._listeners.append(callback)
        if own:
            self._own_listeners.append(callback)

    async def start(self) -> None:
        """Begin to connect; returns once connected, or after two seconds."""
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name="signals")
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await self._connected.wait()
        except TimeoutError:
            log.warning("no signals yet: their server does not answer; until it does, other processes are polled")

    async def stop(self) -> None:
        """Disconnect; may be called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=2 * _DEADLINE_S)
            if not task.done():
                log.error("the connection for signals does not let go; it is left behind")

    def _wake_near(self) -> None:
        topics, self._near = self._near, set()
        self._wake(topics, self._own_listeners)

    def _wake(self, topics: Iterable[str], listeners: Sequence[Callable[[str], None]]) -> None:
        for topic in topics:
            for listener in listeners:
                try:
                    listener(topic)
                except Exception:
                    log.exception("a listener failed at signal %s", topic)

    async def _stay_connected(self) -> None:
        pause = 0.0
        while not _cancelled():
            try:
                await self._session()
            except Exception as failure:
                if self._connected.is_set() or pause == 0.0:
                    log.warning("signals are interrupted, connecting anew: %s", failure or type(failure).__name__)
                if self._connected.is_set():
                    pause = 0.0
            finally:
                self._connected.clear()
            pause = min(_LONGEST_PAUSE_S, pause * 2 or 0.1)
            await asyncio.sleep(0 if _cancelled() else pause)

    async def _session(self) -> None:
        """One connection, from its beginning to its end, which is always a failure or a cancellation."""
        backend = self._backend()
        broadcast = Broadcast(backend=backend)
        subscription = broadcast.subscribe(CHANNEL)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await broadcast.connect()
                subscriber = await subscription.__aenter__()
            if _cancelled():
                return
            await _until_one_ends(self._receive(subscriber), self._echo(broadcast), self._send(broadcast))
        finally:
            farewells: Sequence[Callable[[], Awaitable[object]]] = (
                lambda: subscription.__aexit__(None, None, None),
                broadcast.disconnect,
                backend.disconnect,
            )
            for farewell in farewells:
                with contextlib.suppress(Exception):  # of a connection that is being given up
                    async with asyncio.timeout(_DEADLINE_S / 4):
                        await farewell()

    async def _receive(self, subscriber: Subscriber) -> None:
        while True:
            message = (await subscriber.get()).message
            if message == LOST:
                raise ConnectionError("the connection was lost")
            sender, *topics = message.split(" ")
            if sender == self._me:
                self._heard.set()
            else:
                self._wake(topics, self._listeners)

    async def _echo(self, broadcast: Broadcast) -> None:
        while not _cancelled():
            self._heard.clear()
            async with asyncio.timeout(_DEADLINE_S):
                await broadcast.publish(CHANNEL, self._me)
                await self._heard.wait()
            if not self._connected.is_set():
                self._connected.set()
                self._wake([EVERYTHING], self._listeners)
            await asyncio.sleep(self._echo_every_s)

    async def _send(self, broadcast: Broadcast) -> None:
        await self._connected.wait()
        while not _cancelled():
            await self._to_send.wait()
            self._to_send.clear()
            topics, self._far = self._far, set()
            try:
                for message in _messages(self._me, topics):
                    async with asyncio.timeout(_DEADLINE_S):
                        await broadcast.publish(CHANNEL, message)
            except BaseException:
                self._far |= topics  # for the next connection; twice is no harm
                self._to_send.set()
                raise


async def _until_one_ends(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts beside each other until one ends, and raise what it raised.

    Not a TaskGroup: before Python 3.13 that leaves its task looking cancelled.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_DEADLINE_S / 2)
    failures = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    for failure in failures:
        if failure is not None:
            raise failure


def _cancelled() -> bool:
    """Whether this task was told to end. Asked again after every call into a driver, where a cancellation may get lost:
    in `wait_for` before Python 3.12, when it comes together with the result, and in broadcaster's `subscribe`, which
    turns it into a KeyError."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _messages(sender: str, topics: Iterable[str]) -> Iterator[str]:
    """The topics as few messages, each within the limit."""
    message = sender
    for topic in topics:
        if len(message) + len(topic) >= _MAX_MESSAGE_BYTES:
            yield message
            message = sender
        message += " " + topic
    yield message
