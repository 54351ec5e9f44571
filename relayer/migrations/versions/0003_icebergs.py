"""Orders that show only a part of themselves in the book.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("display_quantity", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    op.add_column("order", column)


def downgrade() -> None:
    op.drop_column("order", "display_quantity")
