"""Whether a database has this version's schema already, asked in one statement.

Alembic costs a start a second of imports and some megabytes for as long as the process lives; most starts need neither.
`store.migrate.upgrade` leaves a fingerprint of what it put in place as the comment of alembic's own table.
"""

import asyncio

import asyncpg

from schema.errors import ErrorCode, EsbError
from store.database import translated
from store.routines import fingerprint

_FINGERPRINT = "select obj_description(to_regclass('alembic_version'), 'pg_class')"
_CONNECT_SECONDS = 5.0


async def is_current(dsn: str) -> bool:
    """Whether nothing is left to do. Raises LOG_UNAVAILABLE when PostgreSQL cannot be reached."""
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS)
        try:
            return bool(await connection.fetchval(_FINGERPRINT, timeout=_CONNECT_SECONDS) == fingerprint())
        finally:
            await connection.close(timeout=_CONNECT_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise translated(error) or EsbError(ErrorCode.LOG_UNAVAILABLE, f"PostgreSQL refuses: {error}") from error


async def bring_up_to_date(dsn: str, reader_role: str) -> None:
    """Migrate unless the database is current. Raises LOG_UNAVAILABLE, and RuntimeError as `upgrade` does."""
    if not await is_current(dsn):
        from store.migrate import upgrade

        await asyncio.to_thread(upgrade, dsn, reader_role)
