"""The bytes of `settleBatch`: how matched orders are packed for the chain, and how a Fill event reads back.

A batch is `settleBatch(uint256 entryCount)` followed, outside the ABI arguments, by entryCount entries of
four 32-byte words. The contract streams them from calldata with two cursors, one maker and one taker:

  MARKET entry   who = role            terms = market hash      r = first sequence    vs = 0
                 chooses the market of the fills that follow; the sequence must be the market's next one
  MAKER / TAKER  who, terms, r, vs     puts the order into its cursor; if `fill` > 0, the two cursors then
                                       trade that many lots at the maker's limit price

  who   = account 160 | expiry 40 | fill 40 | role 8 | signature kind 8           (lowest bits first)
  terms = maxFeeBps 16 | limitPrice 64 | quantity 40 | nonce 64 | flags 8 | maxCollateral 64
  flags = isBuy 1 | isMarket 1 | timeInForce 3 | selfTrade 2 | reduceOnly 1
  r, vs = EIP-2098 compact signature, by the account (kind 0) or by a session key of the account (kind 1)
        = for a contract wallet (kind 2) the length of its signature and 0; the signature follows in as many
          further blocks of 128 bytes as it needs, padded with zeros; they do not count as entries
  kind  = 4, 5, 6: a conditional order, signed as kind 0, 1, 2. One block of 128 bytes follows its entry, before those
          of a wallet's signature, and does not count as an entry either:
            trigger 8 | triggerPrice 64 | activeFrom 40,  first publish time 40 | second publish time 40,  0,  0
          The two times are those of `SignedOrder.proof`; Triggers.vy looks their prices up in the oracle's history.

Every entry that trades uses up one sequence number of its market, also when the fill is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from cxdex.condition import Condition
from cxdex.eip712 import market_hash
from cxdex.keccak import keccak
from cxdex.order import Order, Side, SignatureKind, SignedOrder
from cxdex.signature import ECDSA_SIGNATURE_BYTES, MAX_CONTRACT_SIGNATURE_BYTES, to_compact

SETTLE_BATCH_SELECTOR = keccak(b"settleBatch(uint256)")[:4]
ENTRY_BYTES = 128
MAX_ENTRIES = 4096  # of one batch
CONDITIONAL = 4  # added to the signature's kind


class Role(IntEnum):
    MAKER = 0
    TAKER = 1
    MARKET = 2


class SkipReason(IntEnum):
    """Why a fill moved nothing. All but VOIDED: what a trader can cause; the contract's FillSkipped has these."""

    MAKER_CANCELLED = 1
    TAKER_CANCELLED = 2
    MAKER_EXPIRED = 3
    TAKER_EXPIRED = 4
    BUYER_BALANCE = 5
    SELLER_BALANCE = 6
    MAKER_SIGNATURE = 7  # session key unknown, revoked, expired or of another market; or the wallet refused
    TAKER_SIGNATURE = 8
    MAKER_SESSION_LIMIT = 9  # the session key may not trade that much any more
    TAKER_SESSION_LIMIT = 10
    MINT_REFUSED = 11  # the seller lacks the synth and the engine would not mint it
    VOIDED = 255  # the relayer used the number up (event SequenceVoided): the fill could never settle


@dataclass(frozen=True, slots=True)
class MatchedFill:
    """One fill as the matching engine decided it. quantity in lots; price is the maker's limit, in ticks."""

    market: str
    sequence: int
    maker: SignedOrder
    taker: SignedOrder
    quantity: int


@dataclass(frozen=True, slots=True)
class FillTerms:
    """The word `terms` of a Fill event. Fees are 1e-6 USDC; a skipped fill has none."""

    market_index: int
    sequence: int
    taker_is_buyer: bool
    price: int
    quantity: int
    maker_fee: int
    taker_fee: int


def pack_terms(order: Order) -> int:
    flags = (
        int(order.side is Side.BUY)
        | order.order_type << 1
        | order.time_in_force << 2
        | order.self_trade << 5
        | int(order.reduce_only) << 7
    )
    return (
        order.max_fee_bps
        | order.limit_price << 16
        | order.quantity << 80
        | order.nonce << 120
        | flags << 184
        | order.max_collateral << 192
    )


def entries_of(signed: SignedOrder) -> int:
    """How many times 128 bytes the order takes in a batch: its entry, and the blocks that follow it."""
    entries = 1 if signed.order.condition is None else 2
    if signed.kind is SignatureKind.CONTRACT:
        entries += -(-len(signed.signature) // ENTRY_BYTES)
    return entries


def pack_order_entry(signed: SignedOrder, role: Role, fill: int) -> bytes:
    """The order's entry, its condition if it has one, and the blocks of a contract wallet's signature."""
    order, signature = signed.order, signed.signature
    kind, condition = int(signed.kind), b""
    if order.condition is not None:
        kind, condition = kind + CONDITIONAL, pack_condition(order.condition, signed.proof)
    who = int.from_bytes(order.account, "big") | order.expiry << 160 | fill << 200 | role << 240 | kind << 248
    blocks = b""
    if signed.kind is SignatureKind.CONTRACT:
        _require_length(len(signature) <= MAX_CONTRACT_SIGNATURE_BYTES, signed)
        r, vs = len(signature), 0
        blocks = signature + bytes(-len(signature) % ENTRY_BYTES)
    else:
        _require_length(len(signature) == ECDSA_SIGNATURE_BYTES, signed)
        r, vs = to_compact(signature)
    return b"".join(word.to_bytes(32, "big") for word in (who, pack_terms(order), r, vs)) + condition + blocks


def pack_condition(condition: Condition, proof: tuple[int, int]) -> bytes:
    """The block behind the entry of a conditional order: what was signed, and the publish times that prove it."""
    word = condition.trigger | condition.trigger_price << 8 | condition.active_from << 72
    times = proof[0] | proof[1] << 40
    return word.to_bytes(32, "big") + times.to_bytes(32, "big") + bytes(64)


def _require_length(fits: bool, signed: SignedOrder) -> None:
    if not fits:
        raise ValueError(f"no entry can carry {len(signed.signature)} bytes as a signature of kind {signed.kind.name}")


def pack_market_entry(symbol: str, first_sequence: int) -> bytes:
    who = Role.MARKET << 240
    return who.to_bytes(32, "big") + market_hash(symbol) + first_sequence.to_bytes(32, "big") + bytes(32)


def encode_settle_batch(fills: Iterable[MatchedFill]) -> bytes:
    """Calldata that settles these fills in this order.

    An order already in its cursor is not sent again, except for the same two once more: then the taker is. When both
    cursors have to move, the maker moves first and the taker carries the fill.
    """
    entries: list[bytes] = []
    market = ""
    next_sequence = -1
    maker = taker = b""
    for fill in fills:
        if fill.market != market or fill.sequence != next_sequence:
            entries.append(pack_market_entry(fill.market, fill.sequence))
            market, maker, taker = fill.market, b"", b""
        next_sequence = fill.sequence + 1
        if fill.taker.digest == taker and fill.maker.digest != maker:
            entries.append(pack_order_entry(fill.maker, Role.MAKER, fill.quantity))
        else:
            if fill.maker.digest != maker:
                entries.append(pack_order_entry(fill.maker, Role.MAKER, 0))
            entries.append(pack_order_entry(fill.taker, Role.TAKER, fill.quantity))
        maker, taker = fill.maker.digest, fill.taker.digest
    return SETTLE_BATCH_SELECTOR + len(entries).to_bytes(32, "big") + b"".join(entries)


def unpack_fill(terms: int) -> FillTerms:
    """The word `terms` of a Fill or FillSkipped event; the words `maker` and `taker` are those of `cxdex.order_word`.

    quantity 39 | price 64 | sequence 40 | marketIndex 16 | takerIsBuyer 1 | takerFee 48 | makerFee 48   (lowest first)
    """
    return FillTerms(
        market_index=terms >> 143 & 2**16 - 1,
        sequence=terms >> 103 & 2**40 - 1,
        taker_is_buyer=bool(terms >> 159 & 1),
        price=terms >> 39 & 2**64 - 1,
        quantity=terms & 2**39 - 1,
        maker_fee=terms >> 208,
        taker_fee=terms >> 160 & 2**48 - 1,
    )


def trade_id(symbol: str, buy_order: bytes, sell_order: bytes, sequence: int, price: int, quantity: int) -> bytes:
    """The trade's id, computable by anyone from the Fill event alone: the orders are its order words."""
    return keccak(
        market_hash(symbol)
        + buy_order
        + sell_order
        + b"".join(value.to_bytes(32, "big") for value in (sequence, price, quantity))
    )
