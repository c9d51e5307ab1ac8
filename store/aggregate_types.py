"""Which aggregate types are declared, and which stream each type lives in."""

from typing import Any, NamedTuple

import msgspec

from schema.aggregate import AggregateDeclaration
from store.checkpoints import Checkpoint
from store.database import Database
from store.tenants import Tenant

_COLUMNS = """
d.declaration_id, d.aggregate_type, d.revision, d.reducers, d.plugin, d.snapshot_every, d.snapshot_max_age_ms
"""
_TYPE = f"""
select s.stream_name, {_COLUMNS}
from (select) one
left join aggregate_types p on p.tenant = $1 and p.aggregate_type = $2
left join streams s on s.key = p.stream
left join aggregate_declarations d on d.tenant = $1 and d.aggregate_type = $2
"""
_BY_ID = "select aggregate_type from aggregate_declarations where tenant = $1 and declaration_id = $2"
# Said again as it stands, nothing changes, and no snapshot is lost.
_DEFINE = f"""
insert into aggregate_declarations as d
  (tenant, aggregate_type, declaration_id, revision, reducers, plugin, snapshot_every, snapshot_max_age_ms)
values ($1, $2, $3, 1, $4, $5, $6, $7)
on conflict (tenant, aggregate_type) do update set
  revision = d.revision + 1, reducers = excluded.reducers, plugin = excluded.plugin,
  snapshot_every = excluded.snapshot_every, snapshot_max_age_ms = excluded.snapshot_max_age_ms,
  defined_at = clock_timestamp()
where (d.reducers, d.plugin, d.snapshot_every, d.snapshot_max_age_ms)
  is distinct from (excluded.reducers, excluded.plugin, excluded.snapshot_every, excluded.snapshot_max_age_ms)
returning {_COLUMNS}
"""
_DECLARED = f"select {_COLUMNS} from aggregate_declarations d where d.tenant = $1 and d.aggregate_type = $2"
_FOLLOWED = f"""
select d.tenant, t.name, t.epoch, p.stream as stream_key, c.position as checkpoint, c.state as checkpoint_state,
  coalesce((select e.position from events e where e.tenant = d.tenant order by e.position desc limit 1), 0) as head,
  {_COLUMNS}
from aggregate_declarations d
join tenants t on t.tenant = d.tenant
join aggregate_types p on p.tenant = d.tenant and p.aggregate_type = d.aggregate_type
left join checkpoints c on c.name = $1 || d.declaration_id
"""


class TypeState(NamedTuple):
    """What is known of a type. `stream`: where its events are; None: it has none yet. `declaration`: None where nobody
    declared it."""

    stream: str | None
    declaration: AggregateDeclaration | None


class Followed(NamedTuple):
    """A declared type that has events. `head`: the last position of its tenant's log; `checkpoint`: how far its
    follower came, None where none ever was."""

    tenant: Tenant
    stream_key: int
    declaration: AggregateDeclaration
    head: int
    checkpoint: Checkpoint | None


class AggregateTypes:
    """The types of all tenants. Every method may raise LOG_UNAVAILABLE."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, tenant: Tenant, aggregate_type: str) -> TypeState:
        """The type as it is now."""
        async with self._database.reading(tenant.key) as connection:
            row = await connection.fetchrow(_TYPE, tenant.key, aggregate_type)
        return _state(row)

    async def named(self, tenant: Tenant, declaration_id: str) -> str | None:
        """The type whose declaration has that id."""
        async with self._database.reading(tenant.key) as connection:
            found: str | None = await connection.fetchval(_BY_ID, tenant.key, declaration_id)
        return found

    async def define(self, tenant: Tenant, wanted: AggregateDeclaration) -> AggregateDeclaration:
        """Declare a type, or change it; its `declaration_id` and `revision` are given here, or were before."""
        reducers = None if wanted.reducers is None else msgspec.json.encode(wanted.reducers).decode()
        values = (reducers, wanted.plugin, wanted.snapshot_every, wanted.snapshot_max_age_ms)
        async with self._database.writing() as connection:
            row = await connection.fetchrow(_DEFINE, tenant.key, wanted.type, wanted.declaration_id, *values)
            if row is None:
                row = await connection.fetchrow(_DECLARED, tenant.key, wanted.type)
        return _declaration(row)

    async def followed(self, prefix: str) -> list[Followed]:
        """Every declared type that has events, of all tenants. `prefix`: of the names of their followers'
        checkpoints, before the declaration's id."""
        async with self._database.writing() as connection:
            rows = await connection.fetch(_FOLLOWED, prefix)
        return [
            Followed(
                Tenant(row["tenant"], row["name"], row["epoch"]),
                row["stream_key"],
                _declaration(row),
                row["head"],
                None
                if row["checkpoint"] is None
                else Checkpoint(row["checkpoint"], msgspec.json.decode(row["checkpoint_state"])),
            )
            for row in rows
        ]


def _state(row: Any) -> TypeState:
    declared = row["declaration_id"] is not None
    return TypeState(row["stream_name"], _declaration(row) if declared else None)


def _declaration(row: Any) -> AggregateDeclaration:
    return AggregateDeclaration(
        declaration_id=row["declaration_id"],
        type=row["aggregate_type"],
        revision=row["revision"],
        reducers=None if row["reducers"] is None else msgspec.json.decode(row["reducers"]),
        plugin=row["plugin"],
        snapshot_every=row["snapshot_every"],
        snapshot_max_age_ms=row["snapshot_max_age_ms"],
    )
