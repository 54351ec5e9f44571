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
    "account_balance",
    SCHEMA,
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("asset", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("amount", Uint(), nullable=False),
    sa.Column("block", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("account", "asset"),
    sqlite_with_rowid=False,
)
sa.Table(
    "account_state",
    SCHEMA,
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("epoch", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("account"),
    sqlite_with_rowid=False,
)
sa.Table(
    "candle_1m",
    SCHEMA,
    sa.Column("market", sa.String(), nullable=False),
    sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("open", Uint(), nullable=False),
    sa.Column("high", Uint(), nullable=False),
    sa.Column("low", Uint(), nullable=False),
    sa.Column("close", Uint(), nullable=False),
    sa.Column("volume_lots", Uint(), nullable=False),
    sa.Column("volume_quote", Uint(), nullable=False),
    sa.Column("trades", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("market", "minute"),
    sqlite_with_rowid=False,
)
sa.Table(
    "chain_block",
    SCHEMA,
    sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
    sa.Column("parent", sa.LargeBinary(length=32), nullable=False),
    sa.Column("timestamp", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("number"),
)
sa.Table(
    "checkpoint",
    SCHEMA,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("block", sa.BigInteger(), nullable=False),
    sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
    sa.Column("timestamp", sa.BigInteger(), nullable=False),
    sa.Column("emitted_block", sa.BigInteger(), nullable=False),
    sa.Column("head", sa.BigInteger(), nullable=False),
    sa.Column("undo_floor", sa.BigInteger(), nullable=False),
    sa.Column("chain_id", sa.BigInteger(), nullable=False),
    sa.Column("settlement", sa.LargeBinary(length=20), nullable=False),
    sa.Column("projection_version", sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint("id"),
)
sa.Table(
    "debt_position",
    SCHEMA,
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("asset", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("debt", Uint(), nullable=False),
    sa.Column("collateral", Uint(), nullable=False),
    sa.PrimaryKeyConstraint("account", "asset"),
    sqlite_with_rowid=False,
)
sa.Table(
    "lane",
    SCHEMA,
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("lane", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("seq", sa.BigInteger(), nullable=False),
    sa.Column("filled", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("account", "lane"),
    sqlite_with_rowid=False,
)
sa.Table(
    "ledger_entry",
    SCHEMA,
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("asset", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("kind", sa.String(), nullable=False),
    sa.Column("is_credit", sa.Boolean(), nullable=False),
    sa.Column("amount", Uint(), nullable=False),
    sa.Column("balance", Uint(), nullable=False),
    sa.Column("timestamp", sa.BigInteger(), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
    sa.PrimaryKeyConstraint("account", "block", "log_index", "asset"),
    sqlite_with_rowid=False,
)
sa.Table(
    "market_listing",
    SCHEMA,
    sa.Column("symbol", sa.String(), nullable=False),
    sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
    sa.Column("index", sa.BigInteger(), nullable=False),
    sa.Column("kind", sa.Integer(), nullable=False),
    sa.Column("base_asset", sa.BigInteger(), nullable=False),
    sa.Column("base_symbol", sa.String(), nullable=False),
    sa.Column("lot_exponent", sa.Integer(), nullable=False),
    sa.Column("quote_per_lot_tick", sa.BigInteger(), nullable=False),
    sa.Column("min_lots", sa.BigInteger(), nullable=False),
    sa.Column("maker_fee_bps", sa.Integer(), nullable=False),
    sa.Column("taker_fee_bps", sa.Integer(), nullable=False),
    sa.Column("status", sa.Integer(), nullable=False),
    sa.Column("next_sequence", sa.BigInteger(), nullable=False),
    sa.Column("accrued_fees", Uint(), nullable=False),
    sa.Column("listed_block", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("symbol"),
    sa.UniqueConstraint("hash"),
    sa.UniqueConstraint("index"),
)
sa.Table(
    "oracle_price",
    SCHEMA,
    sa.Column("asset", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("reporter", sa.LargeBinary(length=20), nullable=False),
    sa.Column("price", Uint(), nullable=False),
    sa.Column("publish_time", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("asset", "reporter"),
    sqlite_with_rowid=False,
)
sa.Table(
    "order_fill",
    SCHEMA,
    sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("market", sa.String(), nullable=False),
    sa.Column("filled", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("digest"),
    sqlite_with_rowid=False,
)
sa.Table(
    "outbox",
    SCHEMA,
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("block", sa.BigInteger(), nullable=False),
    sa.Column("log_index", sa.BigInteger(), nullable=False),
    sa.Column("reverted", sa.Boolean(), nullable=False),
    sa.Column("payload", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("seq"),
    sa.Index("ix_outbox_position", "block", "log_index"),
)
sa.Table(
    "pending_fact",
    SCHEMA,
    sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("payload", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("block", "log_index"),
    sqlite_with_rowid=False,
)
sa.Table(
    "raw_log",
    SCHEMA,
    sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("address", sa.LargeBinary(length=20), nullable=False),
    sa.Column("topics", sa.LargeBinary(), nullable=False),
    sa.Column("data", sa.LargeBinary(), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
    sa.PrimaryKeyConstraint("block", "log_index"),
    sqlite_with_rowid=False,
)
sa.Table(
    "settled_fill",
    SCHEMA,
    sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("market", sa.String(), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
    sa.Column("timestamp", sa.BigInteger(), nullable=False),
    sa.Column("maker_order", sa.LargeBinary(length=32), nullable=True),
    sa.Column("taker_order", sa.LargeBinary(length=32), nullable=True),
    sa.Column("maker", sa.LargeBinary(length=20), nullable=True),
    sa.Column("taker", sa.LargeBinary(length=20), nullable=True),
    sa.Column("price", Uint(), nullable=True),
    sa.Column("quantity", sa.BigInteger(), nullable=True),
    sa.Column("taker_is_buyer", sa.Boolean(), nullable=True),
    sa.Column("maker_fee", Uint(), nullable=True),
    sa.Column("taker_fee", Uint(), nullable=True),
    sa.Column("maker_nonce", Uint(), nullable=True),
    sa.Column("taker_nonce", Uint(), nullable=True),
    sa.Column("reason", sa.Integer(), nullable=True),
    sa.PrimaryKeyConstraint("block", "log_index", "sequence"),
    sa.Index("ix_settled_fill_maker", "maker", "block"),
    sa.Index("ix_settled_fill_market", "market", "sequence", unique=True),
    sa.Index("ix_settled_fill_taker", "taker", "block"),
    sqlite_with_rowid=False,
)
sa.Table(
    "synth_asset",
    SCHEMA,
    sa.Column("asset", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("address", sa.LargeBinary(length=20), nullable=False),
    sa.Column("name", sa.String(), nullable=False),
    sa.Column("symbol", sa.String(), nullable=False),
    sa.PrimaryKeyConstraint("asset"),
)
sa.Table(
    "undo",
    SCHEMA,
    sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("images", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("block"),
)
sa.Table(
    "withdrawal",
    SCHEMA,
    sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("asset", sa.BigInteger(), nullable=False),
    sa.Column("amount", Uint(), nullable=False),
    sa.Column("as_cxpt", sa.Boolean(), nullable=False),
    sa.Column("claimable_at", sa.BigInteger(), nullable=False),
    sa.Column("status", sa.String(), nullable=False),
    sa.Column("requested_block", sa.BigInteger(), nullable=False),
    sa.Column("requested_tx", sa.LargeBinary(length=32), nullable=False),
    sa.Column("closed_block", sa.BigInteger(), nullable=True),
    sa.Column("closed_tx", sa.LargeBinary(length=32), nullable=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("ix_withdrawal_account", "account", "id"),
)


def upgrade() -> None:
    SCHEMA.create_all(op.get_bind())


def downgrade() -> None:
    SCHEMA.drop_all(op.get_bind())
