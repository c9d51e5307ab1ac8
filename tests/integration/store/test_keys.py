"""The installation's keys: made once, the same for all, and closed to readers."""

import asyncio
from base64 import urlsafe_b64encode

import asyncpg
import pytest

from schema.errors import ErrorCode, EsbError
from store.database import Database
from store.keys import Keys


class Text:
    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        return self._text


class Given:
    cursor_key: Text | None = None
    content_hash_key: Text | None = None
    signing_key: Text | None = None


async def _load(dsn: str, given: Given | None = None) -> Keys:
    database = Database(dsn)
    await database.start()
    try:
        return await Keys.load(database, given)
    finally:
        await database.close()


async def test_processes_that_start_at_once_agree(database_url: str) -> None:
    loaded = await asyncio.gather(*(_load(database_url) for _ in range(8)))
    assert len(set(loaded)) == 1
    assert len(set(loaded[0])) == 3
    assert {len(key) for key in loaded[0]} == {32}
    assert await _load(database_url) == loaded[0]


async def test_a_given_key_wins_and_is_not_stored(database_url: str) -> None:
    given = Given()
    given.cursor_key = Text(urlsafe_b64encode(b"c" * 40).decode().rstrip("="))
    loaded = await _load(database_url, given)
    assert loaded.cursor == b"c" * 40
    connection = await asyncpg.connect(database_url)
    names = {row["name"] for row in await connection.fetch("select name from secrets")}
    await connection.close()
    assert names == {"content_hash", "signing"}


@pytest.mark.parametrize("text", ["", "short", "ä" * 50, urlsafe_b64encode(b"x" * 31).decode(), "A" * 90, "A" * 41])
async def test_a_key_that_cannot_be_one_is_refused_without_being_shown(database_url: str, text: str) -> None:
    given = Given()
    given.signing_key = Text(text)
    with pytest.raises(EsbError) as refused:
        await _load(database_url, given)
    assert refused.value.code is ErrorCode.BAD_INPUT
    assert refused.value.details == {"setting": "signing_key"}
    assert not text or text not in refused.value.message


async def test_the_readers_role_sees_no_secret(database_url: str) -> None:
    await _load(database_url)
    connection = await asyncpg.connect(database_url)
    await connection.execute("set role esb_reader")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("select * from secrets")
    await connection.close()
