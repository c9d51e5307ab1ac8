"""A state folded from snapshots equals the fold of all its events, at every moment, however it is asked for."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.aggregate import AtHappened, AtPosition, AtRecorded, AtSequence
from tests.aggregating import EPOCH, Aggregating, aggregating, folded


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[Aggregating]:
    async with aggregating(database_url) as made:
        yield made


# Seconds at which facts happened, mostly in order: late ones come many events after their time.
steps = st.lists(st.sampled_from([1, 1, 1, 1, 0, 3, -2, -7, -20]), min_size=1, max_size=40)
parts = st.lists(steps, min_size=1, max_size=3)


@settings(
    max_examples=25,
    deadline=timedelta(seconds=20),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(parts, st.integers(1, 9))
async def test_snapshots_never_change_what_is_read(world: Aggregating, history: list[list[int]], every: int) -> None:
    """Parts of a history, with snapshots taken after each of them."""
    tenant = await world.begin()
    await world.define(snapshot_every=every)
    numbers: list[int] = []
    happened: list[int] = []
    for part in history:
        fresh = list(range(len(numbers), len(numbers) + len(part)))
        times = [*happened]
        for step in part:
            times.append((times[-1] if times else 50) + step)
        await world.publish("u", fresh, times[len(numbers) :])
        await world.publish("other", [1])
        numbers, happened = numbers + fresh, times
        async with world.snapshotter(), asyncio.timeout(20):
            while not await world.followed():  # noqa: ASYNC110 - it is asked, not told
                await asyncio.sleep(0.005)
    assert (await world.taken("u") != []) == (len(numbers) >= every)
    events = [event for event in await world.events() if event.aggregate_id == "u"]
    for version, event in enumerate(events, 1):
        assert event.position is not None
        for at in (AtSequence(version), AtPosition(event.position + 1, tenant.epoch), AtRecorded(event.recorded_at)):
            found = await world.state("u", at)
            assert found is not None
            assert found.version == version if not isinstance(at, AtRecorded) else found.version >= version
            assert found.state == folded(numbers[: found.version])
    for second in {*happened, min(happened) - 1, max(happened) + 1}:
        found = await world.state("u", AtHappened(EPOCH + timedelta(seconds=second)))
        known = [number for number, time in zip(numbers, happened, strict=True) if time <= second]
        assert (found.state if found else {}) == folded(known)
    now = await world.state("u")
    assert now is not None
    assert (now.version, now.state) == (len(numbers), folded(numbers))
