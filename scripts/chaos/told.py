"""What the traders were told, and whether the exchange still says so.

Owns:     every acknowledged order, cancel and fill, every order whose outcome nobody could say, the latencies.
Promises: an acknowledgement is never forgotten; a contradiction is written down the moment it is seen.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

from cxdex.client.replies import Order, PlacedFill

TERMS = (
    "account", "market", "side", "order_type", "time_in_force", "quantity", "limit_price", "max_fee_bps", "expiry",
    "nonce", "client_order_id",
)  # fmt: skip
CLOSED = ("FILLED", "CANCELLED", "EXPIRED")


@dataclass
class Told:
    """All traders together. Orders by id, fills by match id; `heard`: id to version, by WebSocket."""

    orders: dict[str, Order] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    unknown_ever: int = 0
    fills: dict[str, PlacedFill] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    longest_silence: float = 0.0
    last_answer: float = 0.0

    def accepted(self, order: Order, seconds: float) -> None:
        """The answer to a placement."""
        now = time.monotonic()
        if self.last_answer:
            self.longest_silence = max(self.longest_silence, now - self.last_answer)
        self.last_answer = now
        self.seconds.append(seconds)
        self.answers["order accepted"] += 1
        self.note(order)

    def note(self, order: Order) -> None:
        """Any copy of an order that the exchange gave out."""
        self.unknown.discard(order.id)
        known = self.orders.get(order.id)
        if known is not None:
            self.wrong += [f"order {order.id}: {line}" for line in changed_terms(known, order)]
        if known is None or order.version >= known.version:
            self.orders[order.id] = order
        for fill in order.fills:
            self._note_fill(fill)

    def note_cancelled(self, order: Order) -> None:
        self.note(order)
        self.answers["order cancelled"] += 1
        if order.status == "CANCELLED":
            self.cancelled.add(order.id)

    def refuse(self, order_id: str, code: str) -> None:
        self.answers[code] += 1
        self.unknown.discard(order_id)
        if order_id in self.orders:
            if code not in ("ORDER_NONCE_USED", "ORDER_NONCE_LANE_BUSY"):
                self.wrong.append(f"order {order_id} was accepted, and sent again it was refused with {code}")
        else:
            self.refused[order_id] = code

    def unsure(self, order_id: str) -> None:
        self.answers["outcome unknown"] += 1
        self.unknown_ever += order_id not in self.unknown
        self.unknown.add(order_id)

    def contradictions(self, found: Order) -> list[str]:
        """What the exchange's present copy of an acknowledged order says against what was told."""
        known = self.orders[found.id]
        lines = changed_terms(known, found)
        version = max(known.version, self.heard.get(found.id, 0))
        if found.version < version:
            lines.append(f"version {found.version} after {version}")
        if Decimal(found.filled) < Decimal(known.filled):
            lines.append(f"filled {found.filled} after {known.filled}")
        if found.id in self.cancelled and found.status != "CANCELLED":
            lines.append(f"{found.status} after its cancel was acknowledged")
        if known.status in CLOSED and found.status != known.status:
            lines.append(f"{found.status} after {known.status}")
        return [f"order {found.id}: {line}" for line in lines]

    def _note_fill(self, fill: PlacedFill) -> None:
        known = self.fills.setdefault(fill.match_id, fill)
        if known != fill:
            self.wrong.append(f"match {fill.match_id} was told as {known} and as {fill}")


def changed_terms(known: Order, found: Order) -> list[str]:
    return [
        f"{name} {getattr(found, name)} after {getattr(known, name)}"
        for name in TERMS
        if getattr(known, name) != getattr(found, name)
    ]


def percentile(values: list[float], share: float) -> float:
    """The value that so many of all are at or below; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
