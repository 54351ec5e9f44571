"""What is traded, and what has been.

Units and rules as in `indexer.tables`.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from cxdex.storage import Big, Uint
from indexer.tables.clustered import CLUSTERED


class SynthAsset(SQLModel, table=True):
    """A synth of the ledger, asset 2 and up, and its token.

    `supply`: tokens there are; `escrow`: those that wait in the Vault for a redemption. Both 1e-18.
    """

    __tablename__ = "synth_asset"

    asset: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    address: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    name: str
    symbol: str
    supply: int = Field(sa_column=Column(Uint, nullable=False))
    escrow: int = Field(sa_column=Column(Uint, nullable=False))


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
    CORE voided the number (then the columns that describe the match are null). Fees are 1e-6 USDC.

    `maker_order` and `taker_order` are order words (`cxdex.order_word`): account, nonce and the digest's last 4 bytes,
    which is how the event names an order; `maker` and `taker` are their accounts. The digest itself only the relayer
    knows. Join with its trade on (market, sequence), and compare the words: somebody else may have used the number.
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
    reason: int | None = None


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
