"""Work by name, shared among processes: each name served by one process at a time, under its lease, a bounded number
at once.

Whoever has served long enough gives its slot away when others wait, so more names than slots only take turns. A name
that fails rests longer and longer; the others do not notice.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from processors.worker import Worker
from schema.errors import EsbError
from store.leases import Lease, Leases

_log = logging.getLogger(__name__)

_FIRST_REST_S = 0.2
_LONGEST_REST_S = 15.0
_GRACE_S = 3.0


class Turn:
    """One turn of serving a name. `wake` is set when there may be more to do."""

    def __init__(self, lease: Lease, over: Callable[["Turn"], bool]) -> None:
        self.lease = lease
        self.wake = asyncio.Event()
        self.began = time.monotonic()
        self._over = over

    @property
    def over(self) -> bool:
        """Whether to stop after what is in hand: the lease is gone, or others wait for the slot."""
        return self._over(self)

    async def rest(self, seconds: float) -> None:
        """Wait until woken, or the lease is lost, or for `seconds`."""
        waits = {asyncio.ensure_future(self.wake.wait()), asyncio.ensure_future(self.lease.lost.wait())}
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)
        self.wake.clear()


class Due(Protocol):
    """Says which names have work."""

    def __call__(self) -> Awaitable[Collection[str]]:
        """The names, asked at every poll."""
        ...


class Rota:
    """Serves names that have work.

    `prefix`: of the leases' names. `due`: polled every `poll_s` seconds. `serve`: one turn; returns when there is
    nothing to do for now, or the turn is over. `slots`: names served at once. `slice_s`: seconds a turn lasts at least.
    """

    def __init__(
        self,
        prefix: str,
        leases: Leases,
        due: Due,
        serve: Callable[[str, Turn], Awaitable[None]],
        *,
        slots: int = 32,
        slice_s: float = 10.0,
        poll_s: float = 1.0,
    ) -> None:
        self._prefix = prefix
        self._leases = leases
        self._due = due
        self._serve = serve
        self._slots = slots
        self._slice_s = slice_s
        self._poll_s = poll_s
        self._waiting: dict[str, None] = {}
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[str, Turn] = {}
        self._resting: dict[str, tuple[float, float]] = {}
        self._bell = asyncio.Event()
        self._stopping = False
        self._worker = Worker(prefix, self._run)

    async def start(self) -> None:
        """Begin. May be called twice."""
        self._stopping = False
        await self._worker.start()

    async def stop(self) -> None:
        """Let every turn finish what is in hand, for a few seconds; give the leases back. May be called twice."""
        # A transaction cut short would hold up the topics' readers until Kafka times it out.
        self._stopping = True
        for turn in self._turns.values():
            turn.wake.set()
        if self._serving:
            await asyncio.wait(set(self._serving.values()), timeout=_GRACE_S)
        await self._worker.stop()

    @property
    def serving(self) -> frozenset[str]:
        """The names this process serves now."""
        return frozenset(self._turns)

    def call(self, name: str) -> None:
        """There is work for `name`, said before the poll would find it. Never blocks."""
        turn = self._turns.get(name)
        if turn is not None:
            turn.wake.set()
        else:
            self._waiting[name] = None
            self._bell.set()

    async def _run(self) -> None:
        try:
            poll_at = 0.0
            while True:
                self._bell.clear()
                if time.monotonic() >= poll_at:
                    poll_at = await self._poll()
                self._fill()
                try:
                    async with asyncio.timeout(max(0.0, poll_at - time.monotonic())):
                        await self._bell.wait()
                except TimeoutError:
                    continue
        finally:
            tasks = set(self._serving.values())
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _poll(self) -> float:
        """Ask who has work; when to ask again."""
        began = time.monotonic()
        try:
            for name in await self._due():
                self.call(name)
        except EsbError as error:
            # Turns under way find out for themselves.
            _log.warning("%s cannot ask for work: %s", self._prefix, error.message)
        # With very many names the question itself is work: it takes at most a twentieth of the time.
        return began + max(self._poll_s, 20 * (time.monotonic() - began))

    def _fill(self) -> None:
        now = time.monotonic()
        for name in [name for name in self._waiting if name not in self._serving]:
            if self._stopping or len(self._serving) >= self._slots:
                return
            until, _ = self._resting.get(name, (0.0, 0.0))
            del self._waiting[name]
            if until <= now:
                self._serving[name] = asyncio.create_task(self._serve_once(name), name=f"{self._prefix}{name}")

    async def _serve_once(self, name: str) -> None:
        try:
            await self._take_turn(name)
        finally:
            del self._serving[name]
            self._bell.set()

    async def _take_turn(self, name: str) -> None:
        try:
            async with self._leases.hold(f"{self._prefix}{name}") as lease:
                if lease is None:
                    self._resting[name] = (time.monotonic() + self._leases.ttl_s / 4, 0.0)
                    return
                turn = self._turns[name] = Turn(lease, self._is_over)
                self._waiting.pop(name, None)
                try:
                    await self._serve(name, turn)
                finally:
                    del self._turns[name]
            self._resting.pop(name, None)
        except Exception as failure:
            _, last = self._resting.get(name, (0.0, 0.0))
            rest = min(max(2 * last, _FIRST_REST_S), _LONGEST_REST_S)
            self._resting[name] = (time.monotonic() + rest, rest)
            why = failure.message if isinstance(failure, EsbError) else repr(failure)
            _log.warning("%s%s failed, again in %.1f s: %s", self._prefix, name, rest, why)

    def _is_over(self, turn: Turn) -> bool:
        waited_for = bool(self._waiting) and len(self._serving) >= self._slots
        return self._stopping or not turn.lease.valid or (waited_for and time.monotonic() - turn.began > self._slice_s)
