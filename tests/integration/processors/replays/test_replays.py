"""Replays from start to end on a real PostgreSQL: what is published, in which order, how often, and who may."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from processors.admission.admission import Admission
from processors.admission.ports import PublishReport, Rejection
from processors.replays.planning import ReplayAsked
from processors.stream_admin import StreamInput
from schema.errors import ErrorCode, EsbError
from schema.event import Event
from schema.filter.typed import parse_filter
from schema.principal import Action, Grant, Principal
from schema.replay import ReplayStatus
from store.replays import ReplayRows
from tests.replaying import ADMIN, CODEC, START, Process, processes, said

ALL = ReplayAsked(stream="copy", streams=["orders"])


def numbers(events: Sequence[Event]) -> list[int]:
    return [event.payload_document["n"] for event in events]


async def test_everything_is_published_once_in_order_and_marked(database_url: str) -> None:
    async with processes(database_url) as (process,):
        await process.publish([said(n) for n in range(220)])
        await process.worker.start()
        replay = await process.replays.start(ADMIN, ALL)
        assert (replay.status, replay.done) == (ReplayStatus.RUNNING, 0)
        ended = await process.ended(replay)
        assert (ended.status, ended.done, ended.total, ended.error) == (ReplayStatus.DONE, 220, 220, None)
        assert ended.finished_at is not None
        originals, copies = await process.events("orders"), await process.events("copy")
        assert numbers(copies) == list(range(220))
        for original, copy in zip(originals, copies, strict=True):
            assert copy.metadata_document["replay"]["of"] == original.event_id
            assert (copy.timestamp, copy.user_id, copy.source_capability) == (original.timestamp, "ann", "shop")
            assert (copy.aggregate_type, copy.sequence_number) == ("copy/Order", original.sequence_number)
        where = (await process.replays.cursor(ended)).position
        assert where == (originals[-1].position or 0) + 1


async def test_a_range_by_filter_and_cursors(database_url: str) -> None:
    async with processes(database_url) as (process,):
        receipts = await process.publish([said(n) for n in range(60)])
        places = [CODEC.encode("acme", receipt.cursor) for receipt in receipts]
        await process.worker.start()
        only = parse_filter({"aggregateId": {"eq": "o1"}})
        for since, until, expected in (
            (places[9], places[29], [n for n in range(10, 30) if n % 3 == 1]),
            (None, places[4], [1, 4]),
            (places[55], None, [58]),
            (places[30], places[20], []),
        ):
            before = len(await process.events("copy"))
            asked = ReplayAsked(stream="copy", streams=["orders"], where=only, since=since, until=until)
            ended = await process.ended(await process.replays.start(ADMIN, asked))
            assert (ended.done, ended.total) == (len(expected), len(expected))
            assert numbers((await process.events("copy"))[before:]) == expected


async def test_from_a_time_of_recording(database_url: str) -> None:
    async with processes(database_url) as (process,):
        await process.publish([said(1)])
        (later,) = await process.publish([said(2, timestamp=START - timedelta(days=9))])
        await process.publish([said(3)])
        await process.worker.start()
        asked = ReplayAsked(stream="copy", streams=["orders"], since=later.recorded_at)
        assert (await process.ended(await process.replays.start(ADMIN, asked))).done == 2
        assert numbers(await process.events("copy")) == [2, 3]


async def test_what_is_published_after_the_start_is_not_in_it(database_url: str) -> None:
    async with processes(database_url) as (process,):
        await process.publish([said(n) for n in range(3)])
        replay = await process.replays.start(ADMIN, ALL)
        await process.publish([said(n) for n in range(3, 9)])
        await process.worker.start()
        assert (await process.ended(replay)).done == 3


async def test_streams_left_out_are_all_others(database_url: str) -> None:
    async with processes(database_url) as (process,):
        await process.streams.create(ADMIN, StreamInput(stream_name="other"))
        elsewhere = said(2, stream="other", aggregate_type="Other")
        await process.publish([said(1), elsewhere, said(3, stream="copy", aggregate_type="Copy")])
        await process.worker.start()
        ended = await process.ended(await process.replays.start(ADMIN, ReplayAsked(stream="copy")))
        assert ended.done == 2
        assert numbers(await process.events("copy")) == [3, 1, 2]


async def test_it_waits_for_its_time_and_can_be_paused_resumed_and_cancelled(database_url: str) -> None:
    async with processes(database_url) as (process,):
        await process.publish([said(1), said(2, timestamp=START), said(3, timestamp=START + timedelta(days=30))])
        await process.worker.start()
        replay = await process.replays.start(ADMIN, ALL._replace(speed=1))
        async for each in process.replays.follow(lambda: ADMIN, replay.replay_id):
            if each.done == 2:
                break
        paused = await process.replays.pause(ADMIN, replay.replay_id)
        assert paused.status is ReplayStatus.PAUSED
        assert await process.replays.pause(ADMIN, replay.replay_id) == paused
        resumed = await process.replays.resume(ADMIN, replay.replay_id)
        assert (resumed.status, resumed.done) == (ReplayStatus.RUNNING, 2)
        await process.replays.cancel(ADMIN, replay.replay_id)
        ended = await process.ended(replay)
        assert (ended.status, ended.done, ended.total) == (ReplayStatus.CANCELLED, 2, 3)
        with pytest.raises(EsbError) as late:
            await process.replays.resume(ADMIN, replay.replay_id)
        assert late.value.code is ErrorCode.BAD_INPUT


class Dying(ReplayRows):
    """A process that is killed after a batch was published and before that was saved: `lives` batches later."""

    lives = 2

    async def step(self, *arguments: Any, **more: Any) -> ReplayStatus:
        if not self.lives:
            raise RuntimeError("killed")
        self.lives -= 1
        return await super().step(*arguments, **more)


async def test_a_death_between_publishing_and_saving_repeats_nothing(database_url: str) -> None:
    """The next one cuts its batches elsewhere, so that some hold known events and new ones."""
    async with processes(database_url, 2) as (first, second):
        await first.publish([said(n) for n in range(100)])
        dying = first.make_worker(rows=Dying(first.database, first.rows._checkpoints), batch_events=20)
        await dying.start()
        replay = await first.replays.start(ADMIN, ALL)
        async with asyncio.timeout(30):
            while len(await first.events("copy")) < 60:  # noqa: ASYNC110 - another task's work
                await asyncio.sleep(0.02)
        await dying.stop()
        survivor = second.make_worker(batch_events=13)
        await survivor.start()
        ended = await second.ended(replay)
        await survivor.stop()
        assert (ended.status, ended.done) == (ReplayStatus.DONE, 100)
        assert numbers(await second.events("copy")) == list(range(100))


class Held:
    """An admission that is frozen before its first batch, until it is thawed."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.frozen = asyncio.Event()
        self.thawed = asyncio.Event()

    async def publish(self, *arguments: Any, **more: Any) -> PublishReport:
        self.frozen.set()
        await self.thawed.wait()
        return await self._admission.publish(*arguments, **more)


async def test_a_frozen_worker_that_wakes_up_behind_another_changes_nothing(database_url: str) -> None:
    async with processes(database_url, 2) as (first, second):
        await first.publish([said(n) for n in range(100)])
        held = Held(first.admission)
        frozen = first.make_worker(admission=held, batch_events=30)
        await frozen.start()
        replay = await first.replays.start(ADMIN, ALL)
        await held.frozen.wait()
        await first.leases.close()  # it does not renew: after two seconds its lease is another's
        other = second.make_worker(batch_events=17)
        await other.start()
        ended = await second.ended(replay)
        held.thawed.set()
        await frozen.stop()
        await other.stop()
        assert numbers(await second.events("copy")) == list(range(100))
        again = await second.replays.get(ADMIN, replay.replay_id)
        assert again == ended
        assert ended.done == 100


class Refusing:
    """An admission that refuses event 42, until it is repaired."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.repaired = False

    async def publish(self, principal: Principal, inputs: Sequence[Any], **more: Any) -> PublishReport:
        for index, each in enumerate(inputs):
            if not self.repaired and msgspec.json.decode(each.payload)["n"] == 42:
                return PublishReport([], [Rejection(index, each.event_id, ErrorCode.SCHEMA_VIOLATION, "no total")])
        return await self._admission.publish(principal, inputs, **more)


async def test_a_refused_event_is_named_and_after_the_repair_it_goes_on(database_url: str) -> None:
    async with processes(database_url) as (process,):
        receipts = await process.publish([said(n) for n in range(70)])
        admission = Refusing(process.admission)
        worker = process.make_worker(admission=admission, batch_events=10)
        await worker.start()
        replay = await process.replays.start(ADMIN, ALL)
        failed = await process.ended(replay, ReplayStatus.FAILED)
        event = receipts[42]
        assert failed.error == (
            f"SCHEMA_VIOLATION: event {event.event_id} (orders, position {event.position}) is refused: no total"
        )
        before = numbers(await process.events("copy"))
        assert before == list(range(failed.done)) == list(range(len(before)))
        assert len(before) < 42
        admission.repaired = True
        resumed = await process.replays.resume(ADMIN, replay.replay_id)
        assert (resumed.status, resumed.error, resumed.finished_at) == (ReplayStatus.RUNNING, None, None)
        ended = await process.ended(replay)
        await worker.stop()
        assert ended.status is ReplayStatus.DONE
        assert numbers(await process.events("copy")) == list(range(70))


def grants(*of: tuple[Action, str]) -> Principal:
    return Principal(tenant="acme", subject="bob", grants=tuple(Grant(action, stream) for action, stream in of))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"stream": "nowhere"}, ErrorCode.UNKNOWN_STREAM),
        ({"streams": ["nowhere"]}, ErrorCode.UNKNOWN_STREAM),
        ({"streams": ["orders", "copy"]}, ErrorCode.BAD_INPUT),
        ({"streams": []}, ErrorCode.BAD_INPUT),
        ({"speed": -1.0}, ErrorCode.BAD_INPUT),
        ({"speed": float("nan")}, ErrorCode.BAD_INPUT),
        ({"speed": float("inf")}, ErrorCode.BAD_INPUT),
        ({"since": "nonsense"}, ErrorCode.CURSOR_INVALID),
        ({"until": "nonsense"}, ErrorCode.CURSOR_INVALID),
        ({"since": START.replace(tzinfo=None)}, ErrorCode.BAD_INPUT),
    ],
)
async def test_what_cannot_be_replayed_is_refused(database_url: str, asked: dict[str, Any], code: ErrorCode) -> None:
    async with processes(database_url) as (process,):
        with pytest.raises(EsbError) as refused:
            await process.replays.start(ADMIN, ALL._replace(**asked))
        assert refused.value.code is code
        assert await process.replays.newest(ADMIN) == []


async def test_who_may_do_what(database_url: str) -> None:
    reader, manager = grants((Action.READ, "*")), grants((Action.READ, "orders"), (Action.MANAGE, "copy"))
    blind, stranger = grants((Action.MANAGE, "copy")), ADMIN.__class__(tenant="other", grants=ADMIN.grants)
    async with processes(database_url) as (process,):
        await process.publish([said(1)])
        for caller in (reader, blind, grants((Action.READ, "*"), (Action.PUBLISH, "copy"))):
            with pytest.raises(EsbError) as refused:
                await process.replays.start(caller, ALL)
            assert refused.value.code is ErrorCode.FORBIDDEN
        replay = await process.replays.start(manager, ALL)
        assert [each.replay_id for each in await process.replays.newest(reader)] == [replay.replay_id]
        assert await process.replays.newest(stranger) == []
        assert await process.replays.newest(grants((Action.READ, "orders"))) == []
        for caller, code in ((reader, ErrorCode.FORBIDDEN), (stranger, ErrorCode.NOT_FOUND)):
            with pytest.raises(EsbError) as refused:
                await process.replays.cancel(caller, replay.replay_id)
            assert refused.value.code is code
        assert (await process.replays.cancel(manager, replay.replay_id)).status is ReplayStatus.CANCELLED


async def test_so_many_at_once_and_no_more(database_url: str) -> None:
    async with processes(database_url) as (process,):
        made = [await process.replays.start(ADMIN, ALL) for _ in range(16)]
        with pytest.raises(EsbError) as refused:
            await process.replays.start(ADMIN, ALL)
        assert refused.value.code is ErrorCode.RATE_LIMITED
        await process.replays.cancel(ADMIN, made[0].replay_id)
        await process.replays.start(ADMIN, ALL)
        assert [each.replay_id for each in await process.replays.newest(ADMIN)][-1] == made[0].replay_id


async def test_a_restored_log_ends_a_replay_that_began_before(database_url: str) -> None:
    async with processes(database_url) as (process,):
        await process.publish([said(1)])
        replay = await process.replays.start(ADMIN, ALL)
        await process.tenants.bump_epoch("acme")
        await process.worker.start()
        failed = await process.ended(replay, ReplayStatus.FAILED)
        assert (failed.error or "").startswith("CURSOR_INVALID: the log was restored")
        assert await events_of(process) == []


async def events_of(process: Process) -> list[Event]:
    return await process.events("copy")
