"""What only a faulty or hostile relayer can cause: the whole batch reverts with its code, and nothing moved."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.batch import MatchedFill, Role, encode_settle_batch, pack_market_entry
from cxdex.eip712 import ORDER_TYPEHASH, Domain, market_hash
from cxdex.keccak import keccak
from cxdex.market import MarketStatus
from cxdex.order import Order, OrderType, Side, SignedOrder, TimeInForce
from cxdex.signature import CURVE_ORDER, sign_digest
from tests.contracts.raw_entries import Reverts, entry
from tests.contracts.settlement_desk import (
    BTC,
    CHAIN_ID,
    CORE,
    ENGINE,
    ETH,
    STRANGER,
    VAULT,
    Desk,
    RevertedError,
    Trader,
    batch,
    fill_numbers,
)

MAX_ENTRIES = 4096


# ---------------------------------------------------------------- who and how much


@pytest.mark.parametrize("caller", [STRANGER, ENGINE, VAULT])
def test_only_core_settles(desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder, caller: str) -> None:
    reverts("S:CORE", desk.settle, [MatchedFill(BTC, 0, ask, bid, 4)], caller)


def test_calldata_is_a_head_and_whole_entries(desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder) -> None:
    data = encode_settle_batch([MatchedFill(BTC, 0, ask, bid, 4)])
    for wrong in (data[:-1], data[:-32], data[:-128], data + b"\0", data + bytes(128)):
        reverts("S:LENGTH", desk.settle_bytes, wrong)


def test_an_entry_count_that_overflows_the_length_is_refused(desk: Desk, reverts: Reverts) -> None:
    selector = batch()[:4]
    for count in (4097, 2**249, 2**250 + 1, 2**256 - 1):
        reverts("S:LENGTH", desk.settle_bytes, selector + count.to_bytes(32, "big"))


def test_a_batch_holds_4096_entries(desk: Desk) -> None:
    assert desk.settle_bytes(batch(*[pack_market_entry(BTC, 0)] * MAX_ENTRIES)) == []


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_no_cut_or_padded_calldata_settles(opened_desk: Desk, data: st.DataObject) -> None:
    alice, bob = Trader.named("alice"), Trader.named("bob")
    whole = encode_settle_batch([MatchedFill(BTC, 0, opened_desk.sell(alice, 9, 50), opened_desk.buy(bob, 9, 50), 4)])
    length = data.draw(st.integers(36, len(whole) + 200).filter(lambda n: n != len(whole)))
    count = data.draw(st.integers(0, 6))
    wrong = (whole[:4] + count.to_bytes(32, "big") + whole[36:] + bytes(200))[:length]
    if length == 36 + 128 * count and count < 3:
        assert opened_desk.settle_bytes(wrong) == []  # whole entries, none of which trades
        return
    with pytest.raises(RevertedError) as reverted:
        opened_desk.settle_bytes(wrong)
    # Zeros behind the three entries are an order that nobody signed; behind what is counted they are too much.
    assert reverted.value.code == ("S:LENGTH" if length < 36 + 128 * count or count <= 3 else "S:SIG")


# ---------------------------------------------------------------- the market and its sequence


def test_the_sequence_has_no_gap_and_no_repetition(
    desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder
) -> None:
    for wrong in (1, 2**40, 2**256 - 1):
        entries = pack_market_entry(BTC, wrong), entry(ask, Role.MAKER), entry(bid, Role.TAKER, 4)
        reverts("S:SEQ", desk.settle_bytes, batch(*entries))
    desk.fill(ask, bid, 4)
    reverts("S:SEQ", desk.settle, [MatchedFill(BTC, 0, ask, bid, 4)])
    twice = [MatchedFill(BTC, 1, ask, bid, 2), MatchedFill(BTC, 1, ask, bid, 2)]
    reverts("S:SEQ", desk.settle, twice)


@pytest.mark.parametrize("status", [MarketStatus.PAUSED, MarketStatus.DELISTED, MarketStatus.SETTLED])
def test_only_an_active_market_settles(
    desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder, status: MarketStatus
) -> None:
    desk.set_status(BTC, status)
    reverts("S:MARKET", desk.settle, [MatchedFill(BTC, 0, ask, bid, 4)])


def test_an_unlisted_market_does_not_settle(desk: Desk, reverts: Reverts, alice: Trader, bob: Trader) -> None:
    ask, bid = desk.sell(alice, 9, 50, market="sXAU-USDC"), desk.buy(bob, 9, 50, market="sXAU-USDC")
    reverts("S:MARKET", desk.settle, [MatchedFill("sXAU-USDC", 0, ask, bid, 4)])


def test_a_batch_names_its_market_first(desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder) -> None:
    reverts("S:SIG", desk.settle_bytes, batch(entry(ask, Role.MAKER), entry(bid, Role.TAKER, 4)))


def test_no_market_is_no_market_even_if_signed_for(desk: Desk, reverts: Reverts, alice: Trader, bob: Trader) -> None:
    """No symbol hashes to zero, but a key can sign anything."""

    def sign_for_nothing(trader: Trader, order: Order) -> SignedOrder:
        words = ("SELL" if order.side is Side.SELL else "BUY", "LIMIT", "GTC")
        values: tuple[int | bytes, ...] = (
            ORDER_TYPEHASH,
            trader.account,
            bytes(32),
            *(market_hash(word) for word in words),
            *(order.quantity, order.limit_price, order.max_fee_bps, 0),
            market_hash("CANCEL_TAKER"),
            *(0, order.expiry, order.nonce),
        )
        packed = b"".join(v.to_bytes(32, "big") if isinstance(v, int) else v.rjust(32, b"\0") for v in values)
        digest = desk.domain.digest(keccak(packed))
        return SignedOrder(order, sign_digest(trader.key, digest), digest)

    ask = sign_for_nothing(alice, desk.sell(alice, 10, 500).order)
    bid = sign_for_nothing(bob, desk.buy(bob, 10, 500).order)
    reverts("S:LOTS", desk.settle_bytes, batch(entry(ask, Role.MAKER), entry(bid, Role.TAKER, 4)))
    highest = 2**40 - 1
    reverts("S:LOTS", desk.settle_bytes, batch(entry(ask, Role.MAKER), entry(bid, Role.TAKER, highest)))


def test_an_order_settles_only_in_the_market_it_names(
    desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder
) -> None:
    entries = pack_market_entry(ETH, 0), entry(ask, Role.MAKER), entry(bid, Role.TAKER, 4)
    reverts("S:SIG", desk.settle_bytes, batch(*entries))


def test_cursors_are_empty_after_a_market_entry(
    desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder
) -> None:
    start = pack_market_entry(BTC, 0)
    reverts("S:OVERFILL", desk.settle_bytes, batch(start, entry(ask, Role.MAKER), start, entry(bid, Role.TAKER, 4)))
    reverts("S:SIDE", desk.settle_bytes, batch(start, entry(bid, Role.TAKER), start, entry(ask, Role.MAKER, 4)))


# ---------------------------------------------------------------- signatures


def test_every_signed_field_is_covered_by_the_signature(desk: Desk, reverts: Reverts, ask: SignedOrder) -> None:
    fields = {
        "account": (1 << 3, 0),
        "expiry": (1 << 165, 0),
        "maxFeeBps": (0, 1 << 2),
        "limitPrice": (0, 1 << 40),
        "quantity": (0, 1 << 90),
        "nonce seq": (0, 1 << 121),
        "nonce lane": (0, 1 << 150),
        "nonce epoch": (0, 1 << 170),
        "side": (0, 1 << 184),
        "timeInForce": (0, 3 << 186),
        "selfTrade": (0, 1 << 189),
        "reduceOnly": (0, 1 << 191),
        "maxCollateral": (0, 1 << 192),
        "maxCollateral's top": (0, 1 << 255),
    }
    for who_bits, terms_bits in fields.values():
        packed = entry(ask, Role.MAKER, who_bits=who_bits, terms_bits=terms_bits)
        reverts("S:SIG", desk.settle_bytes, batch(pack_market_entry(BTC, 0), packed))


def test_an_account_cannot_sign_for_another(
    desk: Desk, reverts: Reverts, alice: Trader, bob: Trader, bid: SignedOrder
) -> None:
    forged = desk.sell(bob, 10, 500, account=alice.account)
    reverts("S:SIG", desk.fill, forged, bid, 4)


@pytest.mark.parametrize(
    "signature",
    [
        bytes(64) + b"\x1b",
        (0).to_bytes(32, "big") + (1).to_bytes(32, "big") + b"\x1b",
        (1).to_bytes(32, "big") + (0).to_bytes(32, "big") + b"\x1c",
        CURVE_ORDER.to_bytes(32, "big") + (1).to_bytes(32, "big") + b"\x1b",
        b"\xff" * 32 + b"\x11" * 32 + b"\x1b",
    ],
)
def test_a_signature_that_no_key_made_is_refused(
    desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder, signature: bytes
) -> None:
    reverts("S:SIG", desk.fill, replace(ask, signature=signature), bid, 4)


def test_the_zero_address_signs_nothing(desk: Desk, reverts: Reverts, ask: SignedOrder) -> None:
    """An unrecoverable signature gives the zero address; an entry in its name must not pass."""
    bits = int.from_bytes(ask.order.account, "big")
    packed = entry(replace(ask, signature=bytes(64) + b"\x1b"), Role.MAKER, who_bits=bits)
    reverts("S:SIG", desk.settle_bytes, batch(pack_market_entry(BTC, 0), packed))


def test_a_high_s_twin_is_refused(desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder) -> None:
    """EIP-2098 cannot even write most of them: the top bit of vs is the parity."""
    start = pack_market_entry(BTC, 0)
    half = CURVE_ORDER // 2
    for s in (half + 1, half + 2, 2**255 - 1):
        for parity in (0, 1):
            packed = entry(ask, Role.MAKER)[:96] + (s | parity << 255).to_bytes(32, "big")
            reverts("S:SIG", desk.settle_bytes, batch(start, packed))
    r, s, v = ask.signature[:32], int.from_bytes(ask.signature[32:64], "big"), ask.signature[64]
    twin = r + (CURVE_ORDER - s).to_bytes(32, "big") + bytes([55 - v])
    reverts("S:SIG", desk.fill, replace(ask, signature=twin), bid, 4)


@pytest.mark.parametrize("chain_id", [1, CHAIN_ID + 1])
def test_an_order_of_another_chain_is_refused(
    desk: Desk, reverts: Reverts, alice: Trader, bid: SignedOrder, chain_id: int
) -> None:
    foreign = desk.sell(alice, 10, 500, domain=Domain(chain_id, desk.domain.verifying_contract))
    reverts("S:SIG", desk.fill, foreign, bid, 4)


def test_an_order_for_another_contract_is_refused(
    desk: Desk, reverts: Reverts, alice: Trader, bid: SignedOrder
) -> None:
    foreign = desk.sell(alice, 10, 500, domain=Domain(CHAIN_ID, bytes(19) + b"\x01"))
    reverts("S:SIG", desk.fill, foreign, bid, 4)


def test_a_bare_digest_signed_for_something_else_is_refused(
    desk: Desk, reverts: Reverts, alice: Trader, ask: SignedOrder, bid: SignedOrder
) -> None:
    other = sign_digest(alice.key, b"\x07" * 32)
    reverts("S:SIG", desk.fill, replace(ask, signature=other), bid, 4)


# ---------------------------------------------------------------- two orders that must not trade


def test_a_fill_needs_both_cursors(desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder) -> None:
    """An empty cursor sells nothing at a price of zero; against an order that cannot trade it has its own code."""
    start = pack_market_entry(BTC, 0)
    reverts("S:SIDE", desk.settle_bytes, batch(start, entry(ask, Role.MAKER, 4)))
    reverts("S:SIDE", desk.settle_bytes, batch(start, entry(ask, Role.TAKER, 4)))
    reverts("S:OVERFILL", desk.settle_bytes, batch(start, entry(bid, Role.MAKER, 4)))
    reverts("S:OVERFILL", desk.settle_bytes, batch(start, entry(bid, Role.TAKER, 4)))
    desk.set_time(bid.order.expiry)
    reverts("S:CURSOR", desk.settle_bytes, batch(start, entry(bid, Role.MAKER, 4)))
    reverts("S:CURSOR", desk.settle_bytes, batch(start, entry(bid, Role.TAKER, 4)))


def test_an_account_does_not_trade_with_itself(desk: Desk, reverts: Reverts, alice: Trader, ask: SignedOrder) -> None:
    """The second order empties the first one's cursor, so that there is nothing to trade with."""
    reverts("S:OVERFILL", desk.fill, ask, desk.buy(alice, 10, 500, lane=1), 4)
    reverts("S:SIDE", desk.fill, desk.buy(alice, 10, 500, lane=1), ask, 4)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_two_orders_of_one_side_do_not_trade(
    desk: Desk, reverts: Reverts, alice: Trader, bob: Trader, side: str
) -> None:
    reverts("S:SIDE", desk.fill, getattr(desk, side)(alice, 9, 50), getattr(desk, side)(bob, 9, 50), 4)


def test_limits_must_cross(desk: Desk, reverts: Reverts, alice: Trader, bob: Trader) -> None:
    reverts("S:PRICE", desk.fill, desk.sell(alice, 10, 501), desk.buy(bob, 10, 500), 4)
    reverts("S:PRICE", desk.fill, desk.buy(alice, 10, 499), desk.sell(bob, 10, 500), 4)


@pytest.mark.parametrize(
    ("kind", "tif"),
    [
        (OrderType.LIMIT, TimeInForce.IOC),
        (OrderType.LIMIT, TimeInForce.FOK),
        (OrderType.MARKET, TimeInForce.IOC),
        (OrderType.MARKET, TimeInForce.FOK),
    ],
)
def test_an_order_that_never_rests_is_no_maker(
    desk: Desk, reverts: Reverts, alice: Trader, bid: SignedOrder, kind: OrderType, tif: TimeInForce
) -> None:
    reverts("S:MAKER", desk.fill, desk.sell(alice, 10, 500, kind=kind, tif=tif), bid, 4)


def test_a_post_only_order_never_takes(desk: Desk, reverts: Reverts, ask: SignedOrder, bob: Trader) -> None:
    reverts("S:TAKER", desk.fill, ask, desk.buy(bob, 10, 500, tif=TimeInForce.POST_ONLY), 4)


def test_a_fill_has_the_markets_smallest_size(desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder) -> None:
    reverts("S:LOTS", desk.fill, ask, bid, 1)
    desk.fill(ask, bid, 2)


def test_no_order_fills_beyond_its_quantity(desk: Desk, reverts: Reverts, alice: Trader, bob: Trader) -> None:
    reverts("S:OVERFILL", desk.fill, desk.sell(alice, 10, 500), desk.buy(bob, 99, 500), 11)
    reverts("S:OVERFILL", desk.fill, desk.sell(alice, 99, 500), desk.buy(bob, 10, 500), 11)
    desk.fill(desk.sell(alice, 10, 500), desk.buy(bob, 10, 500), 8)
    reverts("S:OVERFILL", desk.fill, desk.sell(alice, 10, 500), desk.buy(bob, 99, 500, lane=1), 3)


def test_a_fill_that_is_skipped_fits_the_event_too(
    desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder
) -> None:
    """An entry has 40 bits for the quantity, the event 39: a larger one would read as another price."""
    desk.set_time(bid.order.expiry)
    assert fill_numbers(desk.fill(ask, bid, 2**39 - 1)).quantity == 2**39 - 1
    reverts("S:OVERFILL", desk.fill, ask, bid, 2**39)
    reverts("S:OVERFILL", desk.fill, ask, bid, 2**40 - 1)


def test_one_bad_fill_undoes_the_good_ones_before_it(
    desk: Desk, reverts: Reverts, ask: SignedOrder, bid: SignedOrder, alice: Trader, bob: Trader
) -> None:
    good = (ask, bid, 4)
    bad = (desk.sell(alice, 10, 501, lane=1), desk.buy(bob, 10, 500, lane=1), 4)
    reverts("S:PRICE", desk.fills, good, bad)


def test_the_market_hash_of_a_batch_is_not_the_empty_one(desk: Desk, reverts: Reverts) -> None:
    nothing = pack_market_entry(BTC, 0)[:32] + bytes(96)
    reverts("S:MARKET", desk.settle_bytes, batch(nothing))


def test_core_alone_voids_listed_markets_and_at_least_one_number(desk: Desk, reverts: Reverts) -> None:
    signature = "voidSequence(bytes32,uint256)"
    reverts("S:CORE", desk.call, STRANGER, signature, market_hash(BTC), 1)
    reverts("S:CORE", desk.call, ENGINE, signature, market_hash(BTC), 1)
    reverts("S:COUNT", desk.call, CORE, signature, market_hash(BTC), 0)
    reverts("S:MARKET", desk.call, CORE, signature, market_hash("sXAU-USDC"), 1)
    for count in (MAX_ENTRIES + 1, 2**40 - 1, 2**256 - 1):  # the last number once used, a market is dead for ever
        reverts("S:COUNT", desk.call, CORE, signature, market_hash(BTC), count)
    desk.call(CORE, signature, market_hash(BTC), MAX_ENTRIES)
    assert desk.sequence(BTC) == MAX_ENTRIES
