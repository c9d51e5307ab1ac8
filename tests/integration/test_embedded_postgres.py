"""What the embedded PostgreSQL gives: rights, places, and who may come near."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from store.embedded import EmbeddedPostgres, EmbeddedPostgresError, attach
from store.embedded.account import account_for

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[str]:
    server = EmbeddedPostgres(tmp_path)
    yield await server.start()
    await server.stop()


async def test_the_owner_has_the_rights_of_an_operators_database_and_no_more(started: str) -> None:
    connection = await asyncpg.connect(started)
    role = await connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = current_user")
    assert role is not None
    assert role["rolname"] == "esb"
    assert not any(
        role[right] for right in ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls")
    )
    await connection.execute("CREATE SCHEMA mine")
    await connection.execute("SET ROLE esb_reader")
    assert await connection.fetchval("SELECT current_user") == "esb_reader"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("CREATE TABLE mine.t ()")
    await connection.close()


async def test_nothing_acknowledged_depends_on_luck(started: str) -> None:
    connection = await asyncpg.connect(started)
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert await connection.fetchval("SELECT current_setting($1)", setting) == "on"
    await connection.close()


async def test_only_the_server_and_its_gateway_reach_data_and_socket(started: str, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "postgres").stat().st_mode) == 0o700
    for name in ("postgres.log", ".postgres-users", ".postgres-supervisor"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.stat().st_mode) & 0o066 == 0


async def test_a_visitor_finds_the_running_server_and_no_other(tmp_path: Path) -> None:
    assert attach(tmp_path) is None
    server = EmbeddedPostgres(tmp_path)
    dsn = await server.start()
    assert attach(tmp_path) == dsn
    await server.stop()
    assert attach(tmp_path) is None
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()
    await server.stop()


async def test_data_survive_and_the_address_stays(tmp_path: Path) -> None:
    first = EmbeddedPostgres(tmp_path)
    dsn = await first.start()
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    await connection.close()
    await first.stop()
    second = EmbeddedPostgres(tmp_path)
    assert await second.start() == dsn
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT n FROM kept") == 42
    await connection.close()
    await second.stop()


async def test_a_path_too_long_for_a_socket_and_with_odd_letters_works(tmp_path: Path) -> None:
    folder = tmp_path / ("ü % ?&" + "d" * 120) / "data"
    server = EmbeddedPostgres(folder)
    dsn = await server.start()
    await (await asyncpg.connect(dsn)).close()
    sockets = Path(parse_qs(urlsplit(dsn).query)["host"][0])
    assert sockets != folder / "postgres"
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert attach(folder) == dsn
    await server.stop()


async def test_odd_letters_in_a_short_path_work(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="e, 'b\" %41 ?&#") as folder:
        server = EmbeddedPostgres(folder)
        await (await asyncpg.connect(await server.start())).close()
        await server.stop()


async def test_data_of_another_version_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match="PostgreSQL 16's"):
        await EmbeddedPostgres(tmp_path).start()


async def test_the_environment_cannot_bend_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGOPTIONS", "-c fsync=off")
    monkeypatch.setenv("PGDATA", "/nowhere")
    server = EmbeddedPostgres(tmp_path)
    await server.start()
    assert (tmp_path / "postgres" / ".s.PGSQL.5432").is_socket()
    await server.stop()


ORDINARY_USER = """
import asyncio, concurrent.futures.thread, os, sys
import asyncpg, ssl, tempfile, psutil
from store.embedded import EmbeddedPostgres, attach
async def main():
    server = EmbeddedPostgres(sys.argv[1])
    dsn = await server.start()
    assert attach(sys.argv[1]) == dsn
    await server.stop()
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
asyncio.run(main())
"""


def test_it_works_for_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory() as folder:
        user = 65534 if os.geteuid() == 0 else os.geteuid()
        os.chown(folder, user, -1)
        run = [sys.executable, "-B", "-c", ORDINARY_USER, folder]
        done = subprocess.run([*run, str(user)], cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert (Path(folder) / "postgres").stat().st_uid == user


def test_data_of_another_user_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(EmbeddedPostgresError, match=f"belongs to user {os.getuid()}"):
        account_for(tmp_path / "postgres")
