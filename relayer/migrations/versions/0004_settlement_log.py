"""How far each fill is on its way to the chain, as a log.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = sa.MetaData()
sa.Table(
    "batch_change",
    SCHEMA,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("batch_id", sa.Integer(), nullable=False),
    sa.Column("status", sa.String(), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
    sa.Column("block", sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint("id"),
)
sa.Table(
    "settlement_change",
    SCHEMA,
    sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("market", sa.String(), nullable=False),
    sa.Column("number", sa.BigInteger(), nullable=False),
    sa.Column("first_sequence", sa.BigInteger(), nullable=False),
    sa.Column("last_sequence", sa.BigInteger(), nullable=False),
    sa.Column("status", sa.String(), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=True),
    sa.Column("block", sa.BigInteger(), nullable=True),
    sa.Column("batch_id", sa.Integer(), nullable=True),
    sa.Column("reason", sa.String(), nullable=True),
    sa.Column("time_ms", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("ix_settlement_change_number", "market", "number", unique=True),
    sa.Index("ix_settlement_change_span", "market", "last_sequence"),
)
sa.Table(
    "settlement_notice",
    SCHEMA,
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("change_id", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("account", "number"),
    sa.Index("ix_settlement_notice_change", "change_id"),
)
sa.Table(
    "settlement_floor",
    SCHEMA,
    sa.Column("market", sa.String(), nullable=False),
    sa.Column("first_open", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("market"),
)
sa.Table(
    "settlement_log",
    SCHEMA,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("epoch", sa.String(), nullable=False),
    sa.Column("match_id", sa.BigInteger(), nullable=False),
    sa.Column("batch_change", sa.BigInteger(), nullable=False),
    sa.Column("finalized", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("id"),
)


def upgrade() -> None:
    SCHEMA.create_all(op.get_bind())  # some may be there: tables without versions got today's


def downgrade() -> None:
    SCHEMA.drop_all(op.get_bind())
