"""Trades name their orders as the chain does, and an order is found by its nonce.

A trade's order words are made of what the tables know already: its accounts, its digests, and the nonces of its orders.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cxdex.order_word import order_word
from cxdex.storage import Uint

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHUNK = 5_000
_order = sa.table("order", sa.column("digest", sa.LargeBinary), sa.column("nonce", Uint()))
_trade = sa.table(
    "trade",
    sa.column("match_id", sa.BigInteger),
    *(
        sa.column(name, sa.LargeBinary)
        for name in ("maker", "taker", "maker_digest", "taker_digest", "maker_order", "taker_order")
    ),
)


def upgrade() -> None:
    connection = op.get_bind()
    nothing = sa.text("''" if connection.dialect.name == "postgresql" else "X''")  # no bytes
    for name in ("maker_order", "taker_order"):
        op.add_column("trade", sa.Column(name, sa.LargeBinary(length=32), nullable=False, server_default=nothing))
    _name_orders(connection)
    op.create_index("ix_order_nonce", "order", ["account", "nonce"])


def _name_orders(connection: sa.Connection) -> None:
    made, taken = _order.alias(), _order.alias()
    found = (
        sa.select(_trade, made.c.nonce.label("maker_nonce"), taken.c.nonce.label("taker_nonce"))
        .join(made, made.c.digest == _trade.c.maker_digest)
        .join(taken, taken.c.digest == _trade.c.taker_digest)
        .order_by(_trade.c.match_id)
        .limit(CHUNK)
    )
    name = (
        sa.update(_trade)
        .where(_trade.c.match_id == sa.bindparam("which"))
        .values(maker_order=sa.bindparam("maker_word"), taker_order=sa.bindparam("taker_word"))
    )
    after = 0
    while rows := connection.execute(found.where(_trade.c.match_id > after)).all():
        words = [
            {
                "which": row.match_id,
                "maker_word": order_word(bytes(row.maker), row.maker_nonce, bytes(row.maker_digest)),
                "taker_word": order_word(bytes(row.taker), row.taker_nonce, bytes(row.taker_digest)),
            }
            for row in rows
        ]
        connection.execute(name, words)
        after = rows[-1].match_id


def downgrade() -> None:
    op.drop_index("ix_order_nonce", "order")
    for name in ("maker_order", "taker_order"):
        op.drop_column("trade", name)
