"""Direct subscribers, whose outlets now and then take nothing: each event once, in order, and never more at once than
was asked for.
"""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.processors.live.test_seam import World
from tests.unit.processors.live.world import turns

COUNT = 3
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["hand_over", "hand_over", "lose"]), st.integers(1, 9)),
        st.tuples(st.sampled_from(["block", "unblock", "consume", "consume"]), st.integers(0, COUNT)),
        st.tuples(st.sampled_from(["subscribe_direct", "subscribe_direct_gathering"]), st.integers(0, 100)),
        st.tuples(st.just("stall"), st.integers(0, COUNT)),
        st.tuples(st.just("wait"), st.integers(1, 8)),
        st.tuples(st.just("pause"), st.integers(1, 3)),
        st.tuples(st.just("leave"), st.integers(0, COUNT)),
    ),
    max_size=40,
)
seen = {"direct": 0, "fallen back": 0}


@settings(max_examples=250, deadline=None)
@given(steps=STEPS, starts=st.lists(st.integers(0, 100), min_size=1, max_size=COUNT), gathering=st.booleans())
def check(steps: list[tuple[str, int]], starts: list[int], gathering: bool) -> None:
    async def run() -> None:
        world = World(20, 9)
        await world.live.start()
        try:
            for start in starts:
                await world.subscribe(start, False, direct=True, gathering=gathering)
            for follower in world.followers:
                await follower.step()
                await follower.step()
                assert follower.is_direct
            for action, number in steps:
                if action == "pause":
                    await asyncio.sleep(number / 1000)  # what is gathered falls due meanwhile, or not
                elif action == "stall":
                    await world.do("block", number)
                    await world.do("hand_over", 2 * number + 1)
                    await turns()
                elif action == "leave" and world.followers:
                    await world.followers.pop(number % len(world.followers)).subscription.aclose()
                else:
                    await world.do(action, number)
            world.live.on_signal("log:acme")
            await turns()
            await world.settle()
            for follower in world.followers:
                assert follower.seen == follower.expected(world.ledger)
                seen["direct"] += follower.direct
                seen["fallen back"] += follower.refused
            await world.drain()
            for follower in world.followers:
                await follower.subscription.aclose()
            assert world.live.buffered_bytes == 0
        finally:
            await world.live.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"

    asyncio.run(run())


def test_nothing_is_lost_between_outlet_and_buffer() -> None:
    """Both ways are taken often, or the property would say nothing."""
    check()
    assert seen["direct"] > 100
    assert seen["fallen back"] > 50
