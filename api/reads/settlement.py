"""Where each match is on its way to the chain: matched, submitted, mined, final or skipped; or reverted.

The relayer says what it matched and sent; only the chain, through the indexer, says what settled. The settlement log,
which the WebSocket tells, ends with the same word of each fill: a test holds that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, and_, or_, select

from api.database import Reader, table
from api.reads.chain import chain_position
from cxdex.batch import SkipReason
from indexer.tables import SettledFill
from relayer.tables import BatchRow, BatchSpan

_fill = table(SettledFill)
_batch = table(BatchRow)
_span = table(BatchSpan)
_FILL_COLUMNS = [
    _fill.c[name]
    for name in ("market", "sequence", "block", "tx_hash", "reason", "maker_order", "taker_order", "price", "quantity")
]
_LONGEST_SPAN = 4096  # more fills than the gas of one transaction allows; bounds how far the index is read


def settlements_of(reader: Reader, trades: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    """For each trade row: {"status", "transaction", "block", "batch", "reason"}, in the order given."""
    if not trades:
        return []
    fills = _fills_of(reader, trades)
    batches = _batches_of(reader, trades)
    position = chain_position(reader)
    finalized = position.finalized if position else -1
    return [
        _settlement(trade, fills.get((trade.market, trade.sequence)), _batch_of(trade, batches), finalized)
        for trade in trades
    ]


def _settlement(trade: Row[Any], fill: Row[Any] | None, batch: Row[Any] | None, finalized: int) -> dict[str, Any]:
    status, reason, block = "matched", None, None
    transaction: bytes | None = None
    if fill is not None:
        status = "final" if fill.block <= finalized else "mined"
        transaction, block = fill.tx_hash, fill.block
        if not _is_of(fill, trade):
            status, reason = "skipped", SkipReason.VOIDED.name
        elif fill.reason is not None:
            status, reason = "skipped", _reason_word(fill.reason)
    elif trade.voided:
        status = "skipped"
    elif batch is not None:
        # Mined or not: until the indexer has read the block nobody knows which of its fills were passed over.
        is_reverted = batch.status == "FAILED"
        status = "reverted" if is_reverted else "submitted"
        transaction, block = batch.tx_hash, batch.block if is_reverted else None
    return {
        "status": status,
        "transaction": "0x" + transaction.hex() if transaction else None,
        "block": block,
        "batch": batch.id if batch is not None else None,
        "reason": reason,
    }


def _is_of(fill: Row[Any], trade: Row[Any]) -> bool:
    """Whether the chain used the number up for this match. Whoever settles may use it up with other orders."""
    return fill.maker_order is None or (
        (fill.maker_order, fill.taker_order) == (trade.maker_order, trade.taker_order)
        and (fill.price, fill.quantity) == (trade.price, trade.quantity)
    )


def _fills_of(reader: Reader, trades: Sequence[Row[Any]]) -> dict[tuple[str, int], Row[Any]]:
    wanted = (
        and_(_fill.c.market == market, _fill.c.sequence.in_(numbers))
        for market, numbers in sorted(_sequences_of(trades).items())
    )
    return {(row.market, row.sequence): row for row in reader.rows(select(*_FILL_COLUMNS).where(or_(*wanted)))}


def _batches_of(reader: Reader, trades: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """The spans of batches that may hold these matches, of those that were sent, newest batch first. A failed one
    counts if it is in a block."""
    sequences = _sequences_of(trades)
    near = (
        and_(
            _span.c.market == market,
            _span.c.first_sequence.between(min(numbers) - _LONGEST_SPAN, max(numbers)),
            _span.c.last_sequence >= min(numbers),
        )
        for market, numbers in sorted(sequences.items())
    )
    columns = (
        _batch.c.id,
        _batch.c.status,
        _batch.c.tx_hash,
        _batch.c.block,
        _span.c.market,
        _span.c.first_sequence,
        _span.c.last_sequence,
    )
    failed_for_nothing = and_(_batch.c.status == "FAILED", _batch.c.block.is_(None))
    counts = and_(_batch.c.status != "PREPARED", ~failed_for_nothing)
    joined = _batch.join(_span, _span.c.batch_id == _batch.c.id)
    found = reader.rows(select(*columns).select_from(joined).where(or_(*near), counts))
    return sorted(found, key=lambda row: row.id, reverse=True)  # sorted there, it would walk all batches


def _batch_of(trade: Row[Any], spans: Sequence[Row[Any]]) -> Row[Any] | None:
    return next(
        (s for s in spans if s.market == trade.market and s.first_sequence <= trade.sequence <= s.last_sequence), None
    )


def _sequences_of(trades: Sequence[Row[Any]]) -> dict[str, list[int]]:
    sequences: dict[str, list[int]] = defaultdict(list)
    for trade in trades:
        sequences[trade.market].append(trade.sequence)
    return sequences


def _reason_word(reason: int) -> str:
    known = {member.value: member.name for member in SkipReason}
    return known.get(reason, f"REASON_{reason}")
