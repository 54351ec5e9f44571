"""What a person asks for, before it is an order: decimal amounts, sensible defaults, no nonce yet.

Promises: `to_order` gives exactly what will be signed, or a problem that names the field and the nearest
          allowed values. It never rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from cxdex.client.amounts import Amount, to_decimal_text
from cxdex.condition import Condition, Trigger
from cxdex.market import MarketTerms
from cxdex.order import Order, OrderType, SelfTrade, Side, TimeInForce
from cxdex.problem import OrderProblem
from cxdex.units import format_quantity, parse_price, parse_quantity

RESTING_SECONDS = 28 * 86_400
IMMEDIATE_SECONDS = 86_400  # an order that fills at once must still be alive when its fill reaches the chain


class OrderTerms(TypedDict, total=False):
    """What may be said about an order beside market, quantity and price; see `Ticket`."""

    time_in_force: str
    max_fee_bps: int
    expires_in: int
    self_trade: str
    client_order_id: str
    reject_in_ms: int
    display: Amount


@dataclass(frozen=True, slots=True)
class Ticket:
    """quantity in the base asset, price in USDC per whole base unit; both refuse floats.

    order_type      LIMIT, or MARKET: never rests, and `price` is the worst price it accepts
    time_in_force   GTC, GTD, IOC, FOK, POST_ONLY; default GTC, and IOC for a MARKET order. GTD rests like GTC, until a
                    moment that you choose: it needs expires_in
    max_fee_bps     default: the market's present fee, so that nobody can charge more
    expires_in      seconds; default 28 days; one day for IOC and FOK, unless they wait for a price
    reject_in_ms    the exchange refuses the order when it would accept it later than so many milliseconds after it was
                    first sent, so that a retry after an outage places nothing stale (by this machine's clock)
    trigger         a word of `cxdex.condition.Trigger`: the order waits, hidden, until a price meets it; see `stops`
    trigger_price   the level that is reached, or for *_FALLS_BY and *_RISES_BY the distance
    active_from     unix seconds; default now: prices from before do not count
    display         shows at most so much of a resting order in the book (iceberg); not signed
    """

    market: str
    side: str
    quantity: Amount
    price: Amount
    order_type: str = "LIMIT"
    time_in_force: str | None = None
    max_fee_bps: int | None = None
    expires_in: int | None = None
    self_trade: str = "CANCEL_TAKER"
    client_order_id: str | None = None
    reject_in_ms: int | None = None
    trigger: str | None = None
    trigger_price: Amount | None = None
    active_from: int | None = None
    display: Amount | None = None

    def reject_after(self, now_ms: int) -> int | None:
        """Unix milliseconds."""
        return None if self.reject_in_ms is None else now_ms + self.reject_in_ms

    def to_order(self, terms: MarketTerms, account: bytes, nonce: int, now: int) -> Order:
        """`now`: unix seconds. Raises OrderProblem."""
        order_type = OrderType(OrderType.parse(self.order_type.upper(), "orderType"))
        word = self.time_in_force or ("IOC" if order_type is OrderType.MARKET else "GTC")
        time_in_force = TimeInForce(TimeInForce.parse(word.upper(), "timeInForce"))
        if time_in_force is TimeInForce.GTD and self.expires_in is None:
            raise OrderProblem(
                "ORDER_FIELD_INVALID", "say until when the order is good", field="expiry", allowed="expires_in=3600"
            )
        waits = time_in_force.rests or self.trigger is not None
        default_lifetime = RESTING_SECONDS if waits else IMMEDIATE_SECONDS
        lifetime = self.expires_in if self.expires_in is not None else default_lifetime
        fee = self.max_fee_bps if self.max_fee_bps is not None else max(terms.maker_fee_bps, terms.taker_fee_bps)
        return Order(
            account=account,
            market=terms.symbol,
            side=Side(Side.parse(self.side.upper(), "side")),
            order_type=order_type,
            time_in_force=time_in_force,
            quantity=parse_quantity(terms, to_decimal_text(self.quantity, "quantity")),
            limit_price=parse_price(terms, to_decimal_text(self.price, "price")),
            max_fee_bps=fee,
            expiry=now + lifetime,
            nonce=nonce,
            self_trade=SelfTrade(SelfTrade.parse(self.self_trade.upper(), "selfTrade")),
            condition=self._condition(terms, now),
        )

    def display_text(self, terms: MarketTerms) -> str | None:
        """Raises OrderProblem when it is not a whole number of lots."""
        if self.display is None:
            return None
        return format_quantity(terms, parse_quantity(terms, to_decimal_text(self.display, "display"), "display"))

    def _condition(self, terms: MarketTerms, now: int) -> Condition | None:
        if self.trigger is None or self.trigger_price is None:
            if self.trigger is None and self.trigger_price is None:
                return None
            raise OrderProblem(
                "ORDER_FIELD_INVALID",
                "a condition has two parts",
                field="trigger" if self.trigger is None else "triggerPrice",
                allowed="both trigger and trigger_price, or neither",
            )
        return Condition(
            Trigger(Trigger.parse(self.trigger.upper(), "trigger")),
            parse_price(terms, to_decimal_text(self.trigger_price, "triggerPrice"), "triggerPrice"),
            now if self.active_from is None else self.active_from,
        )
