"""Whoever reads slowly is told of the last state, and never of a wrong one."""

import asyncio

from processors.aggregates.following import AggregateFollowing, Following
from processors.live.live import Live
from processors.live.request import Edge
from store.log.logs import Logs
from tests.aggregating import aggregating, folded
from tests.world import CODEC


async def test_states_left_out_under_pressure_are_made_up_for(database_url: str) -> None:
    async with aggregating(database_url) as world:
        logs = Logs(world.logs.get, world.tenants, {})
        live = Live(world.reader, logs, world.tenants, CODEC)
        await live.start()
        try:
            await world.define()
            await world.publish("a", range(3))
            following = await Following(world.aggregates, live, world.reader).follow(
                world.principal, "User", "a", Edge.LIVE
            )
            states = following.states()
            first = await anext(states)
            assert (first.version, first.state) == (3, folded(range(3)))
            await world.publish("a", range(3, 4))
            assert (await anext(states)).version == 4
            for start in range(4, 2004, 100):
                await world.publish("a", range(start, start + 100))
            seen = await _until(states, following, 2004)
            assert seen[-1].state == folded(range(2004))
            assert all(one.state == folded(range(one.version)) for one in seen)
            await states.aclose()
            assert live.subscriptions == 0
        finally:
            await live.stop()


async def _until(states: object, following: AggregateFollowing, version: int) -> list:  # type: ignore[type-arg]
    seen = []
    async with asyncio.timeout(20):
        async for state in states:  # type: ignore[attr-defined]
            seen.append(state)
            if state.version == version:
                return seen
    return seen
