"""The public JSON form of an order's state: one shape for REST, WebSocket and the private feed.

Promises: amounts are decimal strings, integers that may exceed 2**53 are strings, times are unix milliseconds.
Never:    does I/O or knows who is asking.
"""

from __future__ import annotations

from typing import Any

from cxdex.condition import Condition
from cxdex.eip712 import to_checksum
from cxdex.market import MarketTerms
from cxdex.order import Order, OrderType, SelfTrade, Side, TimeInForce
from cxdex.units import format_price, format_quantity, format_usdc
from relayer.wire import OrderState

# Looked up for every order that is shown: a member's own `name` costs ten times as much.
_SIDES = {word: word.name for word in Side}
_ORDER_TYPES = {word: word.name for word in OrderType}
_TIMES_IN_FORCE = {word: word.name for word in TimeInForce}
_SELF_TRADES = {word: word.name for word in SelfTrade}


def order_state_json(state: OrderState, terms: MarketTerms) -> dict[str, Any]:
    """The signed fields as the order was sent, and what has become of it.

    ``id`` is the EIP-712 digest; ``filled`` and ``remaining`` are in the base asset; ``version`` rises with
    every change, so the higher one of two copies is the newer one. ``replaces`` and ``replacedBy`` are ids of orders of
    the same nonce, or null; ``filledBefore`` is what the orders that it replaced had filled: that counts against its
    quantity. ``condition`` is what a PENDING order waits for, null for a plain one; ``proof``, once it was triggered by
    the index, the unix seconds at which the prices were published that show it to the chain.
    """
    shown: dict[str, Any] = {"id": "0x" + state.digest.hex()}
    shown.update(signed_fields_json(state.order, terms))
    shown["clientOrderId"] = state.client_order_id
    shown["status"] = state.status
    shown["reason"] = state.reason
    shown["filled"] = format_quantity(terms, state.filled)
    shown["remaining"] = format_quantity(terms, state.remaining)
    shown["displayQuantity"] = format_quantity(terms, state.display_quantity) if state.display_quantity else None
    shown["filledBefore"] = format_quantity(terms, state.filled_before)
    shown["replaces"] = _id_or_null(state.replaces)
    shown["replacedBy"] = _id_or_null(state.replaced_by)
    shown["proof"] = [time for time in state.proof if time] or None
    shown["version"] = state.version
    shown["createdAt"] = state.created_ms
    shown["updatedAt"] = state.updated_ms
    return shown


def signed_fields_json(order: Order, terms: MarketTerms) -> dict[str, Any]:
    """The order in the form that POST /v1/orders takes, with `condition` null for a plain one."""
    condition = order.condition
    return {
        "account": to_checksum(order.account),
        "market": order.market,
        "side": _SIDES[order.side],
        "orderType": _ORDER_TYPES[order.order_type],
        "timeInForce": _TIMES_IN_FORCE[order.time_in_force],
        "quantity": format_quantity(terms, order.quantity),
        "limitPrice": format_price(terms, order.limit_price),
        "maxFeeBps": str(order.max_fee_bps),
        "maxCollateral": format_usdc(order.max_collateral),
        "selfTrade": _SELF_TRADES[order.self_trade],
        "reduceOnly": order.reduce_only,
        "expiry": str(order.expiry),
        "nonce": str(order.nonce),
        "condition": None if condition is None else _condition_json(condition, terms),
    }


def _condition_json(condition: Condition, terms: MarketTerms) -> dict[str, str]:
    return {
        "trigger": condition.trigger.name,
        "triggerPrice": format_price(terms, condition.trigger_price),
        "activeFrom": str(condition.active_from),
    }


def _id_or_null(digest: bytes) -> str | None:
    return "0x" + digest.hex() if digest else None
