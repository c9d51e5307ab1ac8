"""The ledger: tenants, streams, events and the ids they are known by; who may read what.

Revision ID: 0001
Revises:
"""

from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Ids and names compare by bytes (collate "C"): the same order on every machine, and no cost of a language's rules.
_TABLES = """
create table tenants (
  tenant int generated always as identity primary key,
  name text collate "C" not null unique,
  epoch int not null default 1,
  created_at timestamptz not null default now()
);

create table streams (
  key int generated always as identity primary key,
  tenant int not null references tenants,
  stream_id text collate "C" not null unique,
  stream_name text collate "C" not null,
  topic_name text collate "C" not null,
  engine text collate "C" not null,
  partitions int not null,
  replication_factor int not null,
  retention_time_ms bigint,
  retention_size_bytes bigint,
  compression text collate "C" not null,
  cleanup_policy text collate "C" not null,
  event_patterns text[] collate "C" not null default '{}',
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  unique (tenant, stream_name)
);
comment on constraint streams_tenant_stream_name_key on streams is 'also after deletion: a name never comes back';

create table events (
  tenant int not null,
  position bigint not null,
  stream int not null,
  sequence_number bigint,
  ts timestamptz not null,
  recorded_at timestamptz not null,
  event_id text collate "C" not null,
  event_type text collate "C" not null,
  aggregate_type text collate "C",
  aggregate_id text collate "C",
  correlation_id text collate "C",
  causation_id text collate "C",
  body text collate "C" not null
) partition by range (position);
comment on column events.position is
  'gapless from 1 in each tenant; stays below 2^48, so that the bits above can name a lane if a log is ever cut';

create index events_place on events (stream, position);
create index events_type on events (event_type, tenant, position);
create index events_aggregate on events (aggregate_id, aggregate_type, tenant, sequence_number)
  where aggregate_id is not null;
create index events_correlation on events (correlation_id, tenant, position) where correlation_id is not null;
create index events_causation on events (causation_id, tenant, position) where causation_id is not null;
alter table events add primary key (tenant, position);

create table event_ids (
  event_id text collate "C" not null,
  tenant int not null,
  position bigint not null,
  content_hash bigint not null,
  primary key (event_id, tenant)
);
"""

# On PostgreSQL 16 and later the creator of a role must grant itself the right to SET ROLE; before, membership gives it.
# Roles belong to the whole server: another database's migration may create the same one at the same moment.
_ROLE = """
do $$
declare
  reader name := '{role}';
begin
  if not exists (select from pg_roles where rolname = reader) then
    begin
      execute format('create role %I nologin', reader);
    exception
      when duplicate_object or unique_violation then null;
      when insufficient_privilege then
        raise exception 'the role % is missing: run "CREATE ROLE % NOLOGIN; GRANT % TO %" as an administrator',
          reader, reader, reader, current_user;
    end;
  end if;
  begin
    execute format('set local role %I', reader);
    reset role;
  exception when insufficient_privilege then
    begin
      if current_setting('server_version_num')::int >= 160000 then
        execute format('grant %I to %I with inherit false, set true', reader, current_user);
      else
        execute format('grant %I to %I', reader, current_user);
      end if;
    exception when insufficient_privilege then
      raise exception 'the role % cannot be taken on: run "GRANT % TO %" as an administrator',
        reader, reader, current_user;
    end;
  end;
end $$
"""

_USAGE = """
do $$
begin
  -- In a schema of the owner's own the reader may not even look without this; in "public" everybody may.
  execute format('grant usage on schema %I to {role}', current_schema());
exception when insufficient_privilege then null;
end $$
"""


def upgrade() -> None:
    """Make the tables, the reader's role and its policies."""
    role = context.config.attributes["reader_role"]
    # The driver prepares what it runs, and one statement is all that can be prepared.
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(_ROLE.format(role=role))
    op.execute(_USAGE.format(role=role))
    op.execute(f"grant select on events, event_ids, streams to {role}")
    for table in ("events", "event_ids", "streams"):
        op.execute(f"alter table {table} enable row level security")
        op.execute(
            f"create policy {table}_of_tenant on {table} for select to {role}"
            " using (tenant = current_setting('esb.tenant')::int)"
        )


def downgrade() -> None:
    """Never: a log is not unmade by a tool."""
    raise NotImplementedError("the ledger's first revision cannot be taken back")
