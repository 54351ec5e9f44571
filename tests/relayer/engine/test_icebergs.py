"""Icebergs: what shows, what is hidden, and that nothing gets lost between the two."""

from __future__ import annotations

from itertools import pairwise

import pytest
from trading_desk import ALICE, BOB, BTC, CAROL, ETH, Desk, of_type

from cxdex.condition import Condition, Trigger
from cxdex.order import SelfTrade, Side, TimeInForce
from relayer.engine.commands import SetLimits
from relayer.engine.core import Engine
from relayer.engine.events import OrderClosed, OrderRejected, Traded
from relayer.engine.limit_terms import Limits, LimitTable


def shown(desk: Desk) -> list[tuple[int, int]]:
    return desk.engine.levels(BTC.symbol, 9)[1]


def test_all_of_it_is_held_back_and_only_a_part_shows() -> None:
    desk = Desk()
    iceberg, _ = desk.sell(ALICE, 20, 100, display_quantity=5)
    assert shown(desk) == [(100, 5)]
    view = desk.view(iceberg)
    assert (view.remaining, view.display_quantity) == (20, 5)
    assert desk.engine.balances(ALICE)[BTC.base_asset][1] == 20 * 10**14
    trades = of_type(desk.buy(BOB, 7, 100)[1], Traded)
    assert [(t.quantity, t.maker_remaining, t.taker_remaining) for t in trades] == [(7, 13, 0)]
    assert shown(desk) == [(100, 3)]
    (closed,) = of_type(desk.cancel(ALICE, iceberg), OrderClosed)
    assert closed.remaining == 13
    assert shown(desk) == []
    assert desk.engine.balances(ALICE)[BTC.base_asset][1] == 0


def test_as_a_taker_it_uses_all_that_it_has() -> None:
    desk = Desk()
    desk.buy(BOB, 12, 100)
    iceberg, events = desk.sell(ALICE, 20, 100, display_quantity=5)
    assert [trade.quantity for trade in of_type(events, Traded)] == [12]
    assert shown(desk) == [(100, 5)]
    assert desk.view(iceberg).remaining == 8


@pytest.mark.parametrize(
    ("market", "display", "tif"),
    [
        (BTC, -5, TimeInForce.GTC),
        (BTC, 21, TimeInForce.GTC),
        (ETH, 7, TimeInForce.GTC),
        (BTC, 5, TimeInForce.IOC),
        (BTC, 5, TimeInForce.FOK),
    ],
)
def test_what_cannot_be_shown_so_is_refused(market, display: int, tif: TimeInForce) -> None:
    desk = Desk()
    before = desk.engine.state_hash()
    order = {"market": market.symbol, "time_in_force": tif, "display_quantity": display}
    (refused,) = of_type(desk.sell(ALICE, 20, 100, **order)[1], OrderRejected)
    assert (refused.code, refused.field) == ("ORDER_DISPLAY_INVALID", "displayQuantity")
    assert desk.engine.state_hash() == before


def test_lowering_it_takes_from_what_is_hidden_first() -> None:
    desk = Desk()
    iceberg, _ = desk.sell(ALICE, 20, 100, display_quantity=5)
    desk.sell(BOB, 1, 100)
    desk.reduce(ALICE, iceberg, 7)
    assert (shown(desk), desk.view(iceberg).remaining) == ([(100, 6)], 7)
    desk.reduce(ALICE, iceberg, 3)
    assert (shown(desk), desk.view(iceberg).remaining) == ([(100, 4)], 3)
    trades = of_type(desk.buy(CAROL, 4, 100)[1], Traded)
    assert [(trade.maker, trade.quantity) for trade in trades] == [(ALICE, 3), (BOB, 1)]


def test_a_replacement_may_hide_and_show_again() -> None:
    desk = Desk()
    plain, _ = desk.sell(ALICE, 20, 100)
    nonce = desk.orders[plain].nonce
    hiding, _ = desk.replace(plain, desk.order(ALICE, Side.SELL, 18, 100, nonce=nonce), display_quantity=4)
    assert (shown(desk), desk.view(hiding).remaining) == ([(100, 4)], 18)
    desk.replace(hiding, desk.order(ALICE, Side.SELL, 17, 100, nonce=nonce))
    assert shown(desk) == [(100, 17)]


def test_a_refused_replacement_leaves_it_as_it_was() -> None:
    desk = Desk()
    iceberg, _ = desk.sell(ALICE, 20, 100, display_quantity=5)
    desk.sell(BOB, 1, 100)
    desk.buy(CAROL, 2, 100)
    before = desk.engine.state_hash()
    order = desk.order(ALICE, Side.SELL, 20, 100, nonce=desk.orders[iceberg].nonce, time_in_force=TimeInForce.FOK)
    assert of_type(desk.replace(iceberg, order)[1], OrderRejected)
    assert desk.engine.state_hash() == before
    order = desk.order(ALICE, Side.SELL, 20, 100, time_in_force=TimeInForce.FOK)
    assert of_type(desk.cancel_and_place(order, cancels=iceberg)[1], OrderRejected)
    assert desk.engine.state_hash() == before


@pytest.mark.parametrize("mode", SelfTrade)
def test_meeting_oneself_in_an_iceberg(mode: SelfTrade) -> None:
    desk = Desk()
    mine, _ = desk.sell(ALICE, 20, 100, display_quantity=5)
    desk.sell(BOB, 4, 100)
    taker, events = desk.buy(ALICE, 12, 100, self_trade=mode)
    ends = {event.digest: event.remaining for event in of_type(events, OrderClosed) if event.reason == "SELF_TRADE"}
    expected = {
        SelfTrade.CANCEL_TAKER: ([(100, 9)], {taker: 12}),
        SelfTrade.CANCEL_BOTH: ([(100, 4)], {taker: 12, mine: 20}),
        SelfTrade.CANCEL_MAKER: ([], {mine: 20}),
        SelfTrade.DECREMENT: ([(100, 2)], {taker: 0}),
    }
    assert (shown(desk), ends) == expected[mode]


def test_limits_count_what_hidden_bids_would_pay() -> None:
    desk = Desk()
    desk.buy(BOB, 20, 200, display_quantity=5)
    desk.apply(SetLimits(desk.now_ms, LimitTable((Limits(order_notional=2_000),))))
    (refused,) = of_type(desk.sell(ALICE, 11, 100)[1], OrderRejected)
    assert refused.code == "ORDER_TOO_LARGE"
    assert not of_type(desk.sell(ALICE, 10, 100)[1], OrderRejected)


def test_a_snapshot_keeps_what_shows_and_the_order_of_the_queue() -> None:
    desk = Desk()
    desk.sell(ALICE, 20, 100, display_quantity=5)
    desk.sell(BOB, 5, 100)
    desk.sell(CAROL, 9, 100, display_quantity=3)
    desk.buy(BOB, 7, 100, self_trade=SelfTrade.CANCEL_MAKER)
    restored = Engine.restore(desk.engine.snapshot())
    assert restored.state_hash() == desk.engine.state_hash()
    assert restored.levels(BTC.symbol, 9) == desk.engine.levels(BTC.symbol, 9)
    _, events = desk.buy(BOB, 21, 100)
    assert restored.apply(desk.commands[-1]) == events


def test_a_triggered_iceberg_hides_when_it_rests() -> None:
    desk = Desk()
    desk.sell(BOB, 1, 100)
    condition = Condition(Trigger.LAST_AT_OR_ABOVE, 100, desk.now_ms // 1000)
    iceberg, _ = desk.sell(ALICE, 20, 101, display_quantity=5, condition=condition)
    desk.buy(CAROL, 1, 100)
    assert shown(desk) == [(101, 5)]
    assert desk.view(iceberg).remaining == 20


def test_what_a_taker_takes_of_an_iceberg_alone_at_its_price_is_one_trade() -> None:
    """The contract takes the same two orders once in a row: each part as a trade was a transaction of its own."""
    desk = Desk()
    desk.sell(ALICE, 20, 100, display_quantity=5)
    _, events = desk.buy(BOB, 17, 100)
    (trade,) = of_type(events, Traded)
    assert (trade.quantity, trade.maker_remaining, trade.taker_remaining) == (17, 3, 0)
    assert desk.engine.levels(BTC.symbol, 5)[1] == [(100, 3)]


def test_an_iceberg_has_at_most_a_hundred_parts() -> None:
    """Two of one lot each would be a fill a lot, for the price of two orders."""
    desk = Desk()
    _, (refused,) = desk.sell(ALICE, 1_001, 100, display_quantity=10)
    assert (refused.code, refused.field) == ("ORDER_DISPLAY_INVALID", "displayQuantity")
    desk.sell(ALICE, 1_000, 100, display_quantity=10)
    desk.sell(CAROL, 1_000, 100, display_quantity=10)
    _, events = desk.buy(BOB, 2_000, 100)
    trades = of_type(events, Traded)
    assert sum(trade.quantity for trade in trades) == 2_000
    assert len(trades) <= 200
    assert all(one.maker_digest != two.maker_digest for one, two in pairwise(trades))
