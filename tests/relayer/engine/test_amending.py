"""Fewer lots, another order in its place, or gone and another one placed: what stays, what goes, what is counted."""

from __future__ import annotations

from dataclasses import replace as changed

import pytest
from trading_desk import ALICE, BOB, BTC, CAROL, FAR, Desk, nonce, of_type

from cxdex.facts import FillSettled, MarketStatusChanged, NonceRaised, SessionSet
from cxdex.market import MarketStatus
from cxdex.order import Order, Side, SignatureKind, TimeInForce
from relayer.engine import amending
from relayer.engine.core import Engine
from relayer.engine.events import (
    LevelChanged,
    OrderAccepted,
    OrderClosed,
    OrderReduced,
    OrderRejected,
    ReduceRefused,
    Traded,
)
from relayer.engine.state import CLOSED_ORDERS_KEPT

KEY = b"key" + bytes(17)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def makers(events: list) -> list[tuple[bytes, int]]:
    return [(trade.maker_digest, trade.quantity) for trade in of_type(events, Traded)]


def newer(desk: Desk, digest: bytes, **changes) -> Order:
    """The order as a replacement would be signed."""
    return changed(desk.orders[digest], expiry=FAR + len(desk.orders), **changes)


def refusal(desk: Desk, act) -> str:
    """The code, having seen that nothing changed."""
    before = desk.engine.state_hash()
    (event,) = of_type(act(), OrderRejected, ReduceRefused)
    assert desk.engine.state_hash() == before
    return event.code


def test_fewer_lots_keep_the_place_and_the_rest_is_free_again(desk: Desk) -> None:
    first, _ = desk.sell(ALICE, 10, 100)
    second, _ = desk.sell(BOB, 10, 100)
    desk.buy(CAROL, 2, 100)
    events = desk.reduce(ALICE, first, 5)
    assert [event.remaining for event in of_type(events, OrderReduced)] == [3]
    assert [event.quantity for event in of_type(events, LevelChanged)] == [13]
    assert desk.engine.balances(ALICE)[BTC.base_asset][1] == 3 * 10**14
    assert (desk.view(first).filled, desk.view(first).remaining) == (2, 3)
    assert makers(desk.buy(CAROL, 4, 100)[1]) == [(first, 3), (second, 1)]


def test_a_quantity_that_is_filled_already_ends_the_order(desk: Desk) -> None:
    digest, _ = desk.sell(ALICE, 10, 100)
    desk.buy(BOB, 6, 100)
    (closed,) = of_type(desk.reduce(ALICE, digest, 4), OrderClosed)
    assert (closed.status, closed.reason, closed.remaining) == ("CANCELLED", "REDUCED", 4)
    assert refusal(desk, lambda: desk.reduce(ALICE, digest, 3)) == "ORDER_NOT_OPEN"


def test_lowering_needs_no_open_market_and_says_twice_the_same(desk: Desk) -> None:
    digest, _ = desk.sell(ALICE, 10, 100)
    desk.fact(MarketStatusChanged(BTC.symbol, MarketStatus.PAUSED, MarketStatus.ACTIVE))
    assert len(of_type(desk.reduce(ALICE, digest, 4), OrderReduced)) == 1
    assert desk.reduce(ALICE, digest, 4) == []
    assert refusal(desk, lambda: desk.reduce(ALICE, digest, 5)) == "ORDER_AMEND_RAISES"
    assert refusal(desk, lambda: desk.reduce(BOB, digest, 1)) == "ORDER_UNKNOWN"
    assert refusal(desk, lambda: desk.reduce(ALICE, digest, 0)) == "ORDER_TOO_SMALL"


@pytest.mark.parametrize(
    ("price", "lots", "keeps"), [(100, 10, True), (100, 4, True), (100, 11, False), (99, 10, False), (101, 4, False)]
)
def test_a_replacement_keeps_the_place_at_the_same_price_with_no_more_lots(desk: Desk, price, lots, keeps) -> None:
    first, _ = desk.sell(ALICE, 10, 100)
    desk.sell(BOB, 1, price)
    second, events = desk.replace(first, newer(desk, first, quantity=lots, limit_price=price))
    assert [type(event) for event in events[:2]] == [OrderClosed, OrderAccepted]
    restored = Engine.restore(desk.engine.snapshot())
    assert restored.state_hash() == desk.engine.state_hash()
    events = desk.buy(CAROL, 1, 101)[1]
    assert makers(events) == ([(second, 1)] if keeps else makers(events))
    assert (makers(events)[0][0] == second) is keeps
    assert restored.apply(desk.commands[-1]) == events, "the place survives a snapshot"


def test_what_the_older_orders_filled_counts_as_on_chain(desk: Desk) -> None:
    first, _ = desk.sell(ALICE, 10, 100)
    desk.buy(BOB, 6, 100)
    assert refusal(desk, lambda: desk.replace(first, newer(desk, first, quantity=6))[1]) == "ORDER_FILLED_BEFORE"
    second, _ = desk.replace(first, newer(desk, first, quantity=8))
    view = desk.view(second)
    assert (view.filled, view.filled_before, view.remaining, view.replaces) == (0, 6, 2, first)
    third, events = desk.replace(second, newer(desk, second, quantity=20, limit_price=90))
    assert of_type(events, OrderAccepted)[0].filled_before == 6
    assert makers(desk.buy(BOB, 30, 95)[1]) == [(third, 14)]
    assert (desk.view(third).status, desk.view(third).filled) == ("FILLED", 14)
    sequences = [trade.sequence for events in desk.events for trade in of_type(events, Traded)]
    for sequence in sequences:
        assert desk.fact(FillSettled(BTC.symbol, sequence)) == [], "each under its own signature, into one lane"
    assert desk.engine.free_nonces(ALICE, 1) == [nonce(0, 2)], "the lane is free when all of them are settled"


def test_a_replacement_may_trade_at_once_and_drop_the_rest(desk: Desk) -> None:
    maker, _ = desk.buy(BOB, 3, 99)
    first, _ = desk.sell(ALICE, 10, 100)
    ioc = newer(desk, first, limit_price=99, time_in_force=TimeInForce.IOC)
    second, events = desk.replace(first, ioc)
    assert makers(events) == [(maker, 3)]
    assert (desk.view(second).status, desk.view(second).reason) == ("CANCELLED", "IOC")
    assert desk.engine.levels(BTC.symbol, 9) == ([], [])


def test_a_refused_replacement_leaves_the_order_where_it_was(desk: Desk) -> None:
    """Also in front of others at its price."""
    orders = [desk.sell(who, 1, 100)[0] for who in (BOB, ALICE, CAROL)]
    mine = orders[1]
    dear = newer(desk, mine, quantity=2**38, limit_price=2**60)
    assert refusal(desk, lambda: desk.replace(mine, dear)[1]) == "BALANCE_INSUFFICIENT"
    late = newer(desk, mine)
    assert refusal(desk, lambda: desk.replace(mine, late, reject_after_ms=1)[1]) == "ORDER_TOO_LATE"
    foreign = newer(desk, mine, account=BOB)
    assert refusal(desk, lambda: desk.replace(mine, foreign)[1]) == "ORDER_UNKNOWN"
    for change in ({"nonce": nonce(5, 1)}, {"side": Side.BUY}, {"market": "sETH-USDC"}):
        other = newer(desk, mine, **change)
        assert refusal(desk, lambda o=other: desk.replace(mine, o)[1]) == "ORDER_REPLACE_DIFFERS"
    assert makers(desk.buy(BOB, 3, 100, self_trade=1)[1])[-2:] == [(mine, 1), (orders[2], 1)]


def test_a_replaced_order_does_not_come_back_even_when_it_is_forgotten(desk: Desk) -> None:
    first, _ = desk.sell(ALICE, 10, 100)
    second, _ = desk.replace(first, newer(desk, first))
    again = {"digest": first}
    assert refusal(desk, lambda: desk.replace(second, desk.orders[first], **again)[1]) == "ORDER_REPLACED_BEFORE"
    assert refusal(desk, lambda: desk.send(desk.orders[first])[1]) == "ORDER_NONCE_USED"
    for _ in range(CLOSED_ORDERS_KEPT + 2):
        desk.cancel(BOB, desk.sell(BOB, 1, 100)[0])
    desk.expire()  # commands forget first what is closed for long
    assert desk.engine.order_state(first) is None
    assert refusal(desk, lambda: desk.replace(second, desk.orders[first], **again)[1]) == "ORDER_REPLACED_BEFORE"
    desk.engine = Engine.restore(desk.engine.snapshot())
    assert refusal(desk, lambda: desk.replace(second, desk.orders[first], **again)[1]) == "ORDER_REPLACED_BEFORE"


def test_a_nonce_has_a_last_replacement(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amending, "MOST_OF_A_NONCE", 3)
    digest, _ = desk.sell(ALICE, 10, 100)
    for _ in range(3):
        digest, _ = desk.replace(digest, newer(desk, digest))
    assert refusal(desk, lambda: desk.replace(digest, newer(desk, digest))[1]) == "ORDER_REPLACED_TOO_OFTEN"
    fresh = desk.order(ALICE, Side.SELL, 10, 100)
    assert not of_type(desk.cancel_and_place(fresh, cancels=digest)[1], OrderRejected)


def test_a_cancel_on_chain_ends_the_replacement_too(desk: Desk) -> None:
    first, _ = desk.sell(ALICE, 10, 100)
    second, _ = desk.replace(first, newer(desk, first, quantity=4))
    (closed,) = of_type(desk.fact(NonceRaised(ALICE, 0, 2, FAR)), OrderClosed)
    assert (closed.digest, closed.reason) == (second, "CHAIN_CANCEL")


def test_attack_17_a_session_key_replaces_nothing_but_its_own_orders(desk: Desk) -> None:
    desk.fact(SessionSet(ALICE, KEY, None, 2_000, FAR * 2))
    session = {"kind": SignatureKind.SESSION, "signer": KEY}
    own, _ = desk.sell(ALICE, 10, 100, **session)
    foreign, _ = desk.sell(ALICE, 10, 100)
    order = newer(desk, foreign)
    assert refusal(desk, lambda: desk.replace(foreign, order, **session)[1]) == "SESSION_ORDER_FOREIGN"
    larger = newer(desk, own, quantity=21)
    assert refusal(desk, lambda: desk.replace(own, larger, **session)[1]) == "SESSION_LIMIT_EXCEEDED"
    second, events = desk.replace(own, newer(desk, own, quantity=20), **session)
    assert not of_type(events, OrderRejected), "what the old one held of the session is free for the new one"
    assert [view.available for view in desk.engine.sessions(ALICE)] == [0]
    desk.replace(second, newer(desk, second, quantity=5))
    assert [view.available for view in desk.engine.sessions(ALICE)] == [2_000], "the account itself may replace any"


def test_what_a_cancel_frees_the_new_order_may_use(desk: Desk) -> None:
    poor = Desk(usdc=1_005, base=0)
    old, _ = poor.buy(ALICE, 10, 100, name="mine")
    fresh = poor.order(ALICE, Side.BUY, 5, 200, nonce=nonce(0, 2))
    assert refusal(poor, lambda: poor.send(fresh)[1]) == "ORDER_NONCE_LANE_BUSY"
    other = changed(fresh, nonce=nonce(1, 1))
    assert refusal(poor, lambda: poor.send(other)[1]) == "BALANCE_INSUFFICIENT"
    digest, events = poor.cancel_and_place(fresh, cancels_name="mine")
    assert [event.digest for event in of_type(events, OrderClosed)] == [old]
    assert poor.view(digest).status == "OPEN", "even in the lane that the cancel frees"
    assert desk.engine.state_hash() != poor.engine.state_hash()


@pytest.mark.parametrize("anyway", [False, True])
def test_when_there_is_nothing_to_cancel(desk: Desk, anyway: bool) -> None:
    gone, _ = desk.sell(ALICE, 1, 100)
    desk.cancel(ALICE, gone)
    foreign, _ = desk.sell(BOB, 1, 100)
    order = desk.order(ALICE, Side.SELL, 2, 100)
    cases = ((gone, None, "ORDER_NOT_OPEN"), (foreign, None, "ORDER_UNKNOWN"), (b"", "x", "ORDER_UNKNOWN"))
    for digest, name, code in cases:
        terms = {"cancels": digest, "cancels_name": name, "place_anyway": anyway}
        if not anyway:
            assert refusal(desk, lambda t=terms: desk.cancel_and_place(order, **t)[1]) == code
            continue
        fresh = desk.order(ALICE, Side.SELL, 2, 100)
        assert len(of_type(desk.cancel_and_place(fresh, **terms)[1], OrderAccepted)) == 1
    assert desk.view(foreign).status == "OPEN"


def test_a_cancel_that_overtakes_its_order_blocks_it_here_too(desk: Desk) -> None:
    late = (77).to_bytes(32, "big")
    desk.cancel_and_place(desk.order(ALICE, Side.SELL, 1, 100), cancels=late, place_anyway=True)
    while desk.next_digest != late:
        desk.orders[desk.next_digest] = desk.orders[(1).to_bytes(32, "big")]
    assert refusal(desk, lambda: desk.sell(ALICE, 1, 100)[1]) == "ORDER_CANCELLED_BEFORE"


@pytest.mark.parametrize("keeps", [False, True])
def test_whether_the_cancel_stands_when_the_new_order_is_refused(desk: Desk, keeps: bool) -> None:
    desk.sell(BOB, 1, 100)
    old, _ = desk.sell(ALICE, 1, 100)
    desk.sell(CAROL, 1, 100)
    dear = desk.order(ALICE, Side.BUY, 2**38, 2**60)
    before = desk.engine.state_hash()
    _, events = desk.cancel_and_place(dear, cancels=old, keep_if_refused=keeps)
    assert [event.code for event in of_type(events, OrderRejected)] == ["BALANCE_INSUFFICIENT"]
    assert desk.view(old).status == ("OPEN" if keeps else "CANCELLED")
    assert (desk.engine.state_hash() == before) is keeps
    lots = sum(quantity for maker, quantity in makers(desk.buy(BOB, 1, 100, self_trade=1)[1]) if maker == old)
    assert lots == keeps, "still in front of those behind it"


def test_a_replacement_that_kept_its_place_expires_by_its_own_time(desk: Desk) -> None:
    first, _ = desk.sell(ALICE, 10, 100)
    soon = desk.now_ms // 1000 + 100
    second, _ = desk.replace(first, changed(desk.orders[first], expiry=soon))
    assert desk.engine.next_expiry() == soon - 60
    desk.now_ms += 50_000
    assert [(event.digest, event.status) for event in of_type(desk.expire(), OrderClosed)] == [(second, "EXPIRED")]


def test_neighbours_that_are_put_back_stand_as_before(desk: Desk) -> None:
    """Several orders of one name at one price, and the only ones there."""
    for price in (100, 101):
        mine = [desk.sell(ALICE, 1, price, name=f"at {price}")[0] for _ in range(3)]
        if price == 100:
            desk.sell(BOB, 1, 100)
        dear = desk.order(ALICE, Side.BUY, 2**38, 2**60)
        assert refusal(desk, lambda p=price, o=dear: desk.cancel_and_place(o, cancels_name=f"at {p}")[1])
        found = [maker for maker, _ in makers(desk.buy(CAROL, 4 if price == 100 else 3, price)[1])]
        assert found[:3] == mine
