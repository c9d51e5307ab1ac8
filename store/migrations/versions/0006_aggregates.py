"""Aggregate types, their reducers, and snapshots.

Revision ID: 0006
Revises: 0005
"""

from alembic import context, op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    create table aggregate_declarations (
      tenant int not null references tenants,
      aggregate_type text collate "C" not null,
      declaration_id text collate "C" not null unique,
      revision int not null,
      reducers text,
      plugin text collate "C",
      snapshot_every int not null,
      snapshot_max_age_ms bigint,
      defined_at timestamptz not null default now(),
      primary key (tenant, aggregate_type)
    )
    """,
    "comment on column aggregate_declarations.revision is 'grows with every change, and never goes back'",
    # No key for the rest of a snapshot's life: a snapshot of other reducers is never read, whenever it was written.
    """
    create table snapshots (
      tenant int not null references tenants,
      aggregate_type text collate "C" not null,
      aggregate_id text collate "C" not null,
      made_by text collate "C" not null,
      sequence_number bigint not null,
      from_sequence bigint not null,
      position bigint not null,
      recorded_at timestamptz not null,
      newest timestamptz not null,
      segment_oldest timestamptz not null,
      taken_at timestamptz not null default now(),
      revision int not null,
      state text not null,
      primary key (tenant, aggregate_type, aggregate_id, made_by, sequence_number)
        include (from_sequence, segment_oldest)
    )
    """,
    "comment on column snapshots.made_by is 'the revision of the reducers, and what else decides about the state'",
    "comment on column snapshots.from_sequence is 'the first event after the snapshot this one was made from'",
    "comment on column snapshots.position is 'of its last event, and recorded_at too'",
    "comment on column snapshots.newest is 'the latest timestamp of all its events'",
    "comment on column snapshots.segment_oldest is 'the earliest timestamp from from_sequence to sequence_number'",
    # Positions grow with sequence numbers: what is as of a position finds its snapshot by this.
    "create index snapshots_position on snapshots (tenant, aggregate_type, aggregate_id, made_by, position)",
    "create index snapshots_recorded on snapshots (tenant, aggregate_type, aggregate_id, made_by, recorded_at)",
    # newest grows with them too: what had happened by a moment finds its snapshot by this.
    "create index snapshots_newest on snapshots (tenant, aggregate_type, aggregate_id, made_by, newest)",
    "create index snapshots_revision on snapshots (tenant, aggregate_type, revision)",
)

_READABLE = ("aggregate_types", "aggregate_declarations", "snapshots")


def upgrade() -> None:
    """Make the tables; readers see their tenant's."""
    role = context.config.attributes["reader_role"]
    for statement in _STATEMENTS:
        op.execute(statement)
    op.execute(f"grant select on {', '.join(_READABLE)} to {role}")
    for table in _READABLE:
        op.execute(f"alter table {table} enable row level security")
        op.execute(
            f"create policy {table}_of_tenant on {table} for select to {role}"
            " using (tenant = current_setting('esb.tenant')::int)"
        )


def downgrade() -> None:
    """Never: declarations and what was made of them stay."""
    raise NotImplementedError("revision 0006 cannot be taken back")
