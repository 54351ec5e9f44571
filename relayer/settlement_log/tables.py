"""The tables of the settlement log.

Times in unix milliseconds. Fills are named by market and number in the market's settlement sequence, always as an
unbroken run: what happens to fills happens to whole batches of them.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from cxdex.storage import Big


class BatchChange(SQLModel, table=True):
    """A batch reached a status, or another transaction took the place of its last one.

    Writer: the settler, in the transaction that changes the batch. The log's keeper removes what it has taken.
    """

    __tablename__ = "batch_change"

    id: int | None = Field(default=None, primary_key=True)
    batch_id: int
    status: str
    tx_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    block: int | None = Field(default=None, sa_column=Column(Big))


class SettlementChange(SQLModel, table=True):
    """The fills of a market from first_sequence to last_sequence have this status now. Writer: the log's keeper.

    id      rises in the order of what happened; nothing is inserted below the highest one
    number  1, 2, 3, ... within the market
    status  matched, submitted, mined, final, skipped (with `reason`), reverted
    """

    __tablename__ = "settlement_change"
    __table_args__ = (
        Index("ix_settlement_change_number", "market", "number", unique=True),
        Index("ix_settlement_change_span", "market", "last_sequence"),
    )

    id: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    market: str
    number: int = Field(sa_column=Column(Big, nullable=False))
    first_sequence: int = Field(sa_column=Column(Big, nullable=False))
    last_sequence: int = Field(sa_column=Column(Big, nullable=False))
    status: str
    tx_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32)))
    block: int | None = Field(default=None, sa_column=Column(Big))
    batch_id: int | None = None
    reason: str | None = None
    time_ms: int = Field(sa_column=Column(Big, nullable=False))


class SettlementNotice(SQLModel, table=True):
    """An account has fills in a change. number: 1, 2, 3, ... within the account. Writer: the log's keeper."""

    __tablename__ = "settlement_notice"
    __table_args__ = (Index("ix_settlement_notice_change", "change_id"),)

    account: bytes = Field(sa_column=Column(LargeBinary(20), primary_key=True))
    number: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    change_id: int = Field(sa_column=Column(Big, nullable=False))


class SettlementFloor(SQLModel, table=True):
    """Fills of the market below first_open are final, or skipped for good. Writer: the log's keeper."""

    __tablename__ = "settlement_floor"

    market: str = Field(primary_key=True)
    first_open: int = Field(sa_column=Column(Big, nullable=False))


class SettlementLogRow(SQLModel, table=True):
    """One row: the log's name, and what of its sources is in it, written with the changes themselves.

    epoch      a random name: another one means that the log began anew
    match_id   the last match that it knows
    finalized  the indexer's last block that no reorg takes back
    """

    __tablename__ = "settlement_log"

    id: int = Field(default=1, primary_key=True)
    epoch: str
    match_id: int = Field(sa_column=Column(Big, nullable=False))
    batch_change: int = Field(sa_column=Column(Big, nullable=False))
    finalized: int = Field(sa_column=Column(Big, nullable=False))
