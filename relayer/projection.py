"""What events mean for the order and trade tables, as plain rows; no database here.

Owns:     `RowChanges`: rows to insert and changes to make, merged over any number of commands.
Promises: a pure function of the events, and the row equals the engine's view of the order: `filled` counts matched
          lots, also those of a fill that the chain later passes over (the trade row says `voided`; the order is
          as it was), and `version` rises with every event that names the order.
Never:    asks the engine or the database for what was before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from relayer.engine.events import (
    AnyEvent,
    FillCharged,
    FillRestored,
    FillVoided,
    OrderAccepted,
    OrderClosed,
    OrderProven,
    OrderRearmed,
    OrderReduced,
    OrderTriggered,
    Traded,
)
from relayer.ticker import MINUTE_MS, Minute

PENDING, OPEN = "PENDING", "OPEN"


@dataclass(slots=True)
class OrderChange:
    """What to do to the row of an order accepted earlier. `filled`, `filled_before` and `version` are added to what
    is there; None as status or proof leaves what is there."""

    remaining: int
    updated_ms: int
    filled: int = 0
    version: int = 0
    status: str | None = None
    reason: str | None = None
    replaced_by: bytes = b""
    proof: tuple[int, int] | None = None
    filled_before: int = 0


@dataclass(slots=True)
class RowChanges:
    """In journal order. `accepted` of an order row is left to the writer, who knows the last one."""

    orders: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    changes: dict[bytes, OrderChange] = field(default_factory=dict)
    trades: dict[int, dict[str, Any]] = field(default_factory=dict)
    voided: dict[int, bool] = field(default_factory=dict)
    charged: dict[int, tuple[int, int]] = field(default_factory=dict)
    minutes: dict[tuple[str, int], Minute] = field(default_factory=dict)

    def add(self, events: Iterable[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, OrderAccepted):
                self.orders[event.digest] = _order_row(event)
            elif isinstance(event, Traded):
                self.trades[event.match_id] = _trade_row(event)
                self._match(event)
                self._change(event.maker_digest, event.maker_remaining, event.time_ms, event.quantity)
                self._change(event.taker_digest, event.taker_remaining, event.time_ms, event.quantity)
            elif isinstance(event, OrderReduced):
                self._change(event.digest, event.remaining, event.time_ms)
                self._fill_elsewhere(event)
            elif isinstance(event, OrderClosed):
                closing = (event.status, event.reason, event.replaced_by)
                self._change(event.digest, event.remaining, event.time_ms, 0, *closing)
            elif isinstance(event, OrderTriggered):
                self._change(event.digest, event.remaining, event.time_ms, 0, OPEN)
                self._prove(event)
            elif isinstance(event, OrderProven):
                self._change(
                    event.digest, event.remaining, event.time_ms, reason=event.reason, replaced_by=event.replaced_by
                )
                self._prove(event)
            elif isinstance(event, OrderRearmed):
                self._change(event.digest, event.remaining, event.time_ms, 0, PENDING)
            elif isinstance(event, FillVoided):
                self._void(event.match_id, True)
            elif isinstance(event, FillRestored):
                self._void(event.match_id, False)
            elif isinstance(event, FillCharged):
                self._charge(event)

    def _change(
        self,
        digest: bytes,
        remaining: int,
        time_ms: int,
        filled: int = 0,
        status: str | None = None,
        reason: str | None = None,
        replaced_by: bytes = b"",
    ) -> None:
        row = self.orders.get(digest)
        if row is not None:
            row["filled"] += filled
            row["version"] += 1
            row.update(remaining=remaining, updated_ms=time_ms, reason=reason, replaced_by=replaced_by)
            row["status"] = status or row["status"]
            return
        change = self.changes.get(digest)
        if change is None:
            change = self.changes[digest] = OrderChange(remaining, time_ms)
        change.filled += filled
        change.version += 1
        change.remaining, change.updated_ms, change.reason, change.replaced_by = remaining, time_ms, reason, replaced_by
        change.status = status or change.status

    def _fill_elsewhere(self, event: OrderReduced) -> None:
        row = self.orders.get(event.digest)
        if row is not None:
            row["filled_before"] += event.filled_elsewhere
        else:
            self.changes[event.digest].filled_before += event.filled_elsewhere

    def _prove(self, event: OrderTriggered | OrderProven) -> None:
        row = self.orders.get(event.digest)
        if row is not None:
            row.update(proof_first=event.proof_first, proof_second=event.proof_second)
        else:
            self.changes[event.digest].proof = event.proof_first, event.proof_second

    def _match(self, event: Traded) -> None:
        place = event.market, event.time_ms // MINUTE_MS
        match = Minute.of(event.price, event.quantity, event.time_ms)
        if place in self.minutes:
            self.minutes[place].join(match)
        else:
            self.minutes[place] = match

    def _void(self, match_id: int, voided: bool) -> None:
        row = self.trades.get(match_id)
        if row is not None:
            row["voided"] = voided
        else:
            self.voided[match_id] = voided

    def _charge(self, event: FillCharged) -> None:
        row = self.trades.get(event.match_id)
        if row is not None:
            row.update(maker_fee=event.maker_fee, taker_fee=event.taker_fee)
        else:
            self.charged[event.match_id] = event.maker_fee, event.taker_fee


def _order_row(event: OrderAccepted) -> dict[str, Any]:
    order = event.order
    return {
        "digest": event.digest,
        "account": order.account,
        "market": order.market,
        "side": int(order.side),
        "order_type": int(order.order_type),
        "time_in_force": int(order.time_in_force),
        "quantity": order.quantity,
        "limit_price": order.limit_price,
        "max_fee_bps": order.max_fee_bps,
        "max_collateral": order.max_collateral,
        "self_trade": int(order.self_trade),
        "reduce_only": order.reduce_only,
        "expiry": order.expiry,
        "nonce": order.nonce,
        "signature": event.signature,
        "signature_kind": int(event.kind),
        "trigger": None if order.condition is None else int(order.condition.trigger),
        "trigger_price": None if order.condition is None else order.condition.trigger_price,
        "active_from": None if order.condition is None else order.condition.active_from,
        "proof_first": 0,
        "proof_second": 0,
        "client_order_id": event.client_order_id,
        "status": OPEN if order.condition is None else PENDING,
        "reason": None,
        "filled": 0,
        "remaining": order.quantity - event.filled_before,
        "replaces": event.replaces,
        "replaced_by": b"",
        "filled_before": event.filled_before,
        "display_quantity": event.display_quantity,
        "version": 1,
        "created_ms": event.time_ms,
        "updated_ms": event.time_ms,
    }


def _trade_row(event: Traded) -> dict[str, Any]:
    return {
        "match_id": event.match_id,
        "market": event.market,
        "sequence": event.sequence,
        "maker_digest": event.maker_digest,
        "taker_digest": event.taker_digest,
        "maker": event.maker,
        "taker": event.taker,
        "taker_is_buyer": event.taker_is_buyer,
        "price": event.price,
        "quantity": event.quantity,
        "maker_fee": event.maker_fee,
        "taker_fee": event.taker_fee,
        "time_ms": event.time_ms,
        "voided": False,
    }
