"""Cheap databases for tests: each a copy of one that was migrated once.

Everything is done as the role ``esb``, which owns its databases and may create more but is no superuser, so a test
sees the rights a real installation has.
"""

import asyncio
import secrets
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.postgres import OWNER, READER, setup

__all__ = ["OWNER", "READER", "Databases", "accepts_connections", "administer", "prepare", "with_database"]


class Databases:
    """Makes and drops databases on one server.

    Parameters
    ----------
    dsn:
        Any existing database of the server, as a role that may create databases.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    @contextmanager
    def fresh(self, template: str | None = None) -> Iterator[str]:
        """A database that goes away with the block; yields its DSN. ``template`` is the DSN of the one to copy."""
        name = f"test_{secrets.token_hex(6)}"
        source = urlsplit(template).path[1:] if template else "template1"
        _wait(_execute(self._dsn, f'CREATE DATABASE "{name}" TEMPLATE "{source}"'))
        try:
            yield with_database(self._dsn, name)
        finally:
            # FORCE: what a failing test left connected must not fail the next test too.
            _wait(_execute(self._dsn, f'DROP DATABASE "{name}" WITH (FORCE)'))


def prepare(admin_dsn: str) -> str:
    """Give a new server the role and database a real installation has; return that database's DSN.

    Parameters
    ----------
    admin_dsn:
        A superuser's DSN; used for nothing else.
    """
    administer(admin_dsn, *setup())
    parts = urlsplit(with_database(admin_dsn, OWNER))
    return urlunsplit(parts._replace(netloc=f"{OWNER}@{parts.netloc.rpartition('@')[2]}"))


def administer(dsn: str, *statements: str) -> None:
    """Run statements one by one, outside a transaction."""
    _wait(_execute(dsn, *statements))


def with_database(dsn: str, name: str) -> str:
    """The same server and role, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def accepts_connections(dsn: str) -> bool:
    """Whether the server serves a client now."""
    try:
        _wait(_execute(dsn))
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    return True


async def _execute(dsn: str, *statements: str) -> None:
    """One by one, without a transaction: CREATE DATABASE does not run in one."""
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _wait(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end on a thread of its own, because a fixture may be asked for while the test's loop runs."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result(timeout=60)
