"""Accepted orders, open or long closed, as the projector wrote them."""

from __future__ import annotations

from sqlalchemy import select

from api.cursors import decode_cursor, next_cursor
from api.database import Reader, table
from relayer.order_table import order_state_from_row
from relayer.tables import OrderRow
from relayer.wire import OrderState

_order = table(OrderRow)
_CURSOR = "orders"
LIVE = "LIVE"  # may still trade


def find_order(reader: Reader, digest: bytes) -> OrderState | None:
    row = reader.first(select(_order).where(_order.c.digest == digest))
    return order_state_from_row(row._mapping) if row else None


def list_orders(
    reader: Reader,
    account: bytes,
    *,
    market: str | None,
    status: str | None,
    client_order_id: str | None,
    limit: int,
    cursor: str | None,
) -> tuple[list[OrderState], str | None]:
    """(newest first, cursor of the next page). Raises FIELD_INVALID for a foreign cursor."""
    statement = select(_order).where(_order.c.account == account)
    if client_order_id is not None:
        statement = statement.where(_order.c.client_order_id == client_order_id)
    if market is not None:
        statement = statement.where(_order.c.market == market)
    if status == LIVE:
        statement = statement.where(_order.c.status.in_(("OPEN", "PENDING")))
    elif status is not None:
        statement = statement.where(_order.c.status == status)
    after = decode_cursor(_CURSOR, cursor)
    if after is not None:
        statement = statement.where(_order.c.accepted < after)
    rows = reader.rows(statement.order_by(_order.c.accepted.desc()).limit(limit + 1))
    following = next_cursor(_CURSOR, [row.accepted for row in rows], limit)
    return [order_state_from_row(row._mapping) for row in rows[:limit]], following
