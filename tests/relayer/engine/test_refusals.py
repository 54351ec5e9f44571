"""Every way in which the engine refuses an order: the code, and that nothing changed."""

from __future__ import annotations

import pytest
from trading_desk import ALICE, BOB, BTC, ETH, FAR, Desk, nonce, of_type

from cxdex.facts import EpochRaised, MarketListed, MarketStatusChanged
from cxdex.market import MarketStatus
from cxdex.nonce import MAX_SEQ
from cxdex.order import OrderType, Side, TimeInForce
from relayer.engine.events import OrderAccepted, OrderRejected


def refusal(desk: Desk, account: bytes, side: Side, quantity: int, price: int, **changes) -> OrderRejected:
    """The refusal of this order, after checking that it is the only thing that happened."""
    order = desk.order(account, side, quantity, price, **changes)
    before = desk.engine.state_hash()
    digest, events = desk.send(order)
    assert desk.engine.state_hash() == before
    assert desk.engine.order_state(digest) is None
    (event,) = events
    assert isinstance(event, OrderRejected)
    assert (event.digest, event.account, event.market) == (digest, account, order.market)
    assert event.detail
    return event


def test_unknown_market_names_the_listed_ones() -> None:
    event = refusal(Desk(), ALICE, Side.BUY, 1, 1, market="sDOGE-USDC")
    assert (event.code, event.field, event.given) == ("MARKET_UNKNOWN", "market", "sDOGE-USDC")
    assert event.allowed == "sBTC-USDC, sETH-USDC"


@pytest.mark.parametrize("status", [MarketStatus.PAUSED, MarketStatus.DELISTED, MarketStatus.SETTLED])
def test_only_active_markets_take_orders(status: MarketStatus) -> None:
    desk = Desk()
    desk.fact(MarketStatusChanged(BTC.symbol, status, MarketStatus.ACTIVE))
    event = refusal(desk, ALICE, Side.BUY, 1, 1)
    assert (event.code, event.given) == ("MARKET_NOT_ACTIVE", f"sBTC-USDC is {status.name}")


def test_a_new_listing_starts_paused() -> None:
    desk = Desk(fresh=True)
    assert refusal(desk, ALICE, Side.BUY, 1, 1).code == "MARKET_UNKNOWN"
    desk.fact(BTC)
    assert refusal(desk, ALICE, Side.BUY, 1, 1).code == "MARKET_NOT_ACTIVE"


def test_a_buyer_reduces_nothing_on_spot_and_nobody_mints() -> None:
    event = refusal(Desk(), ALICE, Side.BUY, 1, 1, reduce_only=True)
    assert (event.code, event.field) == ("ORDER_REDUCE_ONLY_UNSUPPORTED", "reduceOnly")
    desk = Desk()
    assert of_type(desk.sell(ALICE, 1, 1, reduce_only=True)[1], OrderAccepted)
    assert refusal(Desk(), ALICE, Side.SELL, 1, 1, max_collateral=1).code == "ORDER_MINT_UNSUPPORTED"


def test_quantity_is_a_multiple_of_the_smallest_fill() -> None:
    desk = Desk()  # sETH-USDC: at least 5 lots of 0.001
    small = refusal(desk, ALICE, Side.BUY, 4, 1, market=ETH.symbol)
    assert (small.code, small.given, small.allowed) == ("ORDER_TOO_SMALL", "0.004", "0.005 or more")
    odd = refusal(desk, ALICE, Side.BUY, 12, 1, market=ETH.symbol)
    assert (odd.code, odd.given, odd.allowed) == ("ORDER_LOT_INVALID", "0.012", "nearest: 0.01 or 0.015")


def test_an_order_is_dead_from_its_expiry_second_on() -> None:
    desk = Desk()
    now = desk.now_ms // 1000
    event = refusal(desk, ALICE, Side.BUY, 1, 1, expiry=now + 60)
    assert (event.code, event.field, event.allowed) == ("ORDER_EXPIRED", "expiry", f"unix seconds after {now + 60}")
    assert of_type(desk.buy(ALICE, 1, 1, expiry=now + 61)[1], OrderAccepted)


def test_nonces() -> None:
    desk = Desk()
    assert refusal(desk, ALICE, Side.BUY, 1, 1, nonce=nonce(0, 0)).code == "ORDER_NONCE_USED"
    stale = refusal(desk, ALICE, Side.BUY, 1, 1, nonce=nonce(0, 1, epoch=1))
    assert (stale.code, stale.allowed) == ("ORDER_EPOCH_STALE", f"next free: {nonce(0, 1)}")
    resting, _ = desk.buy(ALICE, 1, 1, nonce=nonce(0, 7))
    busy = refusal(desk, ALICE, Side.BUY, 1, 1, nonce=nonce(0, 8))
    assert (busy.code, busy.allowed) == ("ORDER_NONCE_LANE_BUSY", f"next free: {nonce(1, 1)}")
    desk.cancel(ALICE, resting)
    used = refusal(desk, ALICE, Side.BUY, 1, 1, nonce=nonce(0, 7))
    assert (used.code, used.allowed) == ("ORDER_NONCE_USED", f"next free: {nonce(0, 8)}")
    desk.fact(EpochRaised(ALICE, 1))
    old = refusal(desk, ALICE, Side.BUY, 1, 1, nonce=nonce(0, 8))
    assert (old.code, old.allowed) == ("ORDER_EPOCH_STALE", f"next free: {nonce(0, 8, epoch=1)}")


def test_a_buy_needs_notional_and_the_largest_fee_it_signed() -> None:
    desk = Desk(usdc=10_050)
    poor = refusal(desk, ALICE, Side.BUY, 100, 101)
    assert poor.code == "BALANCE_INSUFFICIENT"
    assert (poor.given, poor.allowed) == ("0.01015 USDC", "0.01005 USDC available")
    desk.buy(ALICE, 100, 100)  # 10,000 and 0.5 %
    assert desk.engine.balances(ALICE)[0] == (10_050, 10_050)
    assert refusal(desk, ALICE, Side.BUY, 1, 1).allowed == "0 USDC available"


def test_a_sell_needs_the_asset() -> None:
    desk = Desk(base=3 * 10**14)
    desk.sell(ALICE, 2, 100)
    poor = refusal(desk, ALICE, Side.SELL, 2, 100)
    assert poor.code == "BALANCE_INSUFFICIENT"
    assert (poor.given, poor.allowed) == ("0.0002 sBTC", "0.0001 sBTC available")
    assert refusal(desk, b"nobody" + bytes(14), Side.SELL, 1, 1).code == "BALANCE_INSUFFICIENT"


def test_post_only_and_fok_name_what_would_do() -> None:
    desk = Desk()
    desk.sell(BOB, 1, 100)
    crossing = refusal(desk, ALICE, Side.BUY, 1, 100, time_in_force=TimeInForce.POST_ONLY)
    assert (crossing.code, crossing.allowed) == ("ORDER_POST_ONLY_WOULD_TRADE", "below 1")
    whole = refusal(
        desk, ALICE, Side.BUY, 2, 100, order_type=OrderType.MARKET, time_in_force=TimeInForce.FOK, expiry=FAR
    )
    assert (whole.code, whole.given) == ("ORDER_FOK_UNFILLABLE", "0.0002")


def test_an_unknown_kind_of_market_is_not_listed() -> None:
    desk = Desk(fresh=True)
    assert desk.fact(MarketListed("sBTC-PERP", 9, 250, 2, "sBTC", 14, 1, 1, 1, 1)) == []
    assert desk.engine.markets() == []


@pytest.mark.parametrize(
    ("tif", "rate"), [(TimeInForce.POST_ONLY, 10), (TimeInForce.GTC, 30), (TimeInForce.IOC, 30), (TimeInForce.FOK, 30)]
)
def test_nobody_trades_below_the_market_fee_by_signing_a_low_cap(tif: TimeInForce, rate: int) -> None:
    desk = Desk()
    desk.sell(BOB, 5, 100, market=ETH.symbol)
    price = 90 if tif is TimeInForce.POST_ONLY else 100
    low = {"market": ETH.symbol, "time_in_force": tif, "max_fee_bps": rate - 1}
    event = refusal(desk, ALICE, Side.BUY, 5, price, **low)
    assert (event.code, event.field, event.allowed) == ("ORDER_FEE_CAP_TOO_LOW", "maxFeeBps", f"{rate} or more")
    assert of_type(desk.buy(ALICE, 5, price, **{**low, "max_fee_bps": rate})[1], OrderAccepted)


def test_the_last_seq_of_a_lane_is_refused_because_the_chain_never_trades_it() -> None:
    desk = Desk()
    assert refusal(desk, ALICE, Side.BUY, 1, 1, nonce=nonce(0, MAX_SEQ)).code == "ORDER_NONCE_USED"
    assert of_type(desk.buy(ALICE, 1, 1, nonce=nonce(0, MAX_SEQ - 1))[1], OrderAccepted)
