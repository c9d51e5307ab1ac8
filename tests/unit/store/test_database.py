"""What a failure of PostgreSQL means to a caller."""

import asyncpg
import pytest

from schema.errors import ErrorCode
from store.database import Database, translated


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.AdminShutdownError("restart"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.DiskFullError("full"),
        asyncpg.LockNotAvailableError("busy"),
        asyncpg.ReadOnlySQLTransactionError("a replica"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state"),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_unavailability(error: Exception) -> None:
    found = translated(error)
    assert found is not None
    assert found.code is ErrorCode.LOG_UNAVAILABLE
    assert found.retryable
    assert found.retry_after_ms


def test_a_statement_cut_off_took_too_long() -> None:
    found = translated(asyncpg.QueryCanceledError("statement timeout"))
    assert found is not None
    assert found.code is ErrorCode.TIMEOUT


@pytest.mark.parametrize(
    "error", [asyncpg.UniqueViolationError("twice"), asyncpg.UndefinedTableError("none"), ValueError()]
)
def test_our_own_mistakes_stay_what_they_are(error: Exception) -> None:
    assert translated(error) is None


def test_a_roles_name_is_checked_because_it_goes_into_statements() -> None:
    with pytest.raises(ValueError, match="role name"):
        Database("postgresql:///x", reader_role='reader"; drop table events; --')
