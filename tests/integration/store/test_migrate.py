"""Tests of migrations: run twice, run by two at once, run without the rights they need."""

import asyncio

import asyncpg
import pytest

from store.migrate import current, newest, upgrade
from store.schema_state import bring_up_to_date, is_current


async def test_a_fresh_database_reaches_the_newest_revision(empty_database_url: str) -> None:
    assert await asyncio.to_thread(current, empty_database_url) is None
    await asyncio.to_thread(upgrade, empty_database_url)
    assert await asyncio.to_thread(current, empty_database_url) == newest()


async def test_several_processes_may_upgrade_at_once(empty_database_url: str) -> None:
    await asyncio.gather(*[asyncio.to_thread(upgrade, empty_database_url) for _ in range(4)])
    assert await asyncio.to_thread(current, empty_database_url) == newest()


async def test_the_owner_can_take_on_the_readers_role(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("set role esb_reader")
        assert await connection.fetchval("select current_user") == "esb_reader"
    finally:
        await connection.close()


async def test_an_owner_who_may_not_create_roles_is_told_what_to_run(empty_database_url: str) -> None:
    with pytest.raises(Exception, match="CREATE ROLE esb_reader_missing NOLOGIN; GRANT esb_reader_missing TO esb"):
        await asyncio.to_thread(upgrade, empty_database_url, "esb_reader_missing")
    assert await asyncio.to_thread(current, empty_database_url) is None


async def test_a_database_is_current_only_after_this_versions_upgrade(empty_database_url: str) -> None:
    assert not await is_current(empty_database_url)
    await bring_up_to_date(empty_database_url, "esb_reader")
    assert await is_current(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("comment on table alembic_version is 'of another version'")
    await connection.close()
    assert not await is_current(empty_database_url)
    await bring_up_to_date(empty_database_url, "esb_reader")
    assert await is_current(empty_database_url)
