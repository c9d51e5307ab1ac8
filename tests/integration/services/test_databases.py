"""Tests of the tests' own databases: a leak between two of them would make every other test doubtful."""

import asyncpg


async def test_an_empty_database_is_owned_by_a_role_without_privileges(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute("CREATE TABLE proof (n int)")
        role = await connection.fetchrow(
            "SELECT rolsuper, rolbypassrls, pg_has_role('esb_reader', 'MEMBER') AS reads FROM pg_roles"
            " WHERE rolname = current_user"
        )
    finally:
        await connection.close()
    assert dict(role) == {"rolsuper": False, "rolbypassrls": False, "reads": True}


async def test_the_next_database_has_nothing_of_the_one_before(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('proof')") is None
    finally:
        await connection.close()
