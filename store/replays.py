"""Replays in PostgreSQL: what was asked for, how it stands, and how far each got.

How far is a checkpoint (store/checkpoints.py), so that of two processes that both believe they hold the lease only the
later one moves it. The status is changed by people and by the worker; each change names the states it may come from.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from schema.replay import Replay, ReplayPlace, ReplayPlan, ReplayStatus
from store.checkpoints import Checkpoint, Checkpoints
from store.database import Database
from store.leases import Lease
from store.tenants import Tenant

PREFIX = "replay:"
KEPT = 1000
"""Replays of a tenant that are remembered after their end."""

_COLUMNS = """
r.replay_id, t.name as tenant, r.status, r.plan, r.total, r.error, r.started_at, r.finished_at,
c.position as done, c.state
from replays r join tenants t on t.tenant = r.tenant left join checkpoints c on c.name = 'replay:' || r.replay_id
"""
_LOCK = "select pg_advisory_xact_lock(1163084298, $1)"
_UNDER_WAY = "select count(*) from replays where tenant = $1 and status in ('RUNNING', 'PAUSED')"
_INSERT = "insert into replays (replay_id, tenant, status, plan) values ($1, $2, 'RUNNING', $3)"
_FORGET = """
with gone as (
  delete from replays where tenant = $1 and status in ('DONE', 'CANCELLED', 'FAILED')
    and number < (select min(number) from (select number from replays where tenant = $1
                                           order by number desc limit $2) newest)
  returning replay_id)
delete from checkpoints c using gone where c.name = 'replay:' || gone.replay_id
"""
_ONE = f"select {_COLUMNS} where r.replay_id = $2 and r.tenant = $1"
_OF_TENANT = f"select {_COLUMNS} where r.tenant = $1 order by r.number desc limit $2"
_RUNNING = "select replay_id from replays where status = 'RUNNING'"
_BY_ID = f"select {_COLUMNS} where r.replay_id = $1"
_MOVE = """
update replays set status = $3, error = case when $3 = 'RUNNING' then null else error end,
  finished_at = case when $3 = 'CANCELLED' then clock_timestamp() end
where tenant = $1 and replay_id = $2 and status = any($4::text[])
"""
_TOTAL = "update replays set total = $2 where replay_id = $1"
_STATUS = "select status from replays where replay_id = $1"
_END = """
update replays set status = $2, error = $3, finished_at = clock_timestamp()
where replay_id = $1
"""


class ReplayRows:
    """The table of replays. Every method may raise LOG_UNAVAILABLE."""

    def __init__(self, database: Database, checkpoints: Checkpoints) -> None:
        self._database = database
        self._checkpoints = checkpoints

    async def create(self, tenant: Tenant, replay_id: str, plan: ReplayPlan, most: int) -> Replay | None:
        """Record a new one, running; None where `most` of the tenant are under way. The oldest that ended are
        forgotten."""
        async with self._database.writing() as connection, connection.transaction():
            await connection.execute(_LOCK, tenant.key)
            if await connection.fetchval(_UNDER_WAY, tenant.key) >= most:
                return None
            await connection.execute(_INSERT, replay_id, tenant.key, msgspec.json.encode(plan).decode())
            await connection.execute(_FORGET, tenant.key, KEPT)
            return _replay(await connection.fetchrow(_ONE, tenant.key, replay_id))

    async def get(self, tenant: Tenant, replay_id: str) -> Replay | None:
        """The tenant's replay of that id."""
        async with self._database.writing() as connection:
            row = await connection.fetchrow(_ONE, tenant.key, replay_id)
        return None if row is None else _replay(row)

    async def newest(self, tenant: Tenant, most: int) -> Sequence[Replay]:
        """The tenant's replays, the newest first."""
        async with self._database.writing() as connection:
            rows = await connection.fetch(_OF_TENANT, tenant.key, most)
        return [_replay(row) for row in rows]

    async def running(self) -> Collection[str]:
        """Ids of all tenants' replays that want work."""
        async with self._database.writing() as connection:
            return [row["replay_id"] for row in await connection.fetch(_RUNNING)]

    async def move(
        self, tenant: Tenant, replay_id: str, status: ReplayStatus, *, over: Collection[ReplayStatus]
    ) -> Replay | None:
        """Change the status if it is one of `over`; the replay as it stands then, None where there is none."""
        async with self._database.writing() as connection, connection.transaction():
            states = [each.value for each in over]
            await connection.execute(_MOVE, tenant.key, replay_id, status.value, states)
            row = await connection.fetchrow(_ONE, tenant.key, replay_id)
        return None if row is None else _replay(row)

    async def claim(self, lease: Lease) -> Replay | None:
        """The replay the lease is for, from now on this holder's alone; None where it is gone. Raises Fenced."""
        await self._checkpoints.claim(lease)
        async with self._database.writing() as connection:
            row = await connection.fetchrow(_BY_ID, lease.name.removeprefix(PREFIX))
        return None if row is None else _replay(row)

    async def count(self, replay_id: str, total: int) -> None:
        """How many events it will come to."""
        async with self._database.writing() as connection:
            await connection.execute(_TOTAL, replay_id, total)

    async def status(self, replay_id: str) -> ReplayStatus:
        """How it stands now."""
        async with self._database.writing() as connection:
            return _status(await connection.fetchval(_STATUS, replay_id))

    async def step(
        self,
        lease: Lease,
        replay_id: str,
        done: int,
        place: ReplayPlace,
        *,
        end: ReplayStatus | None = None,
        error: str | None = None,
    ) -> ReplayStatus:
        """It got so far, and came to its `end` there, if one is given and nobody paused or cancelled it meanwhile; the
        status after that. Raises Fenced."""
        async with self._database.writing() as connection, connection.transaction():
            status = _status(await connection.fetchval(_STATUS + " for update", replay_id))
            await self._checkpoints.save_within(connection, lease, Checkpoint(done, msgspec.to_builtins(place)))
            if end is None or status is not ReplayStatus.RUNNING:
                return status
            await connection.execute(_END, replay_id, end.value, error)
        return end


def _status(text: str | None) -> ReplayStatus:
    """A replay that was forgotten had ended long before."""
    return ReplayStatus.CANCELLED if text is None else ReplayStatus(text)


def _replay(row: Any) -> Replay:
    plan = msgspec.json.decode(row["plan"], type=ReplayPlan)
    # without a checkpoint nothing was done yet; an empty one was claimed and not moved
    state = msgspec.json.decode(row["state"]) if row["state"] else {}
    place = msgspec.convert(state, ReplayPlace) if state else ReplayPlace(plan.ledger, plan.indexed)
    return Replay(
        replay_id=row["replay_id"],
        tenant=row["tenant"],
        status=ReplayStatus(row["status"]),
        plan=plan,
        place=place,
        done=row["done"] or 0,
        total=row["total"],
        error=row["error"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )
