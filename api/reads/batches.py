"""The settler's batches: one `settleBatch` each, or a `voidSequence` (`fills` 0), or a `beat` (match ids 0 too)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select

from api.cursors import decode_cursor, next_cursor
from api.database import Reader, table
from relayer.tables import BatchRow

_batch = table(BatchRow)
_CURSOR = "settlements"


def list_batches(reader: Reader, limit: int, cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """(newest first, cursor of the next page)."""
    statement = select(_batch)
    after = decode_cursor(_CURSOR, cursor)
    if after is not None:
        statement = statement.where(_batch.c.id < after)
    rows = reader.rows(statement.order_by(_batch.c.id.desc()).limit(limit + 1))
    return [_to_json(row) for row in rows[:limit]], next_cursor(_CURSOR, [row.id for row in rows], limit)


def find_batch(reader: Reader, batch: int) -> dict[str, Any] | None:
    row = reader.first(select(_batch).where(_batch.c.id == batch))
    return _to_json(row) if row else None


def _to_json(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "status": row.status,
        "transaction": "0x" + row.tx_hash.hex(),
        "block": row.block,
        "fills": row.fills,
        "firstMatchId": str(row.first_match_id),
        "lastMatchId": str(row.last_match_id),
        "gasUsed": None if row.gas_used is None else str(row.gas_used),
        "attempts": row.attempts,
        "error": row.error,
        "createdAt": row.created_ms,
        "updatedAt": row.updated_ms,
    }
