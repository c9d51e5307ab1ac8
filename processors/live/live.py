"""Live subscriptions of one process: who follows what, within which limits."""

import asyncio
import contextlib
import time
from collections import Counter
from functools import partial

import msgspec

from processors.live.acceptance import query_of
from processors.live.buffer import Bytes
from processors.live.feed import Feed
from processors.live.gates import Gates
from processors.live.handover import POLL_SECONDS, Handover
from processors.live.pacer import Pacer
from processors.live.past import Past
from processors.live.ports import Commit, Logs, Reader, Recorder, SilentRecorder, Tenants
from processors.live.request import LiveRequest
from processors.live.shape import Sign
from processors.live.source import LedgerSource, Source, StreamSource
from processors.live.subscription import Draining, LiveSubscription
from processors.live.tailer import Tailer
from processors.live.tailers import LINGER_SECONDS, Tailers
from schema.cursor import MAX_PARTITIONS, CursorCodec
from schema.errors import ErrorCode, EsbError
from schema.principal import Action
from schema.stream import Stream, StreamEngine
from store.signals.port import EVERYTHING, log_topic

PULSE_SECONDS = 1.0
PULSED_AT_ONCE = 500


class LiveLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one process takes on.

    `ring_bytes`: of each log in use. `poll_seconds`: how long a quiet log is not looked at when signals are lost.
    `linger_seconds`: how long a log is followed on after its last subscriber.
    """

    subscriptions: int = 20_000
    subscriptions_per_tenant: int = 10_000
    ring_bytes: int = 16 * 1024 * 1024
    streams_per_subscription: int = 16
    poll_seconds: float = POLL_SECONDS
    linger_seconds: float = LINGER_SECONDS


class Live:
    """Where live subscriptions come from. `pacer`: what newcomers of any kind are paced by.

    `on_commit` and `on_signal` may be called from the start to after the stop, on the event loop; they never block.
    """

    def __init__(
        self,
        reader: Reader,
        logs: Logs,
        tenants: Tenants,
        codec: CursorCodec,
        *,
        limits: LiveLimits | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.pacer = Pacer()
        self._reader = reader
        self._logs = logs
        self._tenants = tenants
        self._codec = codec
        self._limits = limits or LiveLimits()
        self._recorder = recorder or SilentRecorder()
        self._tailers = Tailers(self._limits.ring_bytes, self._recorder, linger_seconds=self._limits.linger_seconds)
        self._gates = Gates(self.pacer)
        self._buffered = Bytes()
        self._subscriptions: dict[LiveSubscription, list[Tailer]] = {}
        self._of_tenant: Counter[str] = Counter()
        self._pulsing: asyncio.Task[None] | None = None
        self._draining = False

    @property
    def subscriptions(self) -> int:
        """Live subscriptions now."""
        return self._of_tenant.total()

    @property
    def buffered_bytes(self) -> int:
        """Bytes waiting in all subscribers' buffers."""
        return self._buffered.total

    @property
    def ring_bytes(self) -> int:
        """Bytes in all rings."""
        return sum(tailer.ring_bytes for tailer in self._tailers)

    async def start(self) -> None:
        """Begin to take subscriptions."""
        self._draining = False
        self._pulsing = asyncio.create_task(self._pulse(), name="live-pulse")

    async def stop(self) -> None:
        """Drain: every subscription ends with `Draining`, new ones are refused so. Then stop following the logs. May be
        called twice.
        """
        self._draining = True
        for subscription in list(self._subscriptions):
            subscription.drain()
        if self._pulsing is not None:
            self._pulsing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pulsing
        await self._tailers.stop()

    def on_commit(self, commit: Commit) -> None:
        """This process has committed; called in commit order, before the receipts are answered."""
        handover = self._handover(log_topic(commit.tenant))
        if handover is not None:
            handover.offer(commit)

    def on_signal(self, topic: str) -> None:
        """Another process has changed something, or may have. What this one commits need not be signalled here."""
        topics = [tailer.source.key for tailer in self._tailers] if topic == EVERYTHING else [topic]
        for one in topics:
            handover = self._handover(one)
            if handover is not None:
                handover.wake()

    async def subscribe(self, request: LiveRequest) -> LiveSubscription:
        """A subscription that sees everything from its start on; from LIVE: everything committed after this returned.

        Raises BAD_INPUT, FORBIDDEN, CURSOR_INVALID, TOO_COMPLEX (too many Kafka partitions or streams), RATE_LIMITED
        (too many subscriptions), LOG_UNAVAILABLE, UNSUPPORTED_BY_ENGINE, or `Draining`.
        """
        await self.pacer.turn()
        self._admit(request)
        tenant = request.principal.tenant
        subscription = LiveSubscription(
            request,
            buffered=self._buffered,
            recorder=self._recorder,
            sign=self._sign(tenant),
            on_close=self._closed,
        )
        self._of_tenant[tenant] += 1
        self._subscriptions[subscription] = []
        try:
            await self._follow(request, subscription)
        except BaseException:
            await subscription.aclose()
            raise
        return subscription

    def _admit(self, request: LiveRequest) -> None:
        request.check()
        if self._draining:
            raise Draining("")
        principal, limits = request.principal, self._limits
        principal.require(Action.READ)
        others = [stream for stream in request.streams or () if stream.engine is not StreamEngine.LEDGER]
        for stream in request.streams or ():
            principal.require(Action.READ, stream.stream_name)
        partitions = sum(stream.partitions for stream in others if stream.engine is StreamEngine.KAFKA)
        if partitions > MAX_PARTITIONS or len(others) > limits.streams_per_subscription:
            raise EsbError(
                ErrorCode.TOO_COMPLEX,
                f"a subscription follows at most {MAX_PARTITIONS} Kafka partitions"
                f" and {limits.streams_per_subscription} Kafka and Redis streams",
            )
        if (
            self.subscriptions >= limits.subscriptions
            or self._of_tenant[principal.tenant] >= limits.subscriptions_per_tenant
        ):
            raise EsbError(ErrorCode.RATE_LIMITED, "too many live subscriptions at once", retry_after_ms=5000)

    async def _follow(self, request: LiveRequest, subscription: LiveSubscription) -> None:
        streams = request.streams
        others = [stream for stream in streams or () if stream.engine is not StreamEngine.LEDGER]
        budget = request.buffer_bytes // (len(others) + 1)
        if streams is None or len(others) < len(streams):
            tenant = request.principal.tenant
            tailer = await self._tailers.acquire(log_topic(tenant), partial(self._ledger, tenant), self._sign(tenant))
            await self._attach(request, subscription, tailer, budget, ledger=True)
        for stream in others:
            sign = self._sign(request.principal.tenant)
            tailer = await self._tailers.acquire(stream.stream_id, partial(self._stream, stream), sign)
            await self._attach(request, subscription, tailer, budget, ledger=False)

    async def _attach(
        self, request: LiveRequest, subscription: LiveSubscription, tailer: Tailer, budget: int, *, ledger: bool
    ) -> None:
        self._subscriptions[subscription].append(tailer)
        head = await tailer.head()
        place = await tailer.source.place(request.start, head)
        query = query_of(request, ledger=ledger)
        past = Past(tailer, query, place, head, gates=self._gates, budget=budget)
        subscription.follow(Feed(tailer, query, past, subscription))

    async def _ledger(self, tenant: str) -> Source:
        log = await self._logs.ledger(tenant)
        handover = Handover(log, poll_seconds=self._limits.poll_seconds)
        return LedgerSource(await self._tenants.get(tenant), log, self._reader, handover)

    async def _stream(self, stream: Stream) -> Source:
        return StreamSource(stream, await self._logs.of(stream))

    def _sign(self, tenant: str) -> Sign:
        return partial(self._codec.encode, tenant)

    def _handover(self, key: str) -> Handover | None:
        tailer = self._tailers.get(key)
        return tailer.source.handover if tailer is not None and isinstance(tailer.source, LedgerSource) else None

    def _closed(self, subscription: LiveSubscription) -> None:
        for tailer in self._subscriptions.pop(subscription, []):
            self._tailers.release(tailer)
        self._of_tenant[subscription.request.principal.tenant] -= 1

    async def _pulse(self) -> None:
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            for number, subscription in enumerate(list(self._subscriptions)):
                subscription.pulse()
                if number % PULSED_AT_ONCE == PULSED_AT_ONCE - 1:
                    await asyncio.sleep(0)
            for tailer in self._tailers:
                tailer.pulse()
            self._gates.pages.pulse(time.monotonic())
            await self._tailers.reap()
