"""Rebuilt beside, swapped, taken back, deleted: no read fails, none goes back in time."""

import asyncio
import json

import pytest

from processors.projections.applying import Step
from processors.projections.switching import turn_to
from schema.errors import ErrorCode, EsbError
from tests.projecting import World, counting, declared
from tests.world import ADMIN


async def test_a_rebuild_is_swapped_in_and_taken_back_and_forth(world: World) -> None:
    await world.background.start()
    await world.create()
    await world.sell_all([("ann", number) for number in range(50)])
    await world.is_version(1)
    await world.admin.update(ADMIN, counting())
    await world.is_version(2)
    assert await world.all_rows() == {"ann": {"total": 1225, "count": 50}}
    for total, number, rows in ((1226, 1, {"total": 1226}), (1227, 2, {"total": 1227, "count": 52})):
        cursor = await world.sell("ann", 1)
        back = await world.admin.roll_back(ADMIN, "totals")
        assert back.active.number == number
        assert back.active.position >= cursor.position, "as far as the version that was read"
        assert await world.all_rows() == {"ann": rows}, total


async def test_reads_neither_fail_nor_go_back_while_versions_change(world: World) -> None:
    await world.background.start()
    await world.create()
    first = await world.sell("ann", 1)
    await world.is_version(1)
    await world.reaching.reach(world.tenant, "totals", first.position)
    done = asyncio.Event()

    async def read() -> int:
        last, reads = 0, 0
        while not done.is_set():
            _, row = await world.rows.row(world.tenant.key, "totals", "ann", None)
            assert row is not None
            total = json.loads(row.value)["total"]
            assert total >= last, "a read went back in time"
            last, reads = total, reads + 1
        return reads

    async def change() -> None:
        try:
            for number in range(2, 7):
                await world.admin.update(ADMIN, counting() if number % 2 else declared())
                for _ in range(5):
                    await world.sell("ann", 1)
                await world.is_version(number)
        finally:
            done.set()

    reads, _ = await asyncio.gather(read(), change())
    assert reads > 0


async def test_the_active_version_stands_still_for_the_last_few_events_only(world: World) -> None:
    first = (await world.create()).active
    await world.sell_all([("ann", 1)] * 10)
    await world.apply(first)
    candidate = (await world.admin.update(ADMIN, counting())).candidate
    assert candidate is not None
    builder = await world.applier(candidate)
    while await builder.step() is Step.MOVED:
        pass
    await world.sell_all([("ann", 1)] * 10)
    await world.apply(first)  # it is ahead again, as it always may be
    assert builder.version.position < (await world.find()).active.position
    assert await turn_to(builder, world.pointer)
    assert await world.all_rows() == {"ann": {"total": 20, "count": 20}}


async def test_a_version_that_is_behind_is_not_turned_to(world: World) -> None:
    first = (await world.create()).active
    await world.sell("ann", 1)
    await world.apply(first)
    candidate = (await world.admin.update(ADMIN, counting())).candidate
    assert candidate is not None
    async with world.pointer.hold(candidate) as hold:
        assert hold is not None
        assert not await world.pointer.turn(hold, candidate)
    assert (await world.find()).active.number == 1


async def test_a_second_update_replaces_the_first(world: World) -> None:
    first = (await world.create()).active
    await world.sell("ann", 1)
    await world.apply(first)
    given_up = (await world.admin.update(ADMIN, counting())).candidate
    assert given_up is not None
    builder = await world.applier(given_up)
    assert (await world.admin.update(ADMIN, declared())).candidate != given_up
    assert await builder.step() is Step.OVERTAKEN
    assert not await turn_to(builder, world.pointer)
    assert (await world.find()).active.number == 1


async def test_an_update_that_is_taken_back_leaves_what_is_read(world: World) -> None:
    await world.create()
    await world.admin.update(ADMIN, counting())
    back = await world.admin.roll_back(ADMIN, "totals")
    assert (back.active.number, back.candidate) == (1, None)
    with pytest.raises(EsbError, match="no version before"):
        await world.admin.roll_back(ADMIN, "totals")


async def test_a_rebuild_that_meets_poison_leaves_the_old_version_alone(world: World) -> None:
    await world.background.start()
    await world.create()
    await world.sell_all([("ann", 5), ("ann", 0), ("ann", 7)])
    await world.is_version(1)
    operations = [{"increment": {"path": "total", "expression": "10 / event.payload.amount"}}]
    await world.admin.update(ADMIN, declared(reducers=[{"on": "sale", "operations": operations}]))

    async def stopped() -> bool:
        candidate = (await world.find()).candidate
        return candidate is not None and candidate.error is not None

    await world.until(stopped)
    cursor = await world.sell("ann", 1)
    await world.reaching.reach(world.tenant, "totals", cursor.position)
    assert await world.all_rows() == {"ann": {"total": 13}}
    assert (await world.find()).active.number == 1
    await world.admin.update(ADMIN, counting())  # the repair
    await world.is_version(3)
    assert await world.all_rows() == {"ann": {"total": 13, "count": 4}}


async def test_a_poisoned_version_is_repaired_by_another(world: World) -> None:
    await world.background.start()
    operations = [{"increment": {"path": "total", "expression": "10 / event.payload.amount"}}]
    await world.create(declared(reducers=[{"on": "sale", "operations": operations}]))
    cursor = (await world.sell_all([("ann", 5), ("ann", 0), ("ann", 7)]))[-1]

    async def stopped() -> bool:
        return (await world.find()).active.error is not None

    await world.until(stopped)
    with pytest.raises(EsbError, match="stands still") as refused:
        await world.reaching.reach(world.tenant, "totals", cursor.position)
    assert refused.value.code is ErrorCode.TIMEOUT
    assert refused.value.details is not None
    assert refused.value.details["position"] == 2
    await world.admin.update(ADMIN, declared())
    await world.is_version(2)
    assert await world.all_rows() == {"ann": {"total": 12}}
    with pytest.raises(EsbError, match="stands still"):
        await world.admin.roll_back(ADMIN, "totals")


async def test_deleted_while_it_is_built_nothing_is_left_of_it(world: World) -> None:
    first = (await world.create()).active
    candidate = (await world.admin.update(ADMIN, counting())).candidate
    assert candidate is not None
    await world.sell_all([("ann", 1)] * 5)
    builders = [await world.applier(version) for version in (first, candidate)]
    await world.admin.delete(ADMIN, "totals")
    assert [await builder.step() for builder in builders] == [Step.OVERTAKEN] * 2
    assert await world.registry.find(world.tenant.key, "totals") is None
    assert await world.registry.sweep() == 0, "a read that began before may still be at its tables"
    assert await world.registry.sweep(grace_s=0) == 2
    async with world.database.writing() as connection:
        left = await connection.fetchval("select count(*) from pg_class where relname like 'projection\\_%\\_changes'")
    assert left == 0
    again = await world.create()
    assert again.active.number == 1
    await world.apply(again.active)
    assert await world.all_rows() == {"ann": {"total": 5}}


async def test_a_name_is_taken_once_by_two_who_come_at_once(world: World) -> None:
    outcomes = await asyncio.gather(*(world.create() for _ in range(5)), return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, EsbError)]
    assert len(refused) == 4
    assert {one.code for one in refused} == {ErrorCode.ALREADY_EXISTS}


async def test_read_when_asked_for_it_is_as_far_as_the_log(world: World) -> None:
    await world.background.start()
    await world.create(declared(mode="ON_READ"))
    await world.is_version(1)
    for total in range(1, 4):
        await world.sell("ann", 1)
        await world.queries.find(ADMIN, "totals")
        assert await world.all_rows() == {"ann": {"total": total}}


async def test_who_waits_is_helped_where_no_worker_is(world: World) -> None:
    await world.create()
    cursor = (await world.sell_all([("ann", 1)] * 10))[-1]
    await asyncio.gather(*(world.reaching.reach(world.tenant, "totals", cursor.position) for _ in range(20)))
    assert await world.all_rows() == {"ann": {"total": 10}}


async def test_a_place_beyond_the_log_is_waited_for_and_no_longer_than_said(world: World) -> None:
    await world.create()
    with pytest.raises(EsbError, match="behind") as late:
        await world.reaching.reach(world.tenant, "totals", 2, seconds=0.3)
    assert late.value.code is ErrorCode.TIMEOUT
