"""How late settlement is: told by the settler in one row, read by the engine before it takes new orders.

Promises: a reader needs nothing but the database; a settler that is gone shows by the age of its row.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Table, insert, inspect, select, update

from cxdex.problem import Problem
from relayer.settler.tables import SettlerStateRow

SETTLEMENT_BEHIND = "SETTLEMENT_BEHIND"

STATE: Table = SettlerStateRow.metadata.tables[str(SettlerStateRow.__tablename__)]
_ONLY = 1


@dataclass(frozen=True, slots=True)
class SettlerState:
    """See `SettlerStateRow`. Times in unix milliseconds, last_beat in seconds."""

    updated_ms: int
    oldest_ms: int | None
    waiting: int
    promise_ms: int
    last_beat: int
    node: str = ""
    error: str | None = None

    def refusal(self, now_ms: int) -> Problem | None:
        """Why no new orders should be taken now, None when they may be."""
        silent = now_ms - self.updated_ms
        late = now_ms - self.oldest_ms if self.oldest_ms is not None else 0
        if max(silent, late) <= self.promise_ms:
            return None
        why = f"the oldest of {self.waiting} fills has waited {late // 1000} s to settle"
        if silent > self.promise_ms:
            why = f"nothing is known of settlement since {silent // 1000} s"
        return Problem(
            SETTLEMENT_BEHIND,
            f"new orders wait until the chain has caught up: {why}",
            allowed=f"at most {self.promise_ms // 1000} s; cancels and withdrawals go on",
        )


def read_state(database: Engine) -> SettlerState | None:
    """None when no settler has ever worked on this database."""
    with database.connect().execution_options(read_only=True) as connection:
        if not inspect(connection).has_table(STATE.name):
            return None
        row = connection.execute(select(STATE)).first()
    if row is None:
        return None
    return SettlerState(row.updated_ms, row.oldest_ms, row.waiting, row.promise_ms, row.last_beat, row.node, row.error)


def write_state(connection: Connection, state: SettlerState) -> None:
    values = {name: getattr(state, name) for name in state.__dataclass_fields__}
    if connection.execute(update(STATE).where(STATE.c.id == _ONLY).values(**values)).rowcount == 0:
        connection.execute(insert(STATE).values(id=_ONLY, **values))
