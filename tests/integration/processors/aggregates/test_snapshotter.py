"""Snapshots in the background: by count, by age, dropped with their reducers, and what failures leave behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from processors.aggregates.history import Bound
from schema.aggregate import AtSequence
from schema.errors import ErrorCode, EsbError
from store.leases import Leases
from store.ledger.aggregates import AggregateKey
from store.snapshots import Taken
from tests.aggregating import NUMBERS, Aggregating, aggregating, folded

TWICE = [{"on": "user.*", "operations": [{"increment": {"path": "sum", "expression": "event.payload.n * 2"}}]}]


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[Aggregating]:
    async with aggregating(database_url) as made:
        yield made


async def followed(world: Aggregating) -> None:
    async with asyncio.timeout(20):
        while not await world.followed():  # noqa: ASYNC110 - it is asked, not told
            await asyncio.sleep(0.01)


async def test_every_so_many_events_a_snapshot(world: Aggregating) -> None:
    await world.define(snapshot_every=10)
    await world.publish("a", range(25))
    await world.publish("b", range(9))
    async with world.snapshotter():
        await followed(world)
        assert await world.taken("a") == [10, 20]
        assert await world.taken("b") == []
        await world.publish("b", range(9, 11))
        await world.publish("a", range(25, 29))
        await followed(world)
    assert await world.taken("b") == [10] or await world.taken("b") == [11]
    assert await world.taken("a") == [10, 20]


async def test_a_large_state_gets_fewer(world: Aggregating) -> None:
    await world.define(
        snapshot_every=1, reducers=[{"on": "**", "operations": [{"set": {"path": "t", "value": "x" * 4000}}]}]
    )
    await world.publish("a", range(40))
    async with world.snapshotter():
        await followed(world)
    assert await world.taken("a") == [1, 16, 31]


async def test_an_event_older_than_the_age_is_in_a_snapshot(world: Aggregating) -> None:
    await world.define(snapshot_every=1000, snapshot_max_age_ms=1000)
    await world.publish("a", range(3))
    async with world.snapshotter(), asyncio.timeout(20):
        while await world.taken("a") != [3]:  # noqa: ASYNC110 - it is asked, not told
            await asyncio.sleep(0.05)


async def test_other_reducers_drop_the_snapshots_and_make_new_ones(world: Aggregating) -> None:
    assert await world.define(snapshot_every=10) == 1
    await world.publish("a", range(25))
    async with world.snapshotter():
        await followed(world)
        assert await world.define(snapshot_every=10) == 1, "the same said again"
        assert await world.define(snapshot_every=5, reducers=TWICE) == 2
        found = await world.state("a", AtSequence(12))
        assert found is not None
        assert found.state == {"sum": 2 * sum(range(12))}, "at once, before any new snapshot"
        await followed(world)
        assert await world.taken("a") == [5, 10, 15, 20, 25]
    found = await world.state("a")
    assert found is not None
    assert found.state == {"sum": 2 * sum(range(25))}


async def test_a_snapshotter_overtaken_by_a_change_leaves_nothing_of_the_old_reducers(world: Aggregating) -> None:
    """As one that was frozen between folding and writing."""
    tenant = await world.begin()
    await world.define(snapshot_every=10)
    await world.publish("a", range(10))
    known = await world.types.of(tenant, "User")
    fold = world.folds.of(known.declaration)
    key = AggregateKey("User", "a")
    reached = await world.history.fold(tenant, key, fold, Bound())
    await world.define(snapshot_every=10, reducers=TWICE)
    late = Taken(10, reached.position, reached.recorded_at, reached.newest, 1, reached.newest, '{"sum": "wrong"}')
    await world.snapshots.put(tenant, key, fold.made_by, fold.revision, [late])
    assert await world.taken("a") == []
    found = await world.state("a")
    assert found is not None
    assert found.state == {"sum": 2 * sum(range(10))}


async def test_a_read_under_way_keeps_to_the_reducers_it_began_with(world: Aggregating) -> None:
    tenant = await world.begin()
    await world.define(snapshot_every=10)
    await world.publish("a", range(25))
    async with world.snapshotter():
        await followed(world)
        old = world.folds.of((await world.types.of(tenant, "User")).declaration)
        key = AggregateKey("User", "a")
        begun = await world.history.start(tenant, key, old, Bound(last=25))
        assert begun.version == 20
        await world.define(snapshot_every=3, reducers=TWICE)
        await followed(world)
        for event in await world.log.events(tenant, key, first=21, last=25):
            begun = begun.after(event)
        assert begun.state == folded(range(25))
        assert (await world.history.fold(tenant, key, old, Bound(last=25))).state == folded(range(25)), (
            "and from scratch"
        )


async def test_two_at_once_leave_what_one_would(world: Aggregating) -> None:
    await world.define(snapshot_every=7)
    await world.publish("a", range(60))
    mine, other = Leases(world.database, ttl_s=0.3), Leases(world.database, ttl_s=0.3)
    try:
        async with world.snapshotter(mine), world.snapshotter(other):
            await world.publish("b", range(60))
            await followed(world)
    finally:
        await mine.close()
        await other.close()
    for aggregate in "ab":
        taken = await world.taken(aggregate)
        assert taken == sorted(set(taken))
        assert len(taken) in (7, 8)
        for number in range(1, 61):
            found = await world.state(aggregate, AtSequence(number))
            assert found is not None
            assert found.state == folded(range(number))


async def test_one_that_goes_away_in_the_middle_is_carried_on(world: Aggregating) -> None:
    await world.define(snapshot_every=5)
    for aggregate in "abcdefgh":
        await world.publish(aggregate, range(30))
    async with world.snapshotter(), asyncio.timeout(20):
        while not await world.taken():  # noqa: ASYNC110 - it is asked, not told
            await asyncio.sleep(0.001)
    async with world.snapshotter():
        await followed(world)
    for aggregate in "abcdefgh":
        assert await world.taken(aggregate) == [5, 10, 15, 20, 25, 30]


async def test_an_event_that_cannot_be_folded_stops_its_aggregate_only(world: Aggregating) -> None:
    await world.define(
        snapshot_every=5,
        reducers=[
            *NUMBERS,
            {"on": "user.divided", "operations": [{"set": {"path": "q", "expression": "1 / event.payload.n"}}]},
        ],
    )
    await world.publish("a", range(8))
    await world.publish("a", [0], type="user.divided")
    await world.publish("a", range(8))
    await world.publish("b", range(8))
    async with world.snapshotter():
        await followed(world)
    assert await world.taken("b") == [5]
    assert await world.taken("a") == [5]
    with pytest.raises(EsbError) as caught:
        await world.state("a")
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert (caught.value.details or {})["sequenceNumber"] == 9
    before = await world.state("a", AtSequence(8))
    assert before is not None
    assert before.state == folded(range(8))
    await world.define(snapshot_every=5)
    assert (await world.state("a")) is not None, "and goes on after the repair"


async def test_events_committed_while_a_state_is_folded_are_whole_in_it(world: Aggregating) -> None:
    await world.define(snapshot_every=1000)
    await world.publish("a", range(1200))

    async def more() -> None:
        for start in range(1200, 1500, 50):
            await world.publish("a", range(start, start + 50))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(more())
        states = [await world.state("a") for _ in range(5)]
    for found in states:
        assert found is not None
        assert found.state == folded(range(found.version))
