"""What events mean for the order and trade tables, as plain rows; no database here.

Owns:     `RowChanges`: rows to insert and changes to make, merged over any number of commands.
Promises: a pure function of the events, and the row equals the engine's view of the order: `filled` counts matched
          lots, also those of a fill that the chain later passes over (the trade row says `voided`; the order is
          as it was), and `version` rises with every event that names the order.
Never:    asks the engine or the database for what was before.

New rows are tuples in the order of NEW_ORDER and NEW_TRADE: a tuple costs a third of a row by name, and there are
thousands a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from relayer.engine.events import (
    AnyEvent,
    BalanceChanged,
    FillCharged,
    FillRestored,
    FillVoided,
    LevelChanged,
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

FixedColumns = tuple[Any, ...]
AsStored = Callable[[int], Any]
"""What the database takes for a Uint."""

FIXED_OF_ORDER = (
    "digest", "account", "market", "side", "order_type", "time_in_force", "quantity", "limit_price", "max_fee_bps",
    "max_collateral", "self_trade", "reduce_only", "expiry", "nonce", "signature", "signature_kind", "trigger",
    "trigger_price", "active_from", "client_order_id", "replaces", "display_quantity", "created_ms",
)  # fmt: skip
NEW_ORDER = (
    "accepted", *FIXED_OF_ORDER, "status", "reason", "filled", "remaining", "replaced_by", "filled_before",
    "proof_first", "proof_second", "version", "updated_ms",
)  # fmt: skip
NEW_TRADE = (
    "match_id", "market", "sequence", "maker_digest", "taker_digest", "maker", "taker", "taker_is_buyer", "price",
    "quantity", "maker_fee", "taker_fee", "time_ms", "maker_order", "taker_order", "voided",
)  # fmt: skip


@dataclass(slots=True)
class NewOrder:
    """A row to insert: what stays as it was accepted, under FIXED_OF_ORDER, and what may change."""

    fixed: FixedColumns
    status: str
    remaining: int
    updated_ms: int
    filled_before: int
    reason: str | None = None
    filled: int = 0
    replaced_by: bytes = b""
    proof: tuple[int, int] = (0, 0)
    version: int = 1

    def row(self, accepted: int) -> tuple[Any, ...]:
        """The columns of NEW_ORDER."""
        return (
            accepted, *self.fixed, self.status, self.reason, self.filled, self.remaining, self.replaced_by,
            self.filled_before, *self.proof, self.version, self.updated_ms,
        )  # fmt: skip


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

    def values(self, digest: bytes) -> tuple[Any, ...]:
        """What `order_table` changes the row with."""
        first, second = self.proof or (None, None)
        counts = (self.filled, self.filled_before, self.version, self.remaining)
        return (*counts, self.status, first, second, self.reason, self.replaced_by, self.updated_ms, digest)


@dataclass(slots=True)
class RowChanges:
    """In journal order. `accepted` of an order row is left to the writer, who knows the last one."""

    as_stored: AsStored
    orders: dict[bytes, NewOrder] = field(default_factory=dict)
    changes: dict[bytes, OrderChange] = field(default_factory=dict)
    trades: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    voided: dict[int, bool] = field(default_factory=dict)
    charged: dict[int, tuple[int, int]] = field(default_factory=dict)
    minutes: dict[tuple[str, int], Minute] = field(default_factory=dict)

    def add(self, events: Iterable[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, _IN_NO_ROW):
                continue
            if isinstance(event, OrderAccepted):
                self.orders[event.digest] = _new_order(event, self.as_stored)
            elif isinstance(event, Traded):
                self.trades[event.match_id] = _trade_row(event, self.as_stored)
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
        change = self.orders.get(digest) or self.changes.get(digest)
        if change is None:
            change = self.changes[digest] = OrderChange(remaining, time_ms)
        change.filled += filled
        change.version += 1
        change.remaining, change.updated_ms, change.reason, change.replaced_by = remaining, time_ms, reason, replaced_by
        change.status = status or change.status

    def _fill_elsewhere(self, event: OrderReduced) -> None:
        (self.orders.get(event.digest) or self.changes[event.digest]).filled_before += event.filled_elsewhere

    def _prove(self, event: OrderTriggered | OrderProven) -> None:
        (self.orders.get(event.digest) or self.changes[event.digest]).proof = event.proof_first, event.proof_second

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
            self.trades[match_id] = (*row[:-1], voided)
        else:
            self.voided[match_id] = voided

    def _charge(self, event: FillCharged) -> None:
        row = self.trades.get(event.match_id)
        if row is not None:
            fees = self.as_stored(event.maker_fee), self.as_stored(event.taker_fee)
            self.trades[event.match_id] = (*row[:_MAKER_FEE], *fees, *row[_MAKER_FEE + 2 :])
        else:
            self.charged[event.match_id] = event.maker_fee, event.taker_fee


_MAKER_FEE = NEW_TRADE.index("maker_fee")
_IN_NO_ROW: Final = (BalanceChanged, LevelChanged)  # most events


def _new_order(event: OrderAccepted, as_stored: AsStored) -> NewOrder:
    order, condition = event.order, event.order.condition
    waits_for: tuple[Any, ...] = (None, None, None)
    if condition is not None:
        waits_for = (int(condition.trigger), as_stored(condition.trigger_price), condition.active_from)
    fixed = (
        event.digest,
        order.account,
        order.market,
        int(order.side),
        int(order.order_type),
        int(order.time_in_force),
        order.quantity,
        as_stored(order.limit_price),
        order.max_fee_bps,
        as_stored(order.max_collateral),
        int(order.self_trade),
        order.reduce_only,
        order.expiry,
        as_stored(order.nonce),
        event.signature,
        int(event.kind),
        *waits_for,
        event.client_order_id,
        event.replaces,
        event.display_quantity,
        event.time_ms,
    )
    status = OPEN if condition is None else PENDING
    return NewOrder(fixed, status, order.quantity - event.filled_before, event.time_ms, event.filled_before)


def _trade_row(event: Traded, as_stored: AsStored) -> tuple[Any, ...]:
    return (
        event.match_id,
        event.market,
        event.sequence,
        event.maker_digest,
        event.taker_digest,
        event.maker,
        event.taker,
        event.taker_is_buyer,
        as_stored(event.price),
        event.quantity,
        as_stored(event.maker_fee),
        as_stored(event.taker_fee),
        event.time_ms,
        event.maker_order,
        event.taker_order,
        False,
    )
