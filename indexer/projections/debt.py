"""Synthetic debt as its events give it: positions, liquidations, redemptions, wind-downs, and the oracle's prices.

What moves balances, collateral and tokens are the Vault's events beside these (see `vault`).
"""

from __future__ import annotations

from typing import Any

from cxdex import facts
from indexer.events import (
    AssetOpened,
    AssetWound,
    CapChanged,
    DebtChanged,
    Liquidated,
    Position,
    PositionProcessed,
    PriceUpdated,
    RateFixed,
    RedemptionCancelled,
    RedemptionExecuted,
    RedemptionRequested,
    WoundClaimed,
)
from indexer.halt import Halt
from indexer.projections.ledger import Ledger
from indexer.rows import DebtAssetRow, DebtRow, PriceRow, RedemptionRow

REQUESTED, EXECUTED, CANCELLED = "REQUESTED", "EXECUTED", "CANCELLED"
LIQUIDATION_KINDS = {0: "BURNT", 1: "TAKEN_OVER"}
NOTHING_YET = DebtAssetRow(cap=0, wound_price=None, wound_supply=None, wound_block=None, pot=0, rate=None)


def debt_changed(ledger: Ledger, event: DebtChanged, _at: Position) -> None:
    ledger.state.debts.put((event.account, event.asset), DebtRow(event.debt, event.collateral))


def liquidated(ledger: Ledger, event: Liquidated, at: Position) -> None:
    kind = LIQUIDATION_KINDS.get(event.kind, f"KIND_{event.kind}")
    ledger.liquidations.append(
        (
            at.block,
            at.log_index,
            event.account,
            event.asset,
            event.liquidator,
            event.debt,
            event.collateral,
            kind,
            at.timestamp,
            at.tx_hash,
        )
    )


# ------------------------------------------------------------------ redemptions


def redemption_requested(ledger: Ledger, event: RedemptionRequested, at: Position) -> None:
    row = RedemptionRow(
        account=event.account,
        asset=event.asset,
        amount=event.amount,
        remaining=event.amount,
        payout=0,
        max_fee_bps=event.max_fee_bps,
        requested_at=at.timestamp,
        price_from=event.price_from,
        status=REQUESTED,
        requested_block=at.block,
        requested_tx=at.tx_hash,
        closed_block=None,
        closed_tx=None,
    )
    ledger.state.redemptions.put((event.id,), row)


def redemption_executed(ledger: Ledger, event: RedemptionExecuted, at: Position) -> None:
    row = _waiting(ledger, event.id, EXECUTED, at)
    ledger.require_equal(
        f"that {{}} remain of redemption {event.id}", "it", at, event.remaining, row.remaining - event.amount
    )
    changed = row._replace(remaining=event.remaining, payout=row.payout + event.payout)
    if event.remaining == 0:
        changed = changed._replace(status=EXECUTED, closed_block=at.block, closed_tx=at.tx_hash)
    ledger.state.redemptions.put((event.id,), changed)


def redemption_cancelled(ledger: Ledger, event: RedemptionCancelled, at: Position) -> None:
    row = _waiting(ledger, event.id, CANCELLED, at)
    ledger.require_equal(f"that {{}} come back of redemption {event.id}", "it", at, event.amount, row.remaining)
    closed = row._replace(status=CANCELLED, closed_block=at.block, closed_tx=at.tx_hash)
    ledger.state.redemptions.put((event.id,), closed)


def _waiting(ledger: Ledger, redemption_id: int, status: str, at: Position) -> RedemptionRow:
    row: RedemptionRow | None = ledger.state.redemptions.get((redemption_id,))
    if row is None or row.status != REQUESTED:
        state = "unknown" if row is None else row.status
        raise Halt(
            "REDEMPTION_STATE",
            f"block {at.block}, log {at.log_index}: redemption {redemption_id} becomes {status}, but it is {state}",
        )
    return row


# ------------------------------------------------------------------ a synth's bounds, and its end


def asset_opened(ledger: Ledger, event: AssetOpened, _at: Position) -> None:
    _change_asset(ledger, event.asset, cap=event.cap)


def cap_changed(ledger: Ledger, event: CapChanged, _at: Position) -> None:
    _change_asset(ledger, event.asset, cap=event.cap)


def asset_wound(ledger: Ledger, event: AssetWound, at: Position) -> None:
    synth = ledger.state.synths.get((event.asset,))
    supply = synth.supply if synth else 0
    _change_asset(ledger, event.asset, wound_price=event.price, wound_supply=supply, wound_block=at.block)


def position_processed(ledger: Ledger, event: PositionProcessed, _at: Position) -> None:
    _change_asset(ledger, event.asset, pot=event.pot)


def rate_fixed(ledger: Ledger, event: RateFixed, _at: Position) -> None:
    _change_asset(ledger, event.asset, rate=event.rate)


def wound_claimed(ledger: Ledger, event: WoundClaimed, _at: Position) -> None:
    _change_asset(ledger, event.asset, pot=event.pot)


def _change_asset(ledger: Ledger, asset: int, **changes: Any) -> None:
    assets = ledger.state.debt_assets
    row = assets.get((asset,)) or NOTHING_YET
    assets.put((asset,), row._replace(**changes))


# ------------------------------------------------------------------ prices


def price_updated(ledger: Ledger, event: PriceUpdated, at: Position) -> None:
    prices = ledger.state.prices
    before = prices.get((event.asset,))
    if before is not None and before.publish_time >= event.publish_time:
        raise Halt(
            "PRICE_ORDER",
            f"block {at.block}, log {at.log_index}: a price of asset {event.asset} published at {event.publish_time} "
            f"follows one of {before.publish_time}",
        )
    updates = 1 if before is None else before.updates + 1
    prices.put((event.asset,), PriceRow(event.price, event.publish_time, event.cumulative, updates))
    ledger.price_updates.append(
        (
            at.block,
            at.log_index,
            event.asset,
            event.price,
            event.publish_time,
            event.cumulative,
            at.timestamp,
            at.tx_hash,
        )
    )
    ledger.fact(at, facts.PriceUpdated(event.asset, event.price, event.publish_time))
