"""Subscribers of a projection: what they are told makes the rows that are there, wherever they were cut off."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from processors.live.request import Edge, Start
from processors.live.subscription import Draining, SlowConsumer
from processors.projections import subscription as subscribing
from processors.projections.subscription import ChangeSubscription
from processors.projections.telling import Kind, Told
from schema.cursor import Cursor, CursorInvalid
from schema.errors import ErrorCode, EsbError
from schema.filter.typed import parse_filter
from schema.principal import Action, Grant, Principal
from tests.projecting import World, counting, declared
from tests.world import ADMIN


@contextlib.asynccontextmanager
async def following(
    world: World, start: Start = Edge.LIVE, *, where: Any = None, conflate: bool = False
) -> AsyncIterator["Follower"]:
    wanted = None if where is None else parse_filter({"payload": where})
    made = await world.live.subscribe(
        "acme", "totals", where=wanted, start=start, conflate=conflate, principal=lambda: ADMIN
    )
    follower = Follower(made)
    try:
        yield follower
    finally:
        await follower.told.aclose()
        made.close()


class Follower:
    """A client: keeps the rows it is told of."""

    def __init__(self, made: ChangeSubscription) -> None:
        self.subscription = made
        self.told = made.told()
        self.rows: dict[str, Any] = {}
        self.place = made.place

    async def next(self) -> Told:
        async with asyncio.timeout(20):
            told = await self.told.__anext__()
        self.place = told.place
        if told.kind is Kind.RESET:
            self.rows = {}
        elif told.kind is Kind.UPSERT:
            assert told.row is not None
            self.rows[str(told.key)] = json.loads(told.row.value)
        elif told.kind is Kind.DELETE:
            self.rows.pop(str(told.key), None)
        return told

    async def until(self, kind: Kind) -> None:
        while (await self.next()).kind is not kind:
            pass

    async def kinds(self, many: int) -> list[tuple[str, str | None]]:
        return [((told := await self.next()).kind.value, told.key) for _ in range(many)]


async def live(world: World, said: Any = None) -> None:
    await world.background.start()
    await world.create(said or declared())
    await world.is_version(1)


async def applied(world: World, cursor: Cursor) -> None:
    await world.reaching.reach(world.tenant, "totals", cursor.position)


@pytest.mark.parametrize("history", [True, False])
async def test_live_changes_come_after_caught_up_one_an_event(world: World, history: bool) -> None:
    await live(world, declared(history=history))
    async with following(world) as follower:
        assert (await follower.next()).kind is Kind.CAUGHT_UP
        for total in (1, 2, 3):
            cursor = await world.sell("ann", 1)
            told = await follower.next()
            assert (told.kind, follower.rows) == (Kind.UPSERT, {"ann": {"total": total}})
            assert told.place.position == cursor.position


@pytest.mark.parametrize("history", [True, False])
async def test_a_row_that_leaves_the_filter_is_deleted_and_others_are_not_told(world: World, history: bool) -> None:
    await live(world, declared(history=history))
    async with following(world, where=[{"path": "total", "gte": 10}]) as follower:
        await follower.next()
        for who, amount in (("bob", 1), ("ann", 10), ("bob", 2), ("ann", -5), ("ann", -1), ("ann", 10)):
            await applied(world, await world.sell(who, amount))
        assert await follower.kinds(3) == [("UPSERT", "ann"), ("DELETE", "ann"), ("UPSERT", "ann")]
        assert follower.rows == {"ann": {"total": 14}}


async def test_from_the_beginning_all_rows_are_told_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribing, "_PAGE", 2)
    await live(world)
    await applied(world, (await world.sell_all([(f"c{number}", number) for number in range(5)]))[-1])
    async with following(world, Edge.BEGINNING, where=[{"path": "total", "ne": 3}]) as follower:
        keys = [("UPSERT", key) for key in ("c0", "c1", "c2", "c4")]
        assert await follower.kinds(6) == [("RESET", None), *keys, ("CAUGHT_UP", None)]
        await world.sell("c3", 1)
        assert await follower.kinds(1) == [("UPSERT", "c3")]


async def test_rows_that_change_while_they_are_told_do_not_go_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribing, "_PAGE", 2)
    await live(world)
    await applied(world, (await world.sell_all([(f"c{number}", 1) for number in range(6)]))[-1])
    async with following(world, Edge.BEGINNING) as follower:
        await follower.kinds(3)  # the first page
        for who in ("c0", "c5", "c5"):
            await applied(world, await world.sell(who, 1))
        seen: dict[str, list[int]] = {}
        while (told := await follower.next()).kind is not Kind.CAUGHT_UP:
            seen.setdefault(str(told.key), []).append(follower.rows[str(told.key)]["total"])
        assert seen["c5"] == [3], "its page was read after the sales"
        assert seen["c0"] == [2]
        assert follower.rows == await world.all_rows()


async def test_a_rebuild_says_reset_and_tells_the_new_rows(world: World) -> None:
    await live(world)
    await applied(world, await world.sell("ann", 1))
    async with following(world) as follower:
        await follower.next()
        await world.admin.update(ADMIN, counting())
        await follower.until(Kind.RESET)
        await follower.until(Kind.CAUGHT_UP)
        assert follower.rows == {"ann": {"total": 1, "count": 1}}
        await world.sell("ann", 1)
        await follower.next()
        assert follower.rows == {"ann": {"total": 2, "count": 2}}


async def test_a_cursor_of_other_rows_leads_to_a_reset(world: World) -> None:
    await live(world)
    await applied(world, await world.sell("ann", 1))
    async with following(world, Edge.BEGINNING) as follower:
        await follower.kinds(2)
        unfinished = follower.place
        await follower.next()
        finished = follower.place
    async with following(world, unfinished) as follower:
        assert (await follower.next()).kind is Kind.RESET
    async with following(world, finished) as follower:
        assert (await follower.next()).kind is Kind.CAUGHT_UP
    await world.admin.update(ADMIN, counting())
    await world.is_version(2)
    async with following(world, finished) as follower:
        assert (await follower.next()).kind is Kind.RESET


@pytest.mark.parametrize("seed", range(3))
async def test_cut_off_anywhere_and_resumed_the_rows_are_those_of_the_table(world: World, seed: int) -> None:
    dice = random.Random(seed)
    await live(world, declared(history=bool(seed % 2)))
    where = [{"path": "total", "gte": 5}]
    rows: dict[str, Any] = {}
    start: Start = Edge.BEGINNING
    for step in range(12):
        last = (await world.sell_all([(f"c{dice.randint(0, 3)}", dice.randint(-4, 6)) for _ in range(9)]))[-1]
        if step == 6:
            await world.admin.update(ADMIN, counting(history=bool(seed % 2)))
            await world.is_version(2)
        await applied(world, last)
        async with following(world, start, where=where) as follower:
            follower.rows = rows
            for _ in range(dice.randint(0, 6)):
                if (await follower.next()).kind is Kind.CAUGHT_UP:
                    break
            rows, start = follower.rows, follower.place
    async with following(world, start, where=where) as follower:
        follower.rows = rows
        await follower.until(Kind.CAUGHT_UP)
        assert follower.rows == {key: row for key, row in (await world.all_rows()).items() if row["total"] >= 5}


async def test_a_time_tells_what_changed_since(world: World) -> None:
    await live(world)
    await applied(world, await world.sell("ann", 1))
    since = datetime.now(UTC)
    await applied(world, (await world.sell_all([("bob", 1), ("bob", 1)]))[-1])
    async with following(world, since) as follower:
        assert await follower.kinds(3) == [("UPSERT", "bob"), ("UPSERT", "bob"), ("CAUGHT_UP", None)]


async def test_forgotten_changes_lead_to_a_reset(world: World) -> None:
    await live(world, declared(history=False))
    early = await world.sell("ann", 1)
    await applied(world, await world.sell("ann", 1))
    version = (await world.find()).active
    await world.writer.trim(version, version.position)
    async with following(world, early) as follower:
        assert (await follower.next()).kind is Kind.RESET


@pytest.mark.parametrize("conflate", [False, True])
async def test_a_slow_reader_is_told_where_to_go_on_or_gets_the_newest(
    world: World, conflate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processors.projections.live.DEFAULT_BUFFER_BYTES", 2000)
    await live(world)
    async with following(world, conflate=conflate) as follower:
        await follower.next()
        reading = asyncio.create_task(follower.next())  # attached by now, and then it reads no more
        await world.sell("ann", 1)
        await reading
        for _ in range(30):
            await applied(world, await world.sell("ann", 1))
        if conflate:
            while follower.rows["ann"]["total"] < 31:
                await follower.next()
            return
        with pytest.raises(SlowConsumer) as slow:
            await follower.until(Kind.RESET)  # which never comes
        assert slow.value.details is not None
        place = world.live._codec.decode("acme", slow.value.details["cursor"])
    async with following(world, place) as again:
        again.rows = follower.rows
        await again.until(Kind.CAUGHT_UP)
        assert again.rows == {"ann": {"total": 31}}


async def test_what_is_applied_on_read_is_read_by_who_follows(world: World) -> None:
    await live(world, declared(mode="ON_READ"))
    async with following(world) as follower:
        await follower.next()
        reading = asyncio.create_task(follower.next())
        await world.sell("ann", 1)
        await reading
        assert follower.rows == {"ann": {"total": 1}}


async def test_a_deleted_projection_ends_its_subscribers(world: World) -> None:
    await live(world)
    async with following(world) as follower:
        await follower.next()
        await world.admin.delete(ADMIN, "totals")
        with pytest.raises(EsbError) as gone:
            await follower.next()
        assert gone.value.code is ErrorCode.NOT_FOUND


async def test_a_stopping_process_tells_where_to_go_on(world: World) -> None:
    await live(world)
    async with following(world) as follower:
        await follower.next()
        reading = asyncio.create_task(follower.next())
        await asyncio.sleep(0)
        await world.live.stop()
        with pytest.raises(Draining):
            await reading
    assert world.live.subscriptions == 0


async def test_who_may_not_read_it_any_more_is_told_nothing_more(world: World) -> None:
    await live(world)
    principals = [ADMIN]
    made = await world.live.subscribe(
        "acme", "totals", where=None, start=Edge.LIVE, conflate=False, principal=lambda: principals[-1]
    )
    follower = Follower(made)
    await follower.next()
    principals.append(Principal(tenant="acme", grants=(Grant(Action.READ, "other"),)))
    await world.sell("ann", 1)
    with pytest.raises(EsbError) as refused:
        await follower.next()
    assert refused.value.code is ErrorCode.FORBIDDEN
    assert world.live.subscriptions == 0


async def test_a_cursor_beyond_the_log_is_refused(world: World) -> None:
    await live(world)
    for place in (Cursor(world.tenant.epoch, 99), Cursor(world.tenant.epoch + 1, 1)):
        with pytest.raises(CursorInvalid):
            async with following(world, place):
                pass
