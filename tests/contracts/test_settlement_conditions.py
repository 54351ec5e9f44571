"""Orders that wait for a price: they trade once the oracle's history shows it, by every rule of any order.

What Triggers accepts as a proof is tested beside it (test_triggers.py); here, that Settlement asks it, with what was
signed and what the market is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cxdex.batch import MatchedFill, Role, SkipReason, encode_settle_batch, pack_market_entry, pack_order_entry
from cxdex.condition import Condition, Trigger
from cxdex.eip712 import order_digest
from cxdex.order import Order, OrderType, SelfTrade, Side, SignatureKind, SignedOrder, TimeInForce
from cxdex.signature import sign_digest
from tests.contracts.raw_entries import Reverts, entry
from tests.contracts.settlement_desk import (
    BTC,
    CASH,
    CORE,
    ETH,
    HOUR,
    NOW,
    SBTC,
    SETH,
    USDC,
    Desk,
    RevertedError,
    Trader,
    batch,
    order_word,
)

RICH = 1_000_000 * USDC
TICK = 10**4  # of the index price: a tick of sBTC-USDC is 0.01 USDC a whole synth
T = NOW - 500
STOP = Condition(Trigger.INDEX_AT_OR_BELOW, 490, T)
TRAIL = Condition(Trigger.INDEX_FALLS_BY, 20, T)
PRICES = {T - 10: 480, T: 500, T + 10: 510, T + 20: 490}  # in ticks


@pytest.fixture
def priced(desk: Desk) -> Desk:
    for time, ticks in PRICES.items():
        desk.publish(ticks * TICK, time=time)
    return desk


def stop(desk: Desk, trader: Trader, **changes: Any) -> SignedOrder:
    """A sale of 10 lots at 480 or more once the index is at 490 or less, with its proof."""
    given: dict[str, Any] = {"condition": STOP, "proof": (T + 20, 0), "quantity": 10, "price": 480}
    return desk.sell(trader, **(given | changes))


# ---------------------------------------------------------------- it trades when it may


def test_a_proven_stop_trades(priced: Desk, alice: Trader, bob: Trader) -> None:
    bid = priced.buy(bob, 10, 485)
    event = priced.fill(bid, stop(priced, alice), 10)
    waiting = stop(priced, alice)
    assert (event.name, event.fields["taker"]) == ("Fill", order_word(waiting))
    assert waiting.digest == order_digest(priced.domain, waiting.order)
    assert priced.balance(alice, CASH) == RICH + 4_850 - 13
    assert priced.balance(bob, SBTC) == 100 * 10**18 + 10**15
    assert priced.lane(alice, 0) == (1, 10)


def test_a_stop_limit_rests_and_is_the_maker(priced: Desk, alice: Trader, bob: Trader) -> None:
    """Proven anew in each batch that carries it; what it has filled is counted as ever."""
    resting = stop(priced, alice, tif=TimeInForce.GTD)
    assert [priced.fill(resting, priced.buy(bob, 4, 480, seq=seq), 4).name for seq in (1, 2)] == ["Fill", "Fill"]
    with pytest.raises(RevertedError, match="S:OVERFILL"):
        priced.fill(resting, priced.buy(bob, 4, 480, seq=3), 4)
    assert priced.lane(alice, 0) == (1, 8)


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("is_maker", [False, True])
def test_every_trigger_that_is_met(priced: Desk, alice: Trader, bob: Trader, trigger: Trigger, is_maker: bool) -> None:
    proofs = {
        Trigger.INDEX_AT_OR_ABOVE: (510, (T + 10, 0)),
        Trigger.INDEX_AT_OR_BELOW: (490, (T + 20, 0)),
        Trigger.INDEX_FALLS_BY: (20, (T + 10, T + 20)),
        Trigger.INDEX_RISES_BY: (10, (T, T + 10)),
    }
    ticks, proof = proofs.get(trigger, (1, (0, 0)))
    for side in Side:
        seq = 1 + side
        waiting = priced.order(alice, side, 10, 480, seq=seq, condition=Condition(trigger, ticks, T), proof=proof)
        plain = priced.order(bob, side.opposite, 10, 480, seq=seq)
        pair = (waiting, plain) if is_maker else (plain, waiting)
        assert priced.fill(*pair, 10).name == "Fill"


def test_both_sides_may_wait(priced: Desk, alice: Trader, bob: Trader) -> None:
    condition = Condition(Trigger.INDEX_AT_OR_ABOVE, 505, T)
    bid = priced.buy(bob, 10, 480, condition=condition, proof=(T + 10, 0))
    assert priced.fill(bid, stop(priced, alice), 10).name == "Fill"


def test_every_word_of_a_conditional_order_is_hashed_as_signed(priced: Desk, alice: Trader, bob: Trader) -> None:
    words = [(OrderType.LIMIT, tif) for tif in TimeInForce if tif is not TimeInForce.POST_ONLY]
    words += [(OrderType.MARKET, TimeInForce.IOC), (OrderType.MARKET, TimeInForce.FOK)]
    seq = 0
    for kind, tif in words:
        for self_trade in SelfTrade:
            seq += 1
            waiting = stop(priced, alice, quantity=2, seq=seq, kind=kind, tif=tif, self_trade=self_trade)
            assert priced.fill(priced.buy(bob, 2, 480, seq=seq), waiting, 2).name == "Fill"
    seq += 1
    resting = stop(priced, alice, quantity=2, seq=seq, tif=TimeInForce.POST_ONLY, reduce_only=True, max_collateral=7)
    assert priced.fill(resting, priced.buy(bob, 2, 480, seq=seq), 2).name == "Fill"


def test_markets_of_one_batch_are_judged_by_their_own_terms(priced: Desk, alice: Trader, bob: Trader) -> None:
    """A tick of sETH-USDC is 0.01 USDC too, in other lots; its index is another asset's."""
    priced.publish(300 * TICK, asset=SETH, time=T + 5)
    eth = Condition(Trigger.INDEX_AT_OR_BELOW, 300, T)
    sold = priced.sell(alice, 10, 290, market=ETH, lane=1, condition=eth, proof=(T + 5, 0))
    matches = [
        (priced.buy(bob, 10, 485), stop(priced, alice), 10),
        (priced.buy(bob, 10, 290, market=ETH, lane=1), sold, 10),
    ]
    assert [event.name for event in priced.fills(*matches)] == ["Fill", "Fill"]


def test_a_proof_is_good_for_ever(priced: Desk, alice: Trader, bob: Trader) -> None:
    """The price has come back since: a triggered order stays triggered."""
    priced.publish(530 * TICK)
    priced.wait(20 * 24 * HOUR)
    late = {"expiry": priced.now + HOUR}
    assert priced.fill(priced.buy(bob, 10, 485, **late), stop(priced, alice, **late), 10).name == "Fill"


# ---------------------------------------------------------------- the rules of any order


def test_what_stops_any_order_stops_it(priced: Desk, alice: Trader, bob: Trader, carol: Trader) -> None:
    expired = stop(priced, carol, expiry=NOW)
    assert priced.fill(priced.buy(bob, 10, 485), expired, 4).fields["reason"] == SkipReason.TAKER_EXPIRED
    cancelled = stop(priced, alice)
    priced.kill(alice, cancelled.order.nonce)
    event = priced.fill(priced.buy(bob, 10, 485), cancelled, 4)
    assert (event.name, event.fields["reason"]) == ("FillSkipped", SkipReason.TAKER_CANCELLED)


def test_it_trades_inside_its_limit_and_its_side(priced: Desk, reverts: Reverts, alice: Trader, bob: Trader) -> None:
    reverts("S:PRICE", priced.fill, priced.buy(bob, 10, 479), stop(priced, alice), 4)
    reverts("S:SIDE", priced.fill, priced.sell(bob, 10, 480), stop(priced, alice), 4)
    reverts("S:OVERFILL", priced.fill, priced.buy(bob, 20, 480), stop(priced, alice), 11)
    reverts("S:MAKER", priced.fill, stop(priced, alice, tif=TimeInForce.IOC), priced.buy(bob, 10, 480), 4)
    reverts("S:TAKER", priced.fill, priced.buy(bob, 10, 480), stop(priced, alice, tif=TimeInForce.POST_ONLY), 4)


def test_its_fee_is_capped_as_signed(priced: Desk, alice: Trader, bob: Trader) -> None:
    priced.fill(priced.buy(bob, 10, 485), stop(priced, alice, max_fee_bps=1), 10)
    assert priced.balance(alice, CASH) == RICH + 4_850


# ---------------------------------------------------------------- who signed


def test_a_session_key_signs_conditional_orders_within_its_limit(priced: Desk, alice: Trader, bob: Trader) -> None:
    key = Trader.named("session key")
    priced.set_session(alice, key, notional=4_850)
    assert priced.fill(priced.buy(bob, 20, 485), stop(priced, alice, session=key), 10).name == "Fill"
    again = stop(priced, alice, session=key, seq=2)
    skipped = priced.fill(priced.buy(bob, 20, 485), again, 10)
    assert skipped.fields["reason"] == SkipReason.TAKER_SESSION_LIMIT
    unknown = stop(priced, alice, session=Trader.named("somebody"), seq=2)
    assert priced.fill(priced.buy(bob, 20, 485), unknown, 10).fields["reason"] == SkipReason.TAKER_SIGNATURE


@pytest.mark.parametrize("extra", [0, 63, 64, 300, 1024 - 65])
def test_a_contract_wallet_signs_conditional_orders(
    priced: Desk, bytecode_of: Callable[[str], bytes], alice: Trader, bob: Trader, extra: int
) -> None:
    """The condition stands before the wallet's signature, whatever its length."""
    address = priced.deploy(bytecode_of("SignerWallet"), "address", alice.address)
    priced.fund(address, SBTC, 10**18)
    waiting = stop(priced, alice, wallet=bytes.fromhex(address[2:]), padding=b"\7" * extra)
    event = priced.fill(priced.buy(bob, 20, 485), waiting, 10)
    assert (event.name, event.fields["taker"]) == ("Fill", order_word(waiting))
    refused = replace(waiting, signature=waiting.signature[:64] + bytes((waiting.signature[64] ^ 7,)) + b"\7" * extra)
    skipped = priced.fill(priced.buy(bob, 20, 485), refused, 10)
    assert skipped.fields["reason"] == SkipReason.TAKER_SIGNATURE


def test_only_its_account_signs_it(priced: Desk, reverts: Reverts, alice: Trader, bob: Trader) -> None:
    forged = stop(priced, Trader.named("mallory"), account=alice.account)
    reverts("S:SIG", priced.fill, priced.buy(bob, 10, 485), forged, 4)
    low, high = int.from_bytes(bytes(31) + b"\1", "big"), 2**255 - 1
    malleable = entry(stop(priced, alice), Role.TAKER)
    packed = malleable[:64] + low.to_bytes(32, "big") + high.to_bytes(32, "big") + malleable[128:]
    reverts("S:SIG", priced.settle_bytes, batch(pack_market_entry(BTC, 0), packed))


def test_a_quantity_that_a_lane_cannot_count_is_refused(priced: Desk, reverts: Reverts, alice: Trader) -> None:
    order = replace(stop(priced, alice).order)
    object.__setattr__(order, "quantity", 2**39)
    digest = order_digest(priced.domain, order)
    signed = SignedOrder(order, sign_digest(alice.key, digest), digest, proof=(T + 20, 0))
    reverts("S:SIG", priced.settle_bytes, batch(pack_market_entry(BTC, 0), entry(signed, Role.TAKER)))


# ---------------------------------------------------------------- its bytes


def test_the_condition_is_no_entry(priced: Desk, reverts: Reverts, alice: Trader) -> None:
    """It is not counted, and never read as an order or a market."""
    data = batch(pack_market_entry(BTC, 0), pack_order_entry(stop(priced, alice), Role.TAKER, 0))
    assert priced.settle_bytes(data) == []
    reverts("S:LENGTH", priced.settle_bytes, data[:4] + (1).to_bytes(32, "big") + data[36:])
    reverts("S:LENGTH", priced.settle_bytes, data + bytes(128))


@pytest.mark.parametrize("cut", [1, 32, 127, 128])
def test_a_condition_is_not_cut_short(priced: Desk, reverts: Reverts, alice: Trader, cut: int) -> None:
    data = batch(pack_market_entry(BTC, 0), pack_order_entry(stop(priced, alice), Role.TAKER, 0))
    reverts("S:LENGTH", priced.settle_bytes, data[:-cut])


def test_an_order_before_any_market_is_judged_by_none(priced: Desk, reverts: Reverts, alice: Trader) -> None:
    packed = pack_order_entry(stop(priced, alice), Role.TAKER, 4)
    reverts("O:NONE", priced.settle_bytes, batch(packed))
    last = Condition(Trigger.LAST_AT_OR_BELOW, 490, T)
    packed = pack_order_entry(stop(priced, alice, condition=last, proof=(0, 0)), Role.TAKER, 4)
    reverts("S:SIG", priced.settle_bytes, batch(packed))


# ---------------------------------------------------------------- two legs of one nonce


def test_two_legs_never_sell_more_than_the_larger(priced: Desk, reverts: Reverts, alice: Trader, bob: Trader) -> None:
    """One cancels the other: a resting take-profit and a stop, two orders of one nonce and one count of fills."""
    profit = priced.sell(alice, 10, 520)
    leg = stop(priced, alice)
    assert profit.digest != leg.digest
    assert priced.fill(profit, priced.buy(bob, 6, 520), 6).name == "Fill"
    bid = priced.buy(bob, 20, 485, lane=1)
    reverts("S:OVERFILL", priced.fill, bid, leg, 5)
    assert priced.fill(bid, leg, 4).name == "Fill"
    reverts("S:OVERFILL", priced.fill, profit, priced.buy(bob, 6, 520, seq=2), 2)
    assert priced.lane(alice, 0) == (1, 10)
    assert priced.balance(alice, SBTC) == 100 * 10**18 - 10**15


def test_two_legs_share_their_count_inside_one_batch(
    priced: Desk, reverts: Reverts, alice: Trader, bob: Trader, carol: Trader
) -> None:
    profit, leg = priced.sell(alice, 10, 520), stop(priced, alice, tif=TimeInForce.GTC)
    dear, cheap = priced.buy(bob, 20, 520), priced.buy(carol, 20, 485)
    reverts("S:OVERFILL", priced.fills, (profit, dear, 6), (cheap, leg, 5))
    reverts("S:OVERFILL", priced.fills, (leg, cheap, 6), (profit, dear, 5))
    assert [event.name for event in priced.fills((profit, dear, 6), (cheap, leg, 4))] == ["Fill", "Fill"]
    assert priced.lane(alice, 0) == (1, 10)


def test_legs_of_different_size_fill_the_larger_at_most(
    priced: Desk, reverts: Reverts, alice: Trader, bob: Trader
) -> None:
    profit, leg = priced.sell(alice, 6, 520), stop(priced, alice)
    assert priced.fill(priced.buy(bob, 20, 485), leg, 8).name == "Fill"
    reverts("S:OVERFILL", priced.fill, profit, priced.buy(bob, 6, 520, seq=2), 2)
    assert priced.fill(priced.buy(bob, 20, 485, seq=3), leg, 2).name == "Fill"


def test_one_cancel_ends_both_legs(priced: Desk, alice: Trader, bob: Trader) -> None:
    profit, leg = priced.sell(alice, 10, 520), stop(priced, alice)
    priced.kill(alice, profit.order.nonce)
    cancelled = [priced.fill(profit, priced.buy(bob, 20, 520), 4), priced.fill(priced.buy(bob, 20, 485), leg, 4)]
    assert [event.fields["reason"] for event in cancelled] == [SkipReason.MAKER_CANCELLED, SkipReason.TAKER_CANCELLED]


# ---------------------------------------------------------------- attacks of a relayer


@pytest.mark.parametrize(
    ("condition", "proof", "code"),
    [
        (STOP, (0, 0), "X:EARLY"),  # no proof
        (STOP, (T - 10, 0), "X:EARLY"),  # it was low enough before the order
        (STOP, (T, 0), "X:UNMET"),
        (STOP, (T + 10, 0), "X:UNMET"),
        (STOP, (T + 19, 0), "X:PROOF"),
        (STOP, (T + 21, 0), "O:NONE"),
        (STOP, (T + 20, T + 20), "X:PROOF"),
        (TRAIL, (T + 20, T + 10), "X:ORDER"),
        (TRAIL, (T + 10, T + 21), "O:NONE"),
        (replace(TRAIL, trigger_price=21), (T + 10, T + 20), "X:UNMET"),
        (replace(STOP, trigger=Trigger.LAST_AT_OR_BELOW), (T + 20, 0), "X:PROOF"),
    ],
)
def test_attack_95_a_stop_is_not_set_off_early(
    priced: Desk, reverts: Reverts, alice: Trader, bob: Trader, condition: Condition, proof: tuple[int, int], code: str
) -> None:
    early = stop(priced, alice, condition=condition, proof=proof)
    reverts(code, priced.fill, priced.buy(bob, 10, 485), early, 4)
    reverts(code, priced.fill, replace(early, order=early.order), priced.buy(bob, 10, 485), 4)


def test_attack_95_nor_by_whoever_settles_in_cores_place(priced: Desk, alice: Trader, bob: Trader) -> None:
    priced.call(CORE, "beat()")
    priced.wait(7 * HOUR)
    late = {"expiry": priced.now + HOUR}
    bid = priced.buy(bob, 10, 485, **late)
    batch_of = [MatchedFill(BTC, 0, bid, stop(priced, alice, proof=(T, 0), **late), 4)]
    with pytest.raises(RevertedError, match="X:UNMET"):
        priced.settle(batch_of, bob.address)
    batch_of = [MatchedFill(BTC, 0, bid, stop(priced, alice, **late), 4)]
    assert [event.name for event in priced.settle(batch_of, bob.address)] == ["Fill"]


def other_conditions() -> list[Condition]:
    return [
        replace(STOP, trigger=Trigger.INDEX_AT_OR_ABOVE),
        replace(STOP, trigger=Trigger.LAST_AT_OR_BELOW),
        replace(STOP, trigger_price=500),
        replace(STOP, active_from=T - 10),
    ]


@pytest.mark.parametrize("told", other_conditions())
def test_attack_96_what_it_waits_for_cannot_be_rewritten(
    priced: Desk, reverts: Reverts, alice: Trader, bob: Trader, told: Condition
) -> None:
    """With the condition that the relayer would rather have, and its proof, the signature is nobody's."""
    signed = stop(priced, alice)
    proof = (T - 10, 0) if told.active_from < T else (0, 0) if not told.trigger.by_index else (T, 0)
    changed = replace(signed, order=replace(signed.order, condition=told), proof=proof)
    reverts("S:SIG", priced.fill, priced.buy(bob, 10, 485), changed, 4)


def without_condition(order: Order) -> Order:
    return replace(order, condition=None)


def test_attack_96_a_condition_cannot_be_left_out(priced: Desk, reverts: Reverts, alice: Trader, bob: Trader) -> None:
    signed = stop(priced, alice)
    stripped = replace(signed, order=without_condition(signed.order))
    reverts("S:SIG", priced.fill, priced.buy(bob, 10, 485), stripped, 4)
    key = Trader.named("session key")
    priced.set_session(alice, key)
    by_key = stop(priced, alice, session=key)
    stripped = replace(by_key, order=without_condition(by_key.order))
    assert priced.fill(priced.buy(bob, 10, 485), stripped, 4).fields["reason"] == SkipReason.TAKER_SIGNATURE


def test_attack_96_nor_added_to_a_plain_order(priced: Desk, reverts: Reverts, alice: Trader, bob: Trader) -> None:
    """It would give a plain order a second id, and a second place in the relayer's books."""
    signed = priced.sell(alice, 10, 480)
    waiting = replace(signed, order=replace(signed.order, condition=STOP), proof=(T + 20, 0))
    reverts("S:SIG", priced.fill, priced.buy(bob, 10, 485), waiting, 4)


def test_attack_96_a_wallets_bytes_are_not_a_condition(
    priced: Desk, reverts: Reverts, bytecode_of: Callable[[str], bytes], alice: Trader, bob: Trader
) -> None:
    """A contract wallet's signature that looks like a condition, and a condition that is read as a signature."""
    address = priced.deploy(bytecode_of("SignerWallet"), "address", alice.address)
    priced.fund(address, SBTC, 10**18)
    waiting = stop(priced, alice, wallet=bytes.fromhex(address[2:]))
    packed = bytearray(pack_order_entry(waiting, Role.TAKER, 4))
    market, bid = pack_market_entry(BTC, 0), pack_order_entry(priced.buy(bob, 10, 485), Role.MAKER, 0)
    packed[0] = SignatureKind.CONTRACT  # no longer conditional: the condition is now where the signature begins
    reverts("S:LENGTH", priced.settle_bytes, batch(market, bid, bytes(packed)))
    packed = bytearray(pack_order_entry(replace(waiting, order=without_condition(waiting.order)), Role.TAKER, 4))
    packed[0] = 4 + SignatureKind.CONTRACT  # conditional: the signature is now where the condition should be
    reverts("X:BITS", priced.settle_bytes, batch(market, bid, bytes(packed)))


def test_attack_96_an_order_of_another_market_brings_its_own_price(
    priced: Desk, reverts: Reverts, alice: Trader, bob: Trader
) -> None:
    """sETH has fallen, sBTC has not: neither the proof nor the order can be moved over."""
    priced.publish(100 * TICK, asset=SETH, time=T + 15)
    early = stop(priced, alice, condition=replace(STOP, trigger_price=200), proof=(T + 15, 0))
    reverts("X:PROOF", priced.fill, priced.buy(bob, 10, 485), early, 4)
    data = bytearray(encode_settle_batch([MatchedFill(BTC, 0, priced.buy(bob, 10, 485), early, 4)]))
    data[36:164] = pack_market_entry(ETH, 0)
    reverts("S:SIG", priced.settle_bytes, bytes(data))
    lone = batch(pack_market_entry(ETH, 0), pack_order_entry(early, Role.TAKER, 0))
    reverts("S:SIG", priced.settle_bytes, lone)


def test_attack_97_a_last_price_of_the_relayers_own_making(priced: Desk, alice: Trader, bob: Trader) -> None:
    """What remains with a LAST trigger: the chain takes the relayer's word that it was met. Limit, quantity and fee
    cap bind as ever, so that a stop with a worst price is never sold below it."""
    last = Condition(Trigger.LAST_AT_OR_BELOW, 490, T)
    waiting = stop(priced, alice, condition=last, proof=(0, 0), price=485, kind=OrderType.MARKET, tif=TimeInForce.IOC)
    assert priced.fill(priced.buy(bob, 10, 485), waiting, 4).name == "Fill"  # no price of 490 was ever traded
    with pytest.raises(RevertedError, match="S:PRICE"):
        priced.fill(priced.buy(bob, 10, 484, seq=2), waiting, 4)


def test_attack_97_only_the_words_that_were_signed(priced: Desk, reverts: Reverts, alice: Trader, bob: Trader) -> None:
    """An order that waits for the index cannot be passed off as one that waits for the last price."""
    signed = stop(priced, alice)
    last = replace(signed.order, condition=replace(STOP, trigger=Trigger.LAST_AT_OR_BELOW))
    reverts("S:SIG", priced.fill, priced.buy(bob, 10, 485), replace(signed, order=last, proof=(0, 0)), 4)
    digest = order_digest(priced.domain, last)
    assert digest != signed.digest
    by_bob = replace(signed, order=last, proof=(0, 0), signature=sign_digest(bob.key, digest))
    reverts("S:SIG", priced.fill, priced.buy(bob, 10, 485), by_bob, 4)
