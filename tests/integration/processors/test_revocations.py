"""Revocations between processes, in a real PostgreSQL: by signal, by poll alone, through outages and restarts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from processors.revocations import Revocations
from schema.principal import Principal
from schema.revocation import RevocationKind, RevocationRequest
from store import revocations as rows_module
from store.database import Database
from store.revocations import RevocationRows
from store.signals.port import EVERYTHING, REVOCATIONS

ANN = Principal(tenant="acme", subject="ann", token_id="t1", issued_at=1.0)


def request(value: str = "t1", *, kind: RevocationKind = RevocationKind.TOKEN, lives: float = 60) -> RevocationRequest:
    now = datetime.now(UTC)
    return RevocationRequest(
        tenant="acme", kind=kind, value=value, before=now, expires_at=now + timedelta(seconds=lives), by="root"
    )


class Wire:
    """Signals between the processes of this test; a cut one carries nothing."""

    def __init__(self) -> None:
        self.cut = False
        self.ends: list[Revocations] = []

    def notify(self, topic: str) -> None:
        for end in [] if self.cut else self.ends:
            end.on_signal(topic)


class Processes:
    def __init__(self, make: Callable[[], Revocations], wire: Wire, databases: list[Database]) -> None:
        self.make, self.wire, self.databases = make, wire, databases
        self.here, self.there = make(), make()


@pytest.fixture
async def processes(database_url: str) -> AsyncIterator[Processes]:
    wire, databases = Wire(), [Database(database_url, max_size=4) for _ in range(2)]
    for database in databases:
        await database.start()

    def make() -> Revocations:
        made = Revocations(RevocationRows(databases[len(wire.ends) % 2]), wire, per_tenant=4)
        wire.ends.append(made)
        return made

    both = Processes(make, wire, databases)
    await asyncio.gather(both.here.start(), both.there.start())
    yield both
    for end in wire.ends:
        await end.stop()
    for database in databases:
        await database.close()


async def refused(end: Revocations, principal: Principal = ANN, within: float = 5) -> float:
    """Until the token is refused there; the seconds that took."""
    began = time.monotonic()
    async with asyncio.timeout(within):
        while not end.revoked(principal):  # noqa: ASYNC110 -- polling is what shows it
            await asyncio.sleep(0.005)
    return time.monotonic() - began


async def test_it_is_in_force_here_at_once_and_there_soon(processes: Processes) -> None:
    told: list[str] = []
    processes.there.listen(lambda: told.append("there"))
    made = await processes.here.add(request())
    assert made is not None
    assert made.number == 1
    assert processes.here.revoked(ANN)
    await refused(processes.there)
    assert told


async def test_with_every_signal_lost_it_is_in_force_within_seconds(processes: Processes) -> None:
    processes.wire.cut = True
    await processes.here.add(request())
    await refused(processes.there)


async def test_one_that_starts_later_knows_all_of_them(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "CHUNK", 2)
    for value in ("t0", "t2", "t1"):
        await processes.here.add(request(value))
    await processes.here.add(request("ann", kind=RevocationKind.SUBJECT, lives=-1))
    late = processes.make()
    await late.start()
    assert late.revoked(ANN)
    assert not late.revoked(Principal(tenant="acme", subject="ann", issued_at=1.0))  # over and done with


async def test_one_whose_commit_is_slow_is_not_skipped(processes: Processes) -> None:
    """Who has read up to a number must have read every one before it, though that was committed later."""
    first, second = (Principal(tenant="acme", token_id=name) for name in ("slow", "quick"))
    async with processes.databases[0].writing() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await rows_module._put(connection, request("slow"), 4)
        quick = asyncio.create_task(processes.here.add(request("quick")))
        for _ in range(3):
            processes.there.on_signal(REVOCATIONS)
            await asyncio.sleep(0.05)
        await transaction.commit()
    await quick
    await refused(processes.there, second)
    await refused(processes.there, first)


async def test_many_made_at_once_are_all_in_force_everywhere(processes: Processes) -> None:
    ends = (processes.here, processes.there)
    names = [f"s{number}" for number in range(4)]
    kinds = (RevocationKind.TOKEN, RevocationKind.SUBJECT, RevocationKind.CLIENT)
    jobs = [ends[n % 2].add(request(name, kind=kind)) for n, name in enumerate(names) for kind in kinds]
    assert None not in await asyncio.gather(*jobs)
    for end in ends:
        for name in names:
            for field in ("token_id", "subject", "client"):
                await refused(end, Principal(tenant="acme", issued_at=1.0, **{field: name}))


async def test_too_many_are_refused_until_some_expire(processes: Processes) -> None:
    for number in range(4):
        assert await processes.here.add(request(f"t{number}", lives=1)) is not None
    assert await processes.there.add(request("t5")) is None
    assert await processes.there.add(request("ann", kind=RevocationKind.SUBJECT)) is not None
    async with asyncio.timeout(10):
        while await processes.there.add(request("t5")) is None:  # noqa: ASYNC110 -- time is what makes room
            await asyncio.sleep(0.05)


async def test_without_postgresql_the_last_list_stays_and_what_was_missed_is_made_up(processes: Processes) -> None:
    processes.wire.cut = True
    await processes.here.add(request())
    await refused(processes.there)
    await processes.databases[1].close()
    processes.there.on_signal(EVERYTHING)
    await processes.here.add(request("t2"))
    second = Principal(tenant="acme", token_id="t2")
    processes.there.on_signal(REVOCATIONS)
    with pytest.raises(TimeoutError):
        await refused(processes.there, second, within=1.5)
    assert processes.there.revoked(ANN)
    await processes.databases[1].start()
    await refused(processes.there, second)


async def test_who_when_and_why_stand_in_the_row(processes: Processes) -> None:
    made = await processes.here.add(
        RevocationRequest(
            tenant="acme",
            kind=RevocationKind.CLIENT,
            value="shop",
            before=datetime(2026, 1, 1, tzinfo=UTC),
            expires_at=datetime.now(UTC) + timedelta(days=1),
            by="root",
            reason="key leaked",
        )
    )
    (read,) = await RevocationRows(processes.databases[1]).since(0)
    assert read == made
    assert (read.by, read.reason, read.value) == ("root", "key leaked", "shop")
    assert abs((read.revoked_at - datetime.now(UTC)).total_seconds()) < 60
