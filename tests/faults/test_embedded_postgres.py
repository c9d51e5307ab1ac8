"""The embedded PostgreSQL heals by itself: whatever is killed, the data are there again within seconds."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from store.embedded import EmbeddedPostgres, attach, server

pytestmark = pytest.mark.embedded_only

HOLDER = Path(__file__).with_name("embedded_holder.py")
REPOSITORY = Path(__file__).parents[2]


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def servers_on(data_dir: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(data_dir / "postgres"):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


async def eventually(holds: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 -- watches processes, which tell nobody
            await asyncio.sleep(0.02)


async def healed(dsn: str, seconds: float = 20) -> asyncpg.Connection:
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await asyncpg.connect(dsn, timeout=2)
            except (asyncpg.PostgresError, OSError, TimeoutError):
                await asyncio.sleep(0.02)


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    one = EmbeddedPostgres(tmp_path)
    yield one
    await one.stop()
    assert servers_on(tmp_path) == []


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a process that holds the server of `tmp_path`."""
    held: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        holder = subprocess.Popen(
            [sys.executable, str(HOLDER), str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        held.append(holder)
        return holder

    yield start
    for holder in held:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()
    for pid in servers_on(tmp_path):
        os.kill(pid, signal.SIGKILL)


def ready(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout is not None
    return holder.stdout.readline().strip()


async def test_a_killed_server_is_back_within_seconds_with_what_it_acknowledged(
    embedded: EmbeddedPostgres, tmp_path: Path
) -> None:
    dsn = await embedded.start()
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE kept (n int)")
    await connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
    for _ in range(3):
        killed = postmaster(tmp_path)
        os.kill(killed, signal.SIGKILL)
        connection = await healed(dsn)
        assert postmaster(tmp_path) != killed
        assert await connection.fetchval("SELECT count(*) FROM kept") == 1000
    await connection.close()


async def test_children_that_outlive_the_killed_server_are_ended_first(
    embedded: EmbeddedPostgres, tmp_path: Path
) -> None:
    dsn = await embedded.start()
    stuck, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    busy = await asyncpg.connect(dsn)
    endless = asyncio.create_task(busy.execute("SELECT sum(n) FROM generate_series(1, 1000000000000) AS s(n)"))
    frozen = await stuck.fetchval("SELECT pg_backend_pid()")
    while await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate_series%'") < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    os.kill(frozen, signal.SIGSTOP)
    os.kill(postmaster(tmp_path), signal.SIGKILL)
    connection = await healed(dsn)
    assert await connection.fetchval("SELECT 1") == 1
    assert not alive(frozen)
    await connection.close()
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await endless


async def test_a_gateway_adopts_the_server_of_a_killed_one(
    embedded: EmbeddedPostgres, hold: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    holder = hold()
    told = await asyncio.to_thread(ready, holder)
    orphan = postmaster(tmp_path)
    holder.kill()
    holder.wait()
    assert alive(orphan)
    assert await embedded.start() == told
    assert postmaster(tmp_path) == orphan
    os.kill(orphan, signal.SIGKILL)
    await (await healed(told)).close()
    assert postmaster(tmp_path) != orphan


async def test_a_server_killed_together_with_its_gateway_is_recovered(
    embedded: EmbeddedPostgres, hold: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    holder = hold()
    await asyncio.to_thread(ready, holder)
    os.kill(postmaster(tmp_path), signal.SIGKILL)
    holder.kill()
    holder.wait()
    await (await asyncpg.connect(await embedded.start())).close()


async def test_a_gateway_killed_anywhere_in_its_first_start_leaves_nothing_broken(
    hold: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    for after_s in (0.3, 0.5, 0.7, 0.9, 1.1):
        holder = hold()
        await asyncio.sleep(after_s)  # the point of the kill, not a synchronisation
        holder.kill()
        holder.wait()
    last = hold()
    dsn = await asyncio.to_thread(ready, last)
    await (await asyncpg.connect(dsn)).close()
    last.terminate()
    await asyncio.to_thread(last.wait)
    assert list(tmp_path.glob(".making-*")) == []
    assert servers_on(tmp_path) == []


async def test_two_gateways_share_one_server_and_the_second_takes_over(
    embedded: EmbeddedPostgres, hold: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    first = hold()
    dsn = await asyncio.to_thread(ready, first)
    pid = postmaster(tmp_path)
    assert await embedded.start() == dsn
    connection = await asyncpg.connect(dsn)
    first.terminate()
    await asyncio.to_thread(first.wait)
    assert await connection.fetchval("SELECT 1") == 1, "the first one's end must not take the database away"
    assert postmaster(tmp_path) == pid
    os.kill(pid, signal.SIGKILL)
    await (await healed(dsn)).close()
    await embedded.stop()
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


async def test_gateways_that_start_and_stop_together_make_one_database_and_leave_no_server(
    hold: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    for _ in range(3):
        holders = [hold() for _ in range(3)]
        told = [await asyncio.to_thread(ready, holder) for holder in holders]
        assert len(set(told)) == 1
        assert told[0]
        for holder in holders:
            holder.terminate()
        for holder in holders:
            assert await asyncio.to_thread(holder.wait) == 0
        assert servers_on(tmp_path) == []
        assert not (tmp_path / "postgres" / "postmaster.pid").exists()


async def test_a_stale_lock_file_that_names_somebody_elses_process_is_no_obstacle(
    embedded: EmbeddedPostgres, tmp_path: Path
) -> None:
    dsn = await embedded.start()
    lock = tmp_path / "postgres" / "postmaster.pid"
    copy = lock.read_text().splitlines()
    await embedded.stop()
    # of the server's own account: PostgreSQL takes what it may not signal for dead
    account = {"user": (tmp_path / "postgres").stat().st_uid} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["sleep", "60"], cwd="/", **account)  # type: ignore[call-overload]  # noqa: ASYNC220
    try:
        lock.write_text("\n".join([str(stranger.pid), *copy[1:]]) + "\n")
        assert attach(tmp_path) is None
        assert await embedded.start() == dsn
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8])
async def test_a_start_that_is_cancelled_leaves_no_server(tmp_path: Path, share: float) -> None:
    whole, cut = EmbeddedPostgres(tmp_path / "whole"), EmbeddedPostgres(tmp_path / "cut")
    began = time.monotonic()
    await whole.start()
    took_s = time.monotonic() - began
    await whole.stop()
    start = asyncio.create_task(cut.start())
    await asyncio.sleep(share * took_s)  # the point of the cut, not a synchronisation
    start.cancel()
    if isinstance((await asyncio.gather(start, return_exceptions=True))[0], str):
        await cut.stop()  # it was quicker this time, and is a server like any other
    else:
        assert start.cancelled()
    await asyncio.get_running_loop().shutdown_default_executor()  # what a thread still had in hand is done now
    assert servers_on(tmp_path / "cut") == []


async def test_a_full_disk_is_named(
    embedded: EmbeddedPostgres, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_DISK_FULL_BYTES", 1 << 62)
    dsn = await embedded.start()
    with caplog.at_level(logging.ERROR):
        os.kill(postmaster(tmp_path), signal.SIGKILL)
        await (await healed(dsn)).close()
    assert f"THE DISK THAT HOLDS {tmp_path} IS FULL" in caplog.text


async def test_it_comes_back_after_much_was_written(embedded: EmbeddedPostgres, tmp_path: Path) -> None:
    dsn = await embedded.start()
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE much AS SELECT n, repeat('x', 200) FROM generate_series(1, 200000) AS s(n)")
    os.kill(postmaster(tmp_path), signal.SIGKILL)
    connection = await healed(dsn)
    assert await connection.fetchval("SELECT count(*) FROM much") == 200000
    await connection.close()
