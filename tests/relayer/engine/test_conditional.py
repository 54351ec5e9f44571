"""Orders that wait for a price: hidden, triggered exactly and in order, through every restart and reorg."""

from __future__ import annotations

import tracemalloc

import pytest
from trading_desk import ALICE, BOB, BTC, CAROL, FAR, START_MS, Desk, of_type

from cxdex.condition import Condition, Trigger
from cxdex.facts import Debited, FillSettled, MarketStatusChanged, PriceUpdated, SessionRevoked, SessionSet
from cxdex.market import MarketStatus
from cxdex.order import OrderType, Side, SignatureKind, TimeInForce
from relayer.engine import state, watch
from relayer.engine.chain_log import UNDO_BLOCKS
from relayer.engine.commands import ApplyFact, SetGuard, SetLimits
from relayer.engine.core import Engine
from relayer.engine.events import (
    AnyEvent,
    OrderClosed,
    OrderProven,
    OrderRearmed,
    OrderRejected,
    OrderTriggered,
    Traded,
)
from relayer.engine.limit_terms import Limits, LimitTable
from relayer.engine.orders import OrderRecord
from relayer.engine.quote_guard import GuardTerms

NOW = START_MS // 1000
TICK = 10_000  # 1e-6 USDC a whole sBTC


def when(trigger: str, ticks: int, active_from: int = NOW) -> Condition:
    return Condition(Trigger[trigger], ticks, active_from)


def index(desk: Desk, price: int, time: int) -> list[AnyEvent]:
    """price: 1e-6 USDC; time: seconds after the start."""
    return desk.fact(PriceUpdated(BTC.base_asset, price, NOW + time))


def take_back(desk: Desk) -> list[AnyEvent]:
    """The newest fact that stands."""
    facts: list[ApplyFact] = []
    for command in desk.commands:
        if isinstance(command, ApplyFact) and command.reverted:
            facts.pop()
        elif isinstance(command, ApplyFact):
            facts.append(command)
    newest = facts[-1]
    return desk.fact(newest.fact, at=(newest.block, newest.log_index), reverted=True)


def triggered(events: list[AnyEvent]) -> list[bytes]:
    return [event.digest for event in of_type(events, OrderTriggered)]


def closed(events: list[AnyEvent]) -> list[tuple[bytes, str]]:
    return [(event.digest, event.reason) for event in of_type(events, OrderClosed)]


def trade_at(desk: Desk, price: int, **changes) -> list[AnyEvent]:
    desk.sell(BOB, 1, price, **changes)
    return desk.buy(CAROL, 1, price, **changes)[1]


def test_nobody_sees_it_and_nothing_is_held_back_until_it_is_triggered() -> None:
    desk = Desk()
    before = desk.engine.balances(ALICE)
    stop, events = desk.sell(ALICE, 5, 90, condition=when("INDEX_AT_OR_BELOW", 95))
    assert [type(event).__name__ for event in events] == ["OrderAccepted"]
    assert desk.view(stop).status == "PENDING"
    assert [view.digest for view in desk.engine.open_orders(ALICE)] == [stop]
    assert desk.engine.levels(BTC.symbol, 9) == ([], [])
    assert desk.engine.balances(ALICE) == before
    events = index(desk, 95 * TICK, 7)
    (event,) = of_type(events, OrderTriggered)
    assert (event.digest, event.price, event.proof_first, event.proof_second) == (stop, 95 * TICK, NOW + 7, 0)
    assert desk.view(stop).status == "OPEN"
    assert desk.engine.levels(BTC.symbol, 9) == ([], [(90, 5)])
    assert desk.engine.balances(ALICE)[BTC.base_asset][1] == 5 * 10**14


@pytest.mark.parametrize(
    ("trigger", "too_early", "reached"),
    [
        ("INDEX_AT_OR_BELOW", 95 * TICK + 1, 95 * TICK),
        ("INDEX_AT_OR_ABOVE", 95 * TICK - 1, 95 * TICK),
    ],
)
def test_a_level_is_reached_to_the_unit(trigger: str, too_early: int, reached: int) -> None:
    desk = Desk()
    order, _ = desk.sell(ALICE, 5, 90, condition=when(trigger, 95))
    assert triggered(index(desk, too_early, 1)) == []
    assert triggered(index(desk, reached, 2)) == [order]
    assert triggered(index(desk, reached, 3)) == []


def test_a_condition_that_is_met_already_triggers_at_once() -> None:
    desk = Desk()
    index(desk, 94 * TICK, 0)
    by_index, events = desk.sell(ALICE, 5, 90, condition=when("INDEX_AT_OR_BELOW", 95))
    assert triggered(events) == [by_index]
    desk.cancel_all(ALICE)
    trade_at(desk, 100)
    by_last, events = desk.sell(ALICE, 5, 90, condition=when("LAST_AT_OR_ABOVE", 100))
    assert triggered(events) == [by_last]


def test_prices_from_before_it_is_active_do_not_count() -> None:
    desk = Desk()
    index(desk, 90 * TICK, 5)
    trade_at(desk, 90)
    later = [when("INDEX_AT_OR_BELOW", 95, NOW + 10), when("LAST_AT_OR_BELOW", 95, NOW + 10)]
    by_index, by_last = (desk.sell(ALICE, 5, 200, condition=condition)[0] for condition in later)
    assert triggered(index(desk, 90 * TICK, 9)) == []
    desk.now_ms += 9_999
    assert triggered(trade_at(desk, 90)) == []
    assert triggered(index(desk, 95 * TICK, 10)) == [by_index]
    desk.now_ms += 1
    assert triggered(trade_at(desk, 90)) == [by_last]


def test_a_trailing_order_follows_the_best_price_that_it_has_seen() -> None:
    desk = Desk()
    index(desk, 200 * TICK, 0)
    early, _ = desk.sell(ALICE, 5, 50, condition=when("INDEX_FALLS_BY", 10, NOW + 1))
    index(desk, 100 * TICK, 1)
    index(desk, 108 * TICK, 2)
    index(desk, 103 * TICK, 3)
    late, _ = desk.sell(ALICE, 5, 50, condition=when("INDEX_FALLS_BY", 8))
    assert triggered(index(desk, 98 * TICK + 1, 4)) == []
    events = index(desk, 98 * TICK, 5)
    assert triggered(events) == [early]
    (event,) = of_type(events, OrderTriggered)
    assert (event.proof_first, event.proof_second) == (NOW + 2, NOW + 5)
    assert triggered(index(desk, 95 * TICK, 6)) == [late]
    rising, _ = desk.buy(ALICE, 5, 150, condition=when("INDEX_RISES_BY", 4))
    index(desk, 92 * TICK, 7)
    assert triggered(index(desk, 95 * TICK, 8)) == []
    assert triggered(index(desk, 96 * TICK, 9)) == [rising]


def test_what_the_price_reached_first_enters_first() -> None:
    desk = Desk()
    levels = [97, 99, 98, 99]
    orders = [desk.sell(ALICE, 1, 90, condition=when("INDEX_AT_OR_BELOW", level))[0] for level in levels]
    index(desk, 100 * TICK, 1)
    trailing, _ = desk.sell(ALICE, 1, 90, condition=when("INDEX_FALLS_BY", 2))  # from 100, so at 98
    assert triggered(index(desk, 50 * TICK, 2)) == [orders[1], orders[3], orders[2], trailing, orders[0]]


def test_a_cascade_runs_to_its_end_in_one_command() -> None:
    desk = Desk()
    for price in (99, 97, 95, 93):
        desk.buy(BOB, 2, price)
    stops = [
        desk.sell(
            ALICE, 2, 1, condition=when("LAST_AT_OR_BELOW", level),
            order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC,
        )[0]
        for level in (95, 97, 99)
    ]  # fmt: skip
    first, events = desk.sell(CAROL, 2, 99)
    assert [(t.taker_digest, t.price) for t in of_type(events, Traded)] == [
        (first, 99), (stops[2], 97), (stops[1], 95), (stops[0], 93),
    ]  # fmt: skip
    carol = next(n for n, event in enumerate(events) if isinstance(event, OrderClosed) and event.digest == first)
    assert carol < next(n for n, event in enumerate(events) if isinstance(event, OrderTriggered))
    assert desk.engine.levels(BTC.symbol, 9) == ([], [])


def test_an_order_that_may_not_trade_when_its_price_comes_is_closed_with_the_reason() -> None:
    desk = Desk(base=0, usdc=10**9)
    poor, _ = desk.sell(ALICE, 5, 90, condition=when("INDEX_AT_OR_BELOW", 95))
    thin, _ = desk.buy(BOB, 5, 90, time_in_force=TimeInForce.FOK, condition=when("INDEX_AT_OR_BELOW", 95))
    far, _ = desk.buy(CAROL, 5, 200, condition=when("INDEX_AT_OR_BELOW", 95))
    desk.apply(SetLimits(desk.now_ms, LimitTable((Limits(band_bps=1_000),))))
    events = index(desk, 95 * TICK, 0)
    assert closed(events) == [
        (poor, "BALANCE_INSUFFICIENT"),
        (thin, "ORDER_FOK_UNFILLABLE"),
        (far, "ORDER_PRICE_OUT_OF_BAND"),
    ]
    paused, _ = desk.buy(CAROL, 5, 90, condition=when("INDEX_AT_OR_BELOW", 90))
    desk.fact(MarketStatusChanged(BTC.symbol, MarketStatus.PAUSED, MarketStatus.ACTIVE))
    assert closed(index(desk, 90 * TICK, 1)) == [(paused, "MARKET_NOT_ACTIVE")]


def test_whatever_closes_open_orders_closes_pending_ones() -> None:
    desk = Desk()
    stop = {"condition": when("INDEX_AT_OR_BELOW", 95)}

    def place(**changes) -> bytes:
        return desk.sell(ALICE, 5, 90, **stop, **changes)[0]

    one = place()
    assert closed(desk.cancel(ALICE, one)) == [(one, "USER")]
    one = place(name="mine")
    assert closed(desk.cancel(ALICE, names=["mine"])) == [(one, "USER")]
    one = place()
    assert closed(desk.cancel_all(ALICE, side=Side.SELL)) == [(one, "USER")]
    one = place(expiry=NOW + 100)
    desk.now_ms += 40_000
    assert closed(desk.expire()) == [(one, "EXPIRED")]
    one = place()
    desk.countdown(ALICE, 5)
    desk.now_ms += 5_000
    assert closed(desk.expire()) == [(one, "DEADMAN")]
    one = place()
    quote, _ = desk.buy(ALICE, 5, 80)
    desk.apply(SetGuard(desk.now_ms, ALICE, BTC.symbol, GuardTerms(1_000, 1, None, 1)))
    assert closed(desk.sell(BOB, 1, 80)[1])[1:] == [(one, "PROTECTION"), (quote, "PROTECTION")]
    desk.now_ms += 1_000
    one = place()
    events = desk.fact(MarketStatusChanged(BTC.symbol, MarketStatus.DELISTED, MarketStatus.ACTIVE))
    assert closed(events) == [(one, "MARKET_DELISTED")]
    assert triggered(index(desk, 1, 99)) == []


def test_a_session_that_ends_takes_its_pending_orders_along() -> None:
    desk = Desk()
    key = b"k" * 20
    desk.fact(SessionSet(ALICE, key, None, 10**12, FAR))
    stop, _ = desk.sell(ALICE, 5, 90, signer=key, condition=when("INDEX_AT_OR_BELOW", 95))
    assert closed(desk.fact(SessionRevoked(ALICE, key))) == [(stop, "SESSION_REVOKED")]
    order = desk.order(ALICE, Side.SELL, 5, 90, condition=when("INDEX_AT_OR_BELOW", 95))
    (refused,) = of_type(desk.send(order, SignatureKind.SESSION, key)[1], OrderRejected)
    assert refused.code == "SESSION_NOT_LIVE"


def test_pending_orders_count_as_open_and_hold_nothing_that_a_withdrawal_needs() -> None:
    desk = Desk(base=10 * 10**14)
    desk.apply(SetLimits(desk.now_ms, LimitTable((Limits(open_orders=2),))))
    stops = [desk.sell(ALICE, 10, 90, condition=when("INDEX_AT_OR_BELOW", 95 - n))[0] for n in range(2)]
    (refused,) = of_type(desk.sell(ALICE, 10, 90, condition=when("INDEX_AT_OR_BELOW", 95))[1], OrderRejected)
    assert refused.code == "ORDER_TOO_MANY_OPEN"
    assert closed(desk.fact(Debited(ALICE, BTC.base_asset, 10**14))) == []
    assert closed(index(desk, 94 * TICK, 1)) == [(stop, "BALANCE_INSUFFICIENT") for stop in stops]


def test_a_price_that_a_reorg_takes_back_leaves_no_trace() -> None:
    desk = Desk()
    index(desk, 100 * TICK, 1)
    plain, _ = desk.sell(ALICE, 5, 90, condition=when("INDEX_AT_OR_BELOW", 95))
    trailing, _ = desk.sell(ALICE, 5, 91, condition=when("INDEX_FALLS_BY", 10))
    index(desk, 200 * TICK, 2)
    take_back(desk)
    before = desk.engine.levels(BTC.symbol, 9), desk.engine.balances(ALICE)[BTC.base_asset]
    assert triggered(index(desk, 90 * TICK, 3)) == [plain, trailing]
    events = take_back(desk)
    assert [event.digest for event in of_type(events, OrderRearmed)] == [plain, trailing]
    assert [desk.view(order).status for order in (plain, trailing)] == ["PENDING", "PENDING"]
    assert (desk.engine.levels(BTC.symbol, 9), desk.engine.balances(ALICE)[BTC.base_asset]) == before
    events = index(desk, 95 * TICK, 3)
    assert [(e.digest, e.proof_first) for e in of_type(events, OrderTriggered)] == [(plain, NOW + 3)]
    events = index(desk, 90 * TICK, 4)
    proofs = [(e.digest, e.proof_first, e.proof_second) for e in of_type(events, OrderTriggered)]
    assert proofs == [(trailing, NOW + 1, NOW + 4)]


def test_fills_of_an_order_whose_price_is_taken_back_stay_and_are_proved_anew() -> None:
    desk = Desk()
    stop, _ = desk.sell(ALICE, 5, 90, condition=when("INDEX_AT_OR_BELOW", 95))
    index(desk, 95 * TICK, 1)
    desk.buy(BOB, 2, 90)
    events = take_back(desk)
    assert of_type(events, OrderRearmed)[0].remaining == 3
    assert (desk.view(stop).filled, desk.view(stop).remaining, desk.view(stop).status) == (2, 3, "PENDING")
    (event,) = of_type(index(desk, 94 * TICK, 2), OrderTriggered)
    assert (event.remaining, event.proof_first) == (3, NOW + 2)
    _, events = desk.buy(BOB, 5, 90)
    assert [(trade.maker_digest, trade.quantity) for trade in of_type(events, Traded)] == [(stop, 3)]


def proven(events: list[AnyEvent]) -> list[tuple[bytes, int, int]]:
    return [(event.digest, event.proof_first, event.proof_second) for event in of_type(events, OrderProven)]


def test_a_filled_order_whose_price_is_taken_back_is_proved_by_the_next_price_that_meets_it() -> None:
    desk = Desk()
    stop, _ = desk.sell(ALICE, 5, 90, condition=when("INDEX_AT_OR_BELOW", 95))
    index(desk, 95 * TICK, 1)
    desk.buy(BOB, 5, 90)
    before = desk.view(stop)
    assert of_type(take_back(desk), OrderRearmed) == []
    assert proven(index(desk, 96 * TICK, 2)) == []
    events = index(desk, 94 * TICK, 3)
    assert proven(events) == [(stop, NOW + 3, 0)]
    assert triggered(events) == closed(events) == []
    view = desk.view(stop)
    assert (view.status, view.reason, view.filled, view.proof) == ("FILLED", "FILLED", 5, (NOW + 3, 0))
    assert view.version == before.version + 1
    assert proven(index(desk, 93 * TICK, 4)) == [], "once proved it watches no more"


def test_a_trailing_order_that_is_filled_seeks_its_proof_from_its_peak() -> None:
    desk = Desk()
    index(desk, 100 * TICK, 1)
    stop, _ = desk.sell(ALICE, 5, 50, condition=when("INDEX_FALLS_BY", 10))
    index(desk, 104 * TICK, 2)
    index(desk, 94 * TICK, 3)
    desk.buy(BOB, 5, 50)
    take_back(desk)
    take_back(desk)
    assert proven(index(desk, 91 * TICK, 5)) == []
    assert proven(index(desk, 90 * TICK, 6)) == [(stop, NOW + 1, NOW + 6)]


@pytest.mark.parametrize("end", ["cancel", "replace", "expire", "replace in the book"])
def test_what_ends_an_order_does_not_end_the_search_for_its_fills_proof(end: str) -> None:
    desk = Desk()
    stop, _ = desk.sell(ALICE, 5, 90, condition=when("INDEX_AT_OR_BELOW", 95), expiry=NOW + 100)
    index(desk, 95 * TICK, 1)
    desk.buy(BOB, 2, 90)
    order = desk.order(ALICE, Side.SELL, 4, 90, nonce=desk.orders[stop].nonce)
    if end == "replace in the book":
        desk.replace(stop, order)
    take_back(desk)
    if end == "cancel":
        desk.cancel(ALICE, stop)
    elif end == "replace":
        desk.replace(stop, order)
    elif end == "expire":
        desk.now_ms += 50_000
        desk.expire()
    reason = {"cancel": "USER", "expire": "EXPIRED"}.get(end, "REPLACED")
    assert desk.view(stop).reason == reason
    assert proven(index(desk, 94 * TICK, 2)) == [(stop, NOW + 2, 0)]
    assert desk.view(stop).reason == reason


def test_an_order_that_ends_without_fills_seeks_nothing() -> None:
    desk = Desk()
    stop, _ = desk.sell(ALICE, 5, 90, condition=when("INDEX_AT_OR_BELOW", 95))
    index(desk, 95 * TICK, 1)
    take_back(desk)
    desk.cancel(ALICE, stop)
    assert proven(index(desk, 94 * TICK, 2)) == []


def test_a_settled_fill_that_a_reorg_takes_back_with_its_price_is_proved_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when many other orders have been closed since it was settled."""
    monkeypatch.setattr(state, "CLOSED_ORDERS_KEPT", 3)
    desk = Desk()
    stop, _ = desk.sell(ALICE, 5, 90, condition=when("INDEX_AT_OR_BELOW", 95))
    index(desk, 95 * TICK, 1)
    desk.buy(BOB, 5, 90)
    desk.fact(FillSettled(BTC.symbol, 0))
    for _ in range(20):
        desk.cancel(ALICE, desk.sell(ALICE, 1, 500)[0])
    take_back(desk)
    take_back(desk)
    assert proven(index(desk, 94 * TICK, 2)) == [(stop, NOW + 2, 0)]
    desk.fact(FillSettled(BTC.symbol, 0))
    desk.fact(FillSettled(BTC.symbol, 1), at=(desk.block + UNDO_BLOCKS + 1, 0))
    for _ in range(20):
        desk.cancel(ALICE, desk.sell(ALICE, 1, 500)[0])
    assert desk.engine.order_state(stop) is None, "no reorg reaches it any more"


def test_a_search_for_a_proof_survives_a_snapshot() -> None:
    desk = Desk()
    index(desk, 100 * TICK, 1)
    stops = [
        desk.sell(ALICE, 2, 90, condition=when(trigger, ticks))[0]
        for trigger, ticks in (("INDEX_FALLS_BY", 4), ("INDEX_AT_OR_BELOW", 96), ("INDEX_FALLS_BY", 5))
    ]
    index(desk, 95 * TICK, 2)
    desk.buy(BOB, 6, 90)
    take_back(desk)
    other = Engine.restore(desk.engine.snapshot())
    assert other.state_hash() == desk.engine.state_hash()
    before = len(desk.commands)
    assert [digest for digest, *_ in proven(index(desk, 95 * TICK, 3))] == [stops[0], stops[1], stops[2]]
    take_back(desk)
    index(desk, 95 * TICK, 4)
    for command, events in zip(desk.commands[before:], desk.events[before:], strict=True):
        assert other.apply(command) == events
    assert other.state_hash() == desk.engine.state_hash()


def test_a_snapshot_between_a_trigger_and_its_reorg_changes_nothing() -> None:
    desk = Desk()
    index(desk, 100 * TICK, 1)
    for n in range(3):
        desk.sell(ALICE, 1, 90 + n, condition=when("INDEX_FALLS_BY", 4 + n))
        desk.sell(ALICE, 1, 90 + n, condition=when("LAST_RISES_BY", 4 + n))
    trade_at(desk, 100)
    index(desk, 95 * TICK, 2)
    desk.buy(BOB, 1, 89)
    other = Engine.restore(desk.engine.snapshot())
    for play in (take_back, lambda d: index(d, 96 * TICK, 2), lambda d: trade_at(d, 106), lambda d: index(d, 9, 3)):
        before = len(desk.commands)
        play(desk)
        for command, events in zip(desk.commands[before:], desk.events[before:], strict=True):
            assert other.apply(command) == events
        assert other.state_hash() == desk.engine.state_hash()


def test_orders_that_were_cancelled_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_STALE_ENTRIES", 10)
    desk = Desk()
    index(desk, 100 * TICK, 1)
    kept = [desk.sell(ALICE, 1, 90, condition=when(t, 50))[0] for t in ("INDEX_AT_OR_BELOW", "INDEX_FALLS_BY")]
    for number in range(100):
        trigger = ("INDEX_AT_OR_BELOW", "INDEX_AT_OR_ABOVE", "INDEX_FALLS_BY", "INDEX_RISES_BY")[number % 4]
        active_from = NOW if number % 3 else NOW + 50
        condition = when(trigger, 200 if "ABOVE" in trigger else 1, active_from)
        desk.cancel(ALICE, desk.sell(ALICE, 1, 90, condition=condition)[0])
    market = desk.engine._state.markets[BTC.symbol].index
    assert sum(len(heap) for heap in (market._above, market._below, market._waiting)) <= 12
    assert sum(1 for trail in (market._falls, market._rises) for _ in trail.records()) <= 12
    assert triggered(index(desk, 50 * TICK, 60)) == kept


def test_gtd_rests_like_gtc() -> None:
    desk = Desk()
    desk.buy(ALICE, 5, 90, time_in_force=TimeInForce.GTD)
    assert desk.engine.levels(BTC.symbol, 9) == ([(90, 5)], [])


def test_a_key_without_a_deposit_waits_for_nothing() -> None:
    """It holds nothing back, so it would be free to fill the engine's memory with."""
    desk = Desk()
    before = desk.engine.state_hash()
    for number in range(3):
        stranger = bytes([0x5A, number]) * 10
        _, (refused,) = desk.sell(stranger, 5, 90, condition=when("INDEX_AT_OR_BELOW", 95))
        assert (refused.code, desk.engine.knows(stranger)) == ("BALANCE_INSUFFICIENT", False)
    assert desk.engine.state_hash() == before


def test_prices_that_come_again_and_again_leave_nothing_behind_at_orders_that_trail() -> None:
    """A price as high as the one before takes its place, whatever number of them there is in a day."""
    desk = Desk()
    order = desk.order(ALICE, Side.SELL, 5, 50, condition=when("LAST_FALLS_BY", 10))
    waiting = watch.Watch(1)
    waiting.see(100, NOW)
    waiting.add(OrderRecord(1, order, b"1" * 32, None, desk.engine.markets()[0].terms, desk.now_ms))
    tracemalloc.start()
    try:
        for _ in range(1_000):
            waiting.see(100, NOW)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20_000):
            waiting.see(100, NOW)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000
    assert waiting.see(91, NOW)[0] == []
    assert [hit.number for hit in waiting.see(90, NOW)[0]] == [1]
