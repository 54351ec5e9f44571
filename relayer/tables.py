"""Tables that the relayer writes: orders and trades (the projector), batches (the settler).

The API reads them. No other process writes them. Amounts that can exceed 63 bits are `Uint`.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from cxdex.storage import Big, Uint


class OrderRow(SQLModel, table=True):
    """One row per accepted order, for ever. Writer: the projector.

    replaces, replaced_by  orders of the same nonce, of which at most one is open at a time; empty for most
    filled_before   lots that other orders of its nonce filled (replaced ones, the other leg of a pair); they count
                    against its quantity
    display_quantity  lots that show in the book at once; 0: all
    signature_kind  a cxdex.order.SignatureKind; the signature is 65 bytes unless a contract wallet made it
    trigger         a cxdex.condition.Trigger; None, with the two that follow, for an order without a condition
    proof_first, proof_second  publish times that prove an INDEX trigger to the chain; 0 before it, and for LAST
    """

    __tablename__ = "order"
    __table_args__ = (
        Index("ix_order_account", "account", "accepted"),
        Index("ix_order_client", "account", "client_order_id"),
        Index("ix_order_status", "account", "status", "accepted"),
        Index("ix_order_nonce", "account", "nonce"),
    )

    digest: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True))
    accepted: int = Field(sa_column=Column(Big, nullable=False, unique=True))  # counts accepted orders: paging cursor
    account: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    market: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int = Field(sa_column=Column(Big, nullable=False))
    limit_price: int = Field(sa_column=Column(Uint, nullable=False))
    max_fee_bps: int
    max_collateral: int = Field(sa_column=Column(Uint, nullable=False))
    self_trade: int
    reduce_only: bool
    expiry: int = Field(sa_column=Column(Big, nullable=False))
    nonce: int = Field(sa_column=Column(Uint, nullable=False))
    signature: bytes = Field(sa_column=Column(LargeBinary(1024), nullable=False))
    signature_kind: int = 0
    trigger: int | None = None
    trigger_price: int | None = Field(default=None, sa_column=Column(Uint))
    active_from: int | None = Field(default=None, sa_column=Column(Big))
    proof_first: int = Field(default=0, sa_column=Column(Big, nullable=False))
    proof_second: int = Field(default=0, sa_column=Column(Big, nullable=False))
    client_order_id: str | None = None
    status: str  # PENDING, OPEN, FILLED, CANCELLED, EXPIRED
    reason: str | None = None
    filled: int = Field(sa_column=Column(Big, nullable=False))
    remaining: int = Field(sa_column=Column(Big, nullable=False))
    replaces: bytes = Field(default=b"", sa_column=Column(LargeBinary(32), nullable=False, default=b""))
    replaced_by: bytes = Field(default=b"", sa_column=Column(LargeBinary(32), nullable=False, default=b""))
    filled_before: int = Field(default=0, sa_column=Column(Big, nullable=False, default=0))
    display_quantity: int = Field(default=0, sa_column=Column(Big, nullable=False, default=0))
    version: int
    created_ms: int = Field(sa_column=Column(Big, nullable=False))
    updated_ms: int = Field(sa_column=Column(Big, nullable=False))


class TradeRow(SQLModel, table=True):
    """One row per match. Writer: the projector. Whether it has settled is the chain's to say (indexer.tables).

    Fees are the engine's forecast, and what the chain charged once it has said so. maker_order, taker_order: the orders
    as the chain names them (`cxdex.order_word`).
    """

    __tablename__ = "trade"
    __table_args__ = (
        Index("ix_trade_market", "market", "sequence", unique=True),
        Index("ix_trade_maker", "maker", "match_id"),
        Index("ix_trade_taker", "taker", "match_id"),
    )

    match_id: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    market: str
    sequence: int = Field(sa_column=Column(Big, nullable=False))
    maker_digest: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    taker_digest: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    maker: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    taker: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    taker_is_buyer: bool
    price: int = Field(sa_column=Column(Uint, nullable=False))
    quantity: int = Field(sa_column=Column(Big, nullable=False))
    maker_fee: int = Field(sa_column=Column(Uint, nullable=False))
    taker_fee: int = Field(sa_column=Column(Uint, nullable=False))
    time_ms: int = Field(sa_column=Column(Big, nullable=False))
    maker_order: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    taker_order: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    voided: bool = False  # the chain passed over it; balances were put right


class MinuteRow(SQLModel, table=True):
    """The matches of one market in one minute of the engine's clock; see `relayer.ticker`. Writer: the projector."""

    __tablename__ = "market_minute"

    market: str = Field(primary_key=True)
    minute: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))  # since 1970
    open: int = Field(sa_column=Column(Uint, nullable=False))
    high: int = Field(sa_column=Column(Uint, nullable=False))
    low: int = Field(sa_column=Column(Uint, nullable=False))
    close: int = Field(sa_column=Column(Uint, nullable=False))
    lots: int = Field(sa_column=Column(Uint, nullable=False))
    lot_ticks: int = Field(sa_column=Column(Uint, nullable=False))
    trades: int = Field(sa_column=Column(Big, nullable=False))
    last_ms: int = Field(sa_column=Column(Big, nullable=False))


class ProjectorCursor(SQLModel, table=True):
    """The last journal sequence whose events are in the tables. One row, same transaction as the rows."""

    __tablename__ = "projector_cursor"

    id: int = Field(default=1, primary_key=True)
    journal_sequence: int = Field(sa_column=Column(Big, nullable=False))


class BatchRow(SQLModel, table=True):
    """One settlement transaction. Writer: the settler, which commits the signed bytes before it sends them.

    fills   0 when the transaction is a voidSequence of one quarantined fill, or CORE's sign of life (match ids 0)
    tx_hash, raw_transaction  of the newest attempt, or of the one that was mined
    status: PREPARED, SENT, MINED, FINAL, or FAILED (with `error`; the fills go into a later batch; with a
            block when it is in one and reverted there).
    """

    __tablename__ = "batch"

    id: int | None = Field(default=None, primary_key=True)
    first_match_id: int = Field(sa_column=Column(Big, nullable=False))
    last_match_id: int = Field(sa_column=Column(Big, nullable=False))
    fills: int
    nonce: int = Field(sa_column=Column(Big, nullable=False))
    tx_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False, index=True))
    raw_transaction: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    status: str = Field(index=True)
    attempts: int = 0
    block: int | None = Field(default=None, sa_column=Column(Big))
    gas_used: int | None = Field(default=None, sa_column=Column(Big))
    error: str | None = None
    created_ms: int = Field(sa_column=Column(Big, nullable=False))
    updated_ms: int = Field(sa_column=Column(Big, nullable=False))


class BatchAttempt(SQLModel, table=True):
    """One signed transaction of a batch. All of a batch share its nonce: one at most is mined. Writer: the settler."""

    __tablename__ = "batch_attempt"
    __table_args__ = (Index("ix_batch_attempt_batch", "batch_id"),)

    tx_hash: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True))
    batch_id: int
    nonce: int = Field(sa_column=Column(Big, nullable=False, index=True))
    raw_transaction: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_ms: int = Field(sa_column=Column(Big, nullable=False))


class BatchSpan(SQLModel, table=True):
    """Exactly which fills a batch carries: from each market an unbroken run of its sequence. Writer: settler."""

    __tablename__ = "batch_span"
    __table_args__ = (Index("ix_batch_span_market", "market", "first_sequence"),)

    batch_id: int = Field(primary_key=True)
    market: str = Field(primary_key=True)
    first_sequence: int = Field(sa_column=Column(Big, nullable=False))
    last_sequence: int = Field(sa_column=Column(Big, nullable=False))


class QuarantineRow(SQLModel, table=True):
    """A fill that the contract refuses for ever; its sequence number is used up by voidSequence. Writer: settler."""

    __tablename__ = "quarantine"

    match_id: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    market: str
    sequence: int = Field(sa_column=Column(Big, nullable=False))
    reason: str
    created_ms: int = Field(sa_column=Column(Big, nullable=False))
