"""Replays under way and done.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLE = """
create table replays (
  replay_id text collate "C" primary key,
  number bigint generated always as identity,
  tenant int not null references tenants,
  status text collate "C" not null check (status in ('RUNNING', 'PAUSED', 'DONE', 'CANCELLED', 'FAILED')),
  plan text not null,
  total bigint,
  error text,
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz
)
"""

_STATEMENTS = (
    _TABLE,
    "create index replays_of_tenant on replays (tenant, number)",
    "create index replays_running on replays (replay_id) where status = 'RUNNING'",
    "comment on table replays is 'how far each got stands in checkpoints, under replay: and its id'",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Never: declarations and what was made of them stay."""
    raise NotImplementedError("revision 0009 cannot be taken back")
