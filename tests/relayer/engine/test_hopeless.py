"""Orders that anybody can send in an account's name again: foreseen without a command, and as it would end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_flow import Flow
from naive_exchange import ACCOUNTS
from random_actions import random_flow
from trading_desk import ALICE, BOB, BTC, CAROL, FAR, SIGNATURE, Desk, of_type

from cxdex.condition import Condition, Trigger
from cxdex.facts import EpochRaised, NonceRaised, SessionRevoked, SessionSet
from cxdex.order import Order, Side, SignatureKind, TimeInForce
from relayer.engine.commands import Expire, Place, Replace
from relayer.engine.events import OrderAccepted, OrderRejected

KEY = b"k" * 20


def foreseen(desk: Desk, digest: bytes, order: Order, replaces: bytes | None = None, **changes) -> str | None:
    """The code of the refusal. Asking changes nothing, and the command ends just so."""
    fields = (desk.now_ms, order, SIGNATURE, digest)
    command = Place(*fields, **changes) if replaces is None else Replace(*fields, **changes, replaces=replaces)
    desk.apply(Expire(desk.now_ms))  # what is due by now has happened
    before = desk.engine.state_hash()
    event = desk.engine.refused_at_once(command)
    assert desk.engine.state_hash() == before
    if event is None:
        return None
    assert desk.apply(command) == [event]
    return event.code


def forget(desk: Desk, *digests: bytes) -> None:
    """Until the engine knows none of these closed orders any more."""
    while any(desk.engine.order_state(digest) is not None for digest in digests):
        desk.buy(CAROL, 1, 1, time_in_force=TimeInForce.IOC)


def test_an_order_of_the_past_is_foreseen_however_it_ended() -> None:
    desk = Desk()
    filled, _ = desk.sell(ALICE, 5, 100)
    desk.buy(BOB, 5, 100)
    cancelled, _ = desk.buy(ALICE, 5, 90)
    desk.cancel(ALICE, cancelled)
    forget(desk, cancelled)
    assert foreseen(desk, cancelled, desk.orders[cancelled]) == "ORDER_NONCE_USED"
    assert foreseen(desk, filled, desk.orders[filled]) == "ORDER_NONCE_USED", "a fill of it is still on its way"
    assert foreseen(desk, cancelled, desk.orders[cancelled], filled) == "ORDER_NOT_OPEN"
    assert foreseen(desk, cancelled, desk.orders[cancelled], b"?" * 32) == "ORDER_UNKNOWN"
    desk.now_ms = (FAR + 1) * 1_000
    assert foreseen(desk, cancelled, desk.orders[cancelled]) == "ORDER_EXPIRED"


def test_what_is_still_to_be_decided_is_not_foreseen() -> None:
    """A balance, a busy lane and an open order of the nonce may all be otherwise when the command's turn comes."""
    desk = Desk(usdc=0)
    poor = desk.order(ALICE, Side.BUY, 5, 100)
    assert foreseen(desk, b"1" * 32, poor) is None
    resting, _ = desk.sell(ALICE, 5, 100)
    order = desk.orders[resting]
    again = desk.order(ALICE, Side.SELL, 4, 101, nonce=order.nonce)
    assert foreseen(desk, b"2" * 32, again, resting) is None
    assert foreseen(desk, b"2" * 32, again, b"on its way before" + bytes(15)) is None
    stop = desk.order(ALICE, Side.SELL, 5, 90, nonce=order.nonce, condition=Condition(Trigger.LAST_AT_OR_BELOW, 95, 0))
    assert foreseen(desk, b"3" * 32, stop) is None, "the other leg of a pair"


@pytest.mark.parametrize("replaces", [True, False])
def test_an_order_that_was_replaced_is_foreseen_while_its_nonce_lives(replaces: bool) -> None:
    desk = Desk()
    first, _ = desk.sell(ALICE, 5, 100)
    order = desk.orders[first]
    second, _ = desk.replace(first, desk.order(ALICE, Side.SELL, 5, 101, nonce=order.nonce))
    third, _ = desk.replace(second, desk.order(ALICE, Side.SELL, 5, 102, nonce=order.nonce))
    forget(desk, first, second)
    for digest in (first, second):
        code = foreseen(desk, digest, desk.orders[digest], third if replaces else None)
        assert code == ("ORDER_REPLACED_BEFORE" if replaces else "ORDER_NONCE_USED")
    assert [view.digest for view in desk.engine.open_orders(ALICE)] == [third]


def test_what_the_chain_has_cancelled_is_foreseen() -> None:
    desk = Desk()
    order = desk.order(ALICE, Side.SELL, 5, 100)
    assert foreseen(desk, b"1" * 32, order) is None
    desk.fact(NonceRaised(ALICE, 0, 7, desk.now_ms // 1000))
    assert foreseen(desk, b"1" * 32, order) == "ORDER_NONCE_USED"
    desk.fact(EpochRaised(ALICE, 1, desk.now_ms // 1000))
    assert foreseen(desk, b"1" * 32, order) == "ORDER_EPOCH_STALE"


def test_a_key_whose_session_has_ended_is_foreseen() -> None:
    desk = Desk()
    order = desk.order(ALICE, Side.SELL, 5, 100)
    words = {"kind": SignatureKind.SESSION, "signer": KEY}
    assert foreseen(desk, b"1" * 32, order, **words) == "SESSION_NOT_LIVE"
    desk.fact(SessionSet(ALICE, KEY, BTC.symbol, 10**12, FAR + 10))
    assert foreseen(desk, b"1" * 32, order, **words) is None
    desk.fact(SessionRevoked(ALICE, KEY))
    assert foreseen(desk, b"1" * 32, order, **words) == "SESSION_NOT_LIVE"


def test_a_stranger_is_foreseen_and_leaves_nothing_behind() -> None:
    desk = Desk()
    order = desk.order(b"\x77" * 20, Side.SELL, 5, 100)
    assert foreseen(desk, b"1" * 32, order) == "BALANCE_INSUFFICIENT"
    assert of_type(desk.events[-1], OrderRejected)
    assert not desk.engine.knows(b"\x77" * 20)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_whatever_was_accepted_and_is_over_is_foreseen_and_whatever_is_foreseen_is_refused(seed: int) -> None:
    both = Flow()
    for action in random_flow(seed, 80):
        both.step(action)
    desk = both.desk
    desk.apply(Expire(desk.now_ms))
    accepted = [event for events in desk.events for event in of_type(events, OrderAccepted)]
    live = {view.digest for who in ACCOUNTS for view in desk.engine.open_orders(who)}
    for event in accepted:
        again = Place(desk.now_ms, event.order, event.signature, event.digest, None, event.kind, event.signer)
        before = desk.engine.state_hash()
        refused = desk.engine.refused_at_once(again)
        replacing = Replace(*(getattr(again, name) for name in Place.__struct_fields__), replaces=b"?" * 32)
        for foreseen_now in (refused, desk.engine.refused_at_once(replacing)):
            assert (foreseen_now is not None) or event.digest in live
        assert desk.engine.state_hash() == before
        if refused is not None:
            assert desk.engine.apply(again) == [refused]
