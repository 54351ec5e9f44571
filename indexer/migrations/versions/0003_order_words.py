"""Fills name their orders as the event of three words does: account, nonce, and how the digest ends.

Rows of before are kept: what is left of a digest is its tail. The event of a skipped fill did not tell nonces then:
such an order has nonce 0 now, which no order of the relayer has. Undo of before is dropped: its images are of other
rows.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from cxdex.order_word import order_word
from cxdex.storage import Uint

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHUNK = 5_000
SCHEMA = sa.MetaData()

FILLS = sa.Table(
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
    sa.Column("reason", sa.Integer(), nullable=True),
    sa.PrimaryKeyConstraint("block", "log_index", "sequence"),
    sa.Index("ix_settled_fill_maker", "maker", "block"),
    sa.Index("ix_settled_fill_market", "market", "sequence", unique=True),
    sa.Index("ix_settled_fill_taker", "taker", "block"),
    sqlite_with_rowid=False,
)
ORDERS = sa.Table(
    "order_fill",
    SCHEMA,
    sa.Column("order_word", sa.LargeBinary(length=32), nullable=False),
    sa.Column("market", sa.String(), nullable=False),
    sa.Column("filled", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("order_word"),
    sqlite_with_rowid=False,
)
OLD_FILLS = sa.table(
    "settled_fill_of_before",
    *(sa.column(column.name, column.type) for column in FILLS.columns),
    sa.column("maker_nonce", Uint()),
    sa.column("taker_nonce", Uint()),
)


def upgrade() -> None:
    connection = op.get_bind()
    connection.execute(sa.text("CREATE TABLE settled_fill_of_before AS SELECT * FROM settled_fill"))
    op.create_index("ix_of_before", OLD_FILLS.name, ["block", "log_index", "sequence"], unique=True)
    for name in SCHEMA.tables:
        op.drop_table(name)
    SCHEMA.create_all(connection)
    filled: dict[bytes, dict[str, Any]] = {}
    for rows in _renamed(connection):
        connection.execute(sa.insert(FILLS), rows)
        for row in rows:
            if row["reason"] is None:
                for order in (row["maker_order"], row["taker_order"]):
                    total = filled.setdefault(order, {"order_word": order, "market": row["market"], "filled": 0})
                    total["filled"] += row["quantity"]
    if filled:
        connection.execute(sa.insert(ORDERS), list(filled.values()))
    op.drop_table(OLD_FILLS.name)
    connection.execute(sa.text("DELETE FROM undo"))
    connection.execute(sa.text("UPDATE checkpoint SET undo_floor = block"))


def _renamed(connection: sa.Connection) -> Iterator[list[dict[str, Any]]]:
    """The rows of before, in pieces, with order words."""
    old = OLD_FILLS.c
    key = sa.tuple_(old.block, old.log_index, old.sequence)
    after = (-1, -1, -1)
    piece = sa.select(OLD_FILLS).order_by(old.block, old.log_index, old.sequence).limit(CHUNK)
    while found := connection.execute(piece.where(key > after)).mappings().all():
        yield [_row(dict(row)) for row in found]
        last = found[-1]
        after = (last["block"], last["log_index"], last["sequence"])


def _row(row: dict[str, Any]) -> dict[str, Any]:
    for side in ("maker", "taker"):
        nonce, digest = row.pop(f"{side}_nonce"), row[f"{side}_order"]
        row[f"{side}_order"] = None if digest is None else order_word(bytes(row[side]), nonce or 0, bytes(digest))
    return row


def downgrade() -> None:
    raise CommandError("the digests of which only the tails are left cannot be had back")
