"""The ledger while gateways and PostgreSQL are killed and frozen: what was acknowledged stays, once, in its place."""

import asyncio
import contextlib
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.event import Event
from store.log.port import Command
from store.migrate import upgrade
from tests.events import draft
from tests.integration.store.ledger.conftest import Process, process
from tests.services.external import Service
from tests.services.postgres import READER, Databases


@pytest.fixture
async def service_dsn(postgres_service: Service) -> AsyncIterator[str]:
    """A migrated database on the PostgreSQL that may be hurt."""
    with Databases(postgres_service.url).fresh() as dsn:
        await asyncio.to_thread(upgrade, dsn, READER)
        yield dsn
        await asyncio.to_thread(postgres_service.resume)


class Publisher:
    """A publishing process. `acknowledged`: the lines it printed."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.acknowledged: list[str] = []
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, dsn: str, key: int, name: str) -> "Publisher":
        command = (sys.executable, "-m", "tests.faults.ledger_publisher", dsn, str(key), name)
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        publisher = cls(child)
        async with asyncio.timeout(30):
            while not publisher.acknowledged:  # noqa: ASYNC110 -- its first line
                await asyncio.sleep(0.01)
        return publisher

    async def kill(self) -> list[str]:
        """End it by kill -9; every whole line it printed."""
        with contextlib.suppress(ProcessLookupError):
            self.child.kill()
        await self.child.wait()
        await self._reading
        return self.acknowledged

    async def _read(self) -> None:
        assert self.child.stdout is not None
        async for line in self.child.stdout:
            if line.endswith(b"\n"):
                self.acknowledged.append(line.decode())


async def everything(opened: Process) -> dict[str, Event]:
    """All that is stored, by id: gapless, each once, each publisher's in order."""
    events: list[Event] = []
    cursor = Cursor(1, 1)
    while (batch := await opened.log.read(cursor, 1000)).events:
        events += batch.events
        cursor = batch.cursor
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    versions: Counter[str | None] = Counter()
    for event in events:
        versions[event.aggregate_id] += 1
        assert event.sequence_number == versions[event.aggregate_id]
    found = {event.event_id: event for event in events}
    assert len(found) == len(events)
    for aggregate in versions:
        ids = [event.event_id for event in events if event.aggregate_id == aggregate]
        assert ids == sorted(ids)
    return found


async def check(opened: Process, *publishers: Publisher) -> None:
    found = await everything(opened)
    for publisher in publishers:
        lines = await publisher.kill()
        assert len(lines) > 100
        for line in lines:
            event_id, position, sequence_number = line.split()
            event = found[event_id]
            assert (event.position, event.sequence_number) == (int(position), int(sequence_number))


async def test_a_gateway_killed_under_load_loses_nothing_acknowledged(service_dsn: str) -> None:
    async with process(service_dsn) as opened:
        steady = await Publisher.start(service_dsn, opened.stream.key, "s")
        killed = []
        for number in range(4):
            publisher = await Publisher.start(service_dsn, opened.stream.key, str(number))
            await asyncio.sleep(random.uniform(0.05, 0.3))
            await publisher.kill()
            killed.append(publisher)
        await steady.kill()
        found = await everything(opened)
        for publisher in (steady, *killed):
            for line in publisher.acknowledged:
                event_id, position, _ = line.split()
                assert found[event_id].position == int(position)


async def test_a_frozen_gateway_stops_others_for_less_than_five_seconds(service_dsn: str) -> None:
    async with process(service_dsn) as opened:
        frozen = await Publisher.start(service_dsn, opened.stream.key, "f")
        slowest = 0.0
        for _ in range(25):
            frozen.child.send_signal(signal.SIGSTOP)
            began = time.monotonic()
            (outcome,) = await opened.log.append([Command(events=[draft(opened.stream, "mine")])])
            slowest = max(slowest, time.monotonic() - began)
            assert isinstance(outcome, list)
            frozen.child.send_signal(signal.SIGCONT)
            await asyncio.sleep(random.uniform(0.01, 0.06))
        assert slowest < 5
        await frozen.kill()
        await check(opened, frozen)


async def test_postgresql_killed_under_load_loses_nothing_and_publishers_go_on(
    service_dsn: str, postgres_service: Service
) -> None:
    async with process(service_dsn) as opened:
        publisher = await Publisher.start(service_dsn, opened.stream.key, "p")
        for _ in range(2):
            await asyncio.to_thread(postgres_service.kill)
            seen = len(publisher.acknowledged)
            await asyncio.to_thread(postgres_service.start)
            async with asyncio.timeout(20):
                while len(publisher.acknowledged) < seen + 500:  # noqa: ASYNC110 -- until it goes on
                    await asyncio.sleep(0.02)
        await publisher.kill()
        await check(opened, publisher)


async def test_a_frozen_postgresql_is_said_in_bounded_time_and_nothing_is_lost_after(
    service_dsn: str, postgres_service: Service
) -> None:
    async with process(service_dsn, patience=3.0) as opened:
        commands = [Command(events=[draft(opened.stream, "u1")]) for _ in range(20)]
        await opened.log.append(commands[:5])
        await asyncio.to_thread(postgres_service.pause)
        began = time.monotonic()
        answers = await asyncio.gather(
            *[opened.log.append([command]) for command in commands[5:]], return_exceptions=True
        )
        assert time.monotonic() - began < 8
        assert {error.code for error in answers if isinstance(error, EsbError)} == {ErrorCode.LOG_UNAVAILABLE}
        assert len(answers) == 15
        await asyncio.to_thread(postgres_service.resume)
        for command in commands:  # as every publisher would: again, with the same ids
            (outcome,) = await opened.log.append([command])
            assert isinstance(outcome, list)
        assert set(await everything(opened)) == {command.events[0].envelope.event_id for command in commands}
