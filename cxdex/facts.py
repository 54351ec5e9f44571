"""Chain facts: what the indexer tells the relayer, one message a contract event that matters off chain.

The indexer writes them into its `outbox` table in the transaction that stores the event; the relayer turns
each into a journaled command. A reorg does not delete messages: it appends the same fact with `reverted`.

Outbox table (written by the indexer only; read with plain SQL by the relayer):
  outbox(seq INTEGER PRIMARY KEY, block INTEGER, log_index INTEGER, reverted BOOLEAN, payload TEXT)
  payload is `encode_fact(fact)`: JSON, because amounts may exceed 64 bits (bytes are base64).
  (block, log_index) orders facts and is unique among those that stand: an event gives at most one. A reader
  ignores a fact at or before the position it has already applied, and a revert after it, so a rebuilt outbox is
  harmless.

Amounts are unsigned: 1e-6 USDC for asset 0 and 1 (CXPT), 1e-18 units for synths. Accounts and digests are bytes.
"""

from __future__ import annotations

import msgspec


class Fact(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Base of all facts; the tag is the class name."""


class Credited(Fact, frozen=True):
    """The account's internal balance of the asset rose (deposit, cancelled withdrawal, minted, collateral back)."""

    account: bytes
    asset: int
    amount: int


class Debited(Fact, frozen=True):
    """The account's internal balance of the asset fell (withdrawal request, burn, collateral locked)."""

    account: bytes
    asset: int
    amount: int


class SettledTerms(msgspec.Struct, frozen=True, array_like=True):
    """What a fill moved, for a reader that does not know it. price in ticks, quantity in lots, fees in 1e-6 USDC."""

    maker_order: bytes
    taker_order: bytes
    maker: bytes
    taker: bytes
    taker_is_buyer: bool
    price: int
    quantity: int
    maker_fee: int
    taker_fee: int
    maker_nonce: int
    taker_nonce: int


class FillSettled(Fact, frozen=True):
    """The indexer always sends the terms: an engine that lost its journal, or did not make the fill, needs them."""

    market: str
    sequence: int
    terms: SettledTerms | None = None


class FillSkipped(Fact, frozen=True):
    """`count` numbers from `sequence` on moved nothing."""

    market: str
    sequence: int
    reason: int
    count: int = 1


class NonceRaised(Fact, frozen=True):
    """Orders of this lane with a seq below `seq` are dead."""

    account: bytes
    lane: int
    seq: int


class EpochRaised(Fact, frozen=True):
    """Every order of an older epoch is dead."""

    account: bytes
    epoch: int


class MarketListed(Fact, frozen=True):
    symbol: str
    index: int
    kind: int
    base_asset: int
    base_symbol: str
    lot_exponent: int
    quote_per_lot_tick: int
    min_lots: int
    maker_fee_bps: int
    taker_fee_bps: int


class MarketStatusChanged(Fact, frozen=True):
    symbol: str
    status: int
    previous: int


AnyFact = (
    Credited | Debited | FillSettled | FillSkipped | NonceRaised | EpochRaised | MarketListed | MarketStatusChanged
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyFact)


def encode_fact(fact: AnyFact) -> str:
    return _encoder.encode(fact).decode()


def decode_fact(payload: str) -> AnyFact:
    fact: AnyFact = _decoder.decode(payload)
    return fact
