"""Kafka's side: leases and checkpoints of the relay and the indexer, and the Kafka engine's events as rows.

Revision ID: 0003
Revises: 0002
"""

from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = """
create table leases (
  name text collate "C" primary key,
  holder text not null,
  token bigint not null,
  expires_at timestamptz not null
);
comment on column leases.token is 'grows with every holder, never resets: a late one is refused by it';

create table checkpoints (
  name text collate "C" primary key,
  token bigint not null,
  position bigint not null default 0,
  state text not null default '{}',
  updated_at timestamptz not null default now()
);

create table indexed_events (
  tenant int not null,
  position bigint,
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
  body text collate "C" not null,
  partition int not null,
  "offset" bigint not null,
  place bigint generated always as identity,
  primary key (stream, partition, "offset")
);
comment on table indexed_events is 'the Kafka engine''s events, repeats included, for queries; the topic is the log';
comment on column indexed_events.position is 'always null, like sequence_number: filters speak of both tables alike';
comment on column indexed_events.place is 'the order of indexing; one indexer a stream, so it grows within a stream';

create index indexed_events_place on indexed_events (stream, place);
create index indexed_events_id on indexed_events (event_id, tenant);
create index indexed_events_type on indexed_events (event_type, tenant, place);
create index indexed_events_aggregate on indexed_events (aggregate_id, aggregate_type, tenant, place)
  where aggregate_id is not null;
create index indexed_events_correlation on indexed_events (correlation_id, tenant, place)
  where correlation_id is not null;
create index indexed_events_causation on indexed_events (causation_id, tenant, place) where causation_id is not null;

create table index_dead_letters (
  tenant int not null,
  stream int not null,
  partition int not null,
  "offset" bigint not null,
  recorded_at timestamptz not null,
  reason text not null,
  record_key bytea,
  record_value bytea,
  primary key (stream, partition, "offset")
);
comment on table index_dead_letters is 'records of a Kafka stream that are no events of it';
"""


def upgrade() -> None:
    """Make the tables; readers see their tenant's indexed events."""
    role = context.config.attributes["reader_role"]
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(f"grant select on indexed_events to {role}")
    op.execute("alter table indexed_events enable row level security")
    op.execute(
        f"create policy indexed_events_of_tenant on indexed_events for select to {role}"
        " using (tenant = current_setting('esb.tenant')::int)"
    )


def downgrade() -> None:
    """Never: checkpoints are not unmade by a tool."""
    raise NotImplementedError("what the relay and the indexer know cannot be taken back")
