"""When CORE is silent for six hours, anyone may settle what traders signed, by the same rules, until it is back."""

from __future__ import annotations

import pytest

from cxdex import eip712
from cxdex.batch import MatchedFill, Role, SkipReason, pack_market_entry, pack_order_entry
from cxdex.eip712 import market_hash
from cxdex.market import MarketStatus
from cxdex.order import Side, SignedOrder
from tests.contracts.raw_entries import Reverts
from tests.contracts.settlement_desk import (
    BTC,
    CASH,
    CORE,
    ENGINE,
    HOUR,
    NOW,
    REGISTRY,
    STRANGER,
    USDC,
    VAULT,
    Desk,
    RevertedError,
    Trader,
    batch,
)

SILENCE = 6 * HOUR
LATER = NOW + 30 * 24 * HOUR


@pytest.fixture
def fill(desk: Desk, alice: Trader, bob: Trader) -> MatchedFill:
    return MatchedFill(BTC, 0, desk.sell(alice, 10, 500, expiry=LATER), desk.buy(bob, 10, 500, expiry=LATER), 4)


def assert_refused(code: str, desk: Desk, fill: MatchedFill, caller: str) -> None:
    with pytest.raises(RevertedError) as reverted:
        desk.settle([fill], caller)
    assert reverted.value.code == code


def last_beat(desk: Desk) -> int:
    at: int = desk.read("lastBeat()")
    return at


def test_a_beat_is_told(desk: Desk) -> None:
    assert last_beat(desk) == 0
    desk.wait(17)
    (event,) = desk.call(CORE, "beat()")
    assert (event.name, event.fields) == ("Heartbeat", {"time": NOW + 17})
    assert last_beat(desk) == NOW + 17


@pytest.mark.parametrize("caller", [STRANGER, VAULT, REGISTRY, ENGINE])
def test_only_core_beats(desk: Desk, caller: str) -> None:
    with pytest.raises(RevertedError, match="S:CORE"):
        desk.call(caller, "beat()")
    assert last_beat(desk) == 0


def test_before_the_first_beat_nobody_else_ever_settles(desk: Desk, fill: MatchedFill) -> None:
    desk.set_time(LATER - 1)
    assert_refused("S:CORE", desk, fill, STRANGER)
    assert desk.settle([fill])[0].name == "Fill"


@pytest.mark.parametrize(("waited", "open_to_all"), [(0, False), (SILENCE, False), (SILENCE + 1, True)])
def test_anyone_settles_after_six_hours_of_silence(
    desk: Desk, fill: MatchedFill, alice: Trader, waited: int, open_to_all: bool
) -> None:
    desk.call(CORE, "beat()")
    desk.wait(waited)
    if not open_to_all:
        assert_refused("S:CORE", desk, fill, STRANGER)
        return
    (event,) = desk.settle([fill], STRANGER)
    assert event.name == "Fill"
    assert desk.balance(alice, CASH) == 1_000_000 * USDC + 2_000 - 5


def test_core_settles_throughout(desk: Desk, fill: MatchedFill) -> None:
    desk.call(CORE, "beat()")
    desk.wait(SILENCE + 1)
    assert desk.settle([fill])[0].name == "Fill"


def test_settling_is_no_beat_and_a_beat_closes_the_door(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.call(CORE, "beat()")
    desk.wait(SILENCE + 1)
    fills = [
        MatchedFill(BTC, i, desk.sell(alice, 9, 50, seq=i, expiry=LATER), desk.buy(bob, 9, 50, seq=i, expiry=LATER), 4)
        for i in range(4)
    ]
    desk.settle([fills[0]], STRANGER)
    desk.settle([fills[1]])  # CORE settles again, but has not said that it stays
    desk.settle([fills[2]], STRANGER)
    desk.call(CORE, "beat()")
    assert_refused("S:CORE", desk, fills[3], STRANGER)


def test_anyone_is_held_to_the_same_rules(desk: Desk, alice: Trader, bob: Trader, carol: Trader) -> None:
    """A stranger cannot fill beyond a limit, a quantity or a balance, without a signature or out of order, cannot
    settle a paused market, and cannot void."""
    desk.call(CORE, "beat()")
    desk.wait(SILENCE + 1)
    ask, bid = desk.sell(alice, 10, 500, expiry=LATER), desk.buy(bob, 10, 500, expiry=LATER)
    dear = desk.sell(alice, 10, 501, lane=1, expiry=LATER)
    forged = desk.sell(carol, 10, 500, account=alice.account, expiry=LATER)
    poor = desk.buy(Trader.named("poor"), 10, 500, expiry=LATER)
    late = desk.sell(alice, 10, 500, lane=2, expiry=NOW + SILENCE)
    for code, refused in (
        ("S:PRICE", MatchedFill(BTC, 0, dear, bid, 4)),
        ("S:OVERFILL", MatchedFill(BTC, 0, ask, bid, 11)),
        ("S:SIG", MatchedFill(BTC, 0, forged, bid, 4)),
        ("S:SEQ", MatchedFill(BTC, 1, ask, bid, 4)),
        ("S:LOTS", MatchedFill(BTC, 0, ask, bid, 1)),
    ):
        assert_refused(code, desk, refused, STRANGER)
    events = desk.settle([MatchedFill(BTC, 0, ask, poor, 4), MatchedFill(BTC, 1, late, bid, 4)], STRANGER)
    assert [event.fields["reason"] for event in events] == [SkipReason.BUYER_BALANCE, SkipReason.MAKER_EXPIRED]
    with pytest.raises(RevertedError, match="S:CORE"):
        desk.call(STRANGER, "voidSequence(bytes32,uint256)", market_hash(BTC), 1)
    desk.set_status(BTC, MarketStatus.PAUSED)
    assert_refused("S:MARKET", desk, MatchedFill(BTC, 2, ask, bid, 4), STRANGER)


def test_attack_46_a_batch_from_anyone_else_in_time(desk: Desk, fill: MatchedFill, alice: Trader) -> None:
    """Until the timeout nobody but CORE settles; the last beat counts, not the first."""
    for _ in range(3):
        desk.call(CORE, "beat()")
        desk.wait(SILENCE - 1)
        for caller in (STRANGER, VAULT, REGISTRY, ENGINE, alice.address):
            assert_refused("S:CORE", desk, fill, caller)


@pytest.fixture(params=[None, "session key"])
def marketless(
    desk: Desk, alice: Trader, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> SignedOrder:
    """A buy of Alice's for the market whose hash is zero, which there is not; signed by her or by her session key."""
    key = None if request.param is None else Trader.named(request.param)
    if key is not None:
        desk.set_session(alice, key, expiry=LATER)
    with monkeypatch.context() as patched:
        patched.setattr(eip712, "market_hash", lambda _: bytes(32))
        return desk.buy(alice, 10, 500, expiry=LATER, session=key)


@pytest.mark.parametrize("role", [Role.MAKER, Role.TAKER])
def test_attack_98_an_order_ahead_of_the_first_market(
    desk: Desk, reverts: Reverts, marketless: SignedOrder, bob: Trader, role: Role
) -> None:
    """It was loaded without a market: without its fee, and as if its account held nothing of the base. If it stayed in
    its cursor, it would trade for no fee, what it buys would replace what its account has, and an indexer, which adds,
    would halt at that account's next deposit."""
    desk.call(CORE, "beat()")
    desk.wait(SILENCE + 1)
    sale = desk.order(bob, Side.SELL, 10, 500, expiry=LATER)
    ahead = pack_order_entry(marketless, role, 0)
    other = pack_order_entry(sale, Role(1 - role), 10)
    reverts("S:SIDE", desk.settle_bytes, batch(ahead, pack_market_entry(BTC, 0), other), STRANGER)
    assert desk.settle_bytes(batch(ahead, pack_market_entry(BTC, 0)), STRANGER) == []
