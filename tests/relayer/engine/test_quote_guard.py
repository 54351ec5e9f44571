"""Market-maker protection: when it trips, what it cancels, and how it is armed again."""

from __future__ import annotations

from test_refusals import refusal
from trading_desk import ALICE, BOB, BTC, CAROL, ETH, Desk, of_type

from cxdex.order import Side, TimeInForce
from relayer.engine.commands import ResetGuard, SetGuard
from relayer.engine.core import Engine
from relayer.engine.events import GuardChanged, OrderAccepted, OrderClosed, Traded
from relayer.engine.quote_guard import GuardTerms


def guarded(
    window: int = 1_000, lots: int | None = 10, notional: int | None = None, cooldown: int = 5_000, **changes
) -> Desk:
    desk = Desk(**changes)
    set_guard(desk, GuardTerms(window, lots, notional, cooldown))
    return desk


def set_guard(desk: Desk, terms: GuardTerms | None) -> list:
    return desk.apply(SetGuard(desk.now_ms, ALICE, BTC.symbol, terms))


def is_open(desk: Desk, digest: bytes) -> bool:
    return desk.view(digest).status == "OPEN"


def test_the_fill_that_reaches_the_limit_takes_all_quotes_of_the_market_along() -> None:
    desk = guarded()
    hit, _ = desk.sell(ALICE, 8, 100)
    bid, _ = desk.buy(ALICE, 8, 50)
    ask, _ = desk.sell(ALICE, 8, 110)
    elsewhere, _ = desk.buy(ALICE, 5, 50, market=ETH.symbol)
    _, events = desk.buy(BOB, 8, 100)
    assert not of_type(events, GuardChanged)
    _, events = desk.buy(BOB, 2, 110)
    closed = {event.digest: (event.status, event.reason, event.remaining) for event in of_type(events, OrderClosed)}
    assert closed[bid] == ("CANCELLED", "PROTECTION", 8)
    assert closed[ask] == ("CANCELLED", "PROTECTION", 6)
    assert [is_open(desk, digest) for digest in (hit, bid, ask, elsewhere)] == [False, False, False, True]
    (changed,) = of_type(events, GuardChanged)
    assert (changed.account, changed.market, changed.until_ms) == (ALICE, BTC.symbol, desk.now_ms + 5_000)
    assert desk.engine.levels(BTC.symbol, 9) == ([], [])
    assert desk.engine.balances(ALICE)[BTC.base_asset][1] == 0


def test_one_order_is_filled_whole_even_if_it_takes_more_than_the_limit() -> None:
    desk = guarded(lots=2)
    for price in (100, 101, 102):
        desk.sell(ALICE, 5, price)
    _, events = desk.buy(BOB, 12, 102, time_in_force=TimeInForce.FOK)
    assert sum(trade.quantity for trade in of_type(events, Traded)) == 12
    assert desk.engine.levels(BTC.symbol, 9) == ([], [])


def test_what_is_left_of_a_taker_rests_beside_no_quote_of_the_maker() -> None:
    desk = guarded(lots=5)
    desk.sell(ALICE, 5, 100)
    desk.sell(ALICE, 5, 110)
    taker, _ = desk.buy(BOB, 9, 100)
    assert desk.view(taker).remaining == 4
    assert desk.engine.levels(BTC.symbol, 9) == ([(100, 4)], [])


def test_until_the_cooldown_only_immediate_orders_are_taken() -> None:
    desk = guarded(lots=1)
    desk.sell(ALICE, 1, 100)
    desk.buy(BOB, 1, 100)
    event = refusal(desk, ALICE, Side.SELL, 1, 100)
    assert (event.code, event.field, event.given) == ("PROTECTION_TRIPPED", "timeInForce", "GTC")
    assert event.allowed is not None
    assert str(desk.now_ms + 5_000) in event.allowed
    assert refusal(desk, ALICE, Side.SELL, 1, 100, time_in_force=TimeInForce.POST_ONLY).code == "PROTECTION_TRIPPED"
    desk.buy(BOB, 1, 90)
    assert of_type(desk.sell(ALICE, 1, 90, time_in_force=TimeInForce.IOC)[1], Traded)
    assert of_type(desk.buy(ALICE, 5, 90, market=ETH.symbol)[1], OrderAccepted)
    desk.now_ms += 4_999
    assert refusal(desk, ALICE, Side.SELL, 1, 100).code == "PROTECTION_TRIPPED"
    desk.now_ms += 1
    assert of_type(desk.sell(ALICE, 1, 100)[1], OrderAccepted)


def test_without_a_cooldown_it_waits_for_a_reset() -> None:
    desk = guarded(lots=1, cooldown=0)
    desk.sell(ALICE, 1, 100)
    (changed,) = of_type(desk.buy(BOB, 1, 100)[1], GuardChanged)
    assert changed.until_ms == 0
    desk.now_ms += 10**8
    assert refusal(desk, ALICE, Side.SELL, 1, 100).code == "PROTECTION_TRIPPED"
    (changed,) = desk.apply(ResetGuard(desk.now_ms, ALICE, BTC.symbol))
    assert changed.until_ms is None
    assert of_type(desk.sell(ALICE, 1, 100)[1], OrderAccepted)


def test_fills_outside_the_window_do_not_count() -> None:
    desk = guarded(window=1_000, lots=10)
    quote, _ = desk.sell(ALICE, 100, 100)
    desk.buy(BOB, 9, 100)
    desk.now_ms += 1_000
    desk.buy(BOB, 9, 100)
    assert is_open(desk, quote)
    desk.now_ms += 999
    desk.buy(BOB, 1, 100)
    assert not is_open(desk, quote)


def test_notional_and_lots_are_each_enough() -> None:
    desk = guarded(lots=100, notional=1_000)
    quote, _ = desk.sell(ALICE, 100, 100)
    desk.buy(BOB, 9, 100)
    assert is_open(desk, quote)
    desk.buy(BOB, 1, 100)
    assert not is_open(desk, quote)


def test_fills_as_taker_and_fills_of_others_do_not_count() -> None:
    desk = guarded(lots=5)
    quote, _ = desk.buy(ALICE, 1, 1)
    desk.sell(BOB, 50, 100)
    desk.buy(ALICE, 50, 100)
    desk.sell(CAROL, 50, 100)
    desk.buy(BOB, 50, 100)
    assert is_open(desk, quote)


def test_setting_it_anew_counts_from_zero_and_taking_it_away_ends_it() -> None:
    desk = guarded(lots=10)
    quote, _ = desk.sell(ALICE, 100, 100)
    desk.buy(BOB, 9, 100)
    set_guard(desk, GuardTerms(1_000, 10, None, 0))
    desk.buy(BOB, 9, 100)
    assert is_open(desk, quote)
    (changed,) = set_guard(desk, None)
    assert changed.window_ms == 0
    desk.buy(BOB, 50, 100)
    assert is_open(desk, quote)
    assert desk.engine.guards(ALICE) == []
    assert set_guard(desk, None) == []
    assert desk.apply(ResetGuard(desk.now_ms, ALICE, BTC.symbol)) == []
    assert desk.apply(SetGuard(desk.now_ms, ALICE, "sDOGE-USDC", GuardTerms(1, 1, 1, 1))) == []


def test_a_snapshot_remembers_the_fills_of_the_window_and_what_has_tripped() -> None:
    desk = guarded(lots=10)
    quote, _ = desk.sell(ALICE, 100, 100)
    desk.buy(BOB, 9, 100)
    for tripped in (False, True):
        before = desk.engine
        desk.engine = Engine.restore(before.snapshot())
        assert desk.engine.state_hash() == before.state_hash()
        assert is_open(desk, quote) is not tripped
        desk.buy(BOB, 1, 100)
    assert refusal(desk, ALICE, Side.SELL, 1, 100).code == "PROTECTION_TRIPPED"
