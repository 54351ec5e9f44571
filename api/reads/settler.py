"""What the settler says of itself, each second: how much waits, and by its age whether it is there at all."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select

from api.database import Reader, table
from relayer.settler.tables import SettlerStateRow

AWAY_AFTER_MS = 10_000

_state = table(SettlerStateRow)


def settler_row(reader: Reader) -> Row[Any] | None:
    """See `SettlerStateRow`. None while no settler has ever run."""
    return reader.first(select(_state))


def settler_json(row: Row[Any] | None, now_ms: int) -> dict[str, Any]:
    return {
        "up": row is not None and now_ms - row.updated_ms < AWAY_AFTER_MS,
        "asOf": None if row is None else row.updated_ms,
        "waiting": None if row is None else row.waiting,
        "oldestMatch": None if row is None else row.oldest_ms,
    }
