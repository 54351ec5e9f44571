"""Synthetic debt: positions, their ends, and the prices they are held to.

Units and rules as in `indexer.tables`.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from cxdex.storage import Big, Uint
from indexer.tables.clustered import CLUSTERED


class DebtPosition(SQLModel, table=True):
    """A collateralised debt position: synth units owed, and 1e-6 USDC locked for them."""

    __tablename__ = "debt_position"
    __table_args__ = (CLUSTERED,)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    asset: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    debt: int = Field(sa_column=Column(Uint, nullable=False))
    collateral: int = Field(sa_column=Column(Uint, nullable=False))


class DebtAsset(SQLModel, table=True):
    """How much of a synth there may be, and its end. `cap` in 1e-18.

    Once it is wound down: `wound_price` in 1e-6 USDC per whole synth; `wound_supply` the synths that share `pot`, the
    1e-6 USDC that positions have paid and holders not taken yet; and `rate` (1e-24 USDC per whole synth) once it is
    fixed.
    """

    __tablename__ = "debt_asset"

    asset: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    cap: int = Field(sa_column=Column(Uint, nullable=False))
    wound_price: int | None = Field(default=None, sa_column=Column(Uint))
    wound_supply: int | None = Field(default=None, sa_column=Column(Uint))
    wound_block: int | None = Field(default=None, sa_column=Column(Big))
    pot: int = Field(sa_column=Column(Uint, nullable=False))
    rate: int | None = Field(default=None, sa_column=Column(Uint))


class Redemption(SQLModel, table=True):
    """A request to turn synths into USDC at the first price published at `price_from` or later.

    status: REQUESTED, then EXECUTED (nothing remains) or CANCELLED. `remaining` of `amount` waits in escrow;
    `payout` is what came out so far, 1e-6 USDC.
    """

    __tablename__ = "redemption"
    __table_args__ = (Index("ix_redemption_account", "account", "id"),)

    id: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    account: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    asset: int = Field(sa_column=Column(Big, nullable=False))
    amount: int = Field(sa_column=Column(Uint, nullable=False))
    remaining: int = Field(sa_column=Column(Uint, nullable=False))
    payout: int = Field(sa_column=Column(Uint, nullable=False))
    max_fee_bps: int
    requested_at: int = Field(sa_column=Column(Big, nullable=False))
    price_from: int = Field(sa_column=Column(Big, nullable=False))
    status: str
    requested_block: int = Field(sa_column=Column(Big, nullable=False))
    requested_tx: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    closed_block: int | None = Field(default=None, sa_column=Column(Big))
    closed_tx: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32)))


class Liquidation(SQLModel, table=True):
    """Debt that somebody else took off a position, and the collateral they got. kind: BURNT or TAKEN_OVER."""

    __tablename__ = "liquidation"
    __table_args__ = (Index("ix_liquidation_account", "account", "block"), CLUSTERED)

    block: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    log_index: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    account: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    asset: int = Field(sa_column=Column(Big, nullable=False))
    liquidator: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    debt: int = Field(sa_column=Column(Uint, nullable=False))
    collateral: int = Field(sa_column=Column(Uint, nullable=False))
    kind: str
    timestamp: int = Field(sa_column=Column(Big, nullable=False))
    tx_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))


class OraclePrice(SQLModel, table=True):
    """The oracle's newest price of a synth: 1e-6 USDC per whole one, published at `publish_time`.

    `cumulative` is the sum of price times seconds before it; `updates` counts the prices so far.
    """

    __tablename__ = "oracle_price"
    __table_args__ = (CLUSTERED,)

    asset: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    price: int = Field(sa_column=Column(Uint, nullable=False))
    publish_time: int = Field(sa_column=Column(Big, nullable=False))
    cumulative: int = Field(sa_column=Column(Uint, nullable=False))
    updates: int = Field(sa_column=Column(Big, nullable=False))


class PriceUpdate(SQLModel, table=True):
    """Every price the oracle took, as in `oracle_price`."""

    __tablename__ = "price_update"
    __table_args__ = (Index("ix_price_update_asset", "asset", "publish_time"), CLUSTERED)

    block: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    log_index: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    asset: int = Field(sa_column=Column(Big, nullable=False))
    price: int = Field(sa_column=Column(Uint, nullable=False))
    publish_time: int = Field(sa_column=Column(Big, nullable=False))
    cumulative: int = Field(sa_column=Column(Uint, nullable=False))
    timestamp: int = Field(sa_column=Column(Big, nullable=False))
    tx_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
