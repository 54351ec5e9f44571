"""Tables for the contracts with announced withdrawals, session keys and debt; facts name their block.

What is derived from logs is made anew and empty: `python -m indexer rebuild --from-raw` fills it. What was told to the
relayer stays told; each row gets the hash of its block where the block is known.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from cxdex.storage import Uint

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = sa.MetaData()

sa.Table(
    "account_state",
    SCHEMA,
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("epoch", sa.BigInteger(), nullable=False),
    sa.Column("effective_at", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("account"),
    sqlite_with_rowid=False,
)
sa.Table(
    "announced_balance",
    SCHEMA,
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("asset", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("amount", Uint(), nullable=False),
    sa.PrimaryKeyConstraint("account", "asset"),
    sqlite_with_rowid=False,
)
sa.Table(
    "debt_asset",
    SCHEMA,
    sa.Column("asset", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("cap", Uint(), nullable=False),
    sa.Column("wound_price", Uint(), nullable=True),
    sa.Column("wound_supply", Uint(), nullable=True),
    sa.Column("wound_block", sa.BigInteger(), nullable=True),
    sa.Column("pot", Uint(), nullable=False),
    sa.Column("rate", Uint(), nullable=True),
    sa.PrimaryKeyConstraint("asset"),
)
sa.Table(
    "exchange_value",
    SCHEMA,
    sa.Column("name", sa.String(), nullable=False),
    sa.Column("value", Uint(), nullable=False),
    sa.PrimaryKeyConstraint("name"),
)
sa.Table(
    "fee_movement",
    SCHEMA,
    sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("kind", sa.String(), nullable=False),
    sa.Column("market", sa.String(), nullable=True),
    sa.Column("account", sa.LargeBinary(length=20), nullable=True),
    sa.Column("amount", Uint(), nullable=False),
    sa.Column("pocket", Uint(), nullable=False),
    sa.Column("timestamp", sa.BigInteger(), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
    sa.PrimaryKeyConstraint("block", "log_index"),
    sqlite_with_rowid=False,
)
sa.Table(
    "lane",
    SCHEMA,
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("lane", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("seq", sa.BigInteger(), nullable=False),
    sa.Column("filled", sa.BigInteger(), nullable=False),
    sa.Column("is_cancel_announced", sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint("account", "lane"),
    sqlite_with_rowid=False,
)
sa.Table(
    "lane_cancel",
    SCHEMA,
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("lane", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("seq", sa.BigInteger(), nullable=False),
    sa.Column("effective_at", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("account", "lane"),
    sqlite_with_rowid=False,
)
sa.Table(
    "liquidation",
    SCHEMA,
    sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("asset", sa.BigInteger(), nullable=False),
    sa.Column("liquidator", sa.LargeBinary(length=20), nullable=False),
    sa.Column("debt", Uint(), nullable=False),
    sa.Column("collateral", Uint(), nullable=False),
    sa.Column("kind", sa.String(), nullable=False),
    sa.Column("timestamp", sa.BigInteger(), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
    sa.PrimaryKeyConstraint("block", "log_index"),
    sa.Index("ix_liquidation_account", "account", "block"),
    sqlite_with_rowid=False,
)
sa.Table(
    "operator_notice",
    SCHEMA,
    sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("contract", sa.String(), nullable=False),
    sa.Column("name", sa.String(), nullable=False),
    sa.Column("detail", sa.Text(), nullable=False),
    sa.Column("timestamp", sa.BigInteger(), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
    sa.PrimaryKeyConstraint("block", "log_index"),
    sqlite_with_rowid=False,
)
sa.Table(
    "oracle_price",
    SCHEMA,
    sa.Column("asset", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("price", Uint(), nullable=False),
    sa.Column("publish_time", sa.BigInteger(), nullable=False),
    sa.Column("cumulative", Uint(), nullable=False),
    sa.Column("updates", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("asset"),
    sqlite_with_rowid=False,
)
sa.Table(
    "pending_fact",
    SCHEMA,
    sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
    sa.Column("payload", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("block", "log_index"),
    sqlite_with_rowid=False,
)
sa.Table(
    "price_update",
    SCHEMA,
    sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("asset", sa.BigInteger(), nullable=False),
    sa.Column("price", Uint(), nullable=False),
    sa.Column("publish_time", sa.BigInteger(), nullable=False),
    sa.Column("cumulative", Uint(), nullable=False),
    sa.Column("timestamp", sa.BigInteger(), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
    sa.PrimaryKeyConstraint("block", "log_index"),
    sa.Index("ix_price_update_asset", "asset", "publish_time"),
    sqlite_with_rowid=False,
)
sa.Table(
    "proxy",
    SCHEMA,
    sa.Column("name", sa.String(), nullable=False),
    sa.Column("implementation", sa.LargeBinary(length=20), nullable=False),
    sa.Column("admin", sa.LargeBinary(length=20), nullable=False),
    sa.Column("upgraded_block", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("name"),
)
sa.Table(
    "redemption",
    SCHEMA,
    sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("asset", sa.BigInteger(), nullable=False),
    sa.Column("amount", Uint(), nullable=False),
    sa.Column("remaining", Uint(), nullable=False),
    sa.Column("payout", Uint(), nullable=False),
    sa.Column("max_fee_bps", sa.Integer(), nullable=False),
    sa.Column("requested_at", sa.BigInteger(), nullable=False),
    sa.Column("price_from", sa.BigInteger(), nullable=False),
    sa.Column("status", sa.String(), nullable=False),
    sa.Column("requested_block", sa.BigInteger(), nullable=False),
    sa.Column("requested_tx", sa.LargeBinary(length=32), nullable=False),
    sa.Column("closed_block", sa.BigInteger(), nullable=True),
    sa.Column("closed_tx", sa.LargeBinary(length=32), nullable=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("ix_redemption_account", "account", "id"),
)
sa.Table(
    "session_key",
    SCHEMA,
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("key", sa.LargeBinary(length=20), nullable=False),
    sa.Column("market", sa.String(), nullable=True),
    sa.Column("notional", Uint(), nullable=False),
    sa.Column("notional_left", Uint(), nullable=False),
    sa.Column("expiry", Uint(), nullable=False),
    sa.Column("is_revoked", sa.Boolean(), nullable=False),
    sa.Column("set_block", sa.BigInteger(), nullable=False),
    sa.Column("set_tx", sa.LargeBinary(length=32), nullable=False),
    sa.PrimaryKeyConstraint("account", "key"),
    sqlite_with_rowid=False,
)
sa.Table(
    "synth_asset",
    SCHEMA,
    sa.Column("asset", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("address", sa.LargeBinary(length=20), nullable=False),
    sa.Column("name", sa.String(), nullable=False),
    sa.Column("symbol", sa.String(), nullable=False),
    sa.Column("supply", Uint(), nullable=False),
    sa.Column("escrow", Uint(), nullable=False),
    sa.PrimaryKeyConstraint("asset"),
)
sa.Table(
    "timelock_call",
    SCHEMA,
    sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("operation", sa.LargeBinary(length=32), nullable=False),
    sa.Column("place", sa.Integer(), nullable=False),
    sa.Column("target", sa.LargeBinary(length=20), nullable=False),
    sa.Column("value", Uint(), nullable=False),
    sa.Column("data", sa.LargeBinary(), nullable=False),
    sa.Column("target_code_hash", sa.LargeBinary(length=32), nullable=False),
    sa.Column("current_code_hash", sa.LargeBinary(length=32), nullable=False),
    sa.Column("upgrade_code_hash", sa.LargeBinary(length=32), nullable=False),
    sa.PrimaryKeyConstraint("block", "log_index"),
    sqlite_with_rowid=False,
)
sa.Table(
    "timelock_operation",
    SCHEMA,
    sa.Column("id", sa.LargeBinary(length=32), nullable=False),
    sa.Column("salt", sa.LargeBinary(length=32), nullable=False),
    sa.Column("executable_at", sa.BigInteger(), nullable=False),
    sa.Column("expires_at", sa.BigInteger(), nullable=False),
    sa.Column("status", sa.String(), nullable=False),
    sa.Column("scheduled_block", sa.BigInteger(), nullable=False),
    sa.Column("scheduled_tx", sa.LargeBinary(length=32), nullable=False),
    sa.Column("closed_block", sa.BigInteger(), nullable=True),
    sa.Column("closed_tx", sa.LargeBinary(length=32), nullable=True),
    sa.PrimaryKeyConstraint("id"),
)
sa.Table(
    "withdrawal",
    SCHEMA,
    sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("account", sa.LargeBinary(length=20), nullable=False),
    sa.Column("asset", sa.BigInteger(), nullable=False),
    sa.Column("amount", Uint(), nullable=False),
    sa.Column("as_cxpt", sa.Boolean(), nullable=False),
    sa.Column("recipient", sa.LargeBinary(length=20), nullable=False),
    sa.Column("requested_at", sa.BigInteger(), nullable=False),
    sa.Column("claimable_at", sa.BigInteger(), nullable=False),
    sa.Column("redirects", sa.Integer(), nullable=False),
    sa.Column("status", sa.String(), nullable=False),
    sa.Column("paid", Uint(), nullable=True),
    sa.Column("requested_block", sa.BigInteger(), nullable=False),
    sa.Column("requested_tx", sa.LargeBinary(length=32), nullable=False),
    sa.Column("closed_block", sa.BigInteger(), nullable=True),
    sa.Column("closed_tx", sa.LargeBinary(length=32), nullable=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("ix_withdrawal_account", "account", "id"),
)


HASH_BYTES = 32


def upgrade() -> None:
    connection = op.get_bind()
    there = set(sa.inspect(connection).get_table_names())
    for name in sorted(there & set(SCHEMA.tables)):
        op.drop_table(name)
    SCHEMA.create_all(connection)
    _hash_the_outbox(connection)


def _hash_the_outbox(connection: sa.Connection) -> None:
    """A row of a block that the indexer does not hold (any more) gets zeros, which are no block's."""
    with op.batch_alter_table("outbox", recreate="always") as outbox:
        outbox.add_column(
            sa.Column("block_hash", sa.LargeBinary(HASH_BYTES), nullable=False, server_default=sa.text("''")),
            insert_after="log_index",
        )
    connection.execute(sa.text("UPDATE outbox SET block_hash = :none"), {"none": bytes(HASH_BYTES)})
    connection.execute(
        sa.text(
            "UPDATE outbox SET block_hash = (SELECT hash FROM chain_block WHERE number = block) "
            "WHERE block IN (SELECT number FROM chain_block)"
        )
    )
    with op.batch_alter_table("outbox") as outbox:
        outbox.alter_column("block_hash", server_default=None)


def downgrade() -> None:
    raise CommandError("the rows of the old schema cannot be derived from the new contracts' events")
