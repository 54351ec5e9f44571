"""The Vault's events: deposits, withdrawals, fees and rebates, collateral, synths in and out of being.

Each that says what a balance or pocket is after it is compared with the fold. A withdrawal announced is not yet taken:
the balance falls at the claim, but the relayer may not use it from the announcement on, and its facts say so.
"""

from __future__ import annotations

from cxdex import facts
from indexer.events import (
    CollateralLocked,
    CollateralReleased,
    CxptRedeemed,
    Deposited,
    EscrowBurned,
    EscrowReturned,
    FeesCollected,
    FeesWithdrawn,
    Position,
    ProceedsLocked,
    RebatePaid,
    SynthBurned,
    SynthEscrowed,
    SynthMinted,
    Withdrawn,
)
from indexer.halt import Halt
from indexer.projections.ledger import CASH, COLLATERAL, CXPT, CXPT_RESERVE, FEE_POCKET, Ledger
from indexer.rows import SynthRow


def deposited(ledger: Ledger, event: Deposited, at: Position) -> None:
    ledger.credit_told(event.account, event.asset, event.amount, "DEPOSIT", at, event.balance)


def withdrawn(ledger: Ledger, event: Withdrawn, at: Position) -> None:
    ledger.debit_checked(event.account, event.asset, event.amount, "WITHDRAW_INSTANT", at, event.balance)
    if event.as_cxpt:
        ledger.change_value(CXPT_RESERVE, event.amount, at)
    ledger.fact(at, facts.WithdrawnInstantly(event.account, event.asset, event.amount, event.nonce))


def cxpt_redeemed(ledger: Ledger, event: CxptRedeemed, at: Position) -> None:
    ledger.change_value(CXPT_RESERVE, -event.amount, at)
    ledger.credit_told(event.account, CASH, event.amount, "CXPT_REDEEM", at, event.balance)


# ------------------------------------------------------------------ fees


def fees_collected(ledger: Ledger, event: FeesCollected, at: Position) -> None:
    symbol, market = ledger.market_by_hash(event.market, at)
    if market.accrued_fees != event.amount:
        raise Halt(
            "FEES_MISMATCH",
            f"block {at.block}, log {at.log_index}: {symbol} pays out {event.amount} of fees, "
            f"its fills add up to {market.accrued_fees}",
        )
    ledger.state.markets.put((symbol,), market._replace(accrued_fees=0))
    ledger.change_value(FEE_POCKET, event.amount, at, event.pocket)
    _fee_movement(ledger, "COLLECTED", symbol, None, event, at)


def fees_withdrawn(ledger: Ledger, event: FeesWithdrawn, at: Position) -> None:
    ledger.change_value(FEE_POCKET, -event.amount, at, event.pocket)
    _fee_movement(ledger, "WITHDRAWN", None, event.recipient, event, at)


def rebate_paid(ledger: Ledger, event: RebatePaid, at: Position) -> None:
    ledger.change_value(FEE_POCKET, -event.amount, at, event.pocket)
    ledger.change_value(CXPT_RESERVE, event.amount, at)
    ledger.credit_told(event.account, CXPT, event.amount, "REBATE", at, event.balance)
    _fee_movement(ledger, "REBATE", None, event.account, event, at)


def _fee_movement(
    ledger: Ledger,
    kind: str,
    symbol: str | None,
    account: bytes | None,
    event: FeesCollected | FeesWithdrawn | RebatePaid,
    at: Position,
) -> None:
    ledger.fee_movements.append(
        (at.block, at.log_index, kind, symbol, account, event.amount, event.pocket, at.timestamp, at.tx_hash)
    )


# ------------------------------------------------------------------ collateral


def collateral_locked(ledger: Ledger, event: CollateralLocked, at: Position) -> None:
    """From a wallet: no trading balance changes."""
    ledger.change_value(COLLATERAL, event.amount, at, event.total)


def proceeds_locked(ledger: Ledger, event: ProceedsLocked, at: Position) -> None:
    """What a sale that minted has brought becomes the seller's collateral."""
    ledger.debit_told(event.account, CASH, event.amount, "PROCEEDS_LOCK", at, event.balance)
    ledger.change_value(COLLATERAL, event.amount, at, event.total)


def collateral_released(ledger: Ledger, event: CollateralReleased, at: Position) -> None:
    ledger.credit_told(event.account, CASH, event.amount, "COLLATERAL_RELEASE", at, event.balance)
    ledger.change_value(COLLATERAL, -event.amount, at, event.total)


# ------------------------------------------------------------------ synths


def synth_minted(ledger: Ledger, event: SynthMinted, at: Position) -> None:
    ledger.credit_told(event.account, event.asset, event.amount, "SYNTH_MINT", at, event.balance)
    _change_synth(ledger, event.asset, event.amount, 0, at, event.supply)


def synth_burned(ledger: Ledger, event: SynthBurned, at: Position) -> None:
    """From a wallet: no trading balance changes."""
    _change_synth(ledger, event.asset, -event.amount, 0, at, event.supply)


def synth_escrowed(ledger: Ledger, event: SynthEscrowed, at: Position) -> None:
    """From a wallet: no trading balance changes."""
    _change_synth(ledger, event.asset, 0, event.amount, at)


def escrow_burned(ledger: Ledger, event: EscrowBurned, at: Position) -> None:
    _change_synth(ledger, event.asset, -event.amount, -event.amount, at, event.supply)


def escrow_returned(ledger: Ledger, event: EscrowReturned, at: Position) -> None:
    ledger.credit_told(event.account, event.asset, event.amount, "ESCROW_RETURN", at, event.balance)
    _change_synth(ledger, event.asset, 0, -event.amount, at)


def _change_synth(
    ledger: Ledger, asset: int, supply: int, escrow: int, at: Position, told_supply: int | None = None
) -> None:
    row: SynthRow | None = ledger.state.synths.get((asset,))
    if row is None:
        raise Halt("SYNTH_UNKNOWN", f"block {at.block}, log {at.log_index} names asset {asset}, never registered")
    changed = row._replace(supply=row.supply + supply, escrow=row.escrow + escrow)
    if told_supply is not None:
        ledger.require_equal(f"that there are {{}} of asset {asset}", "it", at, told_supply, changed.supply)
    if changed.supply < 0 or changed.escrow < 0:
        raise Halt("BALANCE_NEGATIVE", f"block {at.block}, log {at.log_index}: {row.symbol} falls below zero")
    ledger.state.synths.put((asset,), changed)
