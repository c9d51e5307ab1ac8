"""One execution for many, whatever becomes of the one who began it."""

import asyncio

import pytest

from gateway.graphql.shared_executions import SharedExecutions


class Work:
    """Counts how often it was done; waits for `go`."""

    def __init__(self) -> None:
        self.done = 0
        self.go = asyncio.Event()
        self.fails = 0

    async def __call__(self) -> bytes:
        self.done += 1
        await self.go.wait()
        if self.fails:
            self.fails -= 1
            raise ValueError("no")
        return b"result"


async def test_those_who_ask_at_once_and_those_who_come_later_share_one() -> None:
    shared, work = SharedExecutions(), Work()
    asking = [asyncio.create_task(shared.of("key", work)) for _ in range(5)]
    await asyncio.sleep(0)
    work.go.set()
    assert await asyncio.gather(*asking) == [b"result"] * 5
    assert await shared.of("key", work) == b"result"
    assert work.done == 1
    assert await shared.of("another", work) == b"result"
    assert work.done == 2


async def test_when_the_first_is_cancelled_another_does_it() -> None:
    shared, work = SharedExecutions(), Work()
    first, second, third = (asyncio.create_task(shared.of("key", work)) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    third.cancel()
    work.go.set()
    assert await second == b"result"
    assert first.cancelled() or (await asyncio.gather(first, return_exceptions=True))
    with pytest.raises(asyncio.CancelledError):
        await third
    assert work.done == 2


async def test_a_failure_is_its_own_asker_s_only() -> None:
    shared, work = SharedExecutions(), Work()
    work.fails = 1
    first, second = (asyncio.create_task(shared.of("key", work)) for _ in range(2))
    await asyncio.sleep(0)
    work.go.set()
    with pytest.raises(ValueError, match="no"):
        await first
    assert await second == b"result"


async def test_what_is_kept_stays_within_its_bytes() -> None:
    shared, work = SharedExecutions(kept_bytes=20), Work()
    work.go.set()
    for key in range(10):
        await shared.of(key, work)
    assert shared._bytes <= 20
    assert len(shared._kept) == 3
    await shared.of(9, work)
    assert work.done == 10
    await shared.of(0, work)
    assert work.done == 11
