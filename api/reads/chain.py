"""How far the indexer is, and the stamp `asOf` that every indexed reply carries so that a reorg is visible."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import select

from api.database import Reader, table
from indexer.tables import Checkpoint

_checkpoint = table(Checkpoint)


class ChainPosition(NamedTuple):
    """The indexer's head. `finalized`: the newest block that the indexer never rolls back."""

    block: int
    block_hash: bytes
    finalized: int
    head: int
    timestamp: int

    def to_json(self) -> dict[str, Any]:
        return {"block": self.block, "blockHash": "0x" + self.block_hash.hex(), "finalized": self.finalized}


def chain_position(reader: Reader) -> ChainPosition | None:
    """None while the indexer has not committed anything."""
    row = reader.first(select(_checkpoint))
    if row is None:
        return None
    return ChainPosition(row.block, row.hash, row.undo_floor, row.head, row.timestamp)


def as_of(reader: Reader) -> dict[str, Any] | None:
    position = chain_position(reader)
    return position.to_json() if position else None
