"""What accounts have: balances and how they came about, withdrawals, and the nonces and keys of their orders.

Units and rules as in `indexer.tables`.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from cxdex.storage import Big, Uint
from indexer.tables.clustered import CLUSTERED


class AccountBalance(SQLModel, table=True):
    """Internal balance of one account in one asset, after the last event that changed it (`block`)."""

    __tablename__ = "account_balance"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    asset: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    amount: int = Field(sa_column=Column(Uint, nullable=False))
    block: int = Field(sa_column=Column(Big, nullable=False))


class AnnouncedBalance(SQLModel, table=True):
    """What an account's waiting withdrawals will take of an asset: part of its balance still, but promised."""

    __tablename__ = "announced_balance"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    asset: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    amount: int = Field(sa_column=Column(Uint, nullable=False))


class AccountState(SQLModel, table=True):
    """The epoch below which every order of the account is dead from `effective_at` on. No row means epoch 0."""

    __tablename__ = "account_state"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    epoch: int = Field(sa_column=Column(Big, nullable=False))
    effective_at: int = Field(sa_column=Column(Big, nullable=False))


class Lane(SQLModel, table=True):
    """How far the fills of a nonce lane have come: the order at `seq` has filled `filled` lots, older ones are dead.

    `is_cancel_announced`: the lane's row in `lane_cancel` still means an order of it.
    """

    __tablename__ = "lane"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    lane: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    seq: int = Field(sa_column=Column(Big, nullable=False))
    filled: int = Field(sa_column=Column(Big, nullable=False))
    is_cancel_announced: bool


class LaneCancel(SQLModel, table=True):
    """The last cancel of a lane: orders below `seq` are dead from `effective_at` on."""

    __tablename__ = "lane_cancel"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    lane: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    seq: int = Field(sa_column=Column(Big, nullable=False))
    effective_at: int = Field(sa_column=Column(Big, nullable=False))


class OrderFill(SQLModel, table=True):
    """Lots of one order that have settled, by its order word (`cxdex.order_word`). No row means none."""

    __tablename__ = "order_fill"
    __table_args__ = (CLUSTERED,)

    order_word: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True))
    market: str
    filled: int = Field(sa_column=Column(Big, nullable=False))


class SessionKey(SQLModel, table=True):
    """A key that may sign orders for the account until `expiry`, in one market or (null) in all.

    `notional` is what it was allowed in all, `notional_left` what fills have left of it, in 1e-6 USDC.
    """

    __tablename__ = "session_key"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    key: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    market: str | None
    notional: int = Field(sa_column=Column(Uint, nullable=False))
    notional_left: int = Field(sa_column=Column(Uint, nullable=False))
    expiry: int = Field(sa_column=Column(Uint, nullable=False))
    is_revoked: bool
    set_block: int = Field(sa_column=Column(Big, nullable=False))
    set_tx: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))


class Withdrawal(SQLModel, table=True):
    """One request in the withdrawal queue. status: REQUESTED, then CANCELLED or CLAIMED (closed_* say where).

    A request announces `amount`; the balance pays `paid` of it at the claim. `recipient` is who is paid; each of
    `redirects` has named another one and begun the delay anew.
    """

    __tablename__ = "withdrawal"
    __table_args__ = (Index("ix_withdrawal_account", "account", "id"),)

    id: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    account: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    asset: int = Field(sa_column=Column(Big, nullable=False))
    amount: int = Field(sa_column=Column(Uint, nullable=False))
    as_cxpt: bool
    recipient: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    requested_at: int = Field(sa_column=Column(Big, nullable=False))
    claimable_at: int = Field(sa_column=Column(Big, nullable=False))
    redirects: int
    status: str
    paid: int | None = Field(default=None, sa_column=Column(Uint))
    requested_block: int = Field(sa_column=Column(Big, nullable=False))
    requested_tx: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    closed_block: int | None = Field(default=None, sa_column=Column(Big))
    closed_tx: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32)))


class LedgerEntry(SQLModel, table=True):
    """One change of one internal balance. The account's statement, in the order of (block, log_index).

    kind: DEPOSIT, WITHDRAW_CLAIM, WITHDRAW_INSTANT, PROCEEDS_LOCK, COLLATERAL_RELEASE, SYNTH_MINT, ESCROW_RETURN,
    CXPT_REDEEM, REBATE, FILL. `is_credit` is the direction of `amount`; `balance` is what stood after it.
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
