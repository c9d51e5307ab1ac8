"""Who serves what, with leases on a real PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import Collection

from processors.rota import Rota, Turn
from tests.relaying import world


async def test_every_name_is_served_by_one_process_at_a_time_and_slots_are_kept(database_url: str) -> None:
    names = [f"name{number}" for number in range(12)]
    serving: Counter[str] = Counter()
    served: Counter[str] = Counter()
    most = [0, 0]

    async def due() -> Collection[str]:
        return [name for name in names if served[name] < 3]

    async with world(database_url) as place:
        leases = [place.leases(), place.leases()]

        def process(number: int) -> Rota:
            async def serve(name: str, turn: Turn) -> None:
                serving[name] += 1
                assert serving[name] == 1
                most[number] = max(most[number], len(rotas[number].serving))
                await asyncio.sleep(0.01)
                served[name] += 1
                serving[name] -= 1

            return Rota("test:", leases[number], due, serve, slots=3, poll_s=0.02)

        rotas = [process(0), process(1)]
        for rota in rotas:
            await rota.start()
        async with asyncio.timeout(30):
            while await due():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        for rota in rotas:
            await rota.stop()
        for one in leases:
            await one.close()

    assert 0 < max(most) <= 3


async def test_a_long_turn_gives_its_slot_to_who_waits(database_url: str) -> None:
    turns: list[str] = []
    done = asyncio.Event()

    async def due() -> Collection[str]:
        return ["a", "b"]

    async def serve(name: str, turn: Turn) -> None:
        turns.append(name)
        if len(turns) >= 6:
            done.set()
        while not turn.over:
            await turn.rest(0.01)

    async with world(database_url) as place:
        leases = place.leases()
        rota = Rota("test:", leases, due, serve, slots=1, slice_s=0.05, poll_s=0.02)
        await rota.start()
        async with asyncio.timeout(20):
            await done.wait()
        await rota.stop()
        await leases.close()

    assert turns[:6] == ["a", "b"] * 3


async def test_a_failing_name_rests_and_the_others_go_on(database_url: str) -> None:
    served: Counter[str] = Counter()
    enough = asyncio.Event()

    async def due() -> Collection[str]:
        return ["bad", "good"]

    async def serve(name: str, turn: Turn) -> None:
        served[name] += 1
        if name == "bad":
            raise ValueError(name)
        if served["good"] == 30:
            enough.set()

    async with world(database_url) as place:
        leases = place.leases()
        rota = Rota("test:", leases, due, serve, poll_s=0.01)
        await rota.start()
        async with asyncio.timeout(20):
            await enough.wait()
        await rota.stop()
        await leases.close()

    assert 0 < served["bad"] < served["good"] / 2


async def test_a_call_wakes_the_turn_under_way_or_begins_one(database_url: str) -> None:
    woken = asyncio.Queue[str]()

    async def due() -> Collection[str]:
        return []

    async def serve(name: str, turn: Turn) -> None:
        woken.put_nowait("begun")
        await turn.rest(60)
        woken.put_nowait("woken")

    async with world(database_url) as place:
        leases = place.leases()
        rota = Rota("test:", leases, due, serve, poll_s=3600)
        await rota.start()
        async with asyncio.timeout(10):
            rota.call("a")
            assert await woken.get() == "begun"
            rota.call("a")
            assert await woken.get() == "woken"
        await rota.stop()
        await leases.close()
