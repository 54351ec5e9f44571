"""The contracts' events as plain values, one struct each, in the units of `indexer.tables`.

Owns:     the vocabulary between the decoder (which makes them) and the projections (which fold them). A struct has the
          name of its event, and its fields are the event's in the order of the ABI; Fill, FillSkipped and Notice aside.
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


class Match(Event, frozen=True, gc=False):
    """What a fill and a skipped fill have in common. The orders are order words (`cxdex.order_word`)."""

    maker_order: bytes
    taker_order: bytes
    market_index: int
    sequence: int
    taker_is_buyer: bool
    price: int
    quantity: int


class Fill(Match, frozen=True, gc=False):
    maker_fee: int
    taker_fee: int


class FillSkipped(Match, frozen=True, gc=False):
    reason: int


class SequenceVoided(Event, frozen=True, gc=False):
    market: bytes
    first_sequence: int
    count: int


class NonceRaised(Event, frozen=True, gc=False):
    account: bytes
    lane: int
    seq: int
    effective_at: int


class EpochRaised(Event, frozen=True, gc=False):
    account: bytes
    epoch: int
    effective_at: int


class SessionSet(Event, frozen=True, gc=False):
    account: bytes
    key: bytes
    market: bytes  # zeros: all markets
    notional: int
    expiry: int


class SessionRevoked(Event, frozen=True, gc=False):
    account: bytes
    key: bytes


class SessionUsed(Event, frozen=True, gc=False):
    account: bytes
    key: bytes
    notional_left: int


class Heartbeat(Event, frozen=True, gc=False):
    time: int


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


class WithdrawCancelled(Event, frozen=True, gc=False):
    id: int
    account: bytes
    asset: int
    amount: int


class WithdrawRedirected(Event, frozen=True, gc=False):
    id: int
    account: bytes
    recipient: bytes
    claimable_at: int


class WithdrawClaimed(Event, frozen=True, gc=False):
    id: int
    account: bytes
    asset: int
    amount: int
    paid: int
    as_cxpt: bool
    recipient: bytes
    balance: int


class Withdrawn(Event, frozen=True, gc=False):
    account: bytes
    asset: int
    amount: int
    as_cxpt: bool
    recipient: bytes
    nonce: int
    balance: int


class CxptRedeemed(Event, frozen=True, gc=False):
    account: bytes
    amount: int
    balance: int


class FeesCollected(Event, frozen=True, gc=False):
    market: bytes
    amount: int
    pocket: int


class FeesWithdrawn(Event, frozen=True, gc=False):
    recipient: bytes
    amount: int
    pocket: int


class RebatePaid(Event, frozen=True, gc=False):
    account: bytes
    amount: int
    balance: int
    pocket: int


class CollateralLocked(Event, frozen=True, gc=False):
    account: bytes
    amount: int
    total: int


class ProceedsLocked(Event, frozen=True, gc=False):
    account: bytes
    amount: int
    balance: int
    total: int


class CollateralReleased(Event, frozen=True, gc=False):
    account: bytes
    amount: int
    balance: int
    total: int


class SynthMinted(Event, frozen=True, gc=False):
    account: bytes
    asset: int
    amount: int
    balance: int
    supply: int


class SynthBurned(Event, frozen=True, gc=False):
    owner: bytes
    asset: int
    amount: int
    supply: int


class SynthEscrowed(Event, frozen=True, gc=False):
    owner: bytes
    asset: int
    amount: int


class EscrowBurned(Event, frozen=True, gc=False):
    asset: int
    amount: int
    supply: int


class EscrowReturned(Event, frozen=True, gc=False):
    account: bytes
    asset: int
    amount: int
    balance: int


class SynthRegistered(Event, frozen=True, gc=False):
    asset: int
    synth: bytes


# ------------------------------------------------------------------ listings


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


# ------------------------------------------------------------------ debt and prices


class DebtChanged(Event, frozen=True, gc=False):
    account: bytes
    asset: int
    debt: int
    collateral: int


class Liquidated(Event, frozen=True, gc=False):
    account: bytes
    asset: int
    liquidator: bytes
    debt: int
    collateral: int
    kind: int


class RedemptionRequested(Event, frozen=True, gc=False):
    id: int
    account: bytes
    asset: int
    amount: int
    max_fee_bps: int
    price_from: int


class RedemptionExecuted(Event, frozen=True, gc=False):
    id: int
    account: bytes
    asset: int
    amount: int
    payout: int
    remaining: int
    price: int


class RedemptionCancelled(Event, frozen=True, gc=False):
    id: int
    account: bytes
    asset: int
    amount: int


class AssetOpened(Event, frozen=True, gc=False):
    asset: int
    cap: int


class CapChanged(Event, frozen=True, gc=False):
    asset: int
    previous: int
    cap: int


class AssetWound(Event, frozen=True, gc=False):
    asset: int
    price: int


class PositionProcessed(Event, frozen=True, gc=False):
    account: bytes
    asset: int
    paid: int
    released: int
    pot: int


class RateFixed(Event, frozen=True, gc=False):
    asset: int
    rate: int


class WoundClaimed(Event, frozen=True, gc=False):
    account: bytes
    asset: int
    amount: int
    payout: int
    pot: int


class PriceUpdated(Event, frozen=True, gc=False):
    asset: int
    price: int
    publish_time: int
    cumulative: int


# ------------------------------------------------------------------ what an operator must see


class OperationScheduled(Event, frozen=True, gc=False):
    id: bytes
    salt: bytes
    executable_at: int
    expires_at: int


class CallScheduled(Event, frozen=True, gc=False):
    id: bytes
    index: int
    target: bytes
    value: int
    data: bytes
    target_code_hash: bytes
    current_code_hash: bytes
    upgrade_code_hash: bytes


class OperationCancelled(Event, frozen=True, gc=False):
    id: bytes


class OperationExecuted(Event, frozen=True, gc=False):
    id: bytes


class Notice(Event, frozen=True, gc=False):
    """An event that changes no balance, order or position: `values` are (name in the ABI, value), addresses and hashes
    as bytes."""

    contract: str
    name: str
    values: tuple[tuple[str, int | bool | str | bytes], ...]
