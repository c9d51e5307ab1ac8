"""The connections that commit: used again, never twice at once, and never again when left half-way."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from store.commit_connections import CommitConnections


class Server:
    """Counts what is connected to it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.made: list[asyncpg.Connection] = []

    async def connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(self._dsn)
        self.made.append(connection)
        return connection


@pytest.fixture
def server(database_url: str) -> Server:
    return Server(database_url)


@pytest.fixture
async def connections(server: Server) -> AsyncIterator[CommitConnections]:
    made = CommitConnections(server.connect, 2)
    await made.start()
    yield made
    await made.close(5)
    assert all(connection.is_closed() for connection in server.made)


async def ask(connections: CommitConnections, statement: str = "select 1", *arguments: object) -> object:
    async with connections.use(5) as connection:
        return await connection.fetchval(statement, *arguments)


async def test_one_after_another_they_share_one(connections, server):
    assert [await ask(connections) for _ in range(5)] == [1] * 5
    assert len(server.made) == 1


async def test_no_more_than_allowed_are_made_and_who_waits_in_vain_is_told(connections, server):
    async with connections.use(5), connections.use(5):
        with pytest.raises(TimeoutError):
            async with connections.use(0.01):
                pass
    assert await asyncio.gather(*[ask(connections) for _ in range(6)]) == [1] * 6
    assert len(server.made) == 2


async def test_a_refused_statement_leaves_it_in_use(connections, server):
    for statement, arguments, error in (
        ("select 1/$1::int", (0,), asyncpg.DivisionByZeroError),
        ("select $1::int", ("no number",), asyncpg.DataError),
    ):
        with pytest.raises(error):
            await ask(connections, statement, *arguments)
        assert await ask(connections) == 1
    assert len(server.made) == 1


async def test_one_whose_caller_did_not_wait_for_the_answer_is_not_used_again(connections, server):
    asking = asyncio.create_task(ask(connections, "select pg_sleep(60)"))
    async with asyncio.timeout(5):
        while not await busy(server):
            pass
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await ask(connections) == 1
    assert server.made[0].is_closed()


async def busy(server: Server) -> bool:
    admin = await asyncpg.connect(server._dsn)
    try:
        found = "select count(*) from pg_stat_activity where query like 'select pg_sleep%'"
        return bool(await admin.fetchval(found))
    finally:
        await admin.close()


async def test_one_whose_server_went_away_meanwhile_is_replaced(connections, server):
    heard = asyncio.get_running_loop().create_future()
    server.made[0].add_termination_listener(lambda _: heard.set_result(None))
    admin = await asyncpg.connect(server._dsn)
    await admin.execute("select pg_terminate_backend($1)", server.made[0].get_server_pid())
    await admin.close()
    async with asyncio.timeout(5):
        await heard
    assert await ask(connections) == 1
    assert len(server.made) == 2


async def test_those_left_idle_are_let_go_but_for_one(connections, server, monkeypatch):
    monkeypatch.setattr("store.commit_connections.IDLE_SECONDS", 0.0)
    async with connections.use(5), connections.use(5):
        pass
    assert [connection.is_closed() for connection in server.made].count(False) == 1


async def test_one_in_use_when_all_are_closed_ends_with_them(server):
    made = CommitConnections(server.connect, 2)
    async with made.use(5) as connection:
        await made.close(5)
        assert connection.is_closed()
    await made.close(5)
