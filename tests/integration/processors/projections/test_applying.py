"""Events into rows: each exactly once, whoever applies them, and however they are interrupted."""

import asyncio
import random
from collections.abc import Collection, Mapping
from typing import Any

import pytest

from processors.projections.applying import Applier, Step
from store.projections.registry import Stopped, Version
from store.projections.writing import Batch, ProjectionWriter
from tests.projecting import World, counting, declared
from tests.world import ADMIN

SALES = [(f"c{number % 7}", number * 3 - 40) for number in range(120)]


def totals(sales: list[tuple[str, int]]) -> dict[str, Any]:
    """The reference: the same fold, written again."""
    rows: dict[str, Any] = {}
    for who, amount in sales:
        row = rows.setdefault(who, {"total": 0, "count": 0})
        row["total"] += amount
        row["count"] += 1
    return rows


class Interrupted(Exception):
    pass


class Dying(ProjectionWriter):
    """Dies, as a process killed there would: before the write, or after it but before it knows."""

    def __init__(self, world: World, dice: random.Random) -> None:
        super().__init__(world.database)
        self._dice = dice

    async def values(self, version: Version, keys: Collection[str]) -> Mapping[str, str]:
        self._perhaps(0.1)
        return await super().values(version, keys)

    async def write(self, version: Version, batch: Batch) -> bool:
        self._perhaps(0.2)
        done = await super().write(version, batch)
        self._perhaps(0.2)
        return done

    def _perhaps(self, chance: float) -> None:
        if self._dice.random() < chance:
            raise Interrupted


@pytest.mark.parametrize("history", [True, False])
@pytest.mark.parametrize("seed", range(3))
async def test_two_workers_that_die_anywhere_apply_each_event_once(world: World, seed: int, history: bool) -> None:
    dice = random.Random(seed)
    version = (await world.create(counting(history=history))).active
    await world.sell_all(SALES)
    writer = Dying(world, dice)

    async def work() -> None:
        applier: Applier | None = None
        while True:
            if applier is None:
                found = await world.registry.work(version.key)
                assert found is not None
                applier = Applier(*found, world.reader, writer)
            applier._limit = dice.randint(1, 9)
            try:
                step = await applier.step()
            except Interrupted:
                applier = None  # a new process knows nothing
                continue
            if step is Step.AT_END:
                return
            if step is Step.OVERTAKEN:
                applier = None

    async with asyncio.timeout(60):
        await asyncio.gather(work(), work(), work())
    assert await world.all_rows() == totals(SALES)
    if history:
        for position in dice.sample(range(1, len(SALES) + 2), 10):
            assert await world.all_rows(position) == totals(SALES[: position - 1])


async def test_who_was_frozen_while_another_went_on_changes_nothing(world: World) -> None:
    version = (await world.create(counting())).active
    await world.sell_all(SALES[:10])
    frozen = await world.applier(version)
    await world.apply(version)
    await world.sell_all(SALES[10:20])
    await world.apply(version)
    assert await frozen.step() is Step.OVERTAKEN
    assert await world.all_rows() == totals(SALES[:20])


async def test_nothing_is_applied_after_a_pause_was_answered(world: World) -> None:
    version = (await world.create()).active
    await world.sell("ann", 1)
    await world.apply(version)
    late = await world.applier(version)
    await world.sell("ann", 2)
    await world.admin.pause(ADMIN, "totals")
    assert await late.step() is Step.OVERTAKEN
    assert await world.all_rows() == {"ann": {"total": 1}}
    await world.admin.resume(ADMIN, "totals")
    assert await world.apply(version) is Step.AT_END
    assert await world.all_rows() == {"ann": {"total": 3}}


async def test_a_poison_event_stops_at_its_place_and_is_named(world: World) -> None:
    operations = [{"increment": {"path": "total", "expression": "10 / event.payload.amount"}}]
    version = (await world.create(declared(reducers=[{"on": "sale", "operations": operations}]))).active
    await world.sell_all([("ann", 5), ("bob", 1), ("ann", 0), ("bob", 2)])
    assert await world.apply(version) is Step.STOPPED
    assert await world.all_rows() == {"ann": {"total": 2}, "bob": {"total": 10}}, "what came before is applied"
    stopped = (await world.find()).active
    assert stopped.position == 3
    assert stopped.error is not None
    assert (stopped.error.code, stopped.error.position) == ("BAD_INPUT", 3)
    assert "division by zero" in stopped.error.message
    assert stopped.error.event_id is not None
    assert stopped.error.event_id in stopped.error.message
    assert await world.registry.due() == []


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("event.payload.nobody", "missing"),
        ("event.payload", "a map"),
        ("1.5", "a number"),
        ("''", "1 to 512 bytes"),
    ],
)
async def test_an_event_without_a_key_is_poison(world: World, key: str, why: str) -> None:
    version = (await world.create(declared(key=key))).active
    await world.sell("ann", 1)
    assert await world.apply(version) is Step.STOPPED
    error = (await world.find()).active.error
    assert error is not None
    assert why in error.message


async def test_an_event_whose_key_is_null_belongs_to_no_row(world: World) -> None:
    key = "event.payload.amount > 5 ? event.payload.who : null"
    version = (await world.create(declared(key=key))).active
    await world.sell_all([("ann", 1), ("ann", 7)])
    assert await world.apply(version) is Step.AT_END
    assert await world.all_rows() == {"ann": {"total": 7}}


async def test_numbers_and_booleans_are_keys_by_their_text(world: World) -> None:
    version = (await world.create(declared(key="event.payload.who == 'ann' ? 7 : true"))).active
    await world.sell_all([("ann", 1), ("bob", 2)])
    await world.apply(version)
    assert await world.all_rows() == {"7": {"total": 1}, "true": {"total": 2}}


async def test_a_row_that_postgresql_refuses_stops_the_version_at_its_event(world: World) -> None:
    version = (await world.create(declared(history=False))).active
    async with world.database.writing() as connection:
        await connection.execute(
            f"alter table projection_{version.key} add column narrow smallint"
            " generated always as ((value::json ->> 'total')::smallint) stored"
        )
    await world.sell_all([("ann", 5), ("bob", 10**6), ("ann", 6)])
    assert await world.apply(version) is Step.STOPPED
    error = (await world.find()).active.error
    assert error is not None
    assert error.position == 2
    assert "smallint" in error.message
    assert await world.all_rows() == {"ann": {"total": 5}}


async def test_a_dropped_row_is_gone_and_may_come_back(world: World) -> None:
    dropping = {"on": "gone", "operations": [{"drop": True}]}
    said = declared(where=None, reducers=[*declared()["reducers"], dropping])
    version = (await world.create(said)).active
    await world.sell("ann", 1)
    await world.sell("ann", 0, type="gone")
    await world.sell("ann", 5)
    await world.sell("bob", 1)
    await world.sell("bob", 0, type="gone")
    await world.apply(version)
    assert await world.all_rows() == {"ann": {"total": 5}}
    assert await world.all_rows(3) == {}, "as it was"
    assert await world.all_rows(5) == {"ann": {"total": 5}, "bob": {"total": 1}}


async def test_other_streams_and_types_move_the_place_and_nothing_else(world: World) -> None:
    version = (await world.create()).active
    await world.sell_all([("ann", 1)] * 5, type="other")
    await world.apply(version)
    assert await world.all_rows() == {}
    assert (await world.find()).active.position == 6


async def test_a_stopped_version_is_not_stopped_twice(world: World) -> None:
    version = (await world.create()).active
    why = Stopped("BAD_INPUT", "first", None, 1)
    assert await world.writer.stop(version, why)
    assert not await world.writer.stop(version, why._replace(message="second"))


async def test_a_key_that_takes_too_much_work_is_poison(world: World) -> None:
    looked_for = " || ".join(["event.payload.who in event.payload.amount"] * 11)
    version = (await world.create(declared(key=looked_for))).active
    await world.sell("ann", list(range(100_000)))
    assert await world.apply(version) is Step.STOPPED
    error = (await world.find()).active.error
    assert error is not None
    assert error.code == "TOO_COMPLEX"
