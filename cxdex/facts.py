"""Chain facts: what the indexer tells the relayer, one message a contract event that matters off chain.

The indexer writes them into its `outbox` table in the transaction that stores the event; the relayer turns
each into a journaled command. A reorg does not delete messages: it appends the same fact with `reverted`.

The outbox table and how a reader finds out what no longer holds: `cxdex.outbox`. Its payload is
`encode_fact(fact)`: JSON, because amounts may exceed 64 bits (bytes are base64).

Amounts are unsigned: 1e-6 USDC for asset 0 and 1 (CXPT), 1e-18 units for synths. Accounts and order words are bytes.
"""

from __future__ import annotations

import msgspec


class Fact(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Base of all facts; the tag is the class name."""


class Credited(Fact, frozen=True):
    """The account may use more of the asset: deposit, rebate, minted, collateral or escrow back, and what a withdrawal
    had announced but does not take (cancelled, or claimed for less)."""

    account: bytes
    asset: int
    amount: int


class Debited(Fact, frozen=True):
    """The account may use less of the asset: withdrawal announced (taken at the claim), proceeds locked."""

    account: bytes
    asset: int
    amount: int


class WithdrawnInstantly(Fact, frozen=True):
    """The account took this out at once, with a co-signature for this `nonce`: whoever co-signed has set it aside."""

    account: bytes
    asset: int
    amount: int
    nonce: int


class SettledTerms(msgspec.Struct, frozen=True, array_like=True):
    """What a fill moved, for a reader that does not know it. price in ticks, quantity in lots, fees in 1e-6 USDC.

    The orders are named as the chain names them, by their order words (`cxdex.order_word`).
    """

    maker_order: bytes
    taker_order: bytes
    taker_is_buyer: bool
    price: int
    quantity: int
    maker_fee: int
    taker_fee: int


class FillSettled(Fact, frozen=True):
    """The indexer always sends the terms: an engine that lost its journal, or did not make the fill, needs them."""

    market: str
    sequence: int
    terms: SettledTerms | None = None


class FillSkipped(Fact, frozen=True):
    """`count` numbers from `sequence` on moved nothing. The orders are named, by order word, unless the numbers were
    voided: whoever settles may use a number up with orders of their own, and then the reason says nothing about ours.
    """

    market: str
    sequence: int
    reason: int
    count: int = 1
    maker_order: bytes = b""
    taker_order: bytes = b""


class NonceRaised(Fact, frozen=True):
    """Orders of this lane with a seq below `seq` are dead: to the relayer at once, on chain from `effective_at` (unix
    seconds), so that a fill matched before can still settle."""

    account: bytes
    lane: int
    seq: int
    effective_at: int = 0


class EpochRaised(Fact, frozen=True):
    """Every order of an older epoch is dead: to the relayer at once, on chain from `effective_at` (unix seconds)."""

    account: bytes
    epoch: int
    effective_at: int = 0


class SessionSet(Fact, frozen=True):
    """`key` (a 20-byte address) may sign orders for the account until `expiry` (unix seconds), in one market or (None)
    in all, for `notional` 1e-6 USDC in all. It takes the place of what the same key was allowed before."""

    account: bytes
    key: bytes
    market: str | None
    notional: int
    expiry: int


class SessionRevoked(Fact, frozen=True):
    account: bytes
    key: bytes


class SessionUsed(Fact, frozen=True):
    """Fills of orders that `key` signed have left it this much, in 1e-6 USDC."""

    account: bytes
    key: bytes
    notional_left: int


class PriceUpdated(Fact, frozen=True):
    """The oracle's price of a synth: 1e-6 USDC for a whole one, published at `publish_time` (unix seconds)."""

    asset: int
    price: int
    publish_time: int


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
    Credited
    | Debited
    | WithdrawnInstantly
    | FillSettled
    | FillSkipped
    | NonceRaised
    | EpochRaised
    | SessionSet
    | SessionRevoked
    | SessionUsed
    | MarketListed
    | MarketStatusChanged
    | PriceUpdated
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyFact)


def encode_fact(fact: AnyFact) -> str:
    return _encoder.encode(fact).decode()


def decode_fact(payload: str) -> AnyFact:
    fact: AnyFact = _decoder.decode(payload)
    return fact
