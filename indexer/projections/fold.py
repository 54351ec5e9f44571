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
from indexer.projections import fills, markets, positions, vault
from indexer.projections.ledger import Ledger
from indexer.state import Image, State

Projection = Callable[[Ledger, Any, Position], None]

PROJECTIONS: dict[type[Event], Projection] = {
    events.Fill: fills.settled,
    events.FillSkipped: fills.skipped,
    events.SequenceVoided: fills.voided,
    events.NonceRaised: positions.nonce_raised,
    events.EpochRaised: positions.epoch_raised,
    events.FeesCollected: markets.fees_collected,
    events.Deposited: vault.deposited,
    events.WithdrawRequested: vault.withdraw_requested,
    events.WithdrawCancelled: vault.withdraw_cancelled,
    events.WithdrawClaimed: vault.withdraw_claimed,
    events.CollateralLocked: vault.collateral_locked,
    events.CollateralReleased: vault.collateral_released,
    events.SynthMinted: vault.synth_minted,
    events.SynthBurned: vault.synth_burned,
    events.CxptRedeemed: vault.cxpt_redeemed,
    events.SynthRegistered: markets.synth_registered,
    events.SynthCreated: markets.synth_created,
    events.MarketListed: markets.market_listed,
    events.MarketStatusChanged: markets.market_status_changed,
    events.DebtChanged: positions.debt_changed,
    events.PriceReported: positions.price_reported,
}


class BlockRows(NamedTuple):
    """What one block's events became. Rows are in column order; facts are (block, position, fact)."""

    fills: list[tuple[Any, ...]]
    entries: list[tuple[Any, ...]]
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
        return BlockRows(ledger.fills, ledger.entries, ledger.facts, self.state.close_block())
