"""What waits for one price of one market: its index, or the price of its own last trade.

Owns:     `Watch`: the pending orders, by the level or the distance that they wait for, and the price as it is now.
Promises: a price costs O(log n) for each order that it triggers or brings into force, however many others wait.
          Exact: values and levels are on one scale (`cxdex.condition`), nothing is divided.
          Orders come out in the order in which the price reached them: the level that lies furthest behind the price
          first, at one level the order that was accepted first.
          Prices from before an order's `active_from` do not count for it. Times never fall, except by `undo`.
          A closed order that seeks a new proof of its fills is in here too, but does not count as PENDING.
Never:    changes an order's status (see `conditional`). Closed orders stay inside until they are met, or are many.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from cxdex.condition import Condition
from relayer.engine.peaks import PeakImage, Reached
from relayer.engine.trailing import Trail

if TYPE_CHECKING:
    from relayer.engine.orders import OrderRecord

_STALE_ENTRIES = 1024

WatchImage = tuple[int, int, int, list[PeakImage], list[PeakImage]]
"""(number, value and time of the newest price, peaks of those that wait for a fall, of those that wait for a rise)"""


class Hit(NamedTuple):
    """lead: how far the price has gone beyond what the order waited for, as a negative value. peak_time: unix seconds,
    0 unless the order trails."""

    lead: int
    number: int
    record: OrderRecord
    peak_time: int


class Watch:
    """count: orders that are PENDING here. number: counts the prices. value, time: of the newest one; time is in unix
    seconds, value is 0 before the first. scale: what a tick is in values."""

    __slots__ = (
        "_above",
        "_below",
        "_falls",
        "_rises",
        "_scale",
        "_stale",
        "_waiting",
        "count",
        "number",
        "time",
        "value",
    )

    def __init__(self, scale: int, image: WatchImage = (0, 0, 0, [], [])) -> None:
        self.number, self.value, self.time, falls, rises = image
        self.count = 0
        self._scale = scale
        self._stale = 0
        self._falls = Trail(scale, falls)
        self._rises = Trail(scale, rises)
        self._above: list[tuple[int, int, OrderRecord]] = []
        self._below: list[tuple[int, int, OrderRecord]] = []  # by the negated level
        self._waiting: list[tuple[int, int, OrderRecord]] = []  # by active_from

    def image(self) -> WatchImage:
        return self.number, self.value, self.time, self._falls.images(), self._rises.images()

    def is_met_now(self, record: OrderRecord) -> bool:
        """Whether the price as it is triggers a new order. One that trails has seen no turn yet."""
        condition = _condition(record)
        if not self.value or self.time < condition.active_from or condition.trigger.trails:
            return False
        level = condition.trigger_price * self._scale
        return level <= self.value if condition.trigger.on_rise else level >= self.value

    def add(self, record: OrderRecord) -> None:
        """From the price on that is there; whether that one triggers it is not looked at."""
        self.count += 1
        self._put(record)

    def seek(self, record: OrderRecord) -> None:
        """A closed order comes back, for the proof that the next price may be."""
        self._put(record)

    def leave(self) -> None:
        """One order is not PENDING any more."""
        self.count -= 1

    def leave_behind(self) -> None:
        """One order that is inside awaits no price any more."""
        self._stale += 1
        if self._stale > self.count + _STALE_ENTRIES:
            self._refill(self.pending())

    def see(self, value: int, time: int) -> tuple[list[Hit], Reached]:
        """A new price: the orders that it triggers, which are out, and what to give to `undo`."""
        self.number += 1
        self.value, self.time = value, time
        reached = Reached(
            self.number, self._falls.rise_to(self.number, value, time), self._rises.rise_to(self.number, -value, time)
        )
        waiting = self._waiting
        while waiting and waiting[0][0] <= time:
            record = heappop(waiting)[2]
            if record.awaits_price:
                self._put(record)
        hits = self._take_levels(value)
        for trail, seen in ((self._falls, value), (self._rises, -value)):
            while (hit := trail.take_hit(seen)) is not None:
                awaited, peak_time, record = hit
                hits.append(Hit(seen - awaited, record.number, record, peak_time))
        hits.sort()
        return hits, reached

    def undo(self, reached: Reached, value: int, time: int) -> None:
        """Takes the newest price back; these were the value and time before. It triggers nothing."""
        records = self.pending()
        self._falls.undo(reached.number, reached.falls)
        self._rises.undo(reached.number, reached.rises)
        self.number, self.value, self.time = reached.number - 1, value, time
        for record in records:
            if record.since > self.number:
                record.since = 0
        self._refill(records)

    def pending(self) -> list[OrderRecord]:
        """Oldest first."""
        records = [entry[2] for heap in (self._above, self._below, self._waiting) for entry in heap]
        records += (*self._falls.records(), *self._rises.records())
        return sorted((record for record in records if record.awaits_price), key=lambda record: record.number)

    def _take_levels(self, value: int) -> list[Hit]:
        hits = []
        above, below, scale = self._above, self._below, self._scale
        while above and above[0][0] * scale <= value:
            level, number, record = heappop(above)
            if record.awaits_price:
                hits.append(Hit(level * scale - value, number, record, 0))
        while below and -below[0][0] * scale >= value:
            level, number, record = heappop(below)
            if record.awaits_price:
                hits.append(Hit(value + level * scale, number, record, 0))
        return hits

    def _put(self, record: OrderRecord) -> None:
        condition = _condition(record)
        trigger, ticks = condition.trigger, condition.trigger_price
        trail = self._rises if trigger.on_rise else self._falls
        if record.since:
            trail.put_back(record, ticks)
        elif not self.value or self.time < condition.active_from:
            heappush(self._waiting, (condition.active_from, record.number, record))
        elif trigger.trails:
            trail.join(record, ticks, self.number, -self.value if trigger.on_rise else self.value, self.time)
        elif trigger.on_rise:
            heappush(self._above, (ticks, record.number, record))
        else:
            heappush(self._below, (-ticks, record.number, record))

    def _refill(self, records: list[OrderRecord]) -> None:
        self._stale = 0
        for heap in (self._above, self._below, self._waiting):
            heap.clear()
        self._falls.clear()
        self._rises.clear()
        for record in records:
            self._put(record)


def _condition(record: OrderRecord) -> Condition:
    condition = record.order.condition
    if condition is None:
        raise ValueError("only an order with a condition waits for a price")
    return condition
