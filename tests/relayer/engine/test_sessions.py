"""Session keys and contract wallets in the engine: who may sign, for how much, and what ends it."""

from __future__ import annotations

import pytest
from trading_desk import ALICE, BOB, BTC, ETH, FAR, START_MS, Desk, of_type

from cxdex.batch import SkipReason
from cxdex.facts import Fact, FillSettled, FillSkipped, SessionRevoked, SessionSet, SessionUsed
from cxdex.order import SignatureKind
from relayer.engine.core import Engine
from relayer.engine.events import OrderAccepted, OrderClosed, OrderRejected

KEY, OTHER = b"k" * 20, b"o" * 20
LIMIT = 1_000_000


def session(market: str | None = None, notional: int = LIMIT, expiry: int = FAR, key: bytes = KEY) -> SessionSet:
    return SessionSet(ALICE, key, market, notional, expiry)


def desk_with(*facts: Fact) -> Desk:
    desk = Desk()
    for fact in facts:
        desk.fact(fact)
    return desk


def refused(events: list) -> str:
    (event,) = events
    assert isinstance(event, OrderRejected)
    return event.code


def closed(events: list) -> list[tuple[bytes, str]]:
    return [(event.digest, event.reason) for event in of_type(events, OrderClosed)]


def available(desk: Desk, key: bytes = KEY) -> int:
    return next(view.available for view in desk.engine.sessions(ALICE) if view.key == key)


def test_a_key_signs_for_the_account_that_named_it() -> None:
    desk = desk_with(session())
    _, events = desk.buy(ALICE, 10, 100, signer=KEY)
    accepted = of_type(events, OrderAccepted)[0]
    assert (accepted.kind, accepted.signer) == (SignatureKind.SESSION, KEY)
    assert refused(desk.buy(BOB, 10, 100, signer=KEY)[1]) == "SESSION_NOT_LIVE"
    assert refused(desk.buy(ALICE, 10, 100, signer=OTHER)[1]) == "SESSION_NOT_LIVE"


@pytest.mark.parametrize(
    ("given", "code", "allowed"),
    [
        (session(market=ETH.symbol), "SESSION_MARKET_REFUSED", ETH.symbol),
        (session(expiry=FAR - 1), "SESSION_TOO_SHORT", f"at most {FAR - 1}"),
        (session(expiry=START_MS // 1000), "SESSION_NOT_LIVE", None),
        (session(notional=999), "SESSION_LIMIT_EXCEEDED", "0.000999 USDC"),
    ],
)
def test_what_a_session_does_not_allow_is_refused(given: SessionSet, code: str, allowed: str | None) -> None:
    desk = desk_with(given)
    before = desk.engine.state_hash()
    (event,) = desk.buy(ALICE, 10, 100, signer=KEY)[1]
    assert event.code == code
    assert allowed is None or event.allowed == allowed
    assert desk.engine.state_hash() == before


def test_attack_17_open_orders_and_matched_fills_share_one_limit() -> None:
    desk = desk_with(session(market=BTC.symbol, notional=3_000))
    desk.sell(BOB, 10, 100)
    desk.buy(ALICE, 10, 100, signer=KEY)  # matched: 1,000
    resting, _ = desk.buy(ALICE, 10, 100, signer=KEY)  # open: 1,000
    assert available(desk) == 1_000
    assert refused(desk.buy(ALICE, 11, 100, signer=KEY)[1]) == "SESSION_LIMIT_EXCEEDED"
    desk.cancel(ALICE, resting)
    assert available(desk) == 2_000
    desk.fact(SessionUsed(ALICE, KEY, 2_000))
    desk.fact(FillSettled(BTC.symbol, 0))
    assert available(desk) == 2_000
    assert [(view.left, view.market) for view in desk.engine.sessions(ALICE)] == [(2_000, BTC.symbol)]


def test_attack_17_a_seller_is_counted_at_the_price_that_he_would_get() -> None:
    desk = desk_with(session(notional=1_999))
    desk.buy(BOB, 10, 200)
    assert refused(desk.sell(ALICE, 10, 1, signer=KEY)[1]) == "SESSION_LIMIT_EXCEEDED"
    desk.fact(session(notional=2_000 + 5))
    _, events = desk.sell(ALICE, 15, 1, signer=KEY)
    assert of_type(events, OrderAccepted)
    assert available(desk) == 0


def test_a_skipped_fill_gives_its_notional_back() -> None:
    desk = desk_with(session(notional=1_000))
    desk.sell(BOB, 10, 100)
    desk.buy(ALICE, 10, 100, signer=KEY)
    assert available(desk) == 0
    desk.fact(FillSkipped(BTC.symbol, 0, SkipReason.MAKER_EXPIRED))
    assert available(desk) == 1_000


def test_attack_17_revoking_a_key_closes_what_it_signed_and_nothing_else() -> None:
    desk = desk_with(session(), session(key=OTHER))
    mine, _ = desk.buy(ALICE, 1, 10)
    keys, _ = desk.buy(ALICE, 1, 10, signer=KEY)
    others, _ = desk.buy(ALICE, 1, 10, signer=OTHER)
    assert closed(desk.fact(SessionRevoked(ALICE, KEY))) == [(keys, "SESSION_REVOKED")]
    assert {view.digest for view in desk.engine.open_orders(ALICE)} == {mine, others}
    assert [view.key for view in desk.engine.sessions(ALICE)] == [OTHER]
    assert refused(desk.buy(ALICE, 1, 10, signer=KEY)[1]) == "SESSION_NOT_LIVE"


@pytest.mark.parametrize(
    ("change", "reason"),
    [(session(market=ETH.symbol), "SESSION_CHANGED"), (session(expiry=FAR - 1), "SESSION_CHANGED")],
)
def test_attack_17_a_session_that_is_set_anew_closes_what_it_no_longer_allows(change: SessionSet, reason: str) -> None:
    desk = desk_with(session())
    order, _ = desk.buy(ALICE, 1, 10, signer=KEY)
    assert closed(desk.fact(change)) == [(order, reason)]


def test_attack_17_a_lowered_limit_closes_the_newest_orders_that_it_no_longer_covers() -> None:
    desk = desk_with(session())
    oldest, _ = desk.buy(ALICE, 10, 100, signer=KEY)
    middle, _ = desk.buy(ALICE, 10, 99, signer=KEY)
    newest, _ = desk.buy(ALICE, 10, 98, signer=KEY)
    lowered = session(notional=1_000)
    assert closed(desk.fact(lowered)) == [(newest, "SESSION_LIMIT"), (middle, "SESSION_LIMIT")]
    assert [view.digest for view in desk.engine.open_orders(ALICE)] == [oldest]


def test_a_reorg_gives_a_session_its_old_terms_back_but_no_order() -> None:
    desk = desk_with(session(notional=5_000))
    desk.buy(ALICE, 10, 100, signer=KEY)
    before = desk.engine.sessions(ALICE)[0]
    desk.fact(SessionUsed(ALICE, KEY, 4_000), at=(50, 0))
    desk.fact(SessionRevoked(ALICE, KEY), at=(50, 1))
    assert desk.engine.open_orders(ALICE) == []
    desk.fact(SessionRevoked(ALICE, KEY), at=(50, 1), reverted=True)
    desk.fact(SessionUsed(ALICE, KEY, 4_000), at=(50, 0), reverted=True)
    after = desk.engine.sessions(ALICE)[0]
    assert (after.left, after.expiry, after.market) == (before.left, before.expiry, before.market)
    assert (after.available, desk.engine.open_orders(ALICE)) == (5_000, [])


def test_a_reorg_of_a_settled_fill_counts_it_as_matched_again() -> None:
    desk = desk_with(session(notional=3_000))
    desk.sell(BOB, 10, 100)
    desk.buy(ALICE, 10, 100, signer=KEY)
    desk.fact(SessionUsed(ALICE, KEY, 2_000), at=(50, 0))
    desk.fact(FillSettled(BTC.symbol, 0), at=(50, 1))
    desk.fact(FillSettled(BTC.symbol, 0), at=(50, 1), reverted=True)
    desk.fact(SessionUsed(ALICE, KEY, 2_000), at=(50, 0), reverted=True)
    (view,) = desk.engine.sessions(ALICE)
    assert (view.left, view.available) == (3_000, 2_000)


def test_a_fill_that_settles_closes_no_order_that_is_still_covered() -> None:
    desk = desk_with(session(notional=3_000))
    desk.sell(BOB, 10, 100)
    desk.buy(ALICE, 10, 100, signer=KEY)
    desk.buy(ALICE, 20, 100, signer=KEY)
    assert available(desk) == 0
    assert desk.fact(SessionUsed(ALICE, KEY, 2_000)) == []
    assert desk.fact(FillSettled(BTC.symbol, 0)) == []
    assert (available(desk), len(desk.engine.open_orders(ALICE))) == (0, 1)


def test_a_limit_that_was_used_elsewhere_closes_orders_with_the_next_fill() -> None:
    """After six silent hours anybody may settle fills that this engine never made."""
    desk = desk_with(session(notional=3_000))
    desk.sell(BOB, 10, 100)
    desk.buy(ALICE, 10, 100, signer=KEY)
    newest, _ = desk.buy(ALICE, 20, 100, signer=KEY)
    desk.fact(SessionUsed(ALICE, KEY, 1_000))
    assert closed(desk.fact(FillSettled(BTC.symbol, 0))) == [(newest, "SESSION_LIMIT")]


@pytest.mark.parametrize("reason", [SkipReason.MAKER_SIGNATURE, SkipReason.MAKER_SESSION_LIMIT])
def test_a_refused_signature_closes_all_that_this_signer_signed(reason: SkipReason) -> None:
    desk = desk_with(session(), session(key=OTHER))
    blamed, _ = desk.buy(ALICE, 10, 100, signer=KEY)
    also, _ = desk.buy(ALICE, 10, 99, signer=KEY)
    desk.buy(ALICE, 10, 98, signer=OTHER)
    desk.buy(ALICE, 10, 97)
    desk.sell(BOB, 1, 100)
    events = desk.fact(FillSkipped(BTC.symbol, 0, reason))
    if reason is SkipReason.MAKER_SIGNATURE:
        assert closed(events) == [(blamed, "SIGNATURE_REFUSED"), (also, "SIGNATURE_REFUSED")]
    else:
        assert closed(events) == [(blamed, "SESSION_LIMIT")]


def test_attack_13_a_wallet_that_refuses_its_own_signature_loses_its_orders_and_nobody_elses() -> None:
    desk = Desk()
    first, _ = desk.sell(ALICE, 10, 101, kind=SignatureKind.CONTRACT)
    second, _ = desk.buy(ALICE, 10, 100, kind=SignatureKind.CONTRACT)
    own, _ = desk.buy(ALICE, 10, 99)
    others, _ = desk.buy(BOB, 10, 99, kind=SignatureKind.CONTRACT)
    desk.sell(BOB, 1, 100)
    events = desk.fact(FillSkipped(BTC.symbol, 0, SkipReason.MAKER_SIGNATURE))
    assert closed(events) == [(first, "SIGNATURE_REFUSED"), (second, "SIGNATURE_REFUSED")]
    assert {view.digest for view in desk.engine.open_orders(ALICE)} == {own}
    assert {view.digest for view in desk.engine.open_orders(BOB)} == {others}


def test_a_blamed_taker_that_is_done_still_takes_its_signers_orders_along() -> None:
    desk = desk_with(session())
    resting, _ = desk.buy(ALICE, 1, 10, signer=KEY)
    desk.sell(BOB, 1, 100)
    taker, _ = desk.buy(ALICE, 1, 100, signer=KEY)
    assert desk.view(taker).status == "FILLED"
    assert closed(desk.fact(FillSkipped(BTC.symbol, 0, SkipReason.TAKER_SIGNATURE))) == [(resting, "SIGNATURE_REFUSED")]


def test_sessions_survive_a_restart() -> None:
    desk = desk_with(session(notional=9_000), SessionRevoked(ALICE, OTHER))
    desk.sell(BOB, 10, 100)
    desk.buy(ALICE, 25, 100, signer=KEY)
    restored = Engine.restore(desk.engine.snapshot())
    assert restored.sessions(ALICE) == desk.engine.sessions(ALICE)
    assert restored.state_hash() == desk.engine.state_hash()
    for engine in (restored, desk.engine):
        engine.apply(desk.commands[-1])
    assert restored.state_hash() == desk.engine.state_hash()
    assert available(desk) == 9_000 - 2_500
