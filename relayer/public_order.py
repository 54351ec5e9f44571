"""The public JSON form of an order's state: one shape for REST, WebSocket and the private feed.

Promises: amounts are decimal strings, integers that may exceed 2**53 are strings, times are unix milliseconds.
Never:    does I/O or knows who is asking.
"""

from __future__ import annotations

from typing import Any

from cxdex.eip712 import order_message
from cxdex.market import MarketTerms
from cxdex.units import format_price, format_quantity, format_usdc
from relayer.wire import OrderState


def order_state_json(state: OrderState, terms: MarketTerms) -> dict[str, Any]:
    """The 13 signed fields (16 of a conditional order) as the order was sent, and what has become of it.

    ``id`` is the EIP-712 digest; ``filled`` and ``remaining`` are in the base asset; ``version`` rises with
    every change, so the higher one of two copies is the newer one. ``replaces`` and ``replacedBy`` are ids of orders of
    the same nonce, or null; ``filledBefore`` is what the orders that it replaced had filled: that counts against its
    quantity.
    """
    signed = order_message(state.order)
    signed["quantity"] = format_quantity(terms, state.order.quantity)
    signed["limitPrice"] = format_price(terms, state.order.limit_price)
    signed["maxCollateral"] = format_usdc(state.order.max_collateral)
    if state.order.condition is not None:
        signed["triggerPrice"] = format_price(terms, state.order.condition.trigger_price)
    return {
        "id": "0x" + state.digest.hex(),
        **signed,
        "clientOrderId": state.client_order_id,
        "status": state.status,
        "reason": state.reason,
        "filled": format_quantity(terms, state.filled),
        "remaining": format_quantity(terms, state.remaining),
        "displayQuantity": format_quantity(terms, state.display_quantity) if state.display_quantity else None,
        "filledBefore": format_quantity(terms, state.filled_before),
        "replaces": _id_or_null(state.replaces),
        "replacedBy": _id_or_null(state.replaced_by),
        "version": state.version,
        "createdAt": state.created_ms,
        "updatedAt": state.updated_ms,
    }


def _id_or_null(digest: bytes) -> str | None:
    return "0x" + digest.hex() if digest else None
