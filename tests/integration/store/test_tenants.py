"""Tenants: made once, whoever comes first."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from schema.errors import EsbError
from store.database import Database
from store.tenants import Tenants


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    await opened.start()
    yield opened
    await opened.close()


async def test_concurrent_first_uses_make_one_tenant(database: Database) -> None:
    several = [Tenants(database) for _ in range(4)]
    found = await asyncio.gather(*[tenants.get("acme") for tenants in several for _ in range(10)])
    assert len(set(found)) == 1
    other = await several[0].get("globex")
    assert other.key != found[0].key


async def test_a_new_epoch_is_seen_by_other_processes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.tenants._FRESH_SECONDS", 0.0)
    here, there = Tenants(database), Tenants(database)
    assert (await there.get("acme")).epoch == 1
    assert (await here.bump_epoch("acme")).epoch == 2
    assert (await there.get("acme")).epoch == 2


async def test_no_epoch_begins_in_a_tenant_never_seen(database: Database) -> None:
    with pytest.raises(EsbError, match="no tenant 'acmee'"):
        await Tenants(database).bump_epoch("acmee")


async def test_a_known_tenant_is_known_while_postgresql_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.tenants._FRESH_SECONDS", 0.0)
    tenants = Tenants(database)
    known = await tenants.get("acme")
    await database.close()
    assert await tenants.get("acme") == known
