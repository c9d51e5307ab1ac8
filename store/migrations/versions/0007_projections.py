"""Projections: what was declared, the versions of it, how far each is; and how values of rows are ordered.

Each version's rows are a table of their own, made and dropped by store/projections/tables.py.

Revision ID: 0007
Revises: 0006
"""

from alembic import context, op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_STATEMENTS = (
    # active: the version that is read; previous: the one before it, kept up to date so that it can be taken back at
    # once; candidate: the one being built to take over.
    """
    create table projections (
      key int generated always as identity primary key,
      tenant int not null references tenants,
      projection_id text collate "C" not null unique,
      name text collate "C" not null,
      active int not null,
      previous int,
      candidate int,
      versions int not null default 1,
      created_at timestamptz not null default now(),
      unique (tenant, name)
    )
    """,
    """
    create table projection_versions (
      key int generated always as identity primary key,
      tenant int not null references tenants,
      projection int not null,
      version int not null,
      declaration text not null,
      streams int[],
      position bigint not null default 1,
      recorded_at timestamptz not null default '1970-01-01T00:00:00Z',
      changes_from bigint not null default 1,
      live boolean not null default false,
      paused boolean not null default false,
      error text,
      created_at timestamptz not null default now(),
      retired_at timestamptz
    )
    """,
    "create index projection_versions_of on projection_versions (projection)",
    "comment on column projection_versions.position is 'the next of the log to look at: all before is in the rows'",
    "comment on column projection_versions.changes_from is 'from which position on every change stands in the changes'",
    "comment on column projection_versions.live is 'whether it ever reached the end of the log'",
    "comment on column projection_versions.error is 'the event it stopped at, and why'",
    "comment on column projection_versions.retired_at is 'nobody begins to read it any more; soon it is dropped'",
    # Bytes of a double that compare like the double: its sign turned over, or all of it where it is negative.
    """
    create function projection_number(n float8) returns text
    language sql immutable strict parallel safe
    return case when n < 0
      then translate(encode(float8send(n), 'hex'), '0123456789abcdef', 'fedcba9876543210')
      else translate(left(encode(float8send(n), 'hex'), 1), '01234567', '89abcdef')
        || substr(encode(float8send(n), 'hex'), 2)
    end
    """,
    # The same as schema.projections.ordering.order_text. The cast to float8 fails below the least double.
    """
    create function projection_order(j jsonb) returns text
    language sql immutable parallel safe
    return case jsonb_typeof(j)
      when 'null' then '1'
      when 'boolean' then case when j::boolean then '2t' else '2f' end
      when 'number' then '3' || projection_number(
        case when length(j::text) < 300 then j::float8
          when abs(j::numeric) < 2.4703282292062328e-324 then 0::float8
          else j::float8 end)
      when 'string' then '4' || left(j #>> '{}', 255)
      when 'array' then '5'
      when 'object' then '6'
      else '0'
    end
    """,
)


def upgrade() -> None:
    """Make the tables and functions."""
    role = context.config.attributes["reader_role"]
    for statement in _STATEMENTS:
        op.execute(statement)
    op.execute(f"grant select on projections, projection_versions to {role}")
    for table in ("projections", "projection_versions"):
        op.execute(f"alter table {table} enable row level security")
        op.execute(
            f"create policy {table}_of_tenant on {table} for select to {role}"
            " using (tenant = current_setting('esb.tenant')::int)"
        )


def downgrade() -> None:
    """Never: declarations and what was made of them stay."""
    raise NotImplementedError("revision 0007 cannot be taken back")
