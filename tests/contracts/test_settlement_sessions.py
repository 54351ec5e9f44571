"""Session keys: a second key that signs orders within limits, until it is revoked, and can do nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from cxdex.batch import MatchedFill, Role, SkipReason, encode_settle_batch, pack_market_entry, pack_order_entry
from cxdex.eip712 import market_hash
from cxdex.order import SignatureKind, SignedOrder, TimeInForce
from tests.contracts.settlement_desk import (
    BTC,
    CANCEL_ALL,
    CASH,
    ETH,
    HOUR,
    NOW,
    REVOKE_SESSION,
    SBTC,
    SET_SESSION,
    STRANGER,
    USDC,
    Desk,
    RevertedError,
    Trader,
    batch,
    order_word,
)
from tests.contracts.settlement_events import Event

RICH = 1_000_000 * USDC
MAX_NOTIONAL = 2**96 - 1


@pytest.fixture(scope="session")
def key() -> Trader:
    return Trader.named("session key")


def assert_reverts(code: str, desk: Desk, caller: str, signature: str, *values: Any) -> None:
    with pytest.raises(RevertedError) as reverted:
        desk.call(caller, signature, *values)
    assert reverted.value.code == code


def reason_of(event: Event) -> SkipReason | None:
    return None if event.name == "Fill" else SkipReason(event.fields["reason"])


def used(desk: Desk) -> list[int]:
    """What each key of the last batch has left."""
    return [event.fields["notionalLeft"] for event in desk.events() if event.name == "SessionUsed"]


# ---------------------------------------------------------------- making and ending one


def test_a_session_is_what_its_owner_said(desk: Desk, alice: Trader, key: Trader) -> None:
    (event,) = desk.set_session(alice, key, 5_000, BTC, NOW + 7)
    assert event.name == "SessionSet"
    assert event.fields == {
        "account": alice.address,
        "key": key.address,
        "market": market_hash(BTC),
        "notional": 5_000,
        "expiry": NOW + 7,
    }
    assert desk.session(alice, key) == (1, 5_000, NOW + 7)
    desk.set_session(alice, key, MAX_NOTIONAL, "", 2**40 - 1)  # in place of the first
    assert desk.session(alice, key) == (0, MAX_NOTIONAL, 2**40 - 1)
    (event,) = desk.call(alice.address, REVOKE_SESSION, key.address)
    assert (event.name, event.fields) == ("SessionRevoked", {"account": alice.address, "key": key.address})
    assert desk.session(alice, key) == (0, 0, 0)
    assert_reverts("S:KEY", desk, alice.address, REVOKE_SESSION, key.address)


def test_a_session_that_makes_no_sense_is_refused(desk: Desk, alice: Trader, key: Trader) -> None:
    good = [key.address, bytes(32), 1, NOW + 1]
    desk.call(alice.address, SET_SESSION, *good)
    for place, value, code in (
        (0, "0x" + "00" * 20, "S:KEY"),
        (0, alice.address, "S:KEY"),
        (1, market_hash("sXAU-USDC"), "S:MARKET"),
        (2, 0, "S:LIMIT"),
        (2, MAX_NOTIONAL + 1, "S:LIMIT"),
        (2, 2**256 - 1, "S:LIMIT"),
        (3, NOW, "S:EXPIRY"),
        (3, 0, "S:EXPIRY"),
        (3, 2**40, "S:EXPIRY"),
        (3, 2**256 - 1, "S:EXPIRY"),
    ):
        wrong = list(good)
        wrong[place] = value
        assert_reverts(code, desk, alice.address, SET_SESSION, *wrong)


def test_a_session_belongs_to_its_maker(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    desk.set_session(alice, key)
    assert desk.session(bob, key) == (0, 0, 0)
    for caller in (bob.address, key.address, STRANGER):
        assert_reverts("S:KEY", desk, caller, REVOKE_SESSION, key.address)
    desk.set_session(bob, key, 7)  # one key, two accounts, two limits
    assert desk.session(alice, key) == (0, 10**12, NOW + HOUR)
    assert desk.session(bob, key) == (0, 7, NOW + HOUR)


# ---------------------------------------------------------------- trading


@pytest.mark.parametrize("market", ["", BTC])
def test_a_session_key_trades_for_its_account(desk: Desk, alice: Trader, bob: Trader, key: Trader, market: str) -> None:
    desk.set_session(alice, key, 10_000, market)
    ask = desk.sell(alice, 10, 500, session=key)
    event = desk.fill(ask, desk.buy(bob, 10, 500), 10)
    assert (event.name, event.fields["maker"]) == ("Fill", order_word(ask))
    (mark,) = [event for event in desk.events() if event.name == "SessionUsed"]
    assert mark.fields == {"account": alice.address, "key": key.address, "notionalLeft": 5_000}
    event = desk.fill(desk.sell(bob, 10, 500, seq=2), desk.buy(alice, 10, 500, seq=2, session=key), 4)
    assert (event.name, used(desk)) == ("Fill", [3_000])
    assert desk.session(alice, key) == (1 if market else 0, 3_000, NOW + HOUR)
    assert desk.balance(key, CASH) == desk.balance(key, SBTC) == 0


def test_the_accounts_own_order_uses_nothing_up(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    desk.set_session(alice, key, 10_000)
    desk.fill(desk.sell(alice, 10, 500), desk.buy(bob, 10, 500), 10)
    assert used(desk) == []
    assert desk.session(alice, key)[1] == 10_000


def test_both_sides_may_be_sessions(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    """Even of one key: the limits are each account's own."""
    desk.set_session(alice, key, 10_000)
    desk.set_session(bob, key, 6_000)
    desk.fill(desk.sell(alice, 10, 500, session=key), desk.buy(bob, 10, 500, session=key), 10)
    assert used(desk) == [5_000, 1_000]  # the maker's first


def test_an_order_of_a_session_rests_or_takes_as_it_says(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    desk.set_session(alice, key)
    rests = desk.sell(alice, 10, 500, tif=TimeInForce.POST_ONLY, session=key)
    takes = desk.sell(alice, 10, 500, tif=TimeInForce.IOC, session=key)
    bid = desk.buy(bob, 10, 500)
    for code, maker, taker in (("S:MAKER", takes, bid), ("S:TAKER", bid, rests)):
        with pytest.raises(RevertedError, match=code):
            desk.fill(maker, taker, 4)
    assert [event.name for event in desk.fills((rests, bid, 4), (bid, takes, 4))] == ["Fill", "Fill"]


def test_the_limit_is_met_to_the_unit(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    desk.set_session(alice, key, 5_000)
    ask = desk.sell(alice, 99, 500, session=key)
    assert reason_of(desk.fill(ask, desk.buy(bob, 99, 500), 11)) is SkipReason.MAKER_SESSION_LIMIT
    assert desk.session(alice, key)[1] == 5_000
    assert reason_of(desk.fill(ask, desk.buy(bob, 99, 500, seq=2), 10)) is None
    assert desk.session(alice, key)[1] == 0
    assert reason_of(desk.fill(desk.buy(bob, 99, 500, seq=3), ask, 2)) is SkipReason.TAKER_SESSION_LIMIT


def test_the_limit_is_used_up_across_fills_orders_and_batches(
    desk: Desk, alice: Trader, bob: Trader, carol: Trader, key: Trader
) -> None:
    """However the fills are arranged, the key trades 12,000 and not a unit more."""
    desk.set_session(alice, key, 12_000)
    one, two = (desk.sell(alice, 20, 500, lane=lane, session=key) for lane in (0, 1))
    bid, other = desk.buy(bob, 99, 500), desk.buy(carol, 99, 500)
    assert [reason_of(event) for event in desk.fills((one, bid, 4), (one, other, 4), (one, bid, 4))] == [None] * 3
    assert desk.session(alice, key)[1] == 6_000
    assert [reason_of(event) for event in desk.fills((two, bid, 4), (two, other, 8), (two, bid, 2))] == [
        None,
        None,
        SkipReason.MAKER_SESSION_LIMIT,
    ]
    assert desk.session(alice, key)[1] == 0


def test_two_orders_of_a_session_in_one_batch_share_its_limit(
    desk: Desk, alice: Trader, bob: Trader, key: Trader
) -> None:
    desk.set_session(alice, key, 10_000)
    one, two, three = (desk.sell(alice, 20, 500, lane=lane, session=key) for lane in (0, 1, 5))
    bid = desk.buy(bob, 99, 500)
    events = desk.fills((one, bid, 12), (two, bid, 8), (three, bid, 8))
    assert [reason_of(event) for event in events] == [None, None, SkipReason.MAKER_SESSION_LIMIT]
    assert desk.session(alice, key)[1] == 0


def test_a_session_as_maker_and_then_as_taker_shares_its_limit(
    desk: Desk, alice: Trader, bob: Trader, carol: Trader, key: Trader
) -> None:
    desk.set_session(alice, key, 10_000)
    events = desk.fills(
        (desk.sell(alice, 20, 500, session=key), desk.buy(bob, 20, 500), 12),
        (desk.sell(carol, 20, 500), desk.buy(alice, 20, 500, lane=1, session=key), 8),
        (desk.sell(carol, 20, 500, lane=1), desk.buy(alice, 20, 500, lane=2, session=key), 2),
    )
    assert [reason_of(event) for event in events] == [None, None, SkipReason.TAKER_SESSION_LIMIT]


def test_a_limit_that_is_too_small_skips_that_fill_alone(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    desk.set_session(alice, key, 5_000)
    ask, bid = desk.sell(alice, 99, 500, session=key), desk.buy(bob, 99, 500)
    other = desk.buy(bob, 99, 500, lane=1)
    events = desk.fills((ask, bid, 8), (ask, other, 4), (ask, bid, 2))
    assert [reason_of(event) for event in events] == [None, SkipReason.MAKER_SESSION_LIMIT, None]
    assert desk.session(alice, key)[1] == 0


def test_a_skipped_fill_uses_nothing_up(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    desk.set_session(alice, key, 10_000)
    poor = Trader.named("poor")
    ask = desk.sell(alice, 99, 500, session=key)
    assert reason_of(desk.fill(ask, desk.buy(poor, 9, 500), 4)) is SkipReason.BUYER_BALANCE
    assert used(desk) == []
    assert desk.session(alice, key)[1] == 10_000


# ---------------------------------------------------------------- attacks


def test_attack_17_a_session_that_is_no_longer_good(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    """Expired, revoked, shortened, of another market, of another account, never made: skipped, and nobody loses."""
    ask = desk.sell(alice, 99, 500, session=key, expiry=NOW + 10 * HOUR)
    seqs = iter(range(1, 99))

    def reason() -> SkipReason | None:
        return reason_of(desk.fill(ask, desk.buy(bob, 9, 500, seq=next(seqs), expiry=NOW + 10 * HOUR), 2))

    assert reason() is SkipReason.MAKER_SIGNATURE  # never made
    desk.set_session(bob, key)
    assert reason() is SkipReason.MAKER_SIGNATURE  # another account's
    desk.set_session(alice, key, market=ETH)
    assert reason() is SkipReason.MAKER_SIGNATURE  # another market's
    desk.set_session(alice, key, expiry=NOW + 100)
    assert reason() is None
    desk.set_time(NOW + 99)
    assert reason() is None
    desk.set_time(NOW + 100)
    assert reason() is SkipReason.MAKER_SIGNATURE  # from this second on
    desk.set_session(alice, key, expiry=NOW + HOUR)
    desk.set_session(alice, key, notional=1, expiry=NOW + HOUR)
    assert reason() is SkipReason.MAKER_SESSION_LIMIT  # shortened
    desk.set_session(alice, key, expiry=NOW + HOUR)
    assert reason() is None
    desk.call(alice.address, REVOKE_SESSION, key.address)
    assert reason() is SkipReason.MAKER_SIGNATURE  # in the very next transaction
    assert desk.lane(alice, 0) == (1, 6)
    assert desk.balance(alice, SBTC) == 100 * 10**18 - 6 * 10**14


def test_attack_17_as_taker(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    bid = desk.buy(bob, 9, 500, session=key)
    assert reason_of(desk.fill(desk.sell(alice, 9, 500), bid, 4)) is SkipReason.TAKER_SIGNATURE
    desk.set_session(bob, key, 1_999)
    assert reason_of(desk.fill(desk.sell(alice, 9, 500), bid, 4)) is SkipReason.TAKER_SESSION_LIMIT
    desk.set_session(bob, key, 2_000)
    assert reason_of(desk.fill(desk.sell(alice, 9, 500), bid, 4)) is None


def test_attack_17_what_a_stolen_session_key_can_lose(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    """As a buyer its notional. As a seller all that the account has of what it may trade: a sale for almost nothing
    has almost no notional, and no contract here knows what a synth is worth."""
    desk.set_session(alice, key, USDC, BTC)
    event = desk.fill(desk.sell(bob, 2, USDC // 2 + 1), desk.buy(alice, 2, USDC // 2 + 1, session=key), 2)
    assert reason_of(event) is SkipReason.TAKER_SESSION_LIMIT
    everything = desk.balance(alice, SBTC) // 10**14
    event = desk.fill(
        desk.sell(alice, everything, 1, seq=2, session=key), desk.buy(bob, everything, 1, seq=2), everything
    )
    assert (event.name, used(desk)) == ("Fill", [0])
    assert desk.balance(alice, SBTC) == 0
    assert desk.balance(alice, CASH) >= RICH  # and nothing of the rest


def test_attack_17_a_session_key_does_nothing_but_sign_orders(
    desk: Desk, alice: Trader, bob: Trader, key: Trader
) -> None:
    """No cancel, no epoch, no session and no balance of the account moves by the key's hand."""
    desk.set_session(alice, key)
    desk.call(key.address, CANCEL_ALL)
    desk.call(key.address, SET_SESSION, bob.address, bytes(32), 1, NOW + 1)
    assert desk.epoch(alice) == 0
    assert desk.session(alice, bob) == (0, 0, 0)
    for signature in ("credit(address,uint256,uint256)", "debit(address,uint256,uint256)"):
        assert_reverts("S:VAULT", desk, key.address, signature, alice.address, CASH, 1)
    assert desk.balance(alice, CASH) == RICH


def test_attack_17_the_kinds_are_not_each_others(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    """A session key's signature is not the account's, the account's is not a session key's, and its own key can be
    none."""
    desk.set_session(alice, key)
    by_key, by_account = desk.sell(alice, 9, 500, session=key), desk.sell(alice, 9, 500)
    bid = desk.buy(bob, 9, 500)
    with pytest.raises(RevertedError, match="S:SIG"):
        desk.fill(SignedOrder(by_key.order, by_key.signature, by_key.digest), bid, 4)
    turned = SignedOrder(by_account.order, by_account.signature, by_account.digest, SignatureKind.SESSION)
    assert reason_of(desk.fill(turned, bid, 4)) is SkipReason.MAKER_SIGNATURE


def test_a_session_signature_that_no_key_made_reverts(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    """The gateway never passes one on: an honest relayer cannot meet it."""
    desk.set_session(alice, key)
    broken = SignedOrder(desk.sell(alice, 9, 500).order, bytes(64) + b"\x1b", bytes(32), SignatureKind.SESSION)
    with pytest.raises(RevertedError, match="S:SIG"):
        desk.fill(broken, desk.buy(bob, 9, 500), 4)


def test_a_cancel_comes_before_a_session_that_ended(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    """The reasons have an order: cancelled, expired, signature, limit, balance."""
    desk.set_session(alice, key, 1)
    ask = desk.sell(alice, 9, 500, session=key, expiry=NOW + 600)
    poor = Trader.named("poor")
    bid = desk.buy(poor, 9, 500)
    assert reason_of(desk.fill(ask, bid, 4)) is SkipReason.MAKER_SESSION_LIMIT
    desk.call(alice.address, REVOKE_SESSION, key.address)
    assert reason_of(desk.fill(ask, bid, 4)) is SkipReason.MAKER_SIGNATURE
    desk.wait(600)
    assert reason_of(desk.fill(ask, bid, 4)) is SkipReason.MAKER_EXPIRED
    desk.kill(alice, ask.order.nonce)
    assert reason_of(desk.fill(ask, bid, 4)) is SkipReason.MAKER_CANCELLED


def test_a_session_of_one_market_ends_at_a_market_entry(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    desk.set_session(alice, key, 10**6, BTC)
    events = desk.fills(
        (desk.sell(alice, 9, 500, session=key), desk.buy(bob, 9, 500), 4),
        (desk.sell(alice, 9, 50, market=ETH, lane=1, session=key), desk.buy(bob, 9, 50, market=ETH, lane=1), 4),
        (desk.sell(alice, 9, 500, lane=2, session=key), desk.buy(bob, 9, 500, lane=2), 4),
    )
    assert [reason_of(event) for event in events] == [None, SkipReason.MAKER_SIGNATURE, None]
    assert desk.session(alice, key)[1] == 10**6 - 4_000


def test_a_session_order_without_a_fill_writes_nothing(desk: Desk, alice: Trader, key: Trader) -> None:
    desk.set_session(alice, key)
    entry = pack_order_entry(desk.sell(alice, 9, 500, session=key), Role.MAKER, 0)
    assert desk.settle_bytes(batch(pack_market_entry(BTC, 0), entry)) == []


def test_the_same_bytes_again_do_not_use_a_session_twice(desk: Desk, alice: Trader, bob: Trader, key: Trader) -> None:
    desk.set_session(alice, key)
    ask, bid = desk.sell(alice, 9, 500, session=key), desk.buy(bob, 9, 500)
    data = encode_settle_batch([MatchedFill(BTC, 0, ask, bid, 4)])
    desk.settle_bytes(data)
    with pytest.raises(RevertedError, match="S:SEQ"):
        desk.settle_bytes(data)
    assert desk.session(alice, key)[1] == 10**12 - 2_000
