"""State that events give as it stands: nonces and epochs, debt positions, oracle reports."""

from __future__ import annotations

from cxdex import facts
from indexer.events import DebtChanged, EpochRaised, NonceRaised, Position, PriceReported
from indexer.projections.ledger import Ledger
from indexer.rows import DebtRow, EpochRow, LaneRow, PriceRow


def nonce_raised(ledger: Ledger, event: NonceRaised, at: Position) -> None:
    ledger.state.lanes.put((event.account, event.lane), LaneRow(event.seq, 0))
    ledger.fact(at, facts.NonceRaised(event.account, event.lane, event.seq))


def epoch_raised(ledger: Ledger, event: EpochRaised, at: Position) -> None:
    ledger.state.epochs.put((event.account,), EpochRow(event.epoch))
    ledger.fact(at, facts.EpochRaised(event.account, event.epoch))


def debt_changed(ledger: Ledger, event: DebtChanged, _at: Position) -> None:
    ledger.state.debts.put((event.account, event.asset), DebtRow(event.debt, event.collateral))


def price_reported(ledger: Ledger, event: PriceReported, _at: Position) -> None:
    ledger.state.prices.put((event.asset, event.reporter), PriceRow(event.price, event.publish_time))
