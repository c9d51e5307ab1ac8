"""The registry: routes, which topic belongs to whom, where an aggregate type lives, and the installation's secrets.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = (
    """
    create table routes (
      key int generated always as identity primary key,
      tenant int not null references tenants,
      route_id text collate "C" not null unique,
      name text collate "C" not null,
      stream int not null references streams,
      filter text not null,
      priority int not null,
      created_at timestamptz not null default now(),
      unique (tenant, name)
    )
    """,
    # Kafka takes "a.b" and "a_b" for the same in its metrics; tenants share one Kafka. Rows stay for ever, like names.
    """
    create table topic_claims (
      confusable text collate "C" primary key,
      tenant int not null references tenants,
      stream_name text collate "C" not null,
      stream int references streams
    )
    """,
    "comment on column topic_claims.stream is 'null: its creation was begun, and may have made the topic'",
    """
    create table aggregate_types (
      tenant int not null references tenants,
      aggregate_type text collate "C" not null,
      stream int not null references streams,
      primary key (tenant, aggregate_type)
    )
    """,
    """
    create table secrets (
      name text collate "C" primary key,
      value bytea not null,
      created_at timestamptz not null default now()
    )
    """,
)


def upgrade() -> None:
    """Make the tables. The reader's role is granted nothing on them, on `secrets` least of all."""
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Never: pins and claims hold for ever."""
    raise NotImplementedError("the registry's revision cannot be taken back")
