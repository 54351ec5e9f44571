"""The fold: events in chain order go in, rows and facts come out.

Owns:     `Fold`, which sends each event to the projection that knows it, and `BlockRows`, what one block produced.
Promises: a function of the events alone: same events, same rows, on every machine. Balances carried by an event
          are compared with the folded ones; a difference is a Halt that names the event and both numbers.
Never:    does I/O, reads a clock, or looks at the relayer's tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from indexer import events
from indexer.events import Event, Position
from indexer.projections import debt, fills, markets, operations, orders, vault, withdrawals
from indexer.projections.ledger import History, Ledger
from indexer.state import Image, State

Projection = Callable[[Ledger, Any, Position], None]

PROJECTIONS: dict[type[Event], Projection] = {
    events.Fill: fills.settled,
    events.FillSkipped: fills.skipped,
    events.SequenceVoided: fills.voided,
    events.NonceRaised: orders.nonce_raised,
    events.EpochRaised: orders.epoch_raised,
    events.SessionSet: orders.session_set,
    events.SessionRevoked: orders.session_revoked,
    events.SessionUsed: orders.session_used,
    events.Heartbeat: orders.heartbeat,
    events.Deposited: vault.deposited,
    events.Withdrawn: vault.withdrawn,
    events.CxptRedeemed: vault.cxpt_redeemed,
    events.FeesCollected: vault.fees_collected,
    events.FeesWithdrawn: vault.fees_withdrawn,
    events.RebatePaid: vault.rebate_paid,
    events.CollateralLocked: vault.collateral_locked,
    events.ProceedsLocked: vault.proceeds_locked,
    events.CollateralReleased: vault.collateral_released,
    events.SynthMinted: vault.synth_minted,
    events.SynthBurned: vault.synth_burned,
    events.SynthEscrowed: vault.synth_escrowed,
    events.EscrowBurned: vault.escrow_burned,
    events.EscrowReturned: vault.escrow_returned,
    events.WithdrawRequested: withdrawals.withdraw_requested,
    events.WithdrawRedirected: withdrawals.withdraw_redirected,
    events.WithdrawCancelled: withdrawals.withdraw_cancelled,
    events.WithdrawClaimed: withdrawals.withdraw_claimed,
    events.SynthRegistered: markets.synth_registered,
    events.SynthCreated: markets.synth_created,
    events.MarketListed: markets.market_listed,
    events.MarketStatusChanged: markets.market_status_changed,
    events.DebtChanged: debt.debt_changed,
    events.Liquidated: debt.liquidated,
    events.RedemptionRequested: debt.redemption_requested,
    events.RedemptionExecuted: debt.redemption_executed,
    events.RedemptionCancelled: debt.redemption_cancelled,
    events.AssetOpened: debt.asset_opened,
    events.CapChanged: debt.cap_changed,
    events.AssetWound: debt.asset_wound,
    events.PositionProcessed: debt.position_processed,
    events.RateFixed: debt.rate_fixed,
    events.WoundClaimed: debt.wound_claimed,
    events.PriceUpdated: debt.price_updated,
    events.OperationScheduled: operations.operation_scheduled,
    events.CallScheduled: operations.call_scheduled,
    events.OperationCancelled: operations.operation_cancelled,
    events.OperationExecuted: operations.operation_executed,
    events.Notice: operations.notice,
}


class BlockRows(NamedTuple):
    """What one block's events became. Rows are in column order; facts are (block, position, fact)."""

    history: History
    facts: list[tuple[int, int, Any]]
    images: list[Image]


class Fold:
    def __init__(self, state: State) -> None:
        self.state = state
        self._ledger = Ledger(state)

    def block(self, block_events: Iterable[tuple[Position, Event]]) -> BlockRows:
        """Folds one block's events, which are in log order. Raises Halt and MissingLogs."""
        ledger = self._ledger
        ledger.begin()
        for position, event in block_events:
            PROJECTIONS[type(event)](ledger, event, position)
        return BlockRows(ledger.history, ledger.facts, self.state.close_block())
