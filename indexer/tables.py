"""Tables that the indexer writes, and nobody else: what the chain knows, derived from its events alone.

Owns:     the schema. Three layers:
            1. chain    chain_block, raw_log           what the node said; projections are rebuilt from it
            2. history  settled_fill, ledger_entry     one row per thing that happened, never changed
            3. state    every other projection         absolute values, brought back by `undo` after a reorg
          and the indexer's own: checkpoint, undo, outbox, pending_fact.
Promises: layers 1 to 3 are a function of the chain up to `checkpoint`: a rebuild gives the same rows.
Never:    holds what the relayer decided (see `relayer.tables`).

Units: asset amounts are 1e-6 USDC for asset 0 (cash) and 1 (CXPT), 1e-18 units for synths; quantities are
lots; prices are ticks; times are unix seconds of the block. Account and contract columns are 20 bytes,
hashes and digests 32. Markets are named by their symbol.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel

from cxdex.storage import Big, Uint

# Rows live in the primary-key tree itself: one tree to write instead of two.
CLUSTERED = {"sqlite_with_rowid": False}


class ChainBlock(SQLModel, table=True):
    """Every block that holds our events, and every block of the last `finality depth` (to find a reorg's ancestor)."""

    __tablename__ = "chain_block"

    number: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    parent: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    timestamp: int = Field(sa_column=Column(Big, nullable=False))


class RawLog(SQLModel, table=True):
    """A log as the node gave it. `topics` is 0 to 4 words of 32 bytes, one after the other."""

    __tablename__ = "raw_log"
    __table_args__ = (CLUSTERED,)

    block: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    log_index: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    address: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    topics: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    tx_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))


class Checkpoint(SQLModel, table=True):
    """One row: the last block whose events are in every table, written in the same transaction as they are.

    `emitted_block`: facts of blocks up to it are in the outbox (it lags by the confirmations asked for).
    `chain_id` and `settlement` say which exchange this is, so that a database is never fed from another chain.
    """

    __tablename__ = "checkpoint"

    id: int = Field(default=1, primary_key=True)
    block: int = Field(sa_column=Column(Big, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    timestamp: int = Field(sa_column=Column(Big, nullable=False))
    emitted_block: int = Field(sa_column=Column(Big, nullable=False))
    head: int = Field(sa_column=Column(Big, nullable=False))  # the node's head when this was written
    undo_floor: int = Field(sa_column=Column(Big, nullable=False))  # the lowest block that `undo` can go back to
    chain_id: int = Field(sa_column=Column(Big, nullable=False))
    settlement: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    projection_version: int


class AccountBalance(SQLModel, table=True):
    """Internal balance of one account in one asset, after the last event that changed it (`block`)."""

    __tablename__ = "account_balance"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    asset: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    amount: int = Field(sa_column=Column(Uint, nullable=False))
    block: int = Field(sa_column=Column(Big, nullable=False))


class AccountState(SQLModel, table=True):
    """The epoch below which every order of the account is dead. No row means epoch 0."""

    __tablename__ = "account_state"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    epoch: int = Field(sa_column=Column(Big, nullable=False))


class Lane(SQLModel, table=True):
    """A nonce lane as the contract stores it: orders below `seq` are dead, those at `seq` have filled `filled` lots."""

    __tablename__ = "lane"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    lane: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    seq: int = Field(sa_column=Column(Big, nullable=False))
    filled: int = Field(sa_column=Column(Big, nullable=False))


class Withdrawal(SQLModel, table=True):
    """One request in the withdrawal queue. status: REQUESTED, then CANCELLED or CLAIMED (closed_* say where)."""

    __tablename__ = "withdrawal"
    __table_args__ = (Index("ix_withdrawal_account", "account", "id"),)

    id: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    account: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    asset: int = Field(sa_column=Column(Big, nullable=False))
    amount: int = Field(sa_column=Column(Uint, nullable=False))
    as_cxpt: bool
    claimable_at: int = Field(sa_column=Column(Big, nullable=False))
    status: str
    requested_block: int = Field(sa_column=Column(Big, nullable=False))
    requested_tx: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    closed_block: int | None = Field(default=None, sa_column=Column(Big))
    closed_tx: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32)))


class SynthAsset(SQLModel, table=True):
    """A synth of the ledger, asset 2 and up, and its token."""

    __tablename__ = "synth_asset"

    asset: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    address: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    name: str
    symbol: str


class MarketListing(SQLModel, table=True):
    """A market's immutable terms, and the parts of its packed word that move.

    `index` is its number in fill events, `hash` the keccak of its symbol, `status` a `cxdex.market.MarketStatus`,
    `next_sequence` the number that its next fill, skip or void will use, `accrued_fees` 1e-6 USDC not yet collected.
    """

    __tablename__ = "market_listing"

    symbol: str = Field(primary_key=True)
    hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False, unique=True))
    index: int = Field(sa_column=Column(Big, nullable=False, unique=True))
    kind: int
    base_asset: int = Field(sa_column=Column(Big, nullable=False))
    base_symbol: str
    lot_exponent: int
    quote_per_lot_tick: int = Field(sa_column=Column(Big, nullable=False))
    min_lots: int = Field(sa_column=Column(Big, nullable=False))
    maker_fee_bps: int
    taker_fee_bps: int
    status: int
    next_sequence: int = Field(sa_column=Column(Big, nullable=False))
    accrued_fees: int = Field(sa_column=Column(Uint, nullable=False))
    listed_block: int = Field(sa_column=Column(Big, nullable=False))


class SettledFill(SQLModel, table=True):
    """One number of a market's settlement sequence, used up on chain.

    `reason` is null when the fill settled, else why nothing moved: a `cxdex.batch.SkipReason`, VOIDED when
    CORE voided the number (then the columns that describe the match are null). Fees are 1e-6 USDC; the nonces are
    packed as in `cxdex.nonce`. Join with the relayer's trade on (market, sequence).
    """

    __tablename__ = "settled_fill"
    __table_args__ = (
        Index("ix_settled_fill_market", "market", "sequence", unique=True),
        Index("ix_settled_fill_maker", "maker", "block"),
        Index("ix_settled_fill_taker", "taker", "block"),
        CLUSTERED,
    )

    block: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    log_index: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    sequence: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    market: str
    tx_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    timestamp: int = Field(sa_column=Column(Big, nullable=False))
    maker_order: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32)))
    taker_order: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32)))
    maker: bytes | None = Field(default=None, sa_column=Column(LargeBinary(20)))
    taker: bytes | None = Field(default=None, sa_column=Column(LargeBinary(20)))
    price: int | None = Field(default=None, sa_column=Column(Uint))
    quantity: int | None = Field(default=None, sa_column=Column(Big))
    taker_is_buyer: bool | None = None
    maker_fee: int | None = Field(default=None, sa_column=Column(Uint))
    taker_fee: int | None = Field(default=None, sa_column=Column(Uint))
    maker_nonce: int | None = Field(default=None, sa_column=Column(Uint))
    taker_nonce: int | None = Field(default=None, sa_column=Column(Uint))
    reason: int | None = None


class OrderFill(SQLModel, table=True):
    """Lots of one order, by its digest, that have settled. No row means none."""

    __tablename__ = "order_fill"
    __table_args__ = (CLUSTERED,)

    digest: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True))
    account: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    market: str
    filled: int = Field(sa_column=Column(Big, nullable=False))


class DebtPosition(SQLModel, table=True):
    """A collateralised debt position: synth units owed, and 1e-6 USDC locked for them."""

    __tablename__ = "debt_position"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    asset: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    debt: int = Field(sa_column=Column(Uint, nullable=False))
    collateral: int = Field(sa_column=Column(Uint, nullable=False))


class OraclePrice(SQLModel, table=True):
    """The newest report of one reporter: 1e-6 USDC per whole synth, published at `publish_time`."""

    __tablename__ = "oracle_price"
    __table_args__ = (CLUSTERED,)

    asset: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    reporter: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    price: int = Field(sa_column=Column(Uint, nullable=False))
    publish_time: int = Field(sa_column=Column(Big, nullable=False))


class LedgerEntry(SQLModel, table=True):
    """One change of one internal balance. The account's statement, in the order of (block, log_index).

    kind: DEPOSIT, WITHDRAW_REQUEST, WITHDRAW_CANCEL, COLLATERAL_LOCK, COLLATERAL_RELEASE, SYNTH_MINT, SYNTH_BURN,
    CXPT_REDEEM, FEES_COLLECT, FILL. `is_credit` is the direction of `amount`; `balance` is what stood after it.
    A fill's cash entry is net of its fee.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    block: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    log_index: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    asset: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    kind: str
    is_credit: bool
    amount: int = Field(sa_column=Column(Uint, nullable=False))
    balance: int = Field(sa_column=Column(Uint, nullable=False))
    timestamp: int = Field(sa_column=Column(Big, nullable=False))
    tx_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))


class Candle(SQLModel, table=True):
    """One minute of settled fills of a market, in block time. `minute` is its first second. Skips do not count.

    Prices are ticks, `volume_lots` lots, `volume_quote` 1e-6 USDC of notional.
    """

    __tablename__ = "candle_1m"
    __table_args__ = (CLUSTERED,)

    market: str = Field(primary_key=True)
    minute: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    open: int = Field(sa_column=Column(Uint, nullable=False))
    high: int = Field(sa_column=Column(Uint, nullable=False))
    low: int = Field(sa_column=Column(Uint, nullable=False))
    close: int = Field(sa_column=Column(Uint, nullable=False))
    volume_lots: int = Field(sa_column=Column(Uint, nullable=False))
    volume_quote: int = Field(sa_column=Column(Uint, nullable=False))
    trades: int = Field(sa_column=Column(Big, nullable=False))


class Undo(SQLModel, table=True):
    """What a block changed: each state row's image before the block's first write to it (see `indexer.undo`)."""

    __tablename__ = "undo"

    block: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    images: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Outbox(SQLModel, table=True):
    """Facts for the relayer, append-only (see `cxdex.outbox`)."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_position", "block", "log_index"),)

    seq: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    block: int = Field(sa_column=Column(Big, nullable=False))
    log_index: int = Field(sa_column=Column(Big, nullable=False))
    block_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    reverted: bool
    payload: str = Field(sa_column=Column(Text, nullable=False))


class PendingFact(SQLModel, table=True):
    """Facts of blocks that have not yet the confirmations asked for; they move to the outbox in time."""

    __tablename__ = "pending_fact"
    __table_args__ = (CLUSTERED,)

    block: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    log_index: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    block_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    payload: str = Field(sa_column=Column(Text, nullable=False))
