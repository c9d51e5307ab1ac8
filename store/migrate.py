"""Bring a database to the schema of this version: alembic, run from the program, by any number of processes at once.

Needs the tables' owner, no superuser. Tables change by numbered revisions in store/migrations/versions; the ledger's
routines (store/ledger/*.sql) are put in place again after every upgrade.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from store.routines import ROUTINES, fingerprint

MIGRATIONS = Path(__file__).parent / "migrations"

_LOCK = "select pg_advisory_xact_lock(1163084288, 0)"
_Result = TypeVar("_Result")


def upgrade(dsn: str, reader_role: str = "esb_reader") -> None:
    """Bring the database up to this version's schema; waits for another process that does so already.

    Blocks: call it through `asyncio.to_thread` where a loop runs. Raises RuntimeError, with the statements an
    administrator has to run, when the reader's role is missing and the owner may not create it.
    """

    def work(connection: Connection) -> None:
        connection.execute(text(_LOCK))
        command.upgrade(_config(connection, reader_role), "head")
        for routine in ROUTINES:
            connection.exec_driver_sql(routine.read_text(encoding="utf-8"))
        connection.exec_driver_sql(f"comment on table alembic_version is '{fingerprint()}'")

    _run(dsn, work)


def current(dsn: str) -> str | None:
    """The database's revision; None: it was never migrated."""
    return _run(dsn, lambda connection: MigrationContext.configure(connection).get_current_revision())


def newest() -> str:
    """The revision this version of the program needs."""
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    assert head is not None
    return head


def _config(connection: Connection, reader_role: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    config.attributes["reader_role"] = reader_role
    return config


def _run(dsn: str, work: Callable[[Connection], _Result]) -> _Result:
    """In a transaction, on a loop and thread of its own: alembic is synchronous, the driver is not."""

    async def session() -> _Result:
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn, timeout=10), poolclass=NullPool
        )
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    with ThreadPoolExecutor(1, thread_name_prefix="migrate") as pool:
        return pool.submit(asyncio.run, session()).result()
