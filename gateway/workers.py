"""`esb serve --workers N`: one process that starts N gateways on one port, keeps them running and takes them down.

The supervisor itself serves nothing and holds no state, so that it has little to die of: it forks workers, waits for
them, starts those that ended again, and passes signals on. Workers share the port by SO_REUSEPORT (each binds its own
socket, so what waits to be accepted goes with its worker, and the kernel spreads new connections over the others). They
find each other as gateways on several machines do: in PostgreSQL, by signals.

A worker holds the reading end of a pipe whose writing end only the supervisor has: a supervisor that is gone, however
it ended, is noticed by its end, and the worker drains.
"""

import contextlib
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple

import structlog

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STEADY_S = 10.0
"""A worker that ran for so long is started again without a pause."""

_ASKED = (signal.SIGTERM, signal.SIGINT)
_WAKING = (*_ASKED, signal.SIGCHLD)

_log = structlog.get_logger(__name__)


class Worker(NamedTuple):
    """What a worker knows of its place. `lifeline`: a descriptor that ends when the supervisor does; `ready_end`: one
    that it listens to.
    """

    number: int
    lifeline: int
    ready_end: int

    def ready(self) -> None:
        """Tell the supervisor that this worker serves."""
        with contextlib.suppress(OSError):  # it is gone: the lifeline says so too
            os.write(self.ready_end, b".")


class _Place:
    """One worker's place, whoever fills it now."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid: int | None = None
        self.ready_end: int | None = None
        self.ready = False
        self.began = 0.0
        self.pause = 0.0
        self.due = 0.0

    def ended(self, now: float) -> None:
        steady = now - self.began >= STEADY_S
        self.pause = 0.0 if steady else min(LONGEST_PAUSE_S, self.pause * 2 or FIRST_PAUSE_S)
        self.due = now + self.pause
        self.pid, self.ready = None, False
        self.close()

    def close(self) -> None:
        if self.ready_end is not None:
            os.close(self.ready_end)
            self.ready_end = None


class Supervisor:
    """Runs `count` workers. `work`: a worker's whole life, its exit code comes back. `grace_s`: how long workers may
    take to end before they are killed. `serving`: called with the workers' process ids when all of them serve.

    The process must have no other thread and no running event loop: it forks.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[Worker], int],
        *,
        grace_s: float,
        serving: Callable[[list[int]], None],
    ) -> None:
        self._places = [_Place(number) for number in range(count)]
        self._work = work
        self._grace_s = grace_s
        self._serving = serving
        self._served = False
        self._signals: list[int] = []
        self._stopping: float | None = None
        self._code = 0
        self._wake, self._waker = os.pipe()
        self._lifeline, self._life = os.pipe()

    def run(self) -> int:
        """Until SIGTERM or SIGINT has ended them all, or the first start fails; the exit code."""
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in _WAKING:
            signal.signal(number, self._note)
        while self._stopping is None or self._running():
            self._reap()
            self._pass_on()
            if self._stopping is None:
                self._start_due()
            self._wait()
        return self._code

    def _running(self) -> list[_Place]:
        return [place for place in self._places if place.pid is not None]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _wait(self) -> None:
        """Until a signal comes, a worker says that it serves, or something is due."""
        now = time.monotonic()
        if self._stopping is not None:
            due = [self._stopping] if self._running() else [now]
        else:
            due = [place.due for place in self._places if place.pid is None]
        expecting = {place.ready_end: place for place in self._places if place.ready_end is not None}
        ends = [self._wake, *expecting]
        readable, _, _ = select.select(ends, [], [], max(0.0, min(due) - now) if due else None)
        for end in readable:
            said = os.read(end, 4096)
            if end in expecting:
                expecting[end].close()
                expecting[end].ready = bool(said)
        if any(place.ready for place in self._places) and all(place.ready for place in self._places):
            self._all_serve()

    def _all_serve(self) -> None:
        if not self._served:
            self._served = True
            self._serving([place.pid for place in self._places if place.pid is not None])

    def _reap(self) -> None:
        for place in self._running():
            assert place.pid is not None
            pid, status = os.waitpid(place.pid, os.WNOHANG)
            if pid:
                self._ended(place, os.waitstatus_to_exitcode(status))

    def _ended(self, place: _Place, code: int) -> None:
        pid, now = place.pid, time.monotonic()
        place.ended(now)
        if self._stopping is not None:
            if code not in (0, -signal.SIGTERM, -signal.SIGINT):  # those came before the worker could listen to them
                self._code = 1
            return
        if not self._served and code > 0:
            # what keeps one from starting keeps them all; it has said why
            self._code = code
            self._stop(signal.SIGTERM)
            return
        _log.error("worker ended, starting it again", worker=place.number, pid=pid, exit=code, pause_s=place.pause)

    def _pass_on(self) -> None:
        asked, self._signals = [number for number in self._signals if number in _ASKED], []
        for number in asked:
            self._stop(number)
        if self._stopping is not None and time.monotonic() >= self._stopping:
            self._stopping = time.monotonic() + self._grace_s
            self._code = 1
            for place in self._running():
                _log.error("worker does not end, killing it", worker=place.number, pid=place.pid)
                self._send(place, signal.SIGKILL)

    def _stop(self, number: int) -> None:
        if self._stopping is None:
            self._stopping = time.monotonic() + self._grace_s
        for place in self._running():
            self._send(place, number)

    def _send(self, place: _Place, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            assert place.pid is not None
            os.kill(place.pid, number)

    def _start_due(self) -> None:
        for place in self._places:
            if place.pid is None and place.due <= time.monotonic():
                self._start(place)

    def _start(self, place: _Place) -> None:
        place.ready_end, ready = os.pipe()
        place.began = time.monotonic()
        # a signal between the fork and the child's own handlers would be noted there by ours, and forgotten
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAKING)
        try:
            place.pid = os.fork()
            if place.pid == 0:
                self._live(Worker(place.number, self._lifeline, ready))
        except OSError as error:
            place.ended(place.began)
            _log.error("worker cannot be started", worker=place.number, reason=error.strerror, pause_s=place.pause)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAKING)
            os.close(ready)

    def _live(self, worker: Worker) -> None:
        """The child's life, from fork to end; never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _WAKING:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAKING)
            os.setpgid(0, 0)  # Ctrl-C in a terminal goes to the supervisor alone, which passes it on
            for end in (self._wake, self._waker, self._life):
                os.close(end)
            for place in self._places:
                place.close()
            code = self._work(worker)
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code)
