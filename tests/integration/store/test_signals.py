"""Signals between processes, over real servers: they arrive, soon, and again after the connection was killed."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from store.signals.broadcast import BroadcastSignals
from store.signals.port import EVERYTHING
from store.signals.postgres import NotifyBackend, postgres_signals

Make = Callable[[], BroadcastSignals]


@pytest.fixture(params=["postgres", pytest.param("redis", marks=pytest.mark.needs("redis_url"))])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "postgres":
        dsn = request.getfixturevalue("empty_database_url")
        return lambda: postgres_signals(dsn)
    from store.signals.redis import redis_signals

    url = request.getfixturevalue("redis_url")
    return lambda: redis_signals(url)


class Process:
    """One process's end: what it heard, and waiting for it."""

    def __init__(self, signals: BroadcastSignals) -> None:
        self.signals = signals
        self.heard: list[str] = []
        self._news = asyncio.Event()
        signals.listen(self._hear)

    def _hear(self, topic: str) -> None:
        self.heard.append(topic)
        self._news.set()

    async def hears(self, *topics: str, seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while not set(topics) <= set(self.heard):
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def two(make: Make) -> AsyncIterator[tuple[Process, Process]]:
    one, other = Process(make()), Process(make())
    await asyncio.gather(one.signals.start(), other.signals.start())
    yield one, other
    await asyncio.gather(one.signals.stop(), other.signals.stop())


async def test_both_hear_either(two: tuple[Process, Process]) -> None:
    one, other = two
    one.signals.notify("log:a")
    other.signals.notify("log:b")
    await one.hears("log:a", "log:b")
    await other.hears("log:a", "log:b")
    assert one.heard.count("log:a") == 1, "its own signal must not come back a second time"


async def test_a_flood_arrives_whole_and_compressed(two: tuple[Process, Process]) -> None:
    one, other = two
    for burst in range(100):
        for tenant in range(50):
            one.signals.notify(f"log:{tenant}")
            other.signals.notify(f"streams:{tenant}")
        if burst % 10 == 0:
            await asyncio.sleep(0)
    await other.hears(*(f"log:{tenant}" for tenant in range(50)))
    await one.hears(*(f"streams:{tenant}" for tenant in range(50)))
    assert len(other.heard) < 50 * 100


async def test_it_is_soon(two: tuple[Process, Process]) -> None:
    one, other = two
    took = []
    for number in range(50):
        began = time.perf_counter()
        one.signals.notify(f"log:{number}")
        await other.hears(f"log:{number}")
        took.append(time.perf_counter() - began)
    assert sorted(took)[25] < 0.05


async def test_a_killed_connection_is_replaced(empty_database_url: str) -> None:
    # without echoes: the loss itself is noticed
    one, other = (
        Process(BroadcastSignals(lambda: NotifyBackend(empty_database_url), echo_every_s=600)) for _ in range(2)
    )
    await asyncio.gather(one.signals.start(), other.signals.start())
    administrator = await asyncpg.connect(empty_database_url)
    for attempt in range(3):
        one.heard.clear()
        other.heard.clear()
        await administrator.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'esb-signals'"
            " and datname = current_database()"
        )
        await one.hears(EVERYTHING)
        await other.hears(EVERYTHING)
        one.signals.notify(f"log:{attempt}")
        await other.hears(f"log:{attempt}")
    await administrator.close()
    await asyncio.gather(one.signals.stop(), other.signals.stop())


async def test_what_was_said_while_the_connection_was_down_is_said_afterwards(empty_database_url: str) -> None:
    one, other = Process(postgres_signals(empty_database_url)), Process(postgres_signals(empty_database_url))
    one.signals.notify("log:early")
    await other.signals.start()
    await one.signals.start()
    await other.hears("log:early")
    await asyncio.gather(one.signals.stop(), other.signals.stop())


async def test_the_backend_takes_concurrent_publishers(empty_database_url: str) -> None:
    backend = NotifyBackend(empty_database_url)
    await backend.connect()
    await backend.subscribe("numbers")
    await asyncio.gather(*(backend.publish("numbers", str(number)) for number in range(100)))
    async with asyncio.timeout(5):
        assert [(await backend.next_published()).message for _ in range(100)] == [str(n) for n in range(100)]
    await backend.disconnect()
