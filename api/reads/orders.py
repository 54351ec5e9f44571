"""Accepted orders, open or long closed, as the projector wrote them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select

from api.cursors import decode_cursor, next_cursor
from api.database import Reader, table
from cxdex.order import Order, OrderType, SelfTrade, Side, TimeInForce
from relayer.tables import OrderRow
from relayer.wire import OrderState

_order = table(OrderRow)
_CURSOR = "orders"


def find_order(reader: Reader, digest: bytes) -> OrderState | None:
    row = reader.first(select(_order).where(_order.c.digest == digest))
    return _state_of(row) if row else None


def list_orders(
    reader: Reader, account: bytes, *, market: str | None, status: str | None, limit: int, cursor: str | None
) -> tuple[list[OrderState], str | None]:
    """(newest first, cursor of the next page). Raises FIELD_INVALID for a foreign cursor."""
    statement = select(_order).where(_order.c.account == account)
    if market is not None:
        statement = statement.where(_order.c.market == market)
    if status is not None:
        statement = statement.where(_order.c.status == status)
    after = decode_cursor(_CURSOR, cursor)
    if after is not None:
        statement = statement.where(_order.c.accepted < after)
    rows = reader.rows(statement.order_by(_order.c.accepted.desc()).limit(limit + 1))
    following = next_cursor(_CURSOR, [row.accepted for row in rows], limit)
    return [_state_of(row) for row in rows[:limit]], following


def _state_of(row: Row[Any]) -> OrderState:
    order = Order(
        account=row.account,
        market=row.market,
        side=Side(row.side),
        order_type=OrderType(row.order_type),
        time_in_force=TimeInForce(row.time_in_force),
        quantity=row.quantity,
        limit_price=row.limit_price,
        max_fee_bps=row.max_fee_bps,
        max_collateral=row.max_collateral,
        self_trade=SelfTrade(row.self_trade),
        reduce_only=row.reduce_only,
        expiry=row.expiry,
        nonce=row.nonce,
    )
    return OrderState(
        order=order,
        digest=row.digest,
        client_order_id=row.client_order_id,
        status=row.status,
        reason=row.reason,
        filled=row.filled,
        remaining=row.remaining,
        version=row.version,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
    )
