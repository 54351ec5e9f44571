"""The settler's tables, and its reading of orders and trades.

Owns:     the rows of batch, batch_attempt, batch_span and quarantine.
Promises: a transaction's bytes are committed, with everything they carry, before anybody may send them; each
          change of status is one transaction of its own.
Never:    writes an order or a trade; talks to the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, delete, func, insert, select, update
from sqlmodel import SQLModel

from cxdex.order import SignatureKind, SignedOrder
from cxdex.problem import Problem
from relayer.order_table import order_from_row
from relayer.schema import prepare
from relayer.settlement_log.tables import BatchChange
from relayer.settler.chain import Receipt
from relayer.settler.dead_letters import DeadLetters, put_voided, take_settling
from relayer.settler.plan import Span, Trade
from relayer.settler.state import SettlerState, write_state
from relayer.settler.wallet import SignedTransaction
from relayer.tables import BatchAttempt, BatchRow, BatchSpan, OrderRow, QuarantineRow, TradeRow


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.metadata.tables[str(model.__tablename__)]
    return table


ORDERS, TRADES = _table(OrderRow), _table(TradeRow)
BATCHES, ATTEMPTS, SPANS, QUARANTINE = (_table(m) for m in (BatchRow, BatchAttempt, BatchSpan, QuarantineRow))

BATCH_CHANGES = _table(BatchChange)

PREPARED, SENT, MINED, FINAL, FAILED = "PREPARED", "SENT", "MINED", "FINAL", "FAILED"
UNRESOLVED = (PREPARED, SENT, MINED)

_PARAMETERS = 500  # of one IN (...): well below what either database allows


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The fill that a voidSequence transaction passes over, and what the contract said to it."""

    match_id: int
    market: str
    sequence: int
    reason: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A batch before it has a number. fills: 0 for a voidSequence."""

    first_match_id: int
    last_match_id: int
    fills: int
    nonce: int
    transaction: SignedTransaction
    spans: Sequence[Span]
    quarantined: Quarantined | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One row that the chain has not settled yet. attempts: every transaction that was signed for its nonce."""

    id: int
    first_match_id: int
    fills: int
    nonce: int
    tx_hash: bytes
    raw_transaction: bytes
    status: str
    block: int | None
    updated_ms: int
    attempts: Mapping[bytes, bytes]


class Store:
    """`letters`: the fills that the contract refuses."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self.letters = DeadLetters(database)

    def open(self) -> None:
        """Makes the relayer's tables where there are none. Raises DATABASE_FORMAT until they are of this version."""
        prepare(self._database, migrates=False)

    # ------------------------------------------------------------------ orders and trades

    def newest_match(self) -> int:
        """The last match_id; 0 before the first."""
        with self._reading() as connection:
            return connection.scalar(select(func.max(TRADES.c.match_id))) or 0

    def markets(self) -> list[str]:
        """Every market that has a trade. Steps from one to the next by index, whatever the number of trades."""
        found: list[str] = []
        with self._reading() as connection:
            while True:
                query = select(func.min(TRADES.c.market))
                symbol = connection.scalar(query.where(TRADES.c.market > found[-1]) if found else query)
                if symbol is None:
                    return found
                found.append(symbol)

    def waiting(self, next_sequence: Mapping[str, int]) -> int:
        """Fills that the chain has not passed."""
        total = 0
        with self._reading() as connection:
            for market, sequence in next_sequence.items():
                newest = connection.scalar(select(func.max(TRADES.c.sequence)).where(TRADES.c.market == market))
                total += max(0, newest + 1 - sequence) if newest is not None else 0
        return total

    def write_state(self, state: SettlerState) -> None:
        with self._database.begin() as connection:
            write_state(connection, state)

    def trades(self, next_sequence: Mapping[str, int], limit: int) -> list[Trade]:
        """Of each market the first `limit` trades that the chain has not passed."""
        found: list[Trade] = []
        with self._reading() as connection:
            for market, sequence in next_sequence.items():
                query = select(TRADES).where(TRADES.c.market == market, TRADES.c.sequence >= sequence)
                found += map(_trade, connection.execute(query.order_by(TRADES.c.sequence).limit(limit)))
        return found

    def matched_ms(self, match_id: int) -> int | None:
        with self._reading() as connection:
            return connection.scalar(select(TRADES.c.time_ms).where(TRADES.c.match_id == match_id))

    def signed_orders(self, digests: Iterable[bytes]) -> dict[bytes, SignedOrder]:
        """Raises Problem ORDER_UNKNOWN if one is missing: trades and orders are written together."""
        wanted = list(dict.fromkeys(digests))
        found: dict[bytes, SignedOrder] = {}
        with self._reading() as connection:
            for start in range(0, len(wanted), _PARAMETERS):
                query = select(ORDERS).where(ORDERS.c.digest.in_(wanted[start : start + _PARAMETERS]))
                found |= {row.digest: _signed_order(row) for row in connection.execute(query)}
        for digest in wanted:
            if digest not in found:
                raise Problem("ORDER_UNKNOWN", f"the order table lacks 0x{digest.hex()}, which a trade names")
        return found

    # ------------------------------------------------------------------ batches

    def unresolved(self) -> list[Batch]:
        """Rows that are neither final nor failed, in the order of their nonces."""
        query = select(BATCHES).where(BATCHES.c.status.in_(UNRESOLVED)).order_by(BATCHES.c.nonce, BATCHES.c.id)
        with self._reading() as connection:
            rows = connection.execute(query).all()
            return [_batch(row, _attempts(connection, row.id)) for row in rows]

    def reverted(self, match_id: int) -> list[tuple[int, int]]:
        """(first, last match) of the batches that carried this fill, or might have, and reverted on chain."""
        query = select(BATCHES.c.first_match_id, BATCHES.c.last_match_id).where(
            BATCHES.c.status == FAILED,
            BATCHES.c.block.is_not(None),
            BATCHES.c.fills > 0,
            BATCHES.c.first_match_id <= match_id,
            BATCHES.c.last_match_id >= match_id,
        )
        with self._reading() as connection:
            return [(row.first_match_id, row.last_match_id) for row in connection.execute(query)]

    def given_up_since_settled(self, reason: str) -> int:
        """How many fills were given up for a reason that begins so, after the newest batch that settled was made."""
        settled = select(func.max(BATCHES.c.created_ms)).where(
            BATCHES.c.status.in_((MINED, FINAL)), BATCHES.c.fills > 0
        )
        query = select(func.count()).select_from(QUARANTINE).where(QUARANTINE.c.reason.startswith(reason))
        with self._reading() as connection:
            newest = connection.scalar(settled)
            return connection.scalar(query.where(QUARANTINE.c.created_ms > (newest or 0))) or 0

    def others_with_nonce(self, batch: Batch) -> dict[bytes, int]:
        """Transactions of other batches that compete for this batch's nonce, with their batch's number."""
        query = select(ATTEMPTS).where(ATTEMPTS.c.nonce == batch.nonce, ATTEMPTS.c.batch_id != batch.id)
        with self._reading() as connection:
            return {row.tx_hash: row.batch_id for row in connection.execute(query)}

    def prepare(self, draft: Draft, now_ms: int) -> Batch:
        """Commits a new batch with its signed bytes. Only then may it be sent."""
        transaction = draft.transaction
        with self._database.begin() as connection:
            key = connection.execute(
                insert(BATCHES).values(
                    first_match_id=draft.first_match_id,
                    last_match_id=draft.last_match_id,
                    fills=draft.fills,
                    nonce=draft.nonce,
                    tx_hash=transaction.tx_hash,
                    raw_transaction=transaction.raw,
                    status=PREPARED,
                    attempts=1,
                    created_ms=now_ms,
                    updated_ms=now_ms,
                )
            ).inserted_primary_key
            if key is None:
                raise Problem("INTERNAL", "the database gave the new batch no number")
            batch_id = int(key[0])
            _insert_attempt(connection, batch_id, draft.nonce, transaction, now_ms)
            for span in draft.spans:
                connection.execute(insert(SPANS).values(batch_id=batch_id, **_span_values(span)))
            take_settling(connection, draft.spans, now_ms)
            if draft.quarantined is not None:
                _insert_quarantine(connection, draft.quarantined, now_ms)
            row = connection.execute(select(BATCHES).where(BATCHES.c.id == batch_id)).one()
            return _batch(row, {transaction.tx_hash: transaction.raw})

    def replace(self, batch: Batch, transaction: SignedTransaction, now_ms: int) -> None:
        """Commits a further transaction for the batch's nonce. The earlier ones may still be the one that is mined."""
        with self._database.begin() as connection:
            _insert_attempt(connection, batch.id, batch.nonce, transaction, now_ms)
            _change(
                connection,
                batch.id,
                now_ms,
                tx_hash=transaction.tx_hash,
                raw_transaction=transaction.raw,
                attempts=BATCHES.c.attempts + 1,
            )

    def mark_sent(self, batch_id: int, now_ms: int) -> None:
        with self._database.begin() as connection:
            _change(connection, batch_id, now_ms, status=SENT, block=None, gas_used=None)

    def mark_mined(self, batch_id: int, tx_hash: bytes, block: int, gas_used: int, now_ms: int) -> None:
        """tx_hash: whichever attempt is in the block; the row shows that one from now on."""
        with self._database.begin() as connection:
            raw = connection.scalar(select(ATTEMPTS.c.raw_transaction).where(ATTEMPTS.c.tx_hash == tx_hash))
            _change(
                connection,
                batch_id,
                now_ms,
                status=MINED,
                tx_hash=tx_hash,
                raw_transaction=raw,
                block=block,
                gas_used=gas_used,
                error=None,
            )

    def mark_final(self, batch_id: int, now_ms: int) -> None:
        with self._database.begin() as connection:
            _change(connection, batch_id, now_ms, status=FINAL)

    def reopen_final(self, nonce: int, now_ms: int) -> list[int]:
        """FINAL -> SENT for batches with this nonce or a later one. Returns their numbers."""
        with self._database.begin() as connection:
            query = select(BATCHES.c.id).where(
                BATCHES.c.id.in_(select(ATTEMPTS.c.batch_id).where(ATTEMPTS.c.nonce >= nonce)),
                BATCHES.c.status == FINAL,
            )
            found = sorted(connection.scalars(query))
            for batch_id in found:
                _change(connection, batch_id, now_ms, status=SENT, block=None, gas_used=None)
            return found

    def mark_failed(self, batch_id: int, error: str, now_ms: int, reverted: Receipt | None = None) -> None:
        """reverted: of the attempt that is in a block and changed nothing there; None when none of them is in one."""
        values: dict[str, Any] = {"status": FAILED, "error": error, "block": None, "gas_used": None}
        with self._database.begin() as connection:
            if reverted is not None:
                own = ATTEMPTS.c.tx_hash == reverted.tx_hash
                raw = connection.scalar(select(ATTEMPTS.c.raw_transaction).where(own))
                values |= {"block": reverted.block, "gas_used": reverted.gas_used}
                values |= {"tx_hash": reverted.tx_hash, "raw_transaction": raw}
            _change(connection, batch_id, now_ms, **values)

    def _reading(self) -> Connection:
        return self._database.connect().execution_options(read_only=True)


def _change(connection: Connection, batch_id: int, now_ms: int, **values: Any) -> None:
    """With a word of it for the settlement log."""
    connection.execute(update(BATCHES).where(BATCHES.c.id == batch_id).values(updated_ms=now_ms, **values))
    now = select(BATCHES.c.id, BATCHES.c.status, BATCHES.c.tx_hash, BATCHES.c.block).where(BATCHES.c.id == batch_id)
    connection.execute(insert(BATCH_CHANGES).from_select(["batch_id", "status", "tx_hash", "block"], now))


def _insert_attempt(
    connection: Connection, batch_id: int, nonce: int, transaction: SignedTransaction, now_ms: int
) -> None:
    # The very same bytes may have been signed before, for a batch that was given up: they are this batch's now.
    connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.tx_hash == transaction.tx_hash))
    connection.execute(
        insert(ATTEMPTS).values(
            tx_hash=transaction.tx_hash,
            batch_id=batch_id,
            nonce=nonce,
            raw_transaction=transaction.raw,
            created_ms=now_ms,
        )
    )


def _insert_quarantine(connection: Connection, fill: Quarantined, now_ms: int) -> None:
    # After a reorg the same fill may be judged again: the newer word counts.
    connection.execute(delete(QUARANTINE).where(QUARANTINE.c.match_id == fill.match_id))
    connection.execute(
        insert(QUARANTINE).values(
            match_id=fill.match_id, market=fill.market, sequence=fill.sequence, reason=fill.reason, created_ms=now_ms
        )
    )
    put_voided(connection, fill.match_id, fill.market, fill.sequence, fill.reason, now_ms)


def _attempts(connection: Connection, batch_id: int) -> dict[bytes, bytes]:
    query = select(ATTEMPTS.c.tx_hash, ATTEMPTS.c.raw_transaction).where(ATTEMPTS.c.batch_id == batch_id)
    return {row.tx_hash: row.raw_transaction for row in connection.execute(query)}


def _batch(row: Row[Any], attempts: Mapping[bytes, bytes]) -> Batch:
    return Batch(
        id=row.id,
        first_match_id=row.first_match_id,
        fills=row.fills,
        nonce=row.nonce,
        tx_hash=row.tx_hash,
        raw_transaction=row.raw_transaction,
        status=row.status,
        block=row.block,
        updated_ms=row.updated_ms,
        attempts=attempts,
    )


def _span_values(span: Span) -> dict[str, Any]:
    return {"market": span.market, "first_sequence": span.first_sequence, "last_sequence": span.last_sequence}


def _trade(row: Row[Any]) -> Trade:
    return Trade(
        match_id=row.match_id,
        market=row.market,
        sequence=row.sequence,
        maker_digest=row.maker_digest,
        taker_digest=row.taker_digest,
        quantity=row.quantity,
        time_ms=row.time_ms,
        voided=bool(row.voided),
    )


def _signed_order(row: Row[Any]) -> SignedOrder:
    return SignedOrder(
        order_from_row(row._mapping),
        row.signature,
        row.digest,
        SignatureKind(row.signature_kind),
        (row.proof_first, row.proof_second),
    )
