"""Risk before matching: what each limit refuses, what it lets pass, and that a replay refuses the same."""

from __future__ import annotations

import pytest
from test_refusals import refusal
from trading_desk import ALICE, BOB, BTC, CAROL, ETH, START_MS, Desk, of_type

from cxdex.facts import Credited, PriceUpdated
from cxdex.market import CXPT_ASSET
from cxdex.order import OrderType, Side, TimeInForce
from relayer.engine.commands import SetLimits
from relayer.engine.core import Engine
from relayer.engine.events import OrderAccepted, Traded
from relayer.engine.limit_terms import NO_LIMITS, Limits, LimitTable
from relayer.engine.limits import DAY_MS

NOW = START_MS // 1000
TICK = 10**4  # 1e-6 USDC of a whole sBTC


def limited(*tiers: Limits, accounts: tuple[tuple[bytes, Limits], ...] = (), **changes) -> Desk:
    desk = Desk(**changes)
    set_limits(desk, LimitTable(tiers, accounts))
    return desk


def set_limits(desk: Desk, table: LimitTable) -> None:
    assert desk.apply(SetLimits(desk.now_ms, table)) == []


def accepted(events: list) -> bool:
    return bool(of_type(events, OrderAccepted))


def test_an_engine_that_was_told_no_limits_has_none() -> None:
    desk = Desk()
    assert desk.engine.limits == NO_LIMITS
    desk.fact(PriceUpdated(BTC.base_asset, TICK, NOW))
    for _ in range(150):
        assert accepted(desk.buy(ALICE, 10**6, 1000)[1])


def test_an_order_is_worth_at_most_the_limit() -> None:
    desk = limited(Limits(order_notional=1_000))
    event = refusal(desk, ALICE, Side.BUY, 1_001, 1)
    assert (event.code, event.field) == ("ORDER_TOO_LARGE", "quantity")
    assert (event.given, event.allowed) == ("0.001001 USDC", "at most 0.001 USDC")
    assert accepted(desk.buy(ALICE, 1_000, 1)[1])


def test_a_seller_counts_for_what_the_bids_would_pay() -> None:
    desk = limited(Limits(order_notional=1_000))
    desk.buy(BOB, 5, 200)
    assert refusal(desk, ALICE, Side.SELL, 10, 1).given == "0.001005 USDC"
    assert accepted(desk.sell(ALICE, 5, 1)[1])


def test_open_orders_count_for_each_market_by_itself() -> None:
    desk = limited(Limits(open_orders=2))
    first, _ = desk.buy(ALICE, 1, 1)
    desk.buy(ALICE, 1, 1)
    event = refusal(desk, ALICE, Side.BUY, 1, 1)
    assert (event.code, event.given, event.allowed) == ("ORDER_TOO_MANY_OPEN", "2 open in sBTC-USDC", "at most 2")
    assert accepted(desk.buy(ALICE, 5, 1, market=ETH.symbol)[1])
    assert accepted(desk.buy(BOB, 1, 1)[1])
    assert accepted(desk.buy(ALICE, 1, 1, time_in_force=TimeInForce.IOC)[1]), "what cannot rest is not counted"
    desk.cancel(ALICE, first)
    assert accepted(desk.buy(ALICE, 1, 1)[1])


def test_a_fill_frees_the_place_of_an_open_order() -> None:
    desk = limited(Limits(open_orders=1))
    desk.buy(ALICE, 2, 10)
    desk.sell(BOB, 1, 10)
    assert refusal(desk, ALICE, Side.BUY, 1, 1).code == "ORDER_TOO_MANY_OPEN"
    desk.sell(BOB, 1, 10)
    assert accepted(desk.buy(ALICE, 1, 1)[1])


def test_volume_counts_both_sides_and_begins_anew_at_midnight() -> None:
    desk = limited(Limits(daily_volume=1_000))
    desk.sell(ALICE, 60, 10)
    desk.buy(BOB, 60, 10)
    for who in (ALICE, BOB):
        assert desk.engine.volume_today(who, desk.now_ms) == 600
        event = refusal(desk, who, Side.BUY, 41, 10)
        assert (event.code, event.given) == ("ORDER_DAILY_VOLUME", "0.00041 USDC")
        assert event.allowed == "at most 0.0004 USDC today"
        assert "0.0006 since 00:00 UTC" in event.detail
    assert accepted(desk.buy(CAROL, 100, 10)[1])
    desk.now_ms = (desk.now_ms // DAY_MS + 1) * DAY_MS - 1
    assert refusal(desk, BOB, Side.BUY, 41, 10).code == "ORDER_DAILY_VOLUME"
    desk.now_ms += 1
    assert accepted(desk.buy(BOB, 41, 10)[1])
    assert desk.engine.volume_today(BOB, desk.now_ms) == 0


@pytest.mark.parametrize(
    ("side", "inside", "outside", "allowed"),
    [(Side.BUY, 120, 121, "at most 1.2"), (Side.SELL, 80, 79, "at least 0.8")],
)
def test_the_band_keeps_both_sides_from_giving_money_away(side: Side, inside: int, outside: int, allowed: str) -> None:
    desk = limited(Limits(band_bps=2_000))
    desk.fact(PriceUpdated(BTC.base_asset, 100 * TICK, NOW))
    event = refusal(desk, ALICE, side, 1, outside)
    assert (event.code, event.field, event.allowed) == ("ORDER_PRICE_OUT_OF_BAND", "limitPrice", allowed)
    assert "20 %" in event.detail
    assert refusal(desk, ALICE, side, 1, outside, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC)
    assert accepted(desk.buy(ALICE, 1, inside)[1] if side is Side.BUY else desk.sell(ALICE, 1, inside)[1])


def test_an_order_that_only_waits_may_be_far_from_the_index() -> None:
    desk = limited(Limits(band_bps=2_000))
    desk.fact(PriceUpdated(BTC.base_asset, 100 * TICK, NOW))
    assert accepted(desk.buy(ALICE, 1, 1)[1])
    assert accepted(desk.sell(ALICE, 1, 10_000)[1])


def test_without_a_young_index_there_is_no_band() -> None:
    desk = limited(Limits(band_bps=2_000))
    assert accepted(desk.buy(ALICE, 1, 1_000)[1])
    desk.fact(PriceUpdated(BTC.base_asset, 100 * TICK, NOW))
    assert accepted(desk.buy(ALICE, 5, 1_000, market=ETH.symbol)[1]), "the other market has no index"
    desk.now_ms += 300_000
    assert refusal(desk, ALICE, Side.BUY, 1, 121).code == "ORDER_PRICE_OUT_OF_BAND"
    desk.now_ms += 1_000
    assert accepted(desk.buy(ALICE, 1, 121)[1])


def test_a_reorg_puts_the_index_back() -> None:
    desk = limited(Limits(band_bps=2_000))
    for price in (100, 200):
        desk.fact(PriceUpdated(BTC.base_asset, price * TICK, NOW))
    desk.fact(PriceUpdated(BTC.base_asset, 200 * TICK, NOW), at=(desk.block, 0), reverted=True)
    assert refusal(desk, ALICE, Side.BUY, 1, 121).code == "ORDER_PRICE_OUT_OF_BAND"
    desk.fact(PriceUpdated(BTC.base_asset, 100 * TICK, NOW), at=(desk.block - 1, 0), reverted=True)
    assert accepted(desk.buy(ALICE, 1, 121)[1])


def test_limits_follow_the_fee_tier_and_an_account_may_have_its_own() -> None:
    desk = limited(Limits(order_notional=10), Limits(order_notional=20), accounts=((BOB, Limits(order_notional=50)),))
    sizes = {ALICE: 10, BOB: 50}
    for who, most in sizes.items():
        assert refusal(desk, who, Side.BUY, most + 1, 1).code == "ORDER_TOO_LARGE"
        assert accepted(desk.buy(who, most, 1)[1])
    for who in (ALICE, BOB):
        desk.fact(Credited(who, CXPT_ASSET, 10**12))  # the highest tier; the table ends before it
    assert refusal(desk, ALICE, Side.BUY, 21, 1).code == "ORDER_TOO_LARGE"
    assert accepted(desk.buy(ALICE, 20, 1)[1])
    assert refusal(desk, BOB, Side.BUY, 51, 1).code == "ORDER_TOO_LARGE"


def test_orders_per_second_after_a_burst() -> None:
    desk = limited(Limits(orders_per_second=2, order_burst=3))
    resting = [desk.buy(ALICE, 1, 1)[0] for _ in range(3)]
    event = refusal(desk, ALICE, Side.BUY, 1, 1)
    assert (event.code, event.allowed) == ("RATE_LIMITED", "again in 500 ms")
    assert accepted(desk.buy(BOB, 1, 1)[1])
    desk.now_ms += 499
    assert refusal(desk, ALICE, Side.BUY, 1, 1).allowed == "again in 1 ms"
    desk.engine = Engine.restore(desk.engine.snapshot())
    desk.now_ms += 1
    assert accepted(desk.buy(ALICE, 1, 1)[1])
    assert refusal(desk, ALICE, Side.BUY, 1, 1).allowed == "again in 500 ms"
    assert len(desk.cancel(ALICE, *resting)) > len(resting), "cancels are not limited"
    desk.now_ms += 10_000
    assert [accepted(desk.buy(ALICE, 1, 1)[1]) for _ in range(4)] == [True, True, True, False]


def test_refused_orders_do_not_count_for_the_rate() -> None:
    desk = limited(Limits(orders_per_second=1, order_burst=1, order_notional=10))
    assert refusal(desk, ALICE, Side.BUY, 11, 1).code == "ORDER_TOO_LARGE"
    assert accepted(desk.buy(ALICE, 10, 1)[1])


def test_orders_that_rest_stay_when_the_limits_fall() -> None:
    desk = limited(Limits())
    resting, _ = desk.buy(ALICE, 100, 10)
    set_limits(desk, LimitTable((Limits(order_notional=1, open_orders=0),)))
    assert desk.view(resting).status == "OPEN"
    set_limits(desk, NO_LIMITS)
    assert accepted(desk.buy(ALICE, 100, 10)[1])


def test_a_snapshot_remembers_limits_prices_and_volume() -> None:
    desk = limited(Limits(band_bps=2_000, daily_volume=1_000, open_orders=1), accounts=((CAROL, Limits()),))
    desk.fact(PriceUpdated(BTC.base_asset, 100 * TICK, NOW))
    desk.sell(ALICE, 6, 100)
    assert of_type(desk.buy(BOB, 5, 100)[1], Traded)
    before = desk.engine
    desk.engine = Engine.restore(before.snapshot())
    assert desk.engine.state_hash() == before.state_hash()
    assert (desk.engine.limits, desk.engine.limits_of(CAROL)) == (before.limits, Limits())
    assert refusal(desk, BOB, Side.BUY, 1, 121).code == "ORDER_PRICE_OUT_OF_BAND"
    assert refusal(desk, BOB, Side.BUY, 6, 100).code == "ORDER_DAILY_VOLUME"
    assert refusal(desk, ALICE, Side.SELL, 1, 100).code == "ORDER_TOO_MANY_OPEN"
    desk.fact(PriceUpdated(BTC.base_asset, 100 * TICK, NOW), at=(desk.block, 0), reverted=True)
    assert accepted(desk.buy(CAROL, 1, 1_000)[1])
