"""The chain calls an order by account, nonce and tail of its digest: no two orders that are known go by one name."""

from __future__ import annotations

from dataclasses import replace as changed

import pytest
from trading_desk import ALICE, BOB, BTC, FAR, SIGNATURE, START_MS, Desk, of_type

from cxdex.batch import SkipReason
from cxdex.condition import Condition, Trigger
from cxdex.facts import FillSettled, FillSkipped, SettledTerms
from cxdex.order import Order, Side
from cxdex.order_word import order_word
from relayer.engine.commands import Place
from relayer.engine.core import Engine
from relayer.engine.events import AnyEvent, FillVoided, OrderAccepted, OrderRejected, Traded

STOP = Condition(Trigger.INDEX_AT_OR_BELOW, 95, START_MS // 1000)


def twin_of(digest: bytes, mark: int = 0xFF) -> bytes:
    """Another digest that ends alike."""
    return bytes([mark]) + digest[1:]


def newer(desk: Desk, digest: bytes) -> Order:
    return changed(desk.orders[digest], expiry=FAR + len(desk.orders))


def place(desk: Desk, order: Order, digest: bytes) -> list[AnyEvent]:
    desk.orders[digest] = order
    return desk.apply(Place(desk.now_ms, order, SIGNATURE, digest))


def require_refused(desk: Desk, act) -> None:
    """Refused with nothing changed; by an engine that was restored, and by one that replays, just the same."""
    before, number = desk.engine.state_hash(), len(desk.commands)
    restored = Engine.restore(desk.engine.snapshot())
    (event,) = of_type(act(), OrderRejected)
    assert (event.code, event.field, event.allowed) == ("ORDER_NAME_TAKEN", "expiry", "any other expiry")
    assert "32 bits" in event.detail
    assert desk.engine.state_hash() == before
    (command,) = desk.commands[number:]
    assert of_type(restored.apply(command), OrderRejected) == [event]
    assert replayed(desk).state_hash() == before


def replayed(desk: Desk) -> Engine:
    engine = Engine()
    for command in desk.commands:
        engine.apply(command)
    return engine


def test_a_replacement_has_a_name_of_its_own() -> None:
    desk = Desk()
    first, _ = desk.sell(ALICE, 10, 100)
    require_refused(desk, lambda: desk.replace(first, newer(desk, first), digest=twin_of(first))[1])
    second, events = desk.replace(first, newer(desk, first))
    assert of_type(events, OrderAccepted)
    third, _ = desk.replace(second, newer(desk, second))
    for earlier in (first, second, third):
        require_refused(desk, lambda taken=earlier: desk.replace(third, newer(desk, third), digest=twin_of(taken))[1])


def test_a_leg_of_a_pair_has_a_name_of_its_own() -> None:
    desk = Desk()
    target, _ = desk.sell(ALICE, 10, 110)
    nonce = desk.orders[target].nonce
    stop = desk.order(ALICE, Side.SELL, 10, 90, nonce=nonce, condition=STOP)
    require_refused(desk, lambda: place(desk, stop, twin_of(target)))
    leg, events = desk.send(stop)
    assert of_type(events, OrderAccepted)
    for taken in (target, leg):
        require_refused(desk, lambda one=taken: desk.replace(target, newer(desk, target), digest=twin_of(one))[1])
        require_refused(desk, lambda one=taken: desk.replace(leg, newer(desk, leg), digest=twin_of(one))[1])


def test_the_name_of_a_leg_that_is_gone_is_not_free_while_the_nonce_lives() -> None:
    desk = Desk()
    target, _ = desk.sell(ALICE, 10, 110)
    nonce = desk.orders[target].nonce
    leg, _ = desk.sell(ALICE, 10, 90, nonce=nonce, condition=STOP, expiry=FAR - 1000)
    desk.now_ms = (FAR - 1000) * 1000
    desk.expire()
    assert (desk.view(leg).status, desk.view(target).status) == ("EXPIRED", "OPEN")
    require_refused(desk, lambda: desk.replace(target, newer(desk, target), digest=twin_of(leg))[1])
    other = desk.order(ALICE, Side.SELL, 10, 91, nonce=nonce, condition=STOP)
    require_refused(desk, lambda: place(desk, other, twin_of(leg)))


@pytest.mark.parametrize("account", [ALICE, BOB])
def test_orders_of_other_nonces_may_end_alike(account: bytes) -> None:
    desk = Desk()
    first, _ = desk.sell(ALICE, 10, 100)
    assert of_type(place(desk, desk.order(account, Side.SELL, 10, 100), twin_of(first)), OrderAccepted)


def matched() -> tuple[Desk, Traded]:
    desk = Desk()
    desk.sell(BOB, 4, 100)
    return desk, of_type(desk.buy(ALICE, 4, 100)[1], Traded)[0]


def settled(trade: Traded, maker_order: bytes) -> FillSettled:
    moved = (trade.taker_is_buyer, trade.price, trade.quantity, trade.maker_fee, trade.taker_fee)
    return FillSettled(BTC.symbol, 0, SettledTerms(maker_order, trade.taker_order, *moved))


def test_a_fill_is_ours_when_the_chain_names_our_orders() -> None:
    desk, trade = matched()
    assert desk.word(trade.maker_digest) == trade.maker_order
    assert of_type(desk.fact(settled(trade, trade.maker_order)), FillVoided) == []
    assert desk.engine.free_nonces(BOB, 1, ()) == [trade.maker_nonce + 1]


@pytest.mark.parametrize("part", ["account", "nonce", "tail"])
def test_a_fill_of_another_account_nonce_or_tail_is_somebody_elses(part: str) -> None:
    desk, trade = matched()
    others = {
        "account": order_word(ALICE, trade.maker_nonce, trade.maker_digest),
        "nonce": order_word(BOB, trade.maker_nonce + 1, trade.maker_digest),
        "tail": order_word(BOB, trade.maker_nonce, b"else"),
    }
    (voided,) = of_type(desk.fact(settled(trade, others[part])), FillVoided)
    assert voided.reason == SkipReason.VOIDED
    skipping, again = matched()
    skip = FillSkipped(BTC.symbol, 0, SkipReason.MAKER_CANCELLED, 1, others[part], again.taker_order)
    (voided,) = of_type(skipping.fact(skip), FillVoided)
    assert voided.reason == SkipReason.VOIDED
    assert Engine.restore(desk.engine.snapshot()).state_hash() == desk.engine.state_hash()
