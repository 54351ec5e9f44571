"""What random traders sign, what a matching engine would make of it, and what the events of the outcome must say."""

from __future__ import annotations

import random
from typing import Any

from cxdex.batch import MatchedFill, SkipReason
from cxdex.order import Order, OrderType, SelfTrade, Side, TimeInForce
from tests.contracts.settlement_desk import BTC, ETH, LISTINGS, Trader, fill_numbers, order_word
from tests.contracts.settlement_reference import Outcome

TRADERS = [Trader.named(name) for name in ("ann", "ben", "cat", "dan")]
MARKETS = (BTC, ETH)
LANES = (0, 1, 2, 5, 6)
EVENT_NAME = {True: "Fill", False: "FillSkipped"}
WORDS = (
    (OrderType.LIMIT, TimeInForce.GTC),
    (OrderType.LIMIT, TimeInForce.GTC),
    (OrderType.LIMIT, TimeInForce.POST_ONLY),
    (OrderType.LIMIT, TimeInForce.IOC),
    (OrderType.MARKET, TimeInForce.FOK),
)


def random_terms(draw: random.Random) -> dict[str, Any]:
    """Most of an order as `Desk.order` takes it; most of them cross."""
    side = draw.choice(list(Side))
    kind, tif = draw.choice(WORDS)
    return {
        "trader": draw.choice(TRADERS),
        "side": side,
        "quantity": draw.choice((20, 200, 2_000)),
        "price": draw.randint(99, 104) if side is Side.BUY else draw.randint(96, 101),
        "market": draw.choice(MARKETS),
        "lane": draw.choice(LANES),
        "max_fee_bps": draw.choice((0, 10, 25, 50, 10_000)),
        "self_trade": draw.choice(list(SelfTrade)),
        "max_collateral": draw.choice((0, 500, 500, 10**6)),
        "reduce_only": side is Side.SELL and draw.random() < 0.2,
        "kind": kind,
        "tif": tif,
    }


def plausible(maker: Order, taker: Order, careless: bool) -> bool:
    """What a matching engine could pair; a careless one does not look at the price."""
    buyer, seller = (maker, taker) if maker.side is Side.BUY else (taker, maker)
    return (careless or buyer.limit_price >= seller.limit_price) and (
        maker.market == taker.market
        and maker.account != taker.account
        and maker.side is not taker.side
        and maker.may_rest
        and taker.time_in_force is not TimeInForce.POST_ONLY
    )


def assert_event(fill: MatchedFill, outcome: Outcome, event: Any) -> None:
    assert event.name == EVENT_NAME[outcome.skip is None]
    assert (event.fields["maker"], event.fields["taker"]) == (order_word(fill.maker), order_word(fill.taker))
    numbers = fill_numbers(event)
    assert numbers.market_index == LISTINGS[fill.market].index
    assert numbers.sequence == fill.sequence
    assert numbers.quantity == fill.quantity
    assert numbers.price == fill.maker.order.limit_price
    assert numbers.taker_is_buyer == (fill.taker.order.side is Side.BUY)
    if outcome.skip is not None:
        assert SkipReason(event.fields["reason"]) is outcome.skip
        assert (numbers.maker_fee, numbers.taker_fee) == (0, 0)
        return
    assert (numbers.maker_fee, numbers.taker_fee) == (outcome.maker_fee, outcome.taker_fee)
    assert_terms_kept(fill, numbers)


def assert_terms_kept(fill: MatchedFill, numbers: Any) -> None:
    """Invariant 17: the price is inside both limits, each fee inside its signed cap, both inside 50 bps."""
    notional = fill.quantity * numbers.price * LISTINGS[fill.market].quote_per_lot_tick
    for order, fee in ((fill.maker.order, numbers.maker_fee), (fill.taker.order, numbers.taker_fee)):
        inside = numbers.price <= order.limit_price if order.side is Side.BUY else numbers.price >= order.limit_price
        assert inside
        assert fee * 10_000 <= notional * order.max_fee_bps
    assert (numbers.maker_fee + numbers.taker_fee - 2) * 10_000 < notional * 50
