"""Triggers alone: which proofs of which conditions it accepts, and that its digest is what the account signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyrevm import EVM, BlockEnv, CfgEnv, Env

from cxdex.batch import Role, pack_order_entry
from cxdex.condition import Condition, Trigger
from cxdex.eip712 import market_hash, order_digest
from cxdex.keccak import keccak
from cxdex.market import MarketKind, MarketTerms
from cxdex.order import Order, Side, SignatureKind, SignedOrder, TimeInForce
from tests.contracts.index_prices import CREATOR, IndexPrices, creation_code
from tests.contracts.settlement_desk import CHAIN_ID, NOW, SBTC, SETH, Listing, RevertedError, _revert_code
from tests.cxdex.order_strategies import DOMAIN, order, orders

DIGEST_OF = keccak(b"digestOf((uint256,uint256,uint256,uint256),uint256[4],bytes32,uint256,bytes32)")[:4]
LISTING = Listing("sBTC-USDC", 1, SBTC)  # one tick is 0.01 USDC a whole synth
TICK = 10**4  # 1e-6 USDC
FIRST, LAST = [t for t in Trigger if t.by_index], [t for t in Trigger if not t.by_index]
T = NOW - 1_000
PRICES = {T: 50_000, T + 10: 55_000, T + 20: 54_000, T + 25: 48_000, T + 40: 50_000}  # in ticks, by second


class TriggerDesk:
    """Triggers and the Oracle, no Settlement."""

    def __init__(self) -> None:
        block = BlockEnv(number=1, timestamp=NOW, basefee=0)
        self.evm = EVM(env=Env(cfg=CfgEnv(chain_id=CHAIN_ID), block=block), spec_id="PRAGUE")
        self.index = IndexPrices(self.evm, CHAIN_ID)

    def digest(self, packed: bytes, market: str = LISTING.symbol, word: int = LISTING.word()) -> bytes:
        """`packed`: entry and block. Raises RevertedError."""
        data = DIGEST_OF + packed + market_hash(market) + word.to_bytes(32, "big") + DOMAIN.separator
        try:
            return bytes(self.evm.message_call(CREATOR, self.index.triggers, calldata=data, is_static=True))
        except RuntimeError as error:
            raise RevertedError(_revert_code(str(error))) from None

    def code(self, condition: Condition, *proof: int, **more: Any) -> str:
        """Why a sell order with this condition and proof has no digest; "" if it has the one that was signed."""
        chosen = order(side=Side.SELL, condition=condition, expiry=2**40 - 1)
        try:
            digest = self.digest(entry(chosen, proof), **more)
        except RevertedError as reverted:
            return reverted.code
        assert digest == order_digest(DOMAIN, chosen)
        return ""


def entry(chosen: Order, proof: tuple[int, ...] = (), role: Role = Role.TAKER) -> bytes:
    first, second = (*proof, 0, 0)[:2]
    signed = SignedOrder(chosen, bytes(64) + b"\x1b", b"", SignatureKind.ACCOUNT, (first, second))
    return pack_order_entry(signed, role, 0)


@pytest.fixture(scope="module")
def opened() -> TriggerDesk:
    desk = TriggerDesk()
    for time, ticks in PRICES.items():
        desk.index.publish(SBTC, ticks * TICK, time)
    desk.index.publish(SETH, 50_000 * TICK, T + 5)
    return desk


@pytest.fixture
def desk(opened: TriggerDesk) -> Iterator[TriggerDesk]:
    checkpoint = opened.evm.snapshot()
    yield opened
    opened.evm.revert(checkpoint)


def index(word: str, ticks: int, active_from: int = T) -> Condition:
    return Condition(Trigger[f"INDEX_{word}"], ticks, active_from)


# ---------------------------------------------------------------- what is signed


@settings(max_examples=80, deadline=None)
@given(
    st.binary(min_size=20, max_size=20).filter(any).flatmap(orders),
    st.sampled_from(LAST),
    st.integers(0, 2**40 - 1),
    st.sampled_from(Role),
    st.integers(1, 2**40 - 1),
)
def test_the_digest_is_what_was_signed(chosen: Order, trigger: Trigger, fill: int, role: Role, expiry: int) -> None:
    desk = _shared()
    condition = replace(chosen.condition or Condition(trigger, 1, 0), trigger=trigger)
    condition = replace(condition, active_from=min(condition.active_from, expiry - 1))
    chosen = replace(chosen, condition=condition, expiry=expiry)
    if chosen.reduce_only and chosen.side is Side.BUY:
        chosen = replace(chosen, reduce_only=False)
    place = Role.MAKER if chosen.time_in_force is TimeInForce.POST_ONLY else Role.TAKER
    if role is Role.MAKER and chosen.may_rest:
        place = Role.MAKER
    signed = SignedOrder(chosen, bytes(64) + b"\x1b", b"")
    assert desk.digest(pack_order_entry(signed, place, fill), chosen.market) == order_digest(DOMAIN, chosen)


@pytest.mark.parametrize("kind", SignatureKind)
@pytest.mark.parametrize("fill", [0, 1, 2**39, 2**40 - 1])
def test_the_fill_and_the_signatures_kind_are_not_looked_at(desk: TriggerDesk, kind: SignatureKind, fill: int) -> None:
    """An order that never takes is one that rests, whatever stands beside its role."""
    rests = order(
        side=Side.SELL, time_in_force=TimeInForce.POST_ONLY, condition=Condition(LAST[0], 1, 0), expiry=2**40 - 1
    )
    signed = SignedOrder(rests, bytes(64) + b"\x1b", b"", kind)
    packed = pack_order_entry(signed, Role.MAKER, fill)
    assert desk.digest(packed[:256], rests.market) == order_digest(DOMAIN, rests)


_DESKS: list[TriggerDesk] = []


def _shared() -> TriggerDesk:
    """One for all examples: nothing that they do leaves a trace."""
    if not _DESKS:
        _DESKS.append(TriggerDesk())
    return _DESKS[0]


@pytest.mark.parametrize(
    ("role", "changes", "code"),
    [
        (Role.MAKER, {"time_in_force": TimeInForce.IOC}, "S:MAKER"),
        (Role.TAKER, {"time_in_force": TimeInForce.POST_ONLY}, "S:TAKER"),
        (Role.TAKER, {"reduce_only": True}, "S:FLAGS"),
    ],
)
def test_a_conditional_order_keeps_the_rules_of_any_order(
    desk: TriggerDesk, role: Role, changes: dict[str, Any], code: str
) -> None:
    chosen = order(condition=Condition(Trigger.LAST_AT_OR_ABOVE, 1, 0), **changes)
    with pytest.raises(RevertedError) as reverted:
        desk.digest(entry(chosen, role=role))
    assert reverted.value.code == code


# ---------------------------------------------------------------- levels


@pytest.mark.parametrize(
    ("condition", "time"),
    [
        (index("AT_OR_ABOVE", 55_000), T + 10),
        (index("AT_OR_ABOVE", 50_000), T),  # published in the first second that counts
        (index("AT_OR_ABOVE", 1), T + 25),
        (index("AT_OR_BELOW", 48_000), T + 25),
        (index("AT_OR_BELOW", 2**64 - 1), T + 10),
        (index("AT_OR_BELOW", 50_000, T + 40), T + 40),
        (index("AT_OR_ABOVE", 50_000, 0), T),
    ],
)
def test_a_price_at_its_level_is_a_proof(desk: TriggerDesk, condition: Condition, time: int) -> None:
    assert desk.code(condition, time) == ""


@pytest.mark.parametrize("late", [-1, 1])
def test_a_proof_names_the_second_exactly(desk: TriggerDesk, late: int) -> None:
    assert desk.code(index("AT_OR_ABOVE", 50_000, T - 5), T + 10) == ""
    assert desk.code(index("AT_OR_ABOVE", 50_000, T - 5), T + 10 + late) == "X:PROOF"
    assert desk.code(index("AT_OR_ABOVE", 50_000), T + 41) == "O:NONE"
    assert desk.code(index("AT_OR_ABOVE", 50_000, 0)) == "X:PROOF"  # no proof at all


def test_one_tick_short_is_not_met(desk: TriggerDesk) -> None:
    assert desk.code(index("AT_OR_ABOVE", 55_001), T + 10) == "X:UNMET"
    assert desk.code(index("AT_OR_BELOW", 47_999), T + 25) == "X:UNMET"
    assert desk.code(index("FALLS_BY", 7_001), T + 10, T + 25) == "X:UNMET"
    assert desk.code(index("RISES_BY", 5_001), T, T + 10) == "X:UNMET"


def test_a_millionth_of_a_dollar_short_is_not_met(desk: TriggerDesk) -> None:
    """Products are compared: the price is not rounded to ticks first."""
    desk.index.publish(SBTC, 55_000 * TICK - 1, T + 50)
    desk.index.publish(SBTC, 48_000 * TICK + 1, T + 60)
    assert desk.code(index("AT_OR_ABOVE", 55_000), T + 50) == "X:UNMET"
    assert desk.code(index("AT_OR_BELOW", 48_000), T + 60) == "X:UNMET"
    assert desk.code(index("AT_OR_ABOVE", 54_999), T + 50) == ""
    assert desk.code(index("AT_OR_BELOW", 48_001), T + 60) == ""


def test_a_price_from_before_the_order_does_not_count(desk: TriggerDesk) -> None:
    assert desk.code(index("AT_OR_ABOVE", 55_000, T + 11), T + 10) == "X:EARLY"
    assert desk.code(index("AT_OR_ABOVE", 55_000, T + 10), T + 10) == ""
    assert desk.code(index("FALLS_BY", 1_000, T + 11), T + 10, T + 20) == "X:EARLY"


def test_a_level_has_no_second_time(desk: TriggerDesk) -> None:
    assert desk.code(index("AT_OR_ABOVE", 50_000), T, T + 10) == "X:PROOF"


def test_a_price_of_another_asset_proves_nothing(desk: TriggerDesk) -> None:
    condition = index("AT_OR_ABOVE", 50_000)
    assert desk.code(condition, T + 5) == "X:PROOF"
    assert desk.code(condition, T + 5, word=replace(LISTING, base_asset=SETH).word()) == ""
    assert desk.code(condition, T, word=replace(LISTING, base_asset=4).word()) == "O:NONE"


def test_the_largest_terms_of_a_market(desk: TriggerDesk) -> None:
    """Base asset, quote and lot at their most, and the largest price that the oracle takes."""
    listing = Listing("most", 1, 2**16 - 1, lot_exponent=18, quote_per_lot_tick=2**32 - 1)
    desk.index.publish(listing.base_asset, 2**80 - 1, T)
    ticks = (2**80 - 1) // (2**32 - 1)
    assert desk.code(index("AT_OR_ABOVE", ticks), T, word=listing.word()) == ""
    assert desk.code(index("AT_OR_ABOVE", ticks + 1), T, word=listing.word()) == "X:UNMET"
    assert desk.code(index("AT_OR_BELOW", ticks), T, word=listing.word()) == "X:UNMET"
    assert desk.code(index("AT_OR_BELOW", ticks + 1), T, word=listing.word()) == ""
    assert desk.code(index("AT_OR_BELOW", 2**64 - 1), T, word=listing.word()) == ""


# ---------------------------------------------------------------- trailing


@pytest.mark.parametrize(
    ("condition", "times"),
    [
        (index("FALLS_BY", 7_000), (T + 10, T + 25)),
        (index("FALLS_BY", 1_000, T + 10), (T + 10, T + 20)),
        (index("FALLS_BY", 2_000), (T, T + 25)),  # not the highest, but the fall is far enough
        (index("RISES_BY", 5_000), (T, T + 10)),
        (index("RISES_BY", 2_000), (T + 25, T + 40)),
    ],
)
def test_an_extreme_and_a_turn_are_a_proof(desk: TriggerDesk, condition: Condition, times: tuple[int, int]) -> None:
    assert desk.code(condition, *times) == ""


@pytest.mark.parametrize(
    ("condition", "times", "code"),
    [
        (index("FALLS_BY", 5_000), (T + 10, T), "X:ORDER"),  # the price rose, told backwards
        (index("RISES_BY", 7_000), (T + 25, T + 10), "X:ORDER"),
        (index("FALLS_BY", 1), (T + 10, T + 10), "X:ORDER"),
        (index("FALLS_BY", 1), (T + 10, 0), "X:ORDER"),
        (index("FALLS_BY", 1), (T, T + 10), "X:UNMET"),  # it rose
        (index("RISES_BY", 1), (T + 10, T + 25), "X:UNMET"),  # it fell
        (index("RISES_BY", 1), (T, T + 40), "X:UNMET"),  # it is where it was
        (index("FALLS_BY", 7_000), (T + 10, T + 26), "X:PROOF"),
        (index("FALLS_BY", 7_000), (T + 9, T + 25), "X:PROOF"),
        (index("FALLS_BY", 7_000), (T + 10, T + 41), "O:NONE"),
    ],
)
def test_what_is_no_turn(desk: TriggerDesk, condition: Condition, times: tuple[int, int], code: str) -> None:
    assert desk.code(condition, *times) == code


def test_a_tick_as_small_as_a_price_can_be(desk: TriggerDesk) -> None:
    """One tick is a millionth of a dollar: no move is less than any move, and the other way is none."""
    word = replace(LISTING, lot_exponent=18, quote_per_lot_tick=1).word()
    desk.index.publish(SBTC, 50_000 * TICK + 1, T + 50)
    desk.index.publish(SBTC, 50_000 * TICK + 1, T + 60)
    falls, rises = index("FALLS_BY", 1), index("RISES_BY", 1)
    assert [desk.code(rises, *times, word=word) for times in ((T + 40, T + 50), (T + 50, T + 60))] == ["", "X:UNMET"]
    assert [desk.code(falls, *times, word=word) for times in ((T + 40, T + 50), (T + 50, T + 60))] == ["X:UNMET"] * 2


# ---------------------------------------------------------------- the last price


@pytest.mark.parametrize("trigger", LAST)
def test_a_last_price_is_not_judged_and_takes_no_proof(desk: TriggerDesk, trigger: Trigger) -> None:
    condition = Condition(trigger, 1, T)
    assert desk.code(condition) == ""
    assert [desk.code(condition, *times) for times in ((T,), (T, T + 10), (0, 1), (0, 2**39))] == ["X:PROOF"] * 4


# ---------------------------------------------------------------- the shape of the block


@pytest.mark.parametrize("bit", [112, 255, 256 + 80, 256 + 255, 512, 767, 768, 1023])
def test_stray_bits_are_refused(desk: TriggerDesk, bit: int) -> None:
    packed = bytearray(entry(order(condition=Condition(Trigger.LAST_AT_OR_ABOVE, 1, T))))
    word, place = divmod(bit, 256)
    packed[128 + 32 * word + 31 - place // 8] ^= 1 << place % 8
    with pytest.raises(RevertedError) as reverted:
        desk.digest(bytes(packed))
    assert reverted.value.code == "X:BITS"


@pytest.mark.parametrize("condition", [8, 255, 0, 2], ids=["8", "255", "index at 0", "last at 0"])
def test_an_unknown_trigger_and_a_condition_without_a_price_are_refused(desk: TriggerDesk, condition: int) -> None:
    price = 1 << 8 if condition >= len(Trigger) else 0
    packed = entry(order(condition=Condition(Trigger.LAST_AT_OR_ABOVE, 1, T)))
    with pytest.raises(RevertedError) as reverted:
        desk.digest(packed[:128] + (condition | price).to_bytes(32, "big") + packed[160:])
    assert reverted.value.code == "X:WORD"


def test_it_says_whose_prices_count(desk: TriggerDesk) -> None:
    answer = desk.evm.message_call(CREATOR, desk.index.triggers, calldata=keccak(b"ORACLE()")[:4])
    assert bytes(answer)[12:] == bytes.fromhex(desk.index.oracle[2:])


def test_no_oracle_is_refused(desk: TriggerDesk) -> None:
    with pytest.raises(RuntimeError, match=b"X:ZERO".hex()):
        desk.evm.deploy(CREATOR, creation_code("Triggers") + bytes(32))


# ---------------------------------------------------------------- against fractions


times = st.lists(st.integers(T, T + 60), min_size=1, max_size=8, unique=True).map(sorted)


@settings(max_examples=150, deadline=None)
@given(st.data(), times, st.integers(0, 18), st.integers(1, 2**32 - 1), st.sampled_from(FIRST))
def test_it_accepts_what_fractions_accept_and_nothing_else(
    data: st.DataObject, seconds: list[int], lot_exponent: int, quote: int, trigger: Trigger
) -> None:
    desk = TriggerDesk()
    price = data.draw(st.integers(2**20, 2**70))
    history = {}
    for second in seconds:
        price = max(1, price * data.draw(st.integers(850, 1_150)) // 1_000)
        history[second] = price
        desk.index.publish(SBTC, price, second)
    listing = replace(LISTING, lot_exponent=lot_exponent, quote_per_lot_tick=quote)
    tick = Fraction(quote * 10**18, 10**lot_exponent)
    picked = st.one_of(st.sampled_from(seconds), st.integers(T, T + 61))
    proof = (data.draw(picked), data.draw(picked) if data.draw(st.booleans()) == trigger.trails else 0)
    told = [history.get(time, 0) for time in proof]
    near = int(abs(told[0] - told[1] if trigger.trails else told[0]) / tick) + data.draw(st.integers(-1, 1))
    condition = Condition(trigger, min(max(near, 1), 2**64 - 1), data.draw(picked))
    accepted = is_proven(history, condition, proof, tick)
    assert (desk.code(condition, *proof, word=listing.word()) == "") == accepted
    if accepted:  # and so does the engine's rule
        market = MarketTerms("X", 1, MarketKind.SPOT, SBTC, "sX", lot_exponent, quote, 1, 25, 25)
        assert condition.is_met_by_index(market, told[-1] if trigger.trails else told[0], told[0])


def is_proven(history: dict[int, int], condition: Condition, proof: tuple[int, int], tick: Fraction) -> bool:
    first, second = proof
    if first not in history or first < condition.active_from:
        return False
    wanted = condition.trigger_price * tick
    match condition.trigger:
        case Trigger.INDEX_AT_OR_ABOVE:
            return second == 0 and history[first] >= wanted
        case Trigger.INDEX_AT_OR_BELOW:
            return second == 0 and history[first] <= wanted
    if second not in history or second <= first:
        return False
    moved = history[second] - history[first]
    return (moved if condition.trigger is Trigger.INDEX_RISES_BY else -moved) >= wanted
