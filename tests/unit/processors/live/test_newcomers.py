"""Many come back at once: what is live goes out between them."""

import asyncio

from processors.live.pacer import REST_TURNS
from processors.live.subscription import LiveSubscription
from processors.live.turn import Turn
from schema.cursor import Cursor
from tests.property.processors.live.test_seam import SHAPE
from tests.unit.processors.live.world import MemoryLedger, live_over, request, turns

NEWCOMERS = 60
MISSED = 50
LONGEST_WAY = 10
"""Turns of the loop from a commit to an outlet."""


class Outlet:
    """Notes in a log each turn it is sent."""

    def __init__(self, name: str, log: list[str]) -> None:
        self._name = name
        self._log = log

    def ready(self) -> bool:
        return True

    def send(self, turn: Turn) -> bool:
        self._log.append(self._name)
        return True


async def test_no_live_event_waits_for_more_than_a_few_newcomers() -> None:
    ledger, log = MemoryLedger(), list[str]()
    live = live_over(ledger)
    await live.start()
    ledger.commit(MISSED)
    watching = await live.subscribe(request(shape=SHAPE))
    watching.send_to(Outlet("live", log))
    watcher = asyncio.create_task(_follow(watching))
    await turns(50)

    async def come_back(place: int) -> None:
        subscribed = await live.subscribe(request(start=Cursor(1, place), shape=SHAPE))
        subscribed.send_to(Outlet("newcomer", log))
        async with subscribed:
            while not subscribed.caught_up:
                await anext(subscribed)

    crowd = [asyncio.create_task(come_back(place % MISSED + 1)) for place in range(NEWCOMERS)]
    waited = []
    while log.count("newcomer") < NEWCOMERS:
        before, events = log.count("newcomer"), log.count("live")
        live.on_commit(ledger.commit(1))
        async with asyncio.timeout(10):
            while log.count("live") == events:  # noqa: ASYNC110 - a log tells nobody
                await asyncio.sleep(0)
        waited.append(log.count("newcomer") - before)
    assert max(waited) <= LONGEST_WAY / REST_TURNS + 1
    await asyncio.gather(*crowd)
    watcher.cancel()
    await asyncio.wait([watcher])
    await watching.aclose()
    await live.stop()


async def _follow(subscribed: LiveSubscription) -> None:
    async for _ in subscribed:
        pass
