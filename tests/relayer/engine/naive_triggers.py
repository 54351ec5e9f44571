"""Orders that wait for a price, as plainly as it can be said: every price is kept, and looked through again each time.

The part of `naive_exchange` that triggers. It knows no heaps and no peaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from cxdex.condition import Trigger

FALLING = (Trigger.INDEX_AT_OR_BELOW, Trigger.LAST_AT_OR_BELOW, Trigger.INDEX_FALLS_BY, Trigger.LAST_FALLS_BY)
TRAILING = (Trigger.INDEX_FALLS_BY, Trigger.INDEX_RISES_BY, Trigger.LAST_FALLS_BY, Trigger.LAST_RISES_BY)


@dataclass
class Waiting:
    """quantity: open lots. start: how many prices there were before those that count. queued: a price has met it."""

    quantity: int
    tif: str
    stp: str
    start: int
    queued: bool = False
    display: int = 0

    @property
    def total(self) -> int:
        return self.quantity


class NaiveTriggers:
    orders: dict[bytes, Any]
    in_book: Callable[..., Any]
    cancel: Callable[..., Any]
    now_ms: int

    def __init__(self) -> None:
        self.waiting: dict[bytes, Waiting] = {}
        self.seeking: dict[bytes, Waiting] = {}  # closed, with fills whose proof a reorg has taken
        self.pending: list[tuple] = []  # unsettled fills: (market, sequence, day, moves, maker id, taker id)
        self.proven: list[tuple[bytes, tuple[int, int]]] = []  # in this command
        self.ever: dict[bytes, Waiting] = {}  # every conditional order as it began
        self.prices: dict[tuple[str, str], list[tuple[Fraction, int]]] = {}  # of a market, INDEX or LAST: (ticks, time)
        self.queue: list[tuple[bytes, tuple[int, int]]] = []
        self.proofs: dict[bytes, tuple[int, int]] = {}
        self.triggered: list[tuple[bytes, tuple[int, int]]] = []  # in this command
        self.refused: list[tuple[bytes, str]] = []  # of these

    def seen(self, digest: bytes) -> list[tuple[Fraction, int]]:
        """What its price has been, as far as it counts for the order."""
        order = self.orders[digest]
        source = order.condition.trigger.name.split("_")[0]
        prices = self.prices.get((order.market, source), [])
        return [price for price in prices[self.ever[digest].start :] if price[1] >= order.condition.active_from]

    def wait(self, digest: bytes, lots: int, tif: str, stp: str, display: int) -> None:
        order = self.orders[digest]
        source = order.condition.trigger.name.split("_")[0]
        start = max(len(self.prices.get((order.market, source), [])) - 1, 0)
        self.ever[digest] = self.waiting[digest] = Waiting(lots, tif, stp, start, display=display)
        self.look([digest])

    def new_price(self, market: str, source: str, price: Fraction, time: int) -> None:
        self.prices.setdefault((market, source), []).append((price, time))
        watching = [
            digest
            for digest in (*self.waiting, *self.seeking)
            if self.orders[digest].market == market and self.orders[digest].condition.trigger.name.startswith(source)
        ]
        self.look(watching)

    def look(self, digests: list[bytes]) -> None:
        """Queues those whose condition the newest price meets: whom it reached first, first; then the oldest."""
        met = []
        for digest in digests:
            seen = self.seen(digest)
            newest = self.prices_of(digest)[-1:]
            if self.awaiting(digest).queued or not seen or seen[-1:] != newest:
                continue
            condition = self.orders[digest].condition
            falling = condition.trigger in FALLING
            price, time = seen[-1]
            level, proof = Fraction(condition.trigger_price), (time, 0)
            if condition.trigger in TRAILING:
                extreme = (max if falling else min)(value for value, _ in seen)
                level = extreme - level if falling else extreme + level
                proof = (max(when for value, when in seen if value == extreme), time)
            if price <= level if falling else price >= level:
                proof = proof if condition.trigger.name.startswith("INDEX") else (0, 0)
                met.append((-abs(price - level), list(self.orders).index(digest), digest, proof))
        for _, _, digest, proof in sorted(met):
            self.awaiting(digest).queued = True
            self.queue.append((digest, proof))

    def awaiting(self, digest: bytes) -> Waiting:
        return self.waiting[digest] if digest in self.waiting else self.seeking[digest]

    def has_unsettled(self, digest: bytes) -> bool:
        return any(digest in fill[-2:] for fill in self.pending)

    def stop_waiting(self, digest: bytes) -> None:
        """It is closed. What it filled before still needs a proof."""
        found = self.waiting.pop(digest, None)
        if found is not None and self.proofs.get(digest, (0, 0)) != (0, 0) and self.has_unsettled(digest):
            self.seeking[digest] = found

    def prices_of(self, digest: bytes) -> list[tuple[Fraction, int]]:
        order = self.orders[digest]
        return self.prices.get((order.market, order.condition.trigger.name.split("_")[0]), [])

    def take_price_back(self, market: str) -> None:
        """The newest index price never was."""
        prices = self.prices[market, "INDEX"]
        _, time = prices.pop()
        for digest, order in self.orders.items():
            if order.market != market or order.condition is None or "INDEX" not in order.condition.trigger.name:
                continue
            began = self.ever[digest]
            began.start = max(min(began.start, len(prices) - 1), 0)
            found = self.in_book(digest)
            if found is not None and time in self.proofs[digest]:
                self.cancel(digest)
                self.waiting[digest] = began
                began.quantity, began.queued = found.total, False
            elif digest not in self.waiting and time in self.proofs.get(digest, ()) and self.has_unsettled(digest):
                began.queued = False
                self.seeking[digest] = began
