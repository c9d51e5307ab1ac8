"""Replays as people use them: start one, see how it goes, pause it, resume it, cancel it."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence

from processors.replays.planning import Planner, ReplayAsked
from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError, bad_input
from schema.identifier import IdentifierSource
from schema.principal import Action, Principal
from schema.replay import Replay, ReplayStatus
from schema.stream import StreamEngine
from store.ledger.reader import EventReader
from store.replays import ReplayRows
from store.signals.port import EVERYTHING, Signals, replay_topic
from store.tenants import Tenants

MOST_UNDER_WAY = 16
"""Replays of one tenant that may be running or paused at once."""

_SHOWN = 200
_LOOK_S = 0.5
_TOPIC = replay_topic("")


class Replays:
    """The use cases. A replay is shown to those who may read or manage the stream it fills, and changed by those who
    may manage that."""

    def __init__(
        self, rows: ReplayRows, planner: Planner, reader: EventReader, tenants: Tenants, signals: Signals
    ) -> None:
        self._rows = rows
        self._planner = planner
        self._reader = reader
        self._tenants = tenants
        self._signals = signals
        self._identifiers = IdentifierSource()
        self._bells: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        signals.listen(self._on_signal)

    async def start(self, principal: Principal, asked: ReplayAsked) -> Replay:
        """Begin one. Raises as `Planner.plan`, and RATE_LIMITED where too many are under way."""
        plan = await self._planner.plan(principal, asked)
        tenant = await self._tenants.get(principal.tenant)
        replay = await self._rows.create(tenant, self._identifiers.replay_id(), plan, MOST_UNDER_WAY)
        if replay is None:
            raise EsbError(
                ErrorCode.RATE_LIMITED,
                f"{MOST_UNDER_WAY} replays of this tenant are running or paused: wait for one, or cancel one",
                retry_after_ms=10_000,
            )
        self._signals.notify(replay_topic(replay.replay_id))
        return replay

    async def newest(self, principal: Principal) -> Sequence[Replay]:
        """The newest two hundred of the tenant, the newest first, as far as the caller may see them."""
        tenant = await self._tenants.get(principal.tenant)
        return [replay for replay in await self._rows.newest(tenant, _SHOWN) if _shown(principal, replay)]

    async def get(self, principal: Principal, replay_id: str) -> Replay | None:
        """The replay of that id; None where there is none the caller may see."""
        tenant = await self._tenants.get(principal.tenant)
        found = None if "\0" in replay_id else await self._rows.get(tenant, replay_id)
        return found if found is not None and _shown(principal, found) else None

    async def pause(self, principal: Principal, replay_id: str) -> Replay:
        """Stop after the batch in hand, to go on some day. Raises NOT_FOUND, FORBIDDEN, BAD_INPUT once it is over."""
        return await self._move(principal, replay_id, ReplayStatus.PAUSED, {ReplayStatus.RUNNING})

    async def resume(self, principal: Principal, replay_id: str) -> Replay:
        """Go on where it was paused, or failed. Raises as `pause`."""
        return await self._move(principal, replay_id, ReplayStatus.RUNNING, {ReplayStatus.PAUSED, ReplayStatus.FAILED})

    async def cancel(self, principal: Principal, replay_id: str) -> Replay:
        """Stop after the batch in hand, for ever. What was published stays. Raises as `pause`."""
        over = {ReplayStatus.RUNNING, ReplayStatus.PAUSED, ReplayStatus.FAILED}
        return await self._move(principal, replay_id, ReplayStatus.CANCELLED, over)

    async def follow(self, caller: Callable[[], Principal], replay_id: str) -> AsyncGenerator[Replay]:
        """The replay now, then whenever it has moved, until it is done or cancelled. `caller`: as of now, asked each
        time. Raises NOT_FOUND."""
        last = None
        with self._bell(replay_id) as bell:
            while True:
                bell.clear()
                replay = await self.get(caller(), replay_id)
                if replay is None:
                    raise _unknown(replay_id)
                if replay != last:
                    yield replay
                    last = replay
                if replay.status.over:
                    return
                # progress is not signalled, or every batch would wake every process
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await bell.wait()

    async def cursor(self, replay: Replay) -> Cursor:
        """Where it stands: what comes after this is not replayed yet."""
        plan, place = replay.plan, replay.place
        at_ms = int(replay.place.clock * 1000) if replay.place.clock else 0
        kafka = [source for source in plan.sources if source.engine is StreamEngine.KAFKA]
        tenant = await self._tenants.get(replay.tenant)
        offsets = [
            (source.key, await self._reader.offsets_before(tenant, source.key, source.partitions, place.indexed))
            for source in kafka
        ]
        ledger = plan.ledger_end > plan.ledger or not kafka
        return Cursor(plan.epoch if ledger else 0, place.ledger if ledger else 0, at_ms, tuple(offsets))

    async def _move(
        self, principal: Principal, replay_id: str, status: ReplayStatus, over: Collection[ReplayStatus]
    ) -> Replay:
        found = await self.get(principal, replay_id)
        if found is None:
            raise _unknown(replay_id)
        principal.require(Action.MANAGE, found.plan.stream)
        moved = await self._rows.move(await self._tenants.get(principal.tenant), replay_id, status, over=over)
        if moved is None:
            raise _unknown(replay_id)
        if moved.status is not status:
            raise bad_input(f"replay {replay_id} is {moved.status}", status=moved.status.value)
        self._signals.notify(replay_topic(replay_id))
        return moved

    def _on_signal(self, topic: str) -> None:
        if topic == EVERYTHING:
            for bells in self._bells.values():
                _ring(bells)
        elif topic.startswith(_TOPIC):
            _ring(self._bells.get(topic.removeprefix(_TOPIC), ()))

    @contextlib.contextmanager
    def _bell(self, replay_id: str) -> Iterator[asyncio.Event]:
        bell = asyncio.Event()
        self._bells[replay_id].add(bell)
        try:
            yield bell
        finally:
            self._bells[replay_id].discard(bell)
            if not self._bells[replay_id]:
                del self._bells[replay_id]


def _ring(bells: Collection[asyncio.Event]) -> None:
    for bell in bells:
        bell.set()


def _shown(principal: Principal, replay: Replay) -> bool:
    return principal.may(Action.READ, replay.plan.stream) or principal.may(Action.MANAGE, replay.plan.stream)


def _unknown(replay_id: str) -> EsbError:
    return EsbError(ErrorCode.NOT_FOUND, f"there is no replay {replay_id!r}")
