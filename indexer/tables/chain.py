"""What the node said, and what the indexer keeps for itself: its place, the way back, and facts for the relayer.

Units and rules as in `indexer.tables`.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel

from cxdex.storage import Big
from indexer.tables.clustered import CLUSTERED


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
