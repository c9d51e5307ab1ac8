"""What goes to PostgreSQL as one text comes out there as the values that went in."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.ledger.columns import SPLIT, Unstorable, integers, texts

FIXTURE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
storable = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    opened = await asyncpg.connect(database_url, server_settings={"timezone": "America/New_York"})
    yield opened
    await opened.close()


@FIXTURE
@given(st.lists(st.none() | storable, max_size=6))
async def test_texts(connection: "asyncpg.Connection[asyncpg.Record]", column: list[str | None]) -> None:
    try:
        sent = texts(column)
    except Unstorable:
        assert column == [""] or any(mark in (text or "") for text in column for mark in "\x1e\x1f")
        return
    found = await connection.fetchval(f"select {SPLIT.format(1)}", sent)
    assert found == (column if any(text is not None for text in column) or not column else None)


@FIXTURE
@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=6))
async def test_integers(connection: "asyncpg.Connection[asyncpg.Record]", column: list[int | None]) -> None:
    found = await connection.fetchval("select $1::text::bigint[]", integers(column))
    assert found == (column if any(item is not None for item in column) or not column else None)


@FIXTURE
@given(st.datetimes(timezones=st.just(UTC)))
async def test_times_are_exact(connection: "asyncpg.Connection[asyncpg.Record]", at: datetime) -> None:
    microseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert await connection.fetchval("select ledger_instant($1)", microseconds) == at
