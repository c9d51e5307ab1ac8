"""SQLAlchemy's way to PostgreSQL, with the same failures as the log's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from store.database import translated, unavailable

_CONNECT_SECONDS = 5
_COMMAND_SECONDS = 30


def engine_for(dsn: str) -> AsyncEngine:
    """A small pool of connections to the database; none is opened before it is needed."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(
            dsn,
            timeout=_CONNECT_SECONDS,
            command_timeout=_COMMAND_SECONDS,
            server_settings={
                "application_name": "esb-registry",
                "timezone": "UTC",
                "jit": "off",
                "statement_timeout": "30000",
                "lock_timeout": "20000",
                "idle_in_transaction_session_timeout": "60000",
            },
        ),
        pool_size=2,
        max_overflow=2,
        pool_timeout=5,
        pool_pre_ping=True,  # or the first use after a restart of PostgreSQL fails
    )


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction, committed at the end. Raises LOG_UNAVAILABLE, TIMEOUT."""
    try:
        async with engine.begin() as connection:
            yield connection
    except PoolTimeout as error:
        raise unavailable("all its connections are in use") from error
    except DBAPIError as error:
        raise translated(_cause(error)) or error from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise translated(error) or error from error


def _cause(error: DBAPIError) -> BaseException:
    """The driver's own exception inside SQLAlchemy's."""
    driver: BaseException = error.orig or error
    return driver.__cause__ or driver
