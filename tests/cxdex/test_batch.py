"""The calldata of settleBatch, read back by a reader that shares no code with the writer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.batch import (
    ENTRY_BYTES,
    MatchedFill,
    Role,
    SkipReason,
    encode_settle_batch,
    entries_of,
    pack_condition,
    pack_order_entry,
    pack_terms,
    trade_id,
    unpack_fill,
)
from cxdex.condition import Condition, Trigger
from cxdex.eip712 import market_hash, order_digest
from cxdex.keccak import keccak
from cxdex.order import Order, Side, SignatureKind, SignedOrder
from cxdex.signature import sign_digest, to_compact
from tests.cxdex.order_strategies import DOMAIN, KEY, STOP, order, orders


@dataclass(frozen=True)
class Entry:
    """One 128-byte entry, by shifts as the contract reads it."""

    who: int
    terms: int
    r: int
    vs: int

    @property
    def account(self) -> bytes:
        return (self.who & 2**160 - 1).to_bytes(20, "big")

    @property
    def fill(self) -> int:
        return self.who >> 200 & 2**40 - 1

    @property
    def role(self) -> int:
        return self.who >> 240 & 255

    @property
    def kind(self) -> int:
        return self.who >> 248


def signed(number: int, side: Side) -> SignedOrder:
    chosen = order(nonce=number, side=side)
    digest = order_digest(DOMAIN, chosen)
    return SignedOrder(chosen, sign_digest(KEY, digest), digest)


def read_batch(calldata: bytes) -> list[Entry]:
    assert calldata[:4] == keccak(b"settleBatch(uint256)")[:4]
    count = int.from_bytes(calldata[4:36], "big")
    words = [int.from_bytes(calldata[at : at + 32], "big") for at in range(36, len(calldata), 32)]
    read = [Entry(*words[at : at + 4]) for at in range(0, len(words), 4)]
    at = counted = 0
    while at < len(read):  # the blocks that follow an entry are not counted
        at += 1 + blocks_behind(read[at])
        counted += 1
    assert (at, counted) == (len(read), count)
    return read


def blocks_behind(entry: Entry) -> int:
    signature = -(-entry.r // ENTRY_BYTES) if entry.kind & 3 == SignatureKind.CONTRACT else 0
    return signature + (1 if entry.kind & 4 else 0)


def waiting(plain: SignedOrder, condition: Condition = STOP, proof: tuple[int, int] = (0, 0)) -> SignedOrder:
    """The same order under a condition. It keeps its signature: nobody checks it here."""
    conditional = replace(plain.order, condition=condition)
    return replace(plain, order=conditional, digest=order_digest(DOMAIN, conditional), proof=proof)


def by_wallet(length: int, number: int = 20) -> SignedOrder:
    """An order of a contract wallet, with a signature in which no two blocks are alike."""
    plain = signed(number, Side.SELL)
    signature = bytes((i + i // ENTRY_BYTES) % 255 + 1 for i in range(length))
    return replace(plain, signature=signature, kind=SignatureKind.CONTRACT)


MAKERS = [signed(0, Side.SELL), replace(signed(1, Side.SELL), kind=SignatureKind.SESSION), by_wallet(300, 2)]
MAKERS += [waiting(maker) for maker in MAKERS]
TAKERS = [*(signed(number, Side.BUY) for number in range(10, 12)), waiting(signed(12, Side.BUY))]


@given(orders())
def test_terms_hold_every_signed_number(chosen: Order) -> None:
    packed = pack_terms(chosen)
    fields = [packed & 0xFFFF, packed >> 16 & 2**64 - 1, packed >> 80 & 2**40 - 1, packed >> 120 & 2**64 - 1]
    assert fields == [chosen.max_fee_bps, chosen.limit_price, chosen.quantity, chosen.nonce]
    flags = packed >> 184 & 255
    words = [flags & 1, flags >> 1 & 1, flags >> 2 & 7, flags >> 5 & 3, flags >> 7 & 1]
    assert words == [chosen.side, chosen.order_type, chosen.time_in_force, chosen.self_trade, chosen.reduce_only]
    assert packed >> 192 == chosen.max_collateral


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["A", "B"]), st.integers(0, 5), st.integers(0, 2), st.integers(1, 2**40 - 1)),
        max_size=12,
    )
)
def test_two_cursors_replay_the_fills(chosen: list[tuple[str, int, int, int]]) -> None:
    fills: list[MatchedFill] = []
    sequences = {"A": 5, "B": 2**40 - 100}
    for market, maker, taker, quantity in chosen:
        fills.append(MatchedFill(market, sequences[market], MAKERS[maker], TAKERS[taker], quantity))
        sequences[market] += 1
    assert replay(read_batch(encode_settle_batch(fills))) == [
        (market_hash(f.market), f.sequence, sent_as(f.maker), sent_as(f.taker), f.quantity) for f in fills
    ]


def sent_as(order: SignedOrder) -> tuple[int, int]:
    return (len(order.signature), 0) if order.kind is SignatureKind.CONTRACT else to_compact(order.signature)


def replay(entries: list[Entry]) -> list[tuple[bytes, int, tuple[int, int], tuple[int, int], int]]:
    """What the contract does with cursors, on paper."""
    done = []
    market, sequence = b"", 0
    cursors: dict[int, Entry] = {}
    blocks = 0
    for entry in entries:
        if blocks:
            blocks -= 1
            continue
        if entry.role == Role.MARKET:
            market, sequence = entry.terms.to_bytes(32, "big"), entry.r
            cursors = {}
            continue
        cursors[entry.role] = entry
        blocks = blocks_behind(entry)
        if entry.fill:
            maker, taker = cursors[Role.MAKER], cursors[Role.TAKER]
            done.append((market, sequence, (maker.r, maker.vs), (taker.r, taker.vs), entry.fill))
            sequence += 1
    return done


def test_an_order_that_is_in_its_cursor_is_not_sent_again() -> None:
    fills = [MatchedFill("A", i, MAKERS[i], TAKERS[0], 1) for i in range(len(MAKERS))]
    entries = read_batch(encode_settle_batch(fills))
    assert len(entries) == 1 + len(TAKERS[:1]) + sum(entries_of(maker) for maker in MAKERS)
    assert [(entry.r, entry.role) for entry in entries].count((to_compact(TAKERS[0].signature)[0], Role.TAKER)) == 1


def test_the_same_pair_twice_in_a_row_sends_its_taker_again() -> None:
    fills = [MatchedFill("A", i, MAKERS[0], TAKERS[0], 1) for i in range(2)]
    entries = read_batch(encode_settle_batch(fills))
    assert [entry.fill for entry in entries if entry.role == Role.TAKER] == [1, 1]
    assert len(entries) == 1 + entries_of(MAKERS[0]) + 2 * entries_of(TAKERS[0])


def test_a_gap_in_the_sequence_is_announced() -> None:
    fills = [MatchedFill("A", 0, MAKERS[0], TAKERS[0], 1), MatchedFill("A", 2, MAKERS[1], TAKERS[0], 1)]
    entries = read_batch(encode_settle_batch(fills))
    assert [(entry.role, entry.r) for entry in entries if entry.role == Role.MARKET] == [(2, 0), (2, 2)]


@pytest.mark.parametrize(("length", "entries"), [(0, 1), (1, 2), (128, 2), (129, 3), (1023, 9), (1024, 9)])
def test_a_wallets_signature_follows_its_entry_in_whole_blocks(length: int, entries: int) -> None:
    order = by_wallet(length)
    packed = pack_order_entry(order, Role.MAKER, 7)
    assert len(packed) == ENTRY_BYTES * entries == ENTRY_BYTES * entries_of(order)
    head, tail = packed[:ENTRY_BYTES], packed[ENTRY_BYTES:]
    assert head[0] == 2  # the top byte of `who`
    assert head[64:] == length.to_bytes(32, "big") + bytes(32)
    assert tail == order.signature + bytes(len(tail) - length)
    (_, maker, *rest) = read_batch(encode_settle_batch([MatchedFill("A", 0, order, TAKERS[0], 7)]))
    assert (maker.r, len(rest)) == (length, entries)  # the blocks, and the taker


@pytest.mark.parametrize("trigger", Trigger)
def test_a_condition_follows_its_entry_in_one_block(trigger: Trigger) -> None:
    condition = Condition(trigger, 2**64 - 2, 2**40 - 3)
    chosen = replace(TAKERS[0], order=replace(TAKERS[0].order, expiry=2**40 - 1))
    order = waiting(chosen, condition, (2**40 - 4, 2**40 - 5))
    head, block = halves = [pack_order_entry(order, Role.TAKER, 3)[at : at + ENTRY_BYTES] for at in (0, ENTRY_BYTES)]
    assert b"".join(halves) == pack_order_entry(order, Role.TAKER, 3)
    assert (head[0], head[1:]) == (4, pack_order_entry(chosen, Role.TAKER, 3)[1:])
    word, times, *rest = (int.from_bytes(block[at : at + 32], "big") for at in range(0, ENTRY_BYTES, 32))
    assert (word & 255, word >> 8 & 2**64 - 1, word >> 72) == (trigger, 2**64 - 2, 2**40 - 3)
    assert (times & 2**40 - 1, times >> 40) == (2**40 - 4, 2**40 - 5)
    assert rest == [0, 0]


@pytest.mark.parametrize(("length", "entries"), [(0, 2), (1, 3), (129, 4)])
def test_a_condition_stands_before_a_wallets_signature(length: int, entries: int) -> None:
    plain, order = by_wallet(length), waiting(by_wallet(length), STOP, (1, 0))
    packed = pack_order_entry(order, Role.MAKER, 7)
    assert len(packed) == ENTRY_BYTES * entries == ENTRY_BYTES * entries_of(order)
    assert packed[0] == 6
    assert packed[ENTRY_BYTES : 2 * ENTRY_BYTES] == pack_condition(STOP, (1, 0))
    assert packed[1:ENTRY_BYTES] + packed[2 * ENTRY_BYTES :] == pack_order_entry(plain, Role.MAKER, 7)[1:]


def test_a_session_key_differs_from_the_account_by_one_byte() -> None:
    own = pack_order_entry(TAKERS[0], Role.TAKER, 3)
    session = pack_order_entry(replace(TAKERS[0], kind=SignatureKind.SESSION), Role.TAKER, 3)
    assert (own[0], session[0]) == (0, 1)
    assert own[1:] == session[1:]


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        (SignatureKind.ACCOUNT, 64),
        (SignatureKind.SESSION, 66),
        (SignatureKind.ACCOUNT, 0),
        (SignatureKind.CONTRACT, 1025),
    ],
)
def test_a_signature_that_no_entry_can_carry_is_a_fault_of_ours(kind: SignatureKind, length: int) -> None:
    with pytest.raises(ValueError, match=f"{length} bytes"):
        pack_order_entry(replace(TAKERS[0], signature=bytes(length), kind=kind), Role.TAKER, 1)


def test_the_reasons_have_the_contracts_numbers() -> None:
    words = "MAKER_CANCELLED TAKER_CANCELLED MAKER_EXPIRED TAKER_EXPIRED BUYER_BALANCE SELLER_BALANCE MAKER_SIGNATURE"
    words += " TAKER_SIGNATURE MAKER_SESSION_LIMIT TAKER_SESSION_LIMIT MINT_REFUSED"
    assert [(member.name, member.value) for member in SkipReason] == [
        *((word, number + 1) for number, word in enumerate(words.split())),
        ("VOIDED", 255),
    ]


def test_no_fills_is_an_empty_batch() -> None:
    assert read_batch(encode_settle_batch([])) == []


@given(st.tuples(*(st.integers(0, 2**bits - 1) for bits in (39, 64, 40, 16, 1, 48, 48))))
def test_fill_events_read_back(terms: tuple[int, ...]) -> None:
    quantity, price, sequence, market_index, buyer, taker_fee, maker_fee = terms
    packed = quantity | price << 39 | sequence << 103 | market_index << 143 | buyer << 159
    fill = unpack_fill(packed | taker_fee << 160 | maker_fee << 208)
    assert (fill.quantity, fill.price, fill.sequence, fill.market_index) == terms[:4]
    assert fill.taker_is_buyer is bool(buyer)
    assert (fill.taker_fee, fill.maker_fee) == (taker_fee, maker_fee)


def test_trade_id_is_the_hash_of_six_words() -> None:
    from eth_abi.abi import encode

    types = ["bytes32", "bytes32", "bytes32", "uint256", "uint256", "uint256"]
    expected = keccak(encode(types, [market_hash("A"), b"\x01" * 32, b"\x02" * 32, 7, 8, 9]))
    assert trade_id("A", b"\x01" * 32, b"\x02" * 32, 7, 8, 9) == expected
