"""What the log is made of: matches, the settler's batches, and what the indexer says is on the chain.

Promises: everything that is read through one `Sources` is as of one moment.
Never:    writes, or imports the indexer: of its tables `settled_fill` (market, sequence, block, tx_hash, reason, and
          what the fill was) and `checkpoint` (block, undo_floor) are read by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, Table, and_, func, inspect, or_, select, text
from sqlmodel import SQLModel

from cxdex.batch import SkipReason
from relayer.settlement_log.tables import BatchChange
from relayer.settlement_log.words import MINED, SKIPPED, Word, of_batch
from relayer.tables import BatchRow, BatchSpan, TradeRow

LONGEST_SPAN = 4_096  # more fills than the gas of one transaction allows; bounds how far an index is read
_PARAMETERS = 500

_CHECKPOINT = text("SELECT block, hash, undo_floor FROM checkpoint WHERE id = 1")
_SETTLED = text(  # whoever settles may use a number up with other orders than those that were matched
    "SELECT s.sequence, s.block, s.tx_hash, s.reason, s.maker_order <> t.maker_order OR s.taker_order <> t.taker_order "
    "OR s.price <> t.price OR s.quantity <> t.quantity AS others FROM settled_fill s "
    "LEFT JOIN trade t ON t.market = s.market AND t.sequence = s.sequence "
    "WHERE s.market = :market AND s.sequence >= :first"
)
_LAST_FINAL = text("SELECT max(sequence) FROM settled_fill WHERE market = :market AND block <= :finalized")


def table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


TRADES, BATCHES, SPANS, EDGES = (table(model) for model in (TradeRow, BatchRow, BatchSpan, BatchChange))


class Checkpoint(NamedTuple):
    """How far the indexer is. finalized: the last block that no reorg takes back."""

    block: int
    block_hash: bytes
    finalized: int


class Edge(NamedTuple):
    """A row of batch_change, and which fills it is about."""

    id: int
    word: Word
    spans: Sequence[tuple[str, int, int]]


class Match(NamedTuple):
    match_id: int
    market: str
    sequence: int
    maker: bytes
    taker: bytes


Position = tuple[int, int, Checkpoint | None]
"""(newest match, newest change of a batch, how far the indexer is): while it stays, nothing has changed."""


class Sources:
    """One moment of the tables."""

    def __init__(self, connection: Connection, has_chain: bool) -> None:
        self.connection = connection
        self._has_chain = has_chain

    def position(self) -> Position:
        match = self.connection.scalar(select(func.max(TRADES.c.match_id))) or 0
        edge = self.connection.scalar(select(func.max(EDGES.c.id))) or 0
        return match, edge, self.checkpoint()

    def checkpoint(self) -> Checkpoint | None:
        row = self.connection.execute(_CHECKPOINT).first() if self._has_chain else None
        return None if row is None else Checkpoint(row.block, bytes(row.hash), row.undo_floor)

    def matches_after(self, match_id: int, limit: int) -> list[Match]:
        return self._matches(select(TRADES).where(TRADES.c.match_id > match_id), limit)

    def matches_from(self, market: str, sequence: int, upto: int) -> list[Match]:
        """Of one market, from this number on, known up to match `upto`."""
        here = and_(TRADES.c.market == market, TRADES.c.sequence >= sequence, TRADES.c.match_id <= upto)
        return self._matches(select(TRADES).where(here), None)

    def match_of(self, market: str, sequence: int) -> int | None:
        here = and_(TRADES.c.market == market, TRADES.c.sequence == sequence)
        return self.connection.scalar(select(TRADES.c.match_id).where(here))

    def first_of(self, market: str) -> int:
        return self.connection.scalar(select(func.min(TRADES.c.sequence)).where(TRADES.c.market == market)) or 0

    def markets(self) -> list[str]:
        """Every market that has a match."""
        found: list[str] = []
        while True:
            query = select(func.min(TRADES.c.market))
            symbol = self.connection.scalar(query.where(TRADES.c.market > found[-1]) if found else query)
            if symbol is None:
                return found
            found.append(symbol)

    def edges_after(self, edge: int, limit: int) -> list[Edge]:
        query = select(EDGES).where(EDGES.c.id > edge).order_by(EDGES.c.id).limit(limit)
        rows = self.connection.execute(query).all()
        spans = self._spans_of({row.batch_id for row in rows})
        return [
            Edge(row.id, of_batch(row.status, row.tx_hash, row.block, row.batch_id), spans.get(row.batch_id, []))
            for row in rows
        ]

    def last_final(self, market: str) -> int | None:
        """The number of the market's last fill that no reorg takes back."""
        checkpoint = self.checkpoint()
        if checkpoint is None:
            return None
        place = {"market": market, "finalized": checkpoint.finalized}
        found: int | None = self.connection.execute(_LAST_FINAL, place).scalar()
        return found

    def settled(self, market: str, first: int) -> dict[int, Word]:
        """What the chain has of the market from this number on: mined or skipped."""
        if not self._has_chain:
            return {}
        rows = self.connection.execute(_SETTLED, {"market": market, "first": first})
        return {row.sequence: _word_of_chain(row) for row in rows}

    def carried(self, first_open: Mapping[str, int]) -> dict[tuple[str, int], Word]:
        """What the newest batch that was sent says of each fill from these numbers on."""
        if not first_open:
            return {}
        near = [
            and_(
                SPANS.c.market == market,
                SPANS.c.first_sequence >= first - LONGEST_SPAN,
                SPANS.c.last_sequence >= first,
            )
            for market, first in sorted(first_open.items())
        ]
        sent = and_(BATCHES.c.status != "PREPARED", or_(BATCHES.c.status != "FAILED", BATCHES.c.block.is_not(None)))
        columns = (BATCHES.c.id, BATCHES.c.status, BATCHES.c.tx_hash, BATCHES.c.block)
        span = (SPANS.c.market, SPANS.c.first_sequence, SPANS.c.last_sequence)
        query = select(*columns, *span).select_from(BATCHES.join(SPANS, SPANS.c.batch_id == BATCHES.c.id))
        words: dict[tuple[str, int], Word] = {}
        for row in sorted(self.connection.execute(query.where(sent, or_(*near))), key=lambda row: int(row.id)):
            word = of_batch(row.status, row.tx_hash, row.block, row.id)
            for sequence in range(max(row.first_sequence, first_open[row.market]), row.last_sequence + 1):
                words[row.market, sequence] = word
        return words

    def _matches(self, query: Any, limit: int | None) -> list[Match]:
        rows = self.connection.execute(query.order_by(TRADES.c.match_id).limit(limit))
        return [Match(row.match_id, row.market, row.sequence, row.maker, row.taker) for row in rows]

    def _spans_of(self, batches: Iterable[int]) -> dict[int, list[tuple[str, int, int]]]:
        wanted, found = sorted(batches), dict[int, list[tuple[str, int, int]]]()
        for start in range(0, len(wanted), _PARAMETERS):
            query = select(SPANS).where(SPANS.c.batch_id.in_(wanted[start : start + _PARAMETERS]))
            for row in self.connection.execute(query):
                found.setdefault(row.batch_id, []).append((row.market, row.first_sequence, row.last_sequence))
        return found


def has_chain_tables(database: Engine) -> bool:
    """Whether the indexer has made its tables."""
    names = inspect(database)
    return bool(names.has_table("checkpoint") and names.has_table("settled_fill"))


def _word_of_chain(row: Row[Any]) -> Word:
    if row.others:
        return Word(SKIPPED, bytes(row.tx_hash), row.block, SkipReason.VOIDED.name)
    if row.reason is None:
        return Word(MINED, bytes(row.tx_hash), row.block)
    known = {member.value: member.name for member in SkipReason}
    return Word(SKIPPED, bytes(row.tx_hash), row.block, known.get(row.reason, f"REASON_{row.reason}"))
