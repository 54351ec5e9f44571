"""One cancels the other: a resting order and a stop, or two orders that wait, of one nonce."""

from __future__ import annotations

import pytest
from trading_desk import ALICE, BOB, BTC, ETH, FAR, SIGNATURE, START_MS, Desk, of_type

from cxdex.condition import Condition, Trigger
from cxdex.facts import PriceUpdated
from cxdex.order import Side, TimeInForce
from relayer.engine import state
from relayer.engine.commands import Place
from relayer.engine.core import Engine
from relayer.engine.events import AnyEvent, OrderClosed, OrderReduced, OrderRejected

TICK = 10_000
STOP = Condition(Trigger.INDEX_AT_OR_BELOW, 95, START_MS // 1000)
PROFIT = Condition(Trigger.INDEX_AT_OR_ABOVE, 120, START_MS // 1000)


def index(desk: Desk, ticks: int) -> list[AnyEvent]:
    desk.now_ms += 1000
    return desk.fact(PriceUpdated(BTC.base_asset, ticks * TICK, desk.now_ms // 1000))


def closed(events: list[AnyEvent]) -> list[tuple[bytes, str]]:
    return [(event.digest, event.reason) for event in of_type(events, OrderClosed)]


def bracket(desk: Desk, quantity: int = 10, stop_quantity: int = 10) -> tuple[bytes, bytes]:
    """A sell at 110 that rests, and a stop of the same nonce."""
    target, _ = desk.sell(ALICE, quantity, 110)
    nonce = desk.orders[target].nonce
    stop, events = desk.sell(ALICE, stop_quantity, 90, nonce=nonce, condition=STOP)
    assert not of_type(events, OrderRejected)
    return target, stop


def refusal(desk: Desk, first: bytes, **changes) -> OrderRejected:
    order = desk.order(ALICE, changes.pop("side", Side.SELL), 10, 111, nonce=desk.orders[first].nonce, **changes)
    before = desk.engine.state_hash()
    (event,) = desk.send(order)[1]
    assert isinstance(event, OrderRejected)
    assert desk.engine.state_hash() == before
    return event


def test_the_stop_takes_the_target_out_of_the_book_before_it_trades() -> None:
    desk = Desk(base=10 * 10**14)  # enough for one of the two
    target, stop = bracket(desk)
    assert desk.engine.balances(ALICE)[BTC.base_asset] == (10**15, 10**15)
    events = index(desk, 95)
    assert closed(events) == [(target, "OCO")]
    assert desk.view(stop).status == "OPEN"
    assert desk.engine.levels(BTC.symbol, 9) == ([], [(90, 10)])
    assert desk.engine.balances(ALICE)[BTC.base_asset] == (10**15, 10**15)


def test_the_target_takes_the_stop_along_when_it_is_filled() -> None:
    desk = Desk()
    target, stop = bracket(desk)
    _, events = desk.buy(BOB, 4, 110)
    assert [(e.digest, e.remaining, e.filled_elsewhere) for e in of_type(events, OrderReduced)] == [(stop, 6, 4)]
    assert (desk.view(stop).remaining, desk.view(stop).filled, desk.view(stop).filled_before) == (6, 0, 4)
    _, events = desk.buy(BOB, 6, 110)
    assert [pair for pair in closed(events) if pair[0] in (target, stop)] == [(stop, "OCO"), (target, "FILLED")]
    assert index(desk, 95) == []


def test_a_part_that_is_filled_is_no_longer_there_to_be_stopped() -> None:
    desk = Desk()
    target, stop = bracket(desk)
    desk.buy(BOB, 4, 110)
    desk.buy(BOB, 20, 90)
    assert closed(index(desk, 95)) == [(target, "OCO"), (stop, "FILLED")]
    assert desk.view(stop).filled == 6
    assert desk.engine.levels(BTC.symbol, 9) == ([(90, 14)], [])


def test_two_orders_that_wait_may_be_a_pair() -> None:
    desk = Desk()
    profit, _ = desk.sell(ALICE, 10, 115, condition=PROFIT)
    stop, _ = desk.sell(ALICE, 10, 90, nonce=desk.orders[profit].nonce, condition=STOP)
    assert closed(index(desk, 121)) == [(stop, "OCO")]
    assert desk.view(profit).status == "OPEN"
    later, _ = desk.sell(ALICE, 10, 90, nonce=desk.orders[profit].nonce, condition=STOP)
    assert closed(index(desk, 94)) == [(profit, "OCO")]
    assert desk.view(later).status == "OPEN"


def test_the_owner_cancels_both_and_anything_else_ends_one() -> None:
    desk = Desk()
    target, stop = bracket(desk)
    assert closed(desk.cancel(ALICE, stop)) == [(stop, "USER"), (target, "OCO")]
    assert desk.engine.free_nonces(ALICE, 1, set())[0] == desk.orders[stop].nonce + 1
    target, stop = bracket(desk)
    assert closed(desk.reduce(ALICE, target, 5)) == []
    assert desk.view(stop).remaining == 10
    nonce = desk.orders[target].nonce
    desk.cancel_all(ALICE)
    soon, _ = desk.sell(ALICE, 10, 110, expiry=desk.now_ms // 1000 + 61)
    stop, _ = desk.sell(ALICE, 10, 90, nonce=desk.orders[soon].nonce, condition=STOP)
    assert desk.orders[stop].nonce != nonce
    desk.now_ms += 1_000
    assert closed(desk.expire()) == [(soon, "EXPIRED")]
    assert desk.view(stop).status == "PENDING"
    assert refusal(desk, stop, side=Side.BUY, condition=STOP).code == "ORDER_PAIR_REFUSED"
    (event,) = of_type(desk.sell(ALICE, 1, 99, nonce=desk.orders[stop].nonce + 1)[1], OrderRejected)
    assert event.code == "ORDER_NONCE_LANE_BUSY"


def test_what_makes_no_pair_is_refused() -> None:
    desk = Desk()
    target, _ = desk.sell(ALICE, 10, 110)
    assert refusal(desk, target).code == "ORDER_NONCE_USED"
    assert refusal(desk, target, condition=STOP, side=Side.BUY).field == "side"
    assert refusal(desk, target, condition=STOP, market=ETH.symbol).field == "market"
    stop, _ = desk.sell(ALICE, 10, 90, nonce=desk.orders[target].nonce, condition=STOP)
    assert refusal(desk, stop, condition=PROFIT).code == "ORDER_NONCE_USED"
    index(desk, 95)
    assert refusal(desk, stop).field == "trigger"
    alone, _ = desk.sell(ALICE, 10, 115, condition=PROFIT)
    assert refusal(desk, alone, time_in_force=TimeInForce.IOC).field == "timeInForce"


def test_a_new_leg_has_what_the_nonce_has_not_filled() -> None:
    desk = Desk()
    target, _ = desk.sell(ALICE, 10, 110)
    desk.buy(BOB, 7, 110)
    (event,) = desk.sell(ALICE, 7, 90, nonce=desk.orders[target].nonce, condition=STOP)[1]
    assert isinstance(event, OrderRejected)
    assert event.code == "ORDER_FILLED_BEFORE"
    stop, _ = desk.sell(ALICE, 12, 90, nonce=desk.orders[target].nonce, condition=STOP)
    assert (desk.view(stop).remaining, desk.view(stop).filled_before) == (5, 7)


def test_a_leg_is_replaced_and_the_pair_stays_a_pair() -> None:
    desk = Desk()
    target, stop = bracket(desk)
    desk.buy(BOB, 4, 110)
    better = desk.order(ALICE, Side.SELL, 10, 108, nonce=desk.orders[target].nonce)
    moved, events = desk.replace(target, better)
    assert closed(events) == [(target, "REPLACED")]
    desk.buy(BOB, 1, 108)
    assert (desk.view(moved).remaining, desk.view(stop).remaining) == (5, 5)
    quiet, events = desk.replace(moved, desk.order(ALICE, Side.SELL, 9, 108, nonce=better.nonce, expiry=FAR + 1))
    assert closed(events) == [(moved, "REPLACED")]
    assert closed(desk.cancel(ALICE, quiet)) == [(quiet, "USER"), (stop, "OCO")]


def test_a_leg_that_is_over_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when the engine has forgotten it: its row is in the tables for ever."""
    monkeypatch.setattr(state, "CLOSED_ORDERS_KEPT", 0)
    desk = Desk()
    soon = desk.order(ALICE, Side.SELL, 10, 110, expiry=desk.now_ms // 1000 + 1_000)
    first, _ = desk.send(soon)
    better, _ = desk.replace(first, desk.order(ALICE, Side.SELL, 10, 112, nonce=soon.nonce, expiry=soon.expiry))
    stop, _ = desk.sell(ALICE, 10, 90, nonce=soon.nonce, condition=STOP)
    desk.now_ms += 999_000
    desk.expire()
    desk.expire()
    assert desk.engine.order_state(better) is None
    restored = Engine.restore(desk.engine.snapshot())
    for digest in (first, better):
        again = Place(desk.now_ms, desk.order(ALICE, Side.SELL, 10, 110, nonce=soon.nonce), SIGNATURE, digest)
        for engine in (desk.engine, restored):
            assert [event.code for event in of_type(engine.apply(again), OrderRejected)] == ["ORDER_NONCE_USED"]
    assert desk.view(stop).status == "PENDING"
