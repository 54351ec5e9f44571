"""The shape of entries, of flags and of a contract's signature: what does not fit reverts with its code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cxdex.batch import Role, pack_market_entry
from cxdex.eip712 import order_digest
from cxdex.order import SignedOrder
from cxdex.signature import sign_digest
from tests.contracts.raw_entries import Reverts, entry
from tests.contracts.settlement_desk import BTC, Desk, Trader, batch, fill_numbers

# ---------------------------------------------------------------- the shape of entries


@pytest.mark.parametrize(
    "bits",
    [
        *(role << 240 for role in (3, 8, 128)),
        *(kind << 248 for kind in (3, 7, 8, 255)),
        *(kind << 248 | 2 << 240 for kind in (1, 2, 4, 6)),
    ],
)
def test_unknown_roles_and_signature_kinds_are_refused(
    desk: Desk, reverts: Reverts, ask: SignedOrder, bits: int
) -> None:
    reverts("S:ENTRY", desk.settle_bytes, batch(pack_market_entry(BTC, 0), entry(ask, Role.MAKER, who_bits=bits)))


def test_a_market_entry_has_no_stray_bits(desk: Desk, reverts: Reverts) -> None:
    plain = pack_market_entry(BTC, 0)
    for index in (31, 12, 3, 127):
        stray = bytearray(plain)
        stray[index] ^= 1
        reverts("S:ENTRY", desk.settle_bytes, batch(bytes(stray)))


def test_a_buy_that_would_reduce_is_refused(desk: Desk, reverts: Reverts, ask: SignedOrder, bob: Trader) -> None:
    """On spot a buyer has nothing to reduce."""
    bid = desk.buy(bob, 10, 500, reduce_only=True)
    reverts("S:FLAGS", desk.fill, ask, bid, 4)
    reverts("S:FLAGS", desk.fill, bid, ask, 4)


def test_a_quantity_that_a_lane_cannot_count_is_refused(desk: Desk, reverts: Reverts, ask: SignedOrder) -> None:
    """A lane counts lots in 39 bits: an order for more has no entry that its signature fits."""
    order = replace(ask.order)
    object.__setattr__(order, "quantity", 2**39)
    digest = order_digest(desk.domain, order)
    signed = SignedOrder(order, sign_digest(Trader.named("alice").key, digest), digest)
    reverts("S:SIG", desk.settle_bytes, batch(pack_market_entry(BTC, 0), entry(signed, Role.MAKER)))


def test_a_fee_cap_is_signed_to_its_highest_bit(desk: Desk, ask: SignedOrder, bid: SignedOrder) -> None:
    """Our software makes no order with a cap above the whole notional; the contract takes what was signed."""
    order = replace(ask.order)
    object.__setattr__(order, "max_fee_bps", 2**15)
    digest = order_digest(desk.domain, order)
    signed = SignedOrder(order, sign_digest(Trader.named("alice").key, digest), digest)
    entries = entry(signed, Role.MAKER), entry(bid, Role.TAKER, 4)
    (event,) = desk.settle_bytes(batch(pack_market_entry(BTC, 0), *entries))
    assert fill_numbers(event).maker_fee == 5


# ---------------------------------------------------------------- signatures of contracts


def wallet_entry(ask: SignedOrder, r: int, vs: int) -> bytes:
    """The head of an entry whose signature a contract made."""
    return entry(ask, Role.MAKER, who_bits=2 << 248)[:64] + r.to_bytes(32, "big") + vs.to_bytes(32, "big")


@pytest.mark.parametrize(("r", "vs"), [(1025, 0), (2**256 - 1, 0), (2**255, 0), (65, 1), (0, 2**255)])
def test_a_contracts_signature_has_a_length_and_nothing_else(
    desk: Desk, reverts: Reverts, ask: SignedOrder, r: int, vs: int
) -> None:
    packed = wallet_entry(ask, r, vs)
    reverts("S:ENTRY", desk.settle_bytes, batch(pack_market_entry(BTC, 0), packed + bytes(128)))


@pytest.mark.parametrize(("length", "blocks"), [(1, 0), (128, 0), (129, 1), (1024, 7)])
def test_a_contracts_signature_is_not_cut_short(
    desk: Desk, reverts: Reverts, ask: SignedOrder, length: int, blocks: int
) -> None:
    packed = wallet_entry(ask, length, 0)
    reverts("S:LENGTH", desk.settle_bytes, batch(pack_market_entry(BTC, 0), packed + bytes(128 * blocks)))


@pytest.mark.parametrize("padded", [0, 31, 62])
def test_a_contracts_signature_fills_whole_blocks(desk: Desk, reverts: Reverts, ask: SignedOrder, padded: int) -> None:
    packed = wallet_entry(ask, 65, 0)
    reverts("S:LENGTH", desk.settle_bytes, batch(pack_market_entry(BTC, 0), packed + bytes(65 + padded)))


def test_the_blocks_of_a_signature_are_no_entries(desk: Desk, reverts: Reverts, ask: SignedOrder) -> None:
    """They are not counted, and never read as an order or a market."""
    block = pack_market_entry(BTC, 0)
    data = batch(block, wallet_entry(ask, 128, 0) + block)
    assert desk.settle_bytes(data) == []
    reverts("S:SIG", desk.settle_bytes, data[:4] + (3).to_bytes(32, "big") + data[36:] + bytes(128))
    reverts("S:LENGTH", desk.settle_bytes, data[:4] + (1).to_bytes(32, "big") + data[36:])


@pytest.mark.parametrize("tif", [5, 6, 7])
def test_an_unknown_time_in_force_is_refused(desk: Desk, reverts: Reverts, ask: SignedOrder, tif: int) -> None:
    packed = entry(ask, Role.MAKER, terms_bits=tif << 186)
    reverts("S:FLAGS", desk.settle_bytes, batch(pack_market_entry(BTC, 0), packed))


def test_a_market_order_that_would_rest_is_refused(desk: Desk, reverts: Reverts, bid: SignedOrder) -> None:
    packed = entry(bid, Role.TAKER, terms_bits=1 << 185)
    reverts("S:FLAGS", desk.settle_bytes, batch(pack_market_entry(BTC, 0), packed))
