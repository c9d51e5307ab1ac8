"""Revocations: tokens refused before they expire (store/revocations.py).

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Logged, unlike tickets: a crash of the server must not make a revoked token good again.
_TABLE = """
create table revocations (
  number bigint generated always as identity primary key,
  tenant text collate "C" not null,
  kind text collate "C" not null check (kind in ('token', 'subject', 'client')),
  value text collate "C" not null,
  before timestamptz not null,
  revoked_at timestamptz not null default clock_timestamp(),
  revoked_by text,
  reason text,
  expires_at timestamptz not null
)
"""


def upgrade() -> None:
    """Make the table; the readers' role has no business with it."""
    op.execute(_TABLE)
    op.execute("create index revocations_of_tenant on revocations (tenant, kind)")
    op.execute("create index revocations_expiry on revocations (expires_at)")
    op.execute("comment on table revocations is 'who refused which tokens, when and why'")
