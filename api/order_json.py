"""The order as JSON at the edge, and as the `Order` of the contract inside.

Owns:     which fields an order has on the wire, their defaults for `validate`, and the canonical message that a
          mismatching signature is answered with.
Promises: every field has one spelling; a decimal that is not a whole lot or tick is refused with its neighbours.
Never:    checks balances, nonces or the book: the engine does, once, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from api.fields import read_address, read_object, read_small_integer, read_text, type_name
from cxdex.condition import Condition, Trigger
from cxdex.eip712 import DOMAIN_NAME, DOMAIN_VERSION, Domain, to_checksum
from cxdex.market import MarketStatus, MarketTerms
from cxdex.order import PRICE_BITS, QUANTITY_BITS, Order, OrderType, SelfTrade, Side, TimeInForce
from cxdex.problem import Problem
from cxdex.units import format_price, format_quantity, parse_decimal, parse_price, parse_quantity

ORDER_FIELDS = (
    "account",
    "market",
    "side",
    "orderType",
    "timeInForce",
    "quantity",
    "limitPrice",
    "maxFeeBps",
    "maxCollateral",
    "selfTrade",
    "reduceOnly",
    "expiry",
    "nonce",
)
CONDITION_FIELDS = ("trigger", "triggerPrice", "activeFrom")
DEFAULT_EXPIRY_SECONDS = 28 * 86_400
DEFAULT_MAX_FEE_BPS = 50
CLIENT_ORDER_ID_LENGTH = 64

TermsLookup = Callable[[str], MarketTerms]
"""The terms of a symbol; raises MARKET_UNKNOWN."""


def read_order(value: Any, terms_of: TermsLookup) -> tuple[Order, MarketTerms]:
    """The order and its market's terms. Raises a Problem that names the first field that is wrong."""
    fields = read_object(value, ORDER_FIELDS, ("condition",), "the order")
    account = read_address(fields["account"], "account", "ORDER_FIELD_INVALID")
    terms = terms_of(_word(fields, "market"))
    if not isinstance(fields["reduceOnly"], bool):
        raise Problem(
            "ORDER_FIELD_INVALID",
            "reduceOnly must be true or false",
            field="reduceOnly",
            given=type_name(fields["reduceOnly"]),
            allowed="true, false",
        )
    order = Order(
        account=account,
        market=terms.symbol,
        side=Side(Side.parse(_word(fields, "side"), "side")),
        order_type=OrderType(OrderType.parse(_word(fields, "orderType"), "orderType")),
        time_in_force=TimeInForce(TimeInForce.parse(_word(fields, "timeInForce"), "timeInForce")),
        quantity=_quantity(terms, fields["quantity"]),
        limit_price=_price(terms, fields["limitPrice"]),
        max_fee_bps=parse_decimal(fields["maxFeeBps"], 0, "maxFeeBps"),
        max_collateral=parse_decimal(fields["maxCollateral"], 6, "maxCollateral"),
        self_trade=SelfTrade(SelfTrade.parse(_word(fields, "selfTrade"), "selfTrade")),
        reduce_only=fields["reduceOnly"],
        expiry=parse_decimal(fields["expiry"], 0, "expiry"),
        nonce=parse_decimal(fields["nonce"], 0, "nonce"),
        condition=read_condition(fields.get("condition"), terms),
    )
    return order, terms


def read_condition(value: Any, terms: MarketTerms) -> Condition | None:
    """{"trigger","triggerPrice","activeFrom"}; None: the order is a plain one."""
    if value is None:
        return None
    fields = read_object(value, CONDITION_FIELDS, (), "the condition")
    trigger = Trigger(Trigger.parse(_word(fields, "trigger"), "trigger"))
    price = _price(terms, fields["triggerPrice"], "triggerPrice")
    return Condition(trigger, price, parse_decimal(fields["activeFrom"], 0, "activeFrom"))


def read_chain_id(value: Any, chain_id: int) -> None:
    """Raises ORDER_WRONG_CHAIN unless `value` names our chain."""
    given = read_small_integer(value, "chainId")
    if given != chain_id:
        raise Problem(
            "ORDER_WRONG_CHAIN",
            "the order is for another chain",
            field="chainId",
            given=str(given),
            allowed=str(chain_id),
        )


def read_client_order_id(value: Any) -> str | None:
    """A name of the client's own, 1 to 64 printable ASCII characters, or None."""
    if value is None:
        return None
    text = read_text(value, "clientOrderId")
    if not (1 <= len(text) <= CLIENT_ORDER_ID_LENGTH and text.isascii() and text.isprintable()):
        raise Problem(
            "FIELD_INVALID",
            "clientOrderId is not a short printable name",
            field="clientOrderId",
            given=text[:80],
            allowed=f"1 to {CLIENT_ORDER_ID_LENGTH} printable ASCII characters",
        )
    return text


def read_display(terms: MarketTerms, text: Any) -> int:
    """Lots that the order shows in the book at once. Whether they go with the order is the engine's to say."""
    lots = parse_quantity(terms, text, "displayQuantity")
    most = 2**QUANTITY_BITS - 1
    return _bounded("displayQuantity", text, lots, format_quantity(terms, most), most)


def with_defaults(fields: Mapping[str, Any], now: int) -> dict[str, Any]:
    """What `validate` fills in for a person who did not say. The nonce comes from the engine."""
    defaults = {
        "orderType": "LIMIT",
        "timeInForce": "IOC" if fields.get("orderType") == "MARKET" else "GTC",
        "maxFeeBps": str(DEFAULT_MAX_FEE_BPS),
        "maxCollateral": "0",
        "selfTrade": "CANCEL_TAKER",
        "reduceOnly": False,
        "expiry": str(now + DEFAULT_EXPIRY_SECONDS),
    }
    condition = fields.get("condition")
    if isinstance(condition, dict):
        fields = {**fields, "condition": {"activeFrom": str(now), **condition}}
    return {**defaults, **fields}


def check_order(order: Order, status: MarketStatus, now: int) -> None:
    """What `validate` can tell without the book or the balance. `now`: unix seconds."""
    if status is not MarketStatus.ACTIVE:
        raise Problem(
            "MARKET_NOT_ACTIVE", f"{order.market} is {status.name}", field="market", given=status.name, allowed="ACTIVE"
        )
    if order.expiry <= now:
        raise Problem(
            "ORDER_EXPIRED",
            "the expiry is not in the future",
            field="expiry",
            given=str(order.expiry),
            allowed=f"after {now}",
        )
    if order.max_collateral:
        raise Problem(
            "ORDER_MINT_UNSUPPORTED",
            "minting on fill is not available yet",
            field="maxCollateral",
            given=str(order.max_collateral),
            allowed="0",
        )
    if order.reduce_only and order.side is Side.BUY:
        raise Problem(
            "ORDER_REDUCE_ONLY_UNSUPPORTED",
            "a buyer on a spot market has no position to reduce",
            field="reduceOnly",
            given="true",
            allowed="false, or true on a SELL",
        )


def domain_to_json(domain: Domain) -> dict[str, Any]:
    return {
        "name": DOMAIN_NAME,
        "version": DOMAIN_VERSION,
        "chainId": domain.chain_id,
        "verifyingContract": to_checksum(domain.verifying_contract),
        "separator": "0x" + domain.separator.hex(),
    }


def _word(fields: Mapping[str, Any], name: str) -> str:
    return read_text(fields[name], name, "ORDER_FIELD_INVALID")[:80]


def _quantity(terms: MarketTerms, text: Any) -> int:
    lots = parse_quantity(terms, text)
    if lots < terms.min_lots:
        raise Problem(
            "ORDER_TOO_SMALL",
            "the quantity is below the market's minimum",
            field="quantity",
            given=text,
            allowed=f"at least {format_quantity(terms, terms.min_lots)}",
        )
    return _bounded("quantity", text, lots, format_quantity(terms, 2**QUANTITY_BITS - 1), 2**QUANTITY_BITS - 1)


def _price(terms: MarketTerms, text: Any, field: str = "limitPrice") -> int:
    ticks = parse_price(terms, text, field)
    return _bounded(field, text, ticks, format_price(terms, 2**PRICE_BITS - 1), 2**PRICE_BITS - 1)


def _bounded(field: str, text: str, value: int, most_shown: str, most: int) -> int:
    if not 0 < value <= most:
        raise Problem(
            "ORDER_FIELD_INVALID",
            f"{field} is outside the range the contract can hold",
            field=field,
            given=text,
            allowed=f"more than 0, at most {most_shown}",
        )
    return value
