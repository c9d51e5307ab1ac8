"""PostgreSQL: pools of connections, and what its failures mean to a caller.

Three pools, so that neither readers nor background work take the connections commits need. Commits and writers work as
the tables' owner. Readers work in a read-only transaction as a second role, bound to one tenant by row-level security.
Every wait has a deadline, on both sides: we give up a frozen server, the server throws out a frozen client.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from schema.errors import ErrorCode, EsbError
from store.commit_connections import CommitConnections

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
_Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record] | None"

SNAPSHOT_SECONDS = 10.0
"""The longest a reader may hold a snapshot: older ones keep vacuum from cleaning up behind the writers."""

_CONNECT_SECONDS = 5.0
_ACQUIRE_SECONDS = 5.0
_WRITE_SECONDS = 30.0
_RETRY_AFTER_MS = 1000

_SESSION = {
    "application_name": "esb",
    "timezone": "UTC",
    "jit": "off",
    "idle_in_transaction_session_timeout": "3000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "5000",
}
_WRITER_SESSION = _SESSION | {"statement_timeout": "30000", "lock_timeout": "10000"}
# Shorter: what takes longer than this holds up every publisher of its tenant.
_COMMIT_SESSION = _SESSION | {"statement_timeout": "4000", "lock_timeout": "2000"}
# Custom plans: a filter's constants decide which index serves it, and which partitions are read at all.
_READER_SESSION = _SESSION | {
    "statement_timeout": "8000",
    "lock_timeout": "2000",
    "plan_cache_mode": "force_custom_plan",
}

# SQLSTATE (PostgreSQL documentation, Appendix A): connection, resources, operator intervention, system error.
_UNAVAILABLE_CLASSES = ("08", "53", "57P", "58")
_UNAVAILABLE_STATES = frozenset({"25006", "55P03", "40P01", "25P03", "25P04"})
# What a connection says that ended while nobody used it.
_BROKEN = (
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    OSError,
)
_ROLE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")


def unavailable(why: str) -> EsbError:
    """What a caller is told when PostgreSQL cannot be asked: try again, with the same event ids."""
    return EsbError(
        ErrorCode.LOG_UNAVAILABLE,
        f"the log cannot be reached ({why}); the same request may be sent again",
        retry_after_ms=_RETRY_AFTER_MS,
    )


def translated(error: BaseException) -> EsbError | None:
    """The caller's view of a failure of PostgreSQL or of the way to it; None: it is something else."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return EsbError(ErrorCode.TIMEOUT, "the log took too long to answer; ask for less, or again later")
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        if state.startswith(_UNAVAILABLE_CLASSES) or state in _UNAVAILABLE_STATES:
            return unavailable(f"PostgreSQL says {state}")
        return None
    if isinstance(error, TimeoutError):
        return unavailable("PostgreSQL does not answer")
    if isinstance(error, OSError):
        return unavailable("no connection to PostgreSQL")
    if isinstance(error, asyncpg.InternalClientError):
        return unavailable("the connection to PostgreSQL is broken")  # seen when a backend is killed between two calls
    # asyncpg's DataError is an InterfaceError too, but it means a wrong argument: our mistake, not the server's.
    if isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError):
        return unavailable("the connection to PostgreSQL was lost")
    return None


class Database:
    """One PostgreSQL database.

    Parameters
    ----------
    dsn:
        Of the tables' owner, as libpq writes it.
    reader_role:
        The role row-level security binds; the owner must be able to SET ROLE to it (see store.migrate).
    min_size, max_size:
        Connections kept and allowed, in each of the three pools.
    """

    def __init__(self, dsn: str, *, reader_role: str = "esb_reader", min_size: int = 1, max_size: int = 8) -> None:
        if not _ROLE_NAME.match(reader_role):
            raise ValueError(f"not a plain role name: {reader_role!r}")
        self.dsn = dsn
        self.reader_role = reader_role
        self._sizes = (min_size, max_size)
        self._commits: CommitConnections | None = None
        self._writers: _Pool = None
        self._readers: _Pool = None

    async def start(self) -> None:
        """Open the pools. Raises LOG_UNAVAILABLE when PostgreSQL cannot be reached now."""
        try:
            self._commits = CommitConnections(self._commit_connection, self._sizes[1])
            await self._commits.start()
            self._writers = await self._pool(_WRITER_SESSION, _WRITE_SECONDS)
            self._readers = await self._pool(_READER_SESSION, SNAPSHOT_SECONDS)
        except BaseException as error:
            await self.close()
            reason = translated(error)
            if reason is None:
                raise
            raise reason from error

    async def close(self) -> None:
        """Close every connection, by force after five seconds; may be called twice."""
        if self._commits is not None:
            await self._commits.close(_ACQUIRE_SECONDS)
        pools = [pool for pool in (self._writers, self._readers) if pool is not None]
        self._commits = self._writers = self._readers = None
        for pool in pools:
            try:
                await asyncio.wait_for(pool.close(), _ACQUIRE_SECONDS)
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                pool.terminate()

    def committing(self, seconds: float) -> AbstractAsyncContextManager["asyncpg.Connection[asyncpg.Record]"]:
        """A connection for the append call, waited for at most `seconds`.

        Lets the driver's errors through, because which of them is worth another call is the appender's business.
        """
        if self._commits is None:
            raise unavailable("it is not started")
        return self._commits.use(seconds)

    async def _commit_connection(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            self.dsn, timeout=_CONNECT_SECONDS, command_timeout=_WRITE_SECONDS, server_settings=_COMMIT_SESSION
        )

    @asynccontextmanager
    async def writing(self, seconds: float = _ACQUIRE_SECONDS) -> AsyncIterator[Connection]:
        """A connection as the owner, outside any transaction, for at most one task.

        Session state must not be changed on it (use SET LOCAL). Raises LOG_UNAVAILABLE when no connection can be had
        within `seconds`, or when it breaks while in use.
        """
        async with _connection(self._writers, seconds) as connection:
            yield connection

    @asynccontextmanager
    async def reading(self, tenant: int) -> AsyncIterator[Connection]:
        """A read-only transaction that sees one tenant's rows, whatever the query says; ends after ten seconds.

        Raises LOG_UNAVAILABLE, or TIMEOUT when the block takes longer.
        """
        async with AsyncExitStack() as used:
            connection = await self._begun(tenant, used)
            try:
                async with asyncio.timeout(SNAPSHOT_SECONDS):
                    yield connection
                    await connection.execute("COMMIT")
            except TimeoutError:
                _discard(connection)
                raise EsbError(ErrorCode.TIMEOUT, "the read took longer than ten seconds; ask for less") from None
            except BaseException:
                await _roll_back(connection)
                raise

    async def _begun(self, tenant: int, used: AsyncExitStack) -> Connection:
        """A connection in a transaction of the reader's role.

        Connections that broke while they lay in the pool, as all do when PostgreSQL restarts, are passed over: the
        reader has asked nothing yet, so nobody need hear of them.
        """
        # One message, not four: each round trip is a good part of a short read.
        begin = (
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
            f"SET LOCAL ROLE {self.reader_role}; SET LOCAL esb.tenant = '{int(tenant)}'"
        )
        for left in reversed(range(self._sizes[1] + 1)):
            async with AsyncExitStack() as attempt:
                connection = await attempt.enter_async_context(_connection(self._readers, _ACQUIRE_SECONDS))
                try:
                    await connection.execute(begin)
                except _BROKEN:
                    _discard(connection)
                    if not left:
                        raise
                else:
                    await used.enter_async_context(attempt.pop_all())
                    return connection
        raise unavailable("every connection is broken")

    async def _pool(self, session: dict[str, str], command_seconds: float) -> "asyncpg.Pool[asyncpg.Record]":
        least, most = self._sizes
        return await asyncpg.create_pool(
            self.dsn,
            min_size=least,
            max_size=most,
            timeout=_CONNECT_SECONDS,
            command_timeout=command_seconds,
            server_settings=session,
            reset=_keep,
        )


@asynccontextmanager
async def _acquired(pool: _Pool, seconds: float) -> AsyncIterator[Connection]:
    if pool is None:
        raise unavailable("it is not started")
    # Not acquire(timeout=…): that waits in a task of its own, three turns of the loop before every commit and read.
    async with asyncio.timeout(seconds):
        connection = await pool.acquire()
    try:
        yield connection
    except (TimeoutError, asyncpg.InternalClientError):
        # Its answer may still come: never to be read as the answer to the next question.
        _discard(connection)
        raise
    finally:
        await pool.release(connection)


@asynccontextmanager
async def _connection(pool: _Pool, seconds: float) -> AsyncIterator[Connection]:
    try:
        async with _acquired(pool, seconds) as connection:
            yield connection
    except Exception as error:
        reason = translated(error)
        if reason is None:
            raise
        raise reason from error


async def _keep(connection: asyncpg.Connection) -> None:
    """Instead of asyncpg's reset, which costs a round trip a use: all our state ends with its transaction.

    A transaction that its user left open is the exception, and is ended here.
    """
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


async def _roll_back(connection: Connection) -> None:
    try:
        if not connection.is_closed() and connection.is_in_transaction():
            await connection.execute("ROLLBACK", timeout=2)
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        _discard(connection)


def _discard(connection: Connection) -> None:
    """Never use it again. A connection that broke has left its pool by itself, and then says that it has."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()
