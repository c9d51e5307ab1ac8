import asyncio

from processors.worker import Worker


async def test_it_runs_again_after_a_failure_and_says_what_it_was() -> None:
    attempts = 0
    well = asyncio.Event()

    async def work() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ValueError(attempts)
        well.set()
        await asyncio.Event().wait()

    worker = Worker("test", work, first_s=0.001)
    await worker.start()
    async with asyncio.timeout(5):
        await well.wait()
    assert attempts == 3
    assert repr(worker.failure) == "ValueError(2)"
    await worker.stop()


async def test_stopping_waits_for_the_cleanup_and_may_be_repeated() -> None:
    started, cleaned = asyncio.Event(), False

    async def work() -> None:
        nonlocal cleaned
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned = True

    worker = Worker("test", work)
    await worker.stop()
    await worker.start()
    await worker.start()
    await started.wait()
    await worker.stop()
    assert cleaned
    await worker.stop()


async def test_it_can_be_started_again() -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1

    worker = Worker("test", work)
    for _ in range(2):
        await worker.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await worker.stop()
    assert runs == 2
