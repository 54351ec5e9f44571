"""Fills that the contract refuses: what the settler holds or has given up, and what an operator decided.

Owns:     the table dead_letter.
Promises: one row a fill; a fill that a later batch carries after all leaves the list in the transaction that
          commits the batch.
Never:    asks the chain, or decides by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, delete, func, insert, inspect, select, update

from cxdex.problem import Problem
from relayer.settler.plan import Span
from relayer.settler.tables import DeadLetterRow

LETTERS: Table = DeadLetterRow.metadata.tables[str(DeadLetterRow.__tablename__)]

HELD, RELEASED, VOIDED, CLOSED = "HELD", "RELEASED", "VOIDED", "CLOSED"
OPEN = (HELD, VOIDED)
RETRY, DROP = "RETRY", "DROP"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """See `DeadLetterRow`."""

    match_id: int
    market: str
    sequence: int
    reason: str
    status: str
    decision: str | None
    created_ms: int
    updated_ms: int
    until_ms: int


class DeadLetters:
    def __init__(self, database: Engine) -> None:
        self._database = database

    def exists(self) -> bool:
        with self._database.connect() as connection:
            return inspect(connection).has_table(LETTERS.name)

    def held(self) -> list[DeadLetter]:
        return self._select(LETTERS.c.status == HELD)

    def open(self) -> list[DeadLetter]:
        """Held, and given up but not closed."""
        return self._select(LETTERS.c.status.in_(OPEN))

    def all(self) -> list[DeadLetter]:
        return self._select(LETTERS.c.match_id > 0)

    def find(self, match_id: int) -> DeadLetter | None:
        return next(iter(self._select(LETTERS.c.match_id == match_id)), None)

    def count_open(self) -> int:
        with self._database.connect().execution_options(read_only=True) as connection:
            query = select(func.count()).select_from(LETTERS).where(LETTERS.c.status.in_(OPEN))
            return connection.scalar(query) or 0

    def hold(self, match_id: int, market: str, sequence: int, reason: str, now_ms: int, until_ms: int) -> None:
        with self._database.begin() as connection:
            _put(connection, match_id, market, sequence, reason, HELD, now_ms, until_ms)

    def refused_again(self, match_id: int, reason: str, now_ms: int) -> None:
        """What was decided has been tried."""
        self._change(match_id, now_ms, reason=reason, decision=None)

    def release(self, match_id: int, now_ms: int) -> None:
        self._change(match_id, now_ms, status=RELEASED, decision=None)

    def close(self, match_id: int, now_ms: int) -> None:
        self._change(match_id, now_ms, status=CLOSED, decision=None)

    def decide(self, match_id: int, decision: str, now_ms: int) -> None:
        """The operator's word; the settler acts on it. Raises LETTER_PASSED when it is too late."""
        with self._database.begin() as connection:
            query = update(LETTERS).where(LETTERS.c.match_id == match_id, LETTERS.c.status == HELD)
            if connection.execute(query.values(decision=decision, updated_ms=now_ms)).rowcount == 0:
                raise Problem("LETTER_PASSED", f"match {match_id} is held no more")

    def _change(self, match_id: int, now_ms: int, **values: Any) -> None:
        with self._database.begin() as connection:
            query = update(LETTERS).where(LETTERS.c.match_id == match_id)
            connection.execute(query.values(updated_ms=now_ms, **values))

    def _select(self, condition: Any) -> list[DeadLetter]:
        with self._database.connect().execution_options(read_only=True) as connection:
            rows = connection.execute(select(LETTERS).where(condition).order_by(LETTERS.c.match_id))
            return [_letter(row) for row in rows]


def put_voided(connection: Connection, match_id: int, market: str, sequence: int, reason: str, now_ms: int) -> None:
    """In the transaction that commits the bytes which use the number up."""
    _put(connection, match_id, market, sequence, reason, VOIDED, now_ms, now_ms)


def take_settling(connection: Connection, spans: Iterable[Span], now_ms: int) -> None:
    """These fills are in a batch after all: after a reorg they may have become good."""
    for span in spans:
        query = update(LETTERS).where(
            LETTERS.c.market == span.market,
            LETTERS.c.sequence.between(span.first_sequence, span.last_sequence),
            LETTERS.c.status != RELEASED,
        )
        connection.execute(query.values(status=RELEASED, decision=None, updated_ms=now_ms))


def _put(
    connection: Connection,
    match_id: int,
    market: str,
    sequence: int,
    reason: str,
    status: str,
    now_ms: int,
    until_ms: int,
) -> None:
    created = connection.scalar(select(LETTERS.c.created_ms).where(LETTERS.c.match_id == match_id))
    connection.execute(delete(LETTERS).where(LETTERS.c.match_id == match_id))
    connection.execute(
        insert(LETTERS).values(
            match_id=match_id,
            market=market,
            sequence=sequence,
            reason=reason,
            status=status,
            created_ms=now_ms if created is None else created,
            updated_ms=now_ms,
            until_ms=until_ms,
        )
    )


def _letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(**{name: getattr(row, name) for name in DeadLetter.__dataclass_fields__})
