"""What the chain holds for an account: settled balances and withdrawals."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from api.cursors import decode_cursor, next_cursor
from api.database import Reader, table
from api.markets import MarketDirectory, format_amount
from cxdex.eip712 import to_checksum
from indexer.tables import AccountBalance, SynthAsset, Withdrawal

_balance = table(AccountBalance)
_withdrawal = table(Withdrawal)
_synth = table(SynthAsset)


def settled_balances(reader: Reader, account: bytes) -> dict[int, int]:
    """Asset number to the amount that the contract's ledger holds, as of the indexer's head."""
    rows = reader.rows(select(_balance.c.asset, _balance.c.amount).where(_balance.c.account == account))
    return {row.asset: row.amount for row in rows}


def synth_symbols(reader: Reader) -> dict[int, str]:
    """Asset number to symbol, for synths."""
    return {row.asset: row.symbol for row in reader.rows(select(_synth.c.asset, _synth.c.symbol))}


def list_withdrawals(
    reader: Reader, markets: MarketDirectory, account: bytes, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """(newest first, cursor of the next page)."""
    kind = f"withdrawals {account.hex()}"
    statement = select(_withdrawal).where(_withdrawal.c.account == account)
    after = decode_cursor(kind, cursor)
    if after is not None:
        statement = statement.where(_withdrawal.c.id < after)
    rows = reader.rows(statement.order_by(_withdrawal.c.id.desc()).limit(limit + 1))
    shown = [
        {
            "id": str(row.id),
            "asset": row.asset,
            "symbol": markets.asset_symbol(row.asset),
            "amount": format_amount(row.asset, row.amount),
            "asCxpt": row.as_cxpt,
            "recipient": to_checksum(row.recipient),
            "status": row.status,
            "paid": None if row.paid is None else format_amount(row.asset, row.paid),
            "requestedAt": row.requested_at * 1_000,
            "claimableAt": row.claimable_at * 1_000,
            "requestedBlock": row.requested_block,
            "requestedTransaction": "0x" + row.requested_tx.hex(),
            "closedBlock": row.closed_block,
            "closedTransaction": "0x" + row.closed_tx.hex() if row.closed_tx else None,
        }
        for row in rows[:limit]
    ]
    return shown, next_cursor(kind, [row.id for row in rows], limit)
