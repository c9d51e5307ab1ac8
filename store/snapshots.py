"""Snapshots: states of aggregates, kept so that a fold need not begin at the first event.

They are a cache, never the truth: a state is looked for among those made by the very same reducers, and without any the
fold begins at the beginning. Positions, times of recording, and the latest timestamp so far, grow with sequence
numbers, so the last snapshot not beyond a bound of any of them is the nearest that may be used.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

import msgspec

from store.database import Database
from store.ledger.aggregates import END, FUTURE, AggregateKey
from store.tenants import Tenant

_NEAREST = """
select sequence_number, position, recorded_at, newest, state from snapshots
where tenant = $1 and aggregate_type = $2 and aggregate_id = $3 and made_by = $4 and {bound} <= $5
order by {bound} desc, sequence_number desc limit 1
"""
_BY_SEQUENCE = _NEAREST.format(bound="sequence_number").replace("desc, sequence_number desc", "desc")
_BY_POSITION = _NEAREST.format(bound="position").replace("desc, sequence_number desc", "desc")
_BY_RECORDED = _NEAREST.format(bound="recorded_at")
_BY_NEWEST = _NEAREST.format(bound="newest")
# What lies between two snapshots and all happened after the moment is passed over. Nothing is missing in between: a
# snapshot's stretch begins right after another snapshot, or with the first event.
_STRETCHES = """
select from_sequence, sequence_number, segment_oldest <= $6 as wanted from snapshots
where tenant = $1 and aggregate_type = $2 and aggregate_id = $3 and made_by = $4 and sequence_number >= $5
  and (segment_oldest <= $6 or sequence_number = (
    select max(sequence_number) from snapshots
    where tenant = $1 and aggregate_type = $2 and aggregate_id = $3 and made_by = $4))
order by sequence_number
"""
_LATEST = """
select s.aggregate_id, s.sequence_number, octet_length(s.state) as size
from unnest($4::text[]) wanted (aggregate_id)
cross join lateral (
  select * from snapshots s
  where s.tenant = $1 and s.aggregate_type = $2 and s.aggregate_id = wanted.aggregate_id and s.made_by = $3
  order by s.sequence_number desc limit 1
) s
"""
# Reducers may change while a state is folded: a snapshot of the old ones would be of no use to anybody.
_PUT = """
insert into snapshots (tenant, aggregate_type, aggregate_id, made_by, revision, sequence_number, position, recorded_at,
  newest, from_sequence, segment_oldest, state)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
where exists (select from aggregate_declarations where tenant = $1 and aggregate_type = $2 and revision = $5)
on conflict do nothing
"""
_DROP = """
delete from snapshots where ctid = any(array(
  select ctid from snapshots where tenant = $1 and aggregate_type = $2 and revision < $3 limit $4))
"""


class Snapshot(NamedTuple):
    """A state, after the event of `sequence_number`. `newest`: the latest timestamp of all events in it."""

    sequence_number: int
    position: int
    recorded_at: datetime
    newest: datetime
    state: Any


class Taken(NamedTuple):
    """A snapshot to be kept. `from_sequence`: its first event after the snapshot it was folded from; `segment_oldest`:
    the earliest timestamp of those. `state`: as JSON."""

    sequence_number: int
    position: int
    recorded_at: datetime
    newest: datetime
    from_sequence: int
    segment_oldest: datetime
    state: str


class Latest(NamedTuple):
    """An aggregate's last snapshot. `size`: bytes of its state."""

    sequence_number: int
    size: int


class Snapshots:
    """The snapshots of all tenants. `made_by`: what decides about a state besides its events. Every method may raise
    LOG_UNAVAILABLE."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def nearest(
        self,
        tenant: Tenant,
        key: AggregateKey,
        made_by: str,
        *,
        last: int = END,
        before: int = END,
        recorded: datetime = FUTURE,
        happened: datetime | None = None,
    ) -> Snapshot | None:
        """The last one within the bound that is given: up to sequence number `last`, before a position, recorded or
        happened by then."""
        statement, bound = _BY_SEQUENCE, cast(int | datetime, last)
        if happened is not None:
            statement, bound = _BY_NEWEST, happened
        elif recorded != FUTURE:
            statement, bound = _BY_RECORDED, recorded
        elif before != END:
            statement, bound = _BY_POSITION, before - 1
        async with self._database.reading(tenant.key) as connection:
            row = await connection.fetchrow(statement, tenant.key, *key, made_by, bound)
        if row is None:
            return None
        state = msgspec.json.decode(row["state"])
        return Snapshot(row["sequence_number"], row["position"], row["recorded_at"], row["newest"], state)

    async def stretches(
        self, tenant: Tenant, key: AggregateKey, made_by: str, *, first: int, happened: datetime
    ) -> Sequence[tuple[int, int]]:
        """Where events of that time or earlier may be, from sequence number `first` on: first and last of each."""
        async with self._database.reading(tenant.key) as connection:
            rows = await connection.fetch(_STRETCHES, tenant.key, *key, made_by, first, happened)
        # The last row tells where the snapshots end, wanted or not; behind it nothing is known of the events.
        tail = rows[-1]["sequence_number"] + 1 if rows else first
        found = []
        for begin, end, wanted in rows:
            if wanted:
                # Two that took snapshots at once leave stretches that overlap: no event may be in two of them.
                found.append((max(begin, first), end))
                first = end + 1
        return [*found, (tail, END)]

    async def latest(
        self, tenant: Tenant, aggregate_type: str, made_by: str, aggregate_ids: Collection[str]
    ) -> dict[str, Latest]:
        """The last snapshot of each of these aggregates that has one."""
        async with self._database.reading(tenant.key) as connection:
            rows = await connection.fetch(_LATEST, tenant.key, aggregate_type, made_by, list(aggregate_ids))
        return {row["aggregate_id"]: Latest(row["sequence_number"], row["size"]) for row in rows}

    async def put(self, tenant: Tenant, key: AggregateKey, made_by: str, revision: int, taken: Sequence[Taken]) -> None:
        """Keep them, unless the type has another revision by now. What is there already stays."""
        fixed = (tenant.key, *key, made_by, revision)
        rows = [(*fixed, *one) for one in taken]
        async with self._database.writing() as connection:
            await connection.executemany(_PUT, rows)

    async def drop_older(self, tenant: Tenant, aggregate_type: str, revision: int, most: int) -> bool:
        """Drop up to `most` snapshots of earlier revisions; whether there may be more."""
        async with self._database.writing() as connection:
            answer = await connection.execute(_DROP, tenant.key, aggregate_type, revision, most)
        return int(answer.rpartition(" ")[2]) == most
