"""The public JSON form of an order's state: one shape for REST, WebSocket and the private feed.

Promises: amounts are decimal strings, integers that may exceed 2**53 are strings, times are unix milliseconds.
Never:    does I/O or knows who is asking.
"""

from __future__ import annotations

from typing import Any

from cxdex.eip712 import order_message
from cxdex.market import MarketTerms
from cxdex.order import Order
from cxdex.units import format_price, format_quantity, format_usdc
from relayer.wire import OrderState


def order_state_json(state: OrderState, terms: MarketTerms) -> dict[str, Any]:
    """The signed fields as the order was sent, and what has become of it.

    ``id`` is the EIP-712 digest; ``filled`` and ``remaining`` are in the base asset; ``version`` rises with
    every change, so the higher one of two copies is the newer one. ``replaces`` and ``replacedBy`` are ids of orders of
    the same nonce, or null; ``filledBefore`` is what the orders that it replaced had filled: that counts against its
    quantity. ``condition`` is what a PENDING order waits for, null for a plain one; ``proof``, once it was triggered by
    the index, the unix seconds at which the prices were published that show it to the chain.
    """
    signed = signed_fields_json(state.order, terms)
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
        "proof": [time for time in state.proof if time] or None,
        "version": state.version,
        "createdAt": state.created_ms,
        "updatedAt": state.updated_ms,
    }


def signed_fields_json(order: Order, terms: MarketTerms) -> dict[str, Any]:
    """The order in the form that POST /v1/orders takes, with `condition` null for a plain one."""
    fields = order_message(order)
    fields["quantity"] = format_quantity(terms, order.quantity)
    fields["limitPrice"] = format_price(terms, order.limit_price)
    fields["maxCollateral"] = format_usdc(order.max_collateral)
    fields["condition"] = None
    if order.condition is not None:
        words = {name: fields.pop(name) for name in ("trigger", "triggerPrice", "activeFrom")}
        fields["condition"] = {**words, "triggerPrice": format_price(terms, order.condition.trigger_price)}
    return fields


def _id_or_null(digest: bytes) -> str | None:
    return "0x" + digest.hex() if digest else None
