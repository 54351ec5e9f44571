"""The Vault's events: deposits, the withdrawal queue, collateral, synths minted and burned, CXPT redeemed.

Each says what the balance is after it, and each is compared with the fold.
"""

from __future__ import annotations

from indexer.events import (
    CollateralLocked,
    CollateralReleased,
    CxptRedeemed,
    Deposited,
    Position,
    SynthBurned,
    SynthMinted,
    WithdrawCancelled,
    WithdrawClaimed,
    WithdrawRequested,
)
from indexer.halt import Halt
from indexer.projections.ledger import CASH, Ledger
from indexer.rows import WithdrawalRow

REQUESTED, CANCELLED, CLAIMED = "REQUESTED", "CANCELLED", "CLAIMED"


def deposited(ledger: Ledger, event: Deposited, at: Position) -> None:
    ledger.credit_checked(event.account, event.asset, event.amount, "DEPOSIT", at, event.balance)


def withdraw_requested(ledger: Ledger, event: WithdrawRequested, at: Position) -> None:
    ledger.debit_checked(event.account, event.asset, event.amount, "WITHDRAW_REQUEST", at, event.balance)
    row = WithdrawalRow(
        account=event.account,
        asset=event.asset,
        amount=event.amount,
        as_cxpt=event.as_cxpt,
        claimable_at=event.claimable_at,
        status=REQUESTED,
        requested_block=at.block,
        requested_tx=at.tx_hash,
        closed_block=None,
        closed_tx=None,
    )
    ledger.state.withdrawals.put((event.id,), row)


def withdraw_cancelled(ledger: Ledger, event: WithdrawCancelled, at: Position) -> None:
    _close(ledger, event.id, CANCELLED, at)
    ledger.credit_checked(event.account, event.asset, event.amount, "WITHDRAW_CANCEL", at, event.balance)


def withdraw_claimed(ledger: Ledger, event: WithdrawClaimed, at: Position) -> None:
    _close(ledger, event.id, CLAIMED, at)


def collateral_locked(ledger: Ledger, event: CollateralLocked, at: Position) -> None:
    ledger.debit_checked(event.account, CASH, event.amount, "COLLATERAL_LOCK", at, event.balance)


def collateral_released(ledger: Ledger, event: CollateralReleased, at: Position) -> None:
    ledger.credit_checked(event.account, CASH, event.amount, "COLLATERAL_RELEASE", at, event.balance)


def synth_minted(ledger: Ledger, event: SynthMinted, at: Position) -> None:
    ledger.credit_checked(event.account, event.asset, event.amount, "SYNTH_MINT", at, event.balance)


def synth_burned(ledger: Ledger, event: SynthBurned, at: Position) -> None:
    ledger.debit_checked(event.account, event.asset, event.amount, "SYNTH_BURN", at, event.balance)


def cxpt_redeemed(ledger: Ledger, event: CxptRedeemed, at: Position) -> None:
    ledger.credit_checked(event.account, CASH, event.amount, "CXPT_REDEEM", at, event.balance)


def _close(ledger: Ledger, withdrawal_id: int, status: str, at: Position) -> None:
    row = ledger.state.withdrawals.get((withdrawal_id,))
    if row is None or row.status != REQUESTED:
        state = "unknown" if row is None else row.status
        raise Halt(
            "WITHDRAWAL_STATE",
            f"block {at.block}, log {at.log_index}: withdrawal {withdrawal_id} becomes {status}, but it is {state}",
        )
    closed = row._replace(status=status, closed_block=at.block, closed_tx=at.tx_hash)
    ledger.state.withdrawals.put((withdrawal_id,), closed)
