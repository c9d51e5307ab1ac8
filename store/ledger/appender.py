"""The append call and all that can go wrong with it.

The call is idempotent: event ids are made before the first try, and a repeated one answers with the first receipt.
So whenever an outcome is unknown, the call is made again, until it answers or its time is over.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

import asyncpg

from schema.errors import ErrorCode, EsbError
from store.database import Database, translated, unavailable
from store.ledger.answer import Answer, Commit
from store.ledger.call import STATEMENT, Call
from store.ledger.partitions import Partitions
from store.log.port import Command, Outcome, Refusal
from store.tenants import Tenant

PATIENCE_SECONDS = 10.0
"""How long a command may wait for PostgreSQL to come back before its publisher is told LOG_UNAVAILABLE."""

_CALL_SECONDS = 5.0
_LEAST_SECONDS = 0.5

# A healthy holder of the tenant's lock never waits for its client: a call is one message. One that does is a frozen
# gateway, caught between two halves of that message.
_FREE_LOCK = """
select l.pid, pg_terminate_backend(l.pid) from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.classid = 1163084290 and l.objid = $1 and l.objsubid = 2 and l.granted
  and l.database = (select oid from pg_database where datname = current_database())
  and a.wait_event_type = 'Client' and a.xact_start < clock_timestamp() - interval '1 second'
"""

_LAST_POSITION = "select coalesce(max(position), 0) from events where tenant = $1"

_AT_FAULT = (asyncpg.PostgresError, asyncpg.InterfaceError, UnicodeError)
"""What a command itself may cause."""

_log = logging.getLogger(__name__)
_Announce = Callable[[Commit], None]


class Appender:
    """Appends to one tenant's log."""

    def __init__(
        self, tenant: Tenant, database: Database, partitions: Partitions, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._tenant = tenant
        self._database = database
        self._partitions = partitions
        self._patience = patience

    async def append(self, commands: Sequence[Command], announce: _Announce) -> list[Outcome]:
        """Commit the commands in as few calls as it takes; `announce` is called after each commit.

        Raises LOG_UNAVAILABLE when no answer could be had in time; the commands may have been committed all the same.
        """
        deadline = time.monotonic() + self._patience
        try:
            return await self._until(deadline, commands, announce)
        except _AT_FAULT as error:
            if len(commands) == 1:
                return [_refused(error, commands[0])]
        # One of them is at fault: alone, it fails alone.
        outcomes: list[Outcome] = []
        for command in commands:
            try:
                outcomes += await self._until(deadline, [command], announce)
            except _AT_FAULT as error:
                outcomes.append(_refused(error, command))
        return outcomes

    async def _until(self, deadline: float, commands: Sequence[Command], announce: _Announce) -> list[Outcome]:
        """Call until there is an answer; lets through what another try would not cure."""
        call = Call(commands)
        if not call.drafts:
            return [call.refused[index] for index in range(len(commands))]
        arguments = call.arguments(self._tenant.key)
        pause = 0.02
        while True:
            seconds = max(min(_CALL_SECONDS, deadline - time.monotonic()), _LEAST_SECONDS)
            try:
                async with self._database.committing(seconds) as connection:
                    row = await connection.fetchrow(STATEMENT, *arguments, timeout=seconds)
                break
            except asyncpg.CheckViolationError:
                await self._make_room(len(call.drafts))
            except asyncpg.QueryCanceledError:
                raise
            except Exception as error:
                await self._bear(error, deadline)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(pause * 2, 0.5)
        answer = Answer(call, row, self._tenant)
        if answer.commit is not None:
            self._partitions.reached(answer.commit.last)
            announce(answer.commit)
        return answer.outcomes

    async def _bear(self, error: Exception, deadline: float) -> None:
        """Return if another call may succeed. Raises LOG_UNAVAILABLE when the time for that is over, else the error."""
        reason = error if isinstance(error, EsbError) else translated(error)
        if reason is None:
            raise error
        if time.monotonic() >= deadline:
            raise reason from error
        if isinstance(error, asyncpg.LockNotAvailableError):
            await self._free_lock()

    async def _free_lock(self) -> None:
        async with self._database.writing() as connection:
            for freed in await connection.fetch(_FREE_LOCK, self._tenant.key):
                _log.warning("freed the lock of tenant %s from frozen backend %s", self._tenant.name, freed["pid"])

    async def _make_room(self, events: int) -> None:
        """The group found no partition: the one thing that must never fail a command."""
        async with self._database.writing() as connection:
            last = await connection.fetchval(_LAST_POSITION, self._tenant.key)
        await self._partitions.ensure(last + events)


def _refused(error: Exception, command: Command) -> Outcome:
    """What to say of a command that alone makes the call fail."""
    if isinstance(error, asyncpg.QueryCanceledError):
        if command.condition is None:
            raise unavailable("PostgreSQL took too long")
        message = "the condition took too long to decide; move its cursor nearer to the head, or filter on event fields"
        return Refusal(index=0, code=ErrorCode.TOO_COMPLEX, message=message)
    if isinstance(error, (asyncpg.DataError, ValueError)):
        # A NUL in a text, a lone surrogate, a time before the year 4713 BC: legal in JSON, not in PostgreSQL.
        message = "the event holds a value that PostgreSQL cannot store, such as a NUL character"
        return Refusal(index=0, code=ErrorCode.BAD_INPUT, message=message)
    _log.error("a command cannot be committed", exc_info=error)
    raise EsbError(ErrorCode.INTERNAL, "the event could not be committed; nothing was stored")
