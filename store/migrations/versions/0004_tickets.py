"""Tickets: single-use stand-ins for tokens (store/tickets.py).

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Unlogged: a ticket lives for half a minute, and after a crash of the server a page simply asks for another.
_TABLE = """
create unlogged table tickets (
  digest bytea primary key,
  tenant text collate "C" not null,
  principal text not null,
  expires_at timestamptz not null
)
"""


def upgrade() -> None:
    """Make the table; the readers' role has no business with it."""
    op.execute(_TABLE)
    op.execute("create index tickets_of_tenant on tickets (tenant)")
    op.execute("create index tickets_expiry on tickets (expires_at)")
