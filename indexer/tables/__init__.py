"""Tables that the indexer writes, and nobody else: what the chain knows, derived from its events alone.

Owns:     the schema. Three layers:
            1. chain    chain_block, raw_log           what the node said; projections are rebuilt from it
            2. history  settled_fill, ledger_entry,    one row per thing that happened, never changed
                        fee_movement, price_update, liquidation, timelock_call, operator_notice
            3. state    every other projection         absolute values, brought back by `undo` after a reorg
          and the indexer's own: checkpoint, undo, outbox, pending_fact.
Promises: layers 1 to 3 are a function of the chain up to `checkpoint`: a rebuild gives the same rows.
Never:    holds what the relayer decided (see `relayer.tables`).

Units: asset amounts are 1e-6 USDC for asset 0 (cash) and 1 (CXPT), 1e-18 units for synths; quantities are
lots; prices are ticks; times are unix seconds of the block. Account and contract columns are 20 bytes,
hashes and digests 32. Markets are named by their symbol.
"""

from __future__ import annotations

from indexer.tables.accounts import (
    AccountBalance,
    AccountState,
    AnnouncedBalance,
    Lane,
    LaneCancel,
    LedgerEntry,
    OrderFill,
    SessionKey,
    Withdrawal,
)
from indexer.tables.chain import ChainBlock, Checkpoint, Outbox, PendingFact, RawLog, Undo
from indexer.tables.debt import DebtAsset, DebtPosition, Liquidation, OraclePrice, PriceUpdate, Redemption
from indexer.tables.markets import Candle, MarketListing, SettledFill, SynthAsset
from indexer.tables.operations import ExchangeValue, FeeMovement, OperatorNotice, Proxy, TimelockCall, TimelockOperation

__all__ = [
    "AccountBalance",
    "AccountState",
    "AnnouncedBalance",
    "Candle",
    "ChainBlock",
    "Checkpoint",
    "DebtAsset",
    "DebtPosition",
    "ExchangeValue",
    "FeeMovement",
    "Lane",
    "LaneCancel",
    "LedgerEntry",
    "Liquidation",
    "MarketListing",
    "OperatorNotice",
    "OraclePrice",
    "OrderFill",
    "Outbox",
    "PendingFact",
    "PriceUpdate",
    "Proxy",
    "RawLog",
    "Redemption",
    "SessionKey",
    "SettledFill",
    "SynthAsset",
    "TimelockCall",
    "TimelockOperation",
    "Undo",
    "Withdrawal",
]
