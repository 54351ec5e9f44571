"""The withdrawal queue: announced, named another recipient, taken back, claimed.

Owns:     `withdrawal` and `announced_balance`.
Promises: `announced_balance` is what the waiting requests of an account add up to.
"""

from __future__ import annotations

from cxdex import facts
from indexer.events import Position, WithdrawCancelled, WithdrawClaimed, WithdrawRedirected, WithdrawRequested
from indexer.halt import Halt
from indexer.projections.ledger import CXPT_RESERVE, Ledger
from indexer.rows import AnnouncedRow, WithdrawalRow

REQUESTED, CANCELLED, CLAIMED = "REQUESTED", "CANCELLED", "CLAIMED"


def withdraw_requested(ledger: Ledger, event: WithdrawRequested, at: Position) -> None:
    row = WithdrawalRow(
        account=event.account,
        asset=event.asset,
        amount=event.amount,
        as_cxpt=event.as_cxpt,
        recipient=event.account,
        requested_at=at.timestamp,
        claimable_at=event.claimable_at,
        redirects=0,
        status=REQUESTED,
        paid=None,
        requested_block=at.block,
        requested_tx=at.tx_hash,
        closed_block=None,
        closed_tx=None,
    )
    ledger.state.withdrawals.put((event.id,), row)
    _announce(ledger, row, event.amount)
    ledger.fact(at, facts.Debited(event.account, event.asset, event.amount))


def withdraw_redirected(ledger: Ledger, event: WithdrawRedirected, at: Position) -> None:
    row = _waiting(ledger, event.id, "REDIRECTED", at)
    changed = row._replace(
        recipient=event.recipient,
        requested_at=at.timestamp,
        claimable_at=event.claimable_at,
        redirects=row.redirects + 1,
    )
    ledger.state.withdrawals.put((event.id,), changed)


def withdraw_cancelled(ledger: Ledger, event: WithdrawCancelled, at: Position) -> None:
    row = _close(ledger, event.id, CANCELLED, None, at)
    ledger.fact(at, facts.Credited(row.account, row.asset, row.amount))


def withdraw_claimed(ledger: Ledger, event: WithdrawClaimed, at: Position) -> None:
    row = _close(ledger, event.id, CLAIMED, event.paid, at)
    if (row.account, row.asset, row.amount, row.recipient) != (
        event.account,
        event.asset,
        event.amount,
        event.recipient,
    ):
        raise Halt(
            "WITHDRAWAL_STATE",
            f"block {at.block}, log {at.log_index}: withdrawal {event.id} is not as it was requested",
        )
    ledger.debit_checked(row.account, row.asset, event.paid, "WITHDRAW_CLAIM", at, event.balance)
    if row.as_cxpt:
        ledger.change_value(CXPT_RESERVE, event.paid, at)
    if event.paid < row.amount:
        ledger.fact(at, facts.Credited(row.account, row.asset, row.amount - event.paid))


def _close(ledger: Ledger, withdrawal_id: int, status: str, paid: int | None, at: Position) -> WithdrawalRow:
    row = _waiting(ledger, withdrawal_id, status, at)
    closed = row._replace(status=status, paid=paid, closed_block=at.block, closed_tx=at.tx_hash)
    ledger.state.withdrawals.put((withdrawal_id,), closed)
    _announce(ledger, row, -row.amount)
    return row


def _waiting(ledger: Ledger, withdrawal_id: int, status: str, at: Position) -> WithdrawalRow:
    row: WithdrawalRow | None = ledger.state.withdrawals.get((withdrawal_id,))
    if row is None or row.status != REQUESTED:
        state = "unknown" if row is None else row.status
        raise Halt(
            "WITHDRAWAL_STATE",
            f"block {at.block}, log {at.log_index}: withdrawal {withdrawal_id} becomes {status}, but it is {state}",
        )
    return row


def _announce(ledger: Ledger, row: WithdrawalRow, change: int) -> None:
    announced, key = ledger.state.announced, (row.account, row.asset)
    before = announced.get(key)
    announced.put(key, AnnouncedRow((before.amount if before else 0) + change))
