"""Orders that wait for a price or take another's place, and what was matched by the minute.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cxdex.storage import Uint

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    nothing = sa.text("''" if op.get_bind().dialect.name == "postgresql" else "X''")  # no bytes
    for column in (
        sa.Column("trigger", sa.Integer(), nullable=True),
        sa.Column("trigger_price", Uint(), nullable=True),
        sa.Column("active_from", sa.BigInteger(), nullable=True),
        sa.Column("proof_first", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("proof_second", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("replaces", sa.LargeBinary(length=32), nullable=False, server_default=nothing),
        sa.Column("replaced_by", sa.LargeBinary(length=32), nullable=False, server_default=nothing),
        sa.Column("filled_before", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    ):
        op.add_column("order", column)
    op.create_table(
        "market_minute",
        sa.Column("market", sa.String(), nullable=False),
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, Uint(), nullable=False) for name in ("open", "high", "low", "close", "lots", "lot_ticks")),
        sa.Column("trades", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("market", "minute"),
    )


def downgrade() -> None:
    op.drop_table("market_minute")
    for name in ("trigger", "trigger_price", "active_from", "proof_first", "proof_second"):
        op.drop_column("order", name)
    for name in ("replaces", "replaced_by", "filled_before"):
        op.drop_column("order", name)
