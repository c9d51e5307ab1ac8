"""Newcomers' steps: how far apart, in which order, and what cancelled ones mean to those behind them."""

import asyncio
from itertools import pairwise

from processors.live.pacer import LONGEST_STEP_S, LONGEST_TURNS_S, REST_RATIO, REST_TURNS, Pacer
from tests.unit.processors.live.world import turns


async def test_between_two_steps_the_loop_comes_round_to_everybody_else() -> None:
    pacer, log = Pacer(lambda: 0.0), list[str]()

    async def newcomer() -> None:
        await pacer.turn()
        log.append("step")

    async def live() -> None:
        while log.count("step") < 100:
            log.append("live")
            await asyncio.sleep(0)

    await asyncio.gather(live(), *[newcomer() for _ in range(100)])
    steps = [place for place, what in enumerate(log) if what == "step"]
    between = [later - earlier - 1 for earlier, later in pairwise(steps)]
    assert min(between) >= REST_TURNS
    assert max(between) <= REST_TURNS + 2, "newcomers must get on, too"


async def test_first_come_first_served_and_who_left_is_passed_over() -> None:
    pacer, served = Pacer(lambda: 0.0), list[int]()

    async def newcomer(number: int) -> None:
        await pacer.turn()
        served.append(number)

    tasks = [asyncio.create_task(newcomer(number)) for number in range(10)]
    await asyncio.sleep(0)
    for gone in (3, 4, 9):
        tasks[gone].cancel()
    await turns(10 * (REST_TURNS + 2))
    assert served == [0, 1, 2, 5, 6, 7, 8]


async def test_long_steps_are_followed_by_long_rests() -> None:
    now, log = 0.0, list[str]()
    pacer = Pacer(lambda: now)

    async def newcomer() -> None:
        nonlocal now
        await pacer.turn()
        if not log:
            asyncio.get_running_loop().call_later(LONGEST_STEP_S * (REST_RATIO - 0.5), log.append, "live")
        log.append("step")
        now += LONGEST_STEP_S

    async with asyncio.timeout(30):
        await asyncio.gather(*[newcomer() for _ in range(3)])
    assert log == ["step", "live", "step", "step"]


async def test_who_was_frozen_goes_on_at_once_and_a_full_loop_lets_newcomers_on() -> None:
    now, log = 0.0, list[str]()
    pacer = Pacer(lambda: now)

    async def newcomer() -> None:
        nonlocal now
        await pacer.turn()
        log.append("step")
        now += 3600.0

    async def live() -> None:
        nonlocal now
        while log.count("step") < 4:
            log.append("live")
            now += LONGEST_TURNS_S
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        await asyncio.gather(*[newcomer() for _ in range(4)], live())
    assert log.count("step") == 4


async def test_a_single_newcomer_does_not_wait() -> None:
    pacer = Pacer()
    for _ in range(3):
        step = asyncio.create_task(pacer.turn())
        await asyncio.sleep(0)
        assert step.done()
        await turns(REST_TURNS + 2)
