"""All state rows at one block, read in one transaction: at the checkpoint, or earlier as far as undo goes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, inspect

from indexer.halt import Halt
from indexer.rows import STATE_SPECS, Key, TableSpec, table_spec
from indexer.sql import Sql
from indexer.tables import Checkpoint, SettledFill
from indexer.undo import decode_images

_CHECKPOINT = table_spec(Checkpoint)
_FILLS = table_spec(SettledFill)


@dataclass(frozen=True)
class Snapshot:
    """`tables` by name: key to row, each a tuple in column order. `timestamp` is the block's, in unix seconds."""

    block: int
    hash: bytes
    timestamp: int
    tables: dict[str, dict[Key, Any]]
    filled: dict[bytes, int]  # lots by order word, added up from the fills themselves


def read_snapshot(engine: Engine, block: int | None) -> Snapshot:
    """Raises Halt NOT_STARTED, or BLOCK_OUT_OF_REACH when the rows of that block are not to be had."""
    with engine.connect().execution_options(read_only=True) as connection:
        sql = Sql(connection)
        checkpoint = sql.find(_CHECKPOINT, (1,)) if inspect(connection).has_table(_CHECKPOINT.name) else None
        if checkpoint is None:
            raise Halt("NOT_STARTED", "the database is empty", allowed="run `python -m indexer run`")
        at, hashed, time, floor = checkpoint[0], checkpoint[1], checkpoint[2], checkpoint[5]
        if block is not None and not floor <= block <= at:
            raise Halt("BLOCK_OUT_OF_REACH", f"block {block} is not in reach", allowed=f"blocks {floor} to {at}")
        tables = {spec.table.name: _rows(sql, spec.table, spec.row) for spec in STATE_SPECS}
        if block is not None and block < at:
            _unwind(sql, tables, block)
            hashed, time = sql.run("SELECT hash, timestamp FROM chain_block WHERE number = ?", block).one()
            at = block
        return Snapshot(at, bytes(hashed), time, tables, _filled(sql, at))


def _rows(sql: Sql, spec: TableSpec, row: Any) -> dict[Key, Any]:
    columns = ", ".join(f'"{name}"' for name in spec.columns)
    found = sql.run(f"SELECT {columns} FROM {spec.name}")  # noqa: S608
    width = spec.key_width
    decoded = (spec.decode(values) for values in found)
    return {tuple(values[:width]): row(*values[width:]) for values in decoded}


def _unwind(sql: Sql, tables: dict[str, dict[Key, Any]], block: int) -> None:
    for (images,) in sql.run("SELECT images FROM undo WHERE block > ? ORDER BY block DESC", block):
        for image in decode_images(bytes(images)):
            rows = tables[STATE_SPECS[image.table].table.name]
            if image.row is None:
                rows.pop(image.key, None)
            else:
                rows[image.key] = image.row


def _filled(sql: Sql, block: int) -> dict[bytes, int]:
    """Added up here, never by the database: SQLite's SUM turns large integers into floats."""
    filled: dict[bytes, int] = {}
    rows = sql.run(
        "SELECT maker_order, taker_order, quantity FROM settled_fill WHERE reason IS NULL AND block <= ?", block
    )
    for maker, taker, quantity in rows:
        for order in (bytes(maker), bytes(taker)):
            filled[order] = filled.get(order, 0) + quantity
    return filled
