"""Schemas of event types, their compatibility, and upcasters.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_STATEMENTS: tuple[str, ...] = (
    "alter table streams add column schema_enforcement text collate \"C\" not null default 'OFF'",
    # Never changed and never deleted: an event says which version it was written in for as long as it is kept.
    """
    create table schema_definitions (
      id int generated always as identity primary key,
      tenant int not null references tenants,
      format text collate "C" not null,
      fingerprint bytea not null,
      definition text not null,
      compiled bytea,
      personal_paths text[] not null default '{}',
      unique (tenant, format, fingerprint)
    )
    """,
    "comment on column schema_definitions.id is 'the id of Confluent''s API: it stands in each record'",
    "comment on column schema_definitions.fingerprint is 'SHA-256 of the definition however it was written'",
    """
    create table schema_levels (
      tenant int not null references tenants,
      event_type text collate "C" not null,
      level text collate "C" not null,
      primary key (tenant, event_type)
    )
    """,
    "comment on column schema_levels.event_type is 'empty: the tenant''s default'",
    """
    create table schema_versions (
      key bigint generated always as identity primary key,
      tenant int not null references tenants,
      schema_id text collate "C" not null unique,
      event_type text collate "C" not null,
      version text collate "C" not null,
      number int not null,
      definition int not null references schema_definitions,
      registered_at timestamptz not null default now(),
      unique (tenant, event_type, version),
      unique (tenant, event_type, number)
    )
    """,
    "create index schema_versions_of_tenant on schema_versions (tenant, key)",
    "create index schema_versions_of_definition on schema_versions (definition)",
    # One way out of each version, so that the chain to the newest is one.
    """
    create table schema_upcasters (
      key bigint generated always as identity primary key,
      tenant int not null references tenants,
      event_type text collate "C" not null,
      from_version text collate "C" not null,
      to_version text collate "C" not null,
      operations text not null,
      registered_at timestamptz not null default now(),
      unique (tenant, event_type, from_version),
      foreign key (tenant, event_type, from_version) references schema_versions (tenant, event_type, version),
      foreign key (tenant, event_type, to_version) references schema_versions (tenant, event_type, version)
    )
    """,
    "comment on column schema_upcasters.key is 'grows with every change: an upcaster that is replaced gets a new one'",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Never: declarations and what was made of them stay."""
    raise NotImplementedError("revision 0008 cannot be taken back")
