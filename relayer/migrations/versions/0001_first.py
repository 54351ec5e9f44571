"""The first schema: what was deployed before the tables had versions.

Revision ID: 0001
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cxdex.storage import Uint

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = sa.MetaData()

sa.Table(
    "batch",
    SCHEMA,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("first_match_id", sa.BigInteger(), nullable=False),
    sa.Column("last_match_id", sa.BigInteger(), nullable=False),
    sa.Column("fills", sa.Integer(), nullable=False),
    sa.Column("nonce", sa.BigInteger(), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
    sa.Column("raw_transaction", sa.LargeBinary(), nullable=False),
    sa.Column("status", sa.String(), nullable=False),
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("block", sa.BigInteger(), nullable=True),
    sa.Column("gas_used", sa.BigInteger(), nullable=True),
    sa.Column("error", sa.String(), nullable=True),
    sa.Column("created_ms", sa.BigInteger(), nullable=False),
    sa.Column("updated_ms", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("ix_batch_status", "status"),
    sa.Index("ix_batch_tx_hash", "tx_hash"),
)
sa.Table(
    "batch_attempt",
    SCHEMA,
    sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
    sa.Column("batch_id", sa.Integer(), nullable=False),
    sa.Column("nonce", sa.BigInteger(), nullable=False),
    sa.Column("raw_transaction", sa.LargeBinary(), nullable=False),
    sa.Column("created_ms", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("tx_hash"),
    sa.Index("ix_batch_attempt_batch", "batch_id"),
    sa.Index("ix_batch_attempt_nonce", "nonce"),
)
sa.Table(
    "batch_span",
    SCHEMA,
    sa.Column("batch_id", sa.Integer(), nullable=False),
    sa.Column("market", sa.String(), nullable=False),
    sa.Column("first_sequence", sa.BigInteger(), nullable=False),
    sa.Column("last_sequence", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("batch_id", "market"),
    sa.Index("ix_batch_span_market", "market", "first_sequence"),
)
sa.Table(
    "dead_letter",
    SCHEMA,
    sa.Column("match_id", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("market", sa.String(), nullable=False),
    sa.Column("sequence", sa.BigInteger(), nullable=False),
    sa.Column("reason", sa.String(), nullable=False),
    sa.Column("status", sa.String(), nullable=False),
    sa.Column("decision", sa.String(), nullable=True),
    sa.Column("created_ms", sa.BigInteger(), nullable=False),
    sa.Column("updated_ms", sa.BigInteger(), nullable=False),
    sa.Column("until_ms", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("match_id"),
    sa.Index("ix_dead_letter_status", "status"),
)
sa.Table(
    "order",
    SCHEMA,
    sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
    sa.Column("accepted", sa.BigInteger(), nullable=False),
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("market", sa.String(), nullable=False),
    sa.Column("side", sa.Integer(), nullable=False),
    sa.Column("order_type", sa.Integer(), nullable=False),
    sa.Column("time_in_force", sa.Integer(), nullable=False),
    sa.Column("quantity", sa.BigInteger(), nullable=False),
    sa.Column("limit_price", Uint(), nullable=False),
    sa.Column("max_fee_bps", sa.Integer(), nullable=False),
    sa.Column("max_collateral", Uint(), nullable=False),
    sa.Column("self_trade", sa.Integer(), nullable=False),
    sa.Column("reduce_only", sa.Boolean(), nullable=False),
    sa.Column("expiry", sa.BigInteger(), nullable=False),
    sa.Column("nonce", Uint(), nullable=False),
    sa.Column("signature", sa.LargeBinary(length=1024), nullable=False),
    sa.Column("signature_kind", sa.Integer(), nullable=False),
    sa.Column("client_order_id", sa.String(), nullable=True),
    sa.Column("status", sa.String(), nullable=False),
    sa.Column("reason", sa.String(), nullable=True),
    sa.Column("filled", sa.BigInteger(), nullable=False),
    sa.Column("remaining", sa.BigInteger(), nullable=False),
    sa.Column("version", sa.Integer(), nullable=False),
    sa.Column("created_ms", sa.BigInteger(), nullable=False),
    sa.Column("updated_ms", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("digest"),
    sa.UniqueConstraint("accepted"),
    sa.Index("ix_order_account", "account", "accepted"),
    sa.Index("ix_order_client", "account", "client_order_id"),
    sa.Index("ix_order_status", "account", "status", "accepted"),
)
sa.Table(
    "projector_cursor",
    SCHEMA,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("journal_sequence", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("id"),
)
sa.Table(
    "quarantine",
    SCHEMA,
    sa.Column("match_id", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("market", sa.String(), nullable=False),
    sa.Column("sequence", sa.BigInteger(), nullable=False),
    sa.Column("reason", sa.String(), nullable=False),
    sa.Column("created_ms", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("match_id"),
)
sa.Table(
    "settler_state",
    SCHEMA,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("updated_ms", sa.BigInteger(), nullable=False),
    sa.Column("oldest_ms", sa.BigInteger(), nullable=True),
    sa.Column("waiting", sa.Integer(), nullable=False),
    sa.Column("promise_ms", sa.BigInteger(), nullable=False),
    sa.Column("last_beat", sa.BigInteger(), nullable=False),
    sa.Column("node", sa.String(), nullable=False),
    sa.Column("error", sa.String(), nullable=True),
    sa.PrimaryKeyConstraint("id"),
)
sa.Table(
    "trade",
    SCHEMA,
    sa.Column("match_id", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("market", sa.String(), nullable=False),
    sa.Column("sequence", sa.BigInteger(), nullable=False),
    sa.Column("maker_digest", sa.LargeBinary(length=32), nullable=False),
    sa.Column("taker_digest", sa.LargeBinary(length=32), nullable=False),
    sa.Column("maker", sa.LargeBinary(length=20), nullable=False),
    sa.Column("taker", sa.LargeBinary(length=20), nullable=False),
    sa.Column("taker_is_buyer", sa.Boolean(), nullable=False),
    sa.Column("price", Uint(), nullable=False),
    sa.Column("quantity", sa.BigInteger(), nullable=False),
    sa.Column("maker_fee", Uint(), nullable=False),
    sa.Column("taker_fee", Uint(), nullable=False),
    sa.Column("time_ms", sa.BigInteger(), nullable=False),
    sa.Column("voided", sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint("match_id"),
    sa.Index("ix_trade_maker", "maker", "match_id"),
    sa.Index("ix_trade_market", "market", "sequence", unique=True),
    sa.Index("ix_trade_taker", "taker", "match_id"),
)


def upgrade() -> None:
    SCHEMA.create_all(op.get_bind())


def downgrade() -> None:
    SCHEMA.drop_all(op.get_bind())
