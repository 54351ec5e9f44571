"""Orders that wait for a price, in the words of traders: stop, take profit, trailing stop, the two legs of a bracket.

Promises: each is one `Ticket`; nothing is sent here. By the index unless told otherwise: the chain checks that the
          oracle published such a price, so the exchange cannot trigger the order by itself. The last price is the
          exchange's own book's: a trade of one lot makes it, so `by="last"` trusts the exchange with the moment (never
          with the price, which is signed as ever).
Never:    guesses a worst price: the one who signs says what is still acceptable.
"""

from __future__ import annotations

from typing import Unpack

from cxdex.client.amounts import Amount
from cxdex.client.ticket import OrderTerms, Ticket
from cxdex.order import Side
from cxdex.problem import OrderProblem

PRICES = ("INDEX", "LAST")


class StopTerms(OrderTerms, total=False):
    """worst_price: what is triggered takes what is there, at this or better. price: it becomes a limit order instead.
    One of the two. by: whose price triggers, "index" or "last". active_from: unix seconds, default now."""

    worst_price: Amount
    price: Amount
    by: str
    active_from: int


def stop(market: str, side: str, quantity: Amount, trigger: Amount, **terms: Unpack[StopTerms]) -> Ticket:
    """A sell once the price is at or below `trigger`; a buy once it is at or above."""
    return _ticket(market, side, quantity, trigger, ("AT_OR_ABOVE", "AT_OR_BELOW"), terms)


def take_profit(market: str, side: str, quantity: Amount, trigger: Amount, **terms: Unpack[StopTerms]) -> Ticket:
    """A sell once the price is at or above `trigger`; a buy once it is at or below."""
    return _ticket(market, side, quantity, trigger, ("AT_OR_BELOW", "AT_OR_ABOVE"), terms)


def trailing_stop(market: str, side: str, quantity: Amount, distance: Amount, **terms: Unpack[StopTerms]) -> Ticket:
    """A sell once the price has fallen by `distance` from its highest since now; a buy once it has risen so far."""
    return _ticket(market, side, quantity, distance, ("RISES_BY", "FALLS_BY"), terms)


def bracket(
    market: str, side: str, quantity: Amount, profit: Amount, stop_at: Amount, **terms: Unpack[StopTerms]
) -> tuple[Ticket, Ticket]:
    """A limit order that rests at `profit`, and a stop at `stop_at`: two legs for `oco`."""
    plain = {name: value for name, value in terms.items() if name in OrderTerms.__annotations__}
    limit = Ticket(market, side, quantity, profit, **plain)  # type: ignore[arg-type]
    stop_terms: StopTerms = {name: value for name, value in terms.items() if name != "display"}  # type: ignore[assignment]
    return limit, stop(market, side, quantity, stop_at, **stop_terms)


def _ticket(
    market: str, side: str, quantity: Amount, trigger: Amount, words: tuple[str, str], terms: StopTerms
) -> Ticket:
    """words: what a buy and what a sell waits for."""
    rest = dict(terms)
    price, worst = rest.pop("price", None), rest.pop("worst_price", None)
    if (price is None) == (worst is None):
        raise OrderProblem(
            "ORDER_FIELD_INVALID",
            "say what the order accepts once it is triggered",
            field="price",
            allowed="worst_price=... to take what is there, or price=... for a limit order",
        )
    by = str(rest.pop("by", "INDEX")).upper()
    if by not in PRICES:
        raise OrderProblem("ORDER_FIELD_INVALID", "no such price", field="by", given=by[:80], allowed="index, last")
    word = words[0] if Side(Side.parse(side.upper(), "side")) is Side.BUY else words[1]
    return Ticket(
        market,
        side,
        quantity,
        price if price is not None else worst,  # type: ignore[arg-type]
        "LIMIT" if price is not None else "MARKET",
        trigger=f"{by}_{word}",
        trigger_price=trigger,
        **rest,  # type: ignore[arg-type]
    )
