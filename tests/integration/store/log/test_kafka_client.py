"""Kafka's clients cut off anywhere in their start and stop: nothing is left open, and nobody waits for long."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from store.log import kafka_client
from store.log.kafka_client import running


def consumer(servers: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(bootstrap_servers=servers, group_id=None)


def producer(servers: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)


def admin(servers: str) -> AIOKafkaAdminClient:
    return AIOKafkaAdminClient(bootstrap_servers=servers)


class Cut:
    """Runs a coroutine and cancels a task where it waits for the `at`-th time."""

    def __init__(self, work: Coroutine[Any, Any, Any], whom: "asyncio.Task[Any]", at: int) -> None:
        self._work = work
        self._whom = whom
        self._left = at

    def __await__(self) -> Generator[Any, Any, Any]:
        go: Callable[[], Any] = lambda: self._work.send(None)  # noqa: E731
        while True:
            try:
                waited_for = go()
            except StopIteration as over:
                return over.value
            self._left -= 1
            if not self._left:
                self._whom.cancel()
            try:
                yield waited_for
            except BaseException as error:
                go = lambda error=error: self._work.throw(error)  # type: ignore[misc]  # noqa: E731
            else:
                go = lambda: self._work.send(None)  # noqa: E731


async def cut_at(client: Any, method: str, at: int) -> bool:
    """Run a client whose `method` is cut at the `at`-th time it waits; whether it came so far."""
    whole = getattr(client, method)

    async def use() -> None:
        me = asyncio.current_task()
        assert me is not None

        async def cut() -> None:
            await Cut(whole(), me, at)

        setattr(client, method, cut)
        async with running(client, deadline_s=30):
            pass

    (outcome,) = await asyncio.gather(asyncio.create_task(use()), return_exceptions=True)
    if outcome is not None and not isinstance(outcome, asyncio.CancelledError):
        raise outcome
    return outcome is not None


@pytest.mark.parametrize(
    ("make", "method"),
    [(consumer, "start"), (consumer, "stop"), (producer, "start"), (producer, "stop"), (admin, "start")],
)
async def test_cancelled_anywhere_it_leaves_nothing_open(
    kafka_servers: str, make: Callable[[str], Any], method: str
) -> None:
    gc.collect()
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        for at in count(1):
            async with asyncio.timeout(60):
                if not await cut_at(make(kafka_servers), method, at):
                    break
            gc.collect()
            assert not left, f"cancelled where it waits for the {at}. time: {[str(one.message) for one in left]}"
    assert at > 1


@asynccontextmanager
async def frozen() -> AsyncIterator[str]:
    """A broker that takes connections and never says a word."""
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in connections:
            writer.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("make", [consumer, producer, admin])
async def test_a_frozen_broker_holds_nobody_up(make: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_client, "GRACE_S", 0.01)
    async with frozen() as servers, asyncio.timeout(30):

        async def use() -> None:
            async with running(make(servers), deadline_s=3600):
                raise AssertionError("it cannot start")

        using = asyncio.create_task(use())
        await asyncio.sleep(0)
        using.cancel()
        with suppress(asyncio.CancelledError):
            await using
        with pytest.raises(TimeoutError):
            async with running(make(servers), deadline_s=0.01):
                raise AssertionError("it cannot start")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()
