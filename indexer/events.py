"""The contracts' events as plain values, one struct each, in the units of `indexer.tables`.

Owns:     the vocabulary between the decoder (which makes them) and the projections (which fold them).
Never:    knows where in the chain an event stands: that is `Position`.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Log(NamedTuple):
    """A row of raw_log: what the node gave, in bytes. `topics` are joined words."""

    block: int
    log_index: int
    address: bytes
    topics: bytes
    data: bytes
    tx_hash: bytes


class Position(NamedTuple):
    """Where an event stands. (block, log_index) orders all events; timestamp is the block's, unix seconds."""

    block: int
    log_index: int
    timestamp: int
    tx_hash: bytes


class Event(msgspec.Struct, frozen=True, gc=False):
    """Base of all events."""


# ------------------------------------------------------------------ Settlement


class Fill(Event, frozen=True, gc=False):
    maker_order: bytes
    taker_order: bytes
    maker: bytes
    taker: bytes
    market_index: int
    sequence: int
    taker_is_buyer: bool
    price: int
    quantity: int
    maker_fee: int
    taker_fee: int
    maker_nonce: int
    taker_nonce: int


class FillSkipped(Event, frozen=True, gc=False):
    maker_order: bytes
    taker_order: bytes
    maker: bytes
    taker: bytes
    market_index: int
    sequence: int
    taker_is_buyer: bool
    price: int
    quantity: int
    reason: int


class SequenceVoided(Event, frozen=True, gc=False):
    market: bytes
    first_sequence: int
    count: int


class NonceRaised(Event, frozen=True, gc=False):
    account: bytes
    lane: int
    seq: int


class EpochRaised(Event, frozen=True, gc=False):
    account: bytes
    epoch: int


class FeesCollected(Event, frozen=True, gc=False):
    market: bytes
    recipient: bytes
    amount: int
    balance: int


# ------------------------------------------------------------------ Vault


class Deposited(Event, frozen=True, gc=False):
    account: bytes
    asset: int
    amount: int
    balance: int


class WithdrawRequested(Event, frozen=True, gc=False):
    id: int
    account: bytes
    asset: int
    amount: int
    as_cxpt: bool
    claimable_at: int
    balance: int


class WithdrawCancelled(Event, frozen=True, gc=False):
    id: int
    account: bytes
    asset: int
    amount: int
    balance: int


class WithdrawClaimed(Event, frozen=True, gc=False):
    id: int
    account: bytes
    asset: int
    amount: int
    as_cxpt: bool


class CollateralLocked(Event, frozen=True, gc=False):
    account: bytes
    amount: int
    balance: int


class CollateralReleased(Event, frozen=True, gc=False):
    account: bytes
    amount: int
    balance: int


class SynthMinted(Event, frozen=True, gc=False):
    account: bytes
    asset: int
    amount: int
    balance: int
    supply: int


class SynthBurned(Event, frozen=True, gc=False):
    account: bytes
    asset: int
    amount: int
    balance: int
    supply: int


class CxptRedeemed(Event, frozen=True, gc=False):
    account: bytes
    amount: int
    balance: int


class SynthRegistered(Event, frozen=True, gc=False):
    asset: int
    synth: bytes


# ------------------------------------------------------------------ the others


class SynthCreated(Event, frozen=True, gc=False):
    synth: bytes
    asset: int
    name: str
    symbol: str


class MarketListed(Event, frozen=True, gc=False):
    market: bytes
    symbol: str
    index: int
    kind: int
    base_asset: int
    lot_exponent: int
    quote_per_lot_tick: int
    min_lots: int
    maker_fee_bps: int
    taker_fee_bps: int


class MarketStatusChanged(Event, frozen=True, gc=False):
    market: bytes
    previous: int
    status: int


class DebtChanged(Event, frozen=True, gc=False):
    account: bytes
    asset: int
    debt: int
    collateral: int


class PriceReported(Event, frozen=True, gc=False):
    asset: int
    reporter: bytes
    price: int
    publish_time: int
