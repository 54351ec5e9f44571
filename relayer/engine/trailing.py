"""Orders that trail a price: each triggers when the price has turned by its distance from the highest since it joined.

Owns:     `Trail`: who waits for a turn in one direction, and the peaks that their distances count from.
Promises: a price costs O(log n) for each order that it triggers, and for each order once whenever its peak is passed
          together with a larger crowd's; nothing for all the others. Taking the newest price back restores every peak.
Never:    decides what a price is, or changes an order. Values are integers on one scale; for a price that has to rise
          they come negated, so that in here a peak is always the highest.

Prices are numbered. An order's highest price is the highest of those with a number of `since` or more, so all orders
that have seen the same peak share it: peaks are kept like the skyline that one sees looking back, each lower than the
one before. A new price takes over the peaks that it reaches, with their orders (the smaller heaps go into the largest).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from relayer.engine.peaks import PeakImage

if TYPE_CHECKING:
    from relayer.engine.orders import OrderRecord

_STALE_TOPS = 64


class _Peak:
    """heap: (distance, acceptance number, order), the smallest distance first; closed orders among them."""

    __slots__ = ("heap", "number", "time", "value")

    def __init__(self, number: int, value: int, time: int) -> None:
        self.number = number
        self.value = value
        self.time = time
        self.heap: list[tuple[int, int, OrderRecord]] = []


class Trail:
    """scale: what one unit of distance is in values."""

    __slots__ = ("_peaks", "_scale", "_tops")

    def __init__(self, scale: int, peaks: Iterable[PeakImage] = ()) -> None:
        self._scale = scale
        self._peaks = [_Peak(*peak) for peak in peaks]
        self._tops: list[tuple[int, int, _Peak]] = []  # by the value that triggers next, the highest first

    def images(self) -> list[PeakImage]:
        return [(peak.number, peak.value, peak.time) for peak in self._peaks]

    def join(self, record: OrderRecord, distance: int, number: int, value: int, time: int) -> None:
        """From the newest price on, which is this one."""
        record.since = number
        if not self._peaks or self._peaks[-1].number < number:
            self._peaks.append(_Peak(number, value, time))
        self._add(self._peaks[-1], record, distance)

    def put_back(self, record: OrderRecord, distance: int) -> None:
        """Under the peak that it had."""
        place = bisect_left(self._peaks, record.since, key=lambda peak: peak.number)
        self._add(self._peaks[place], record, distance)

    def rise_to(self, number: int, value: int, time: int) -> list[PeakImage]:
        """A new price. Returns the peaks that it took over, for `undo`."""
        peaks = self._peaks
        first = len(peaks)
        while first and peaks[first - 1].value <= value:
            first -= 1
        reached = peaks[first:]
        if not reached:
            return []
        del peaks[first:]
        peak = _Peak(number, value, time)
        peak.heap = max((other.heap for other in reached), key=len)
        for other in reached:
            if other.heap is not peak.heap:
                for entry in other.heap:
                    heappush(peak.heap, entry)
            other.heap = []
        peaks.append(peak)
        self._show(peak)
        return [(other.number, other.value, other.time) for other in reached]

    def take_hit(self, value: int) -> tuple[int, int, OrderRecord] | None:
        """An order that this price triggers, as (the value that it waited for, time of its peak, order)."""
        tops = self._tops
        while tops and -tops[0][0] >= value:
            awaited, peak = -tops[0][0], tops[0][2]
            heappop(tops)
            heap = peak.heap
            while heap and not heap[0][2].awaits_price:
                heappop(heap)
            hit = bool(heap) and peak.value - heap[0][0] * self._scale == awaited
            record = heappop(heap)[2] if hit else None
            self._show(peak)
            if record is not None:
                return awaited, peak.time, record
        return None

    def clear(self) -> None:
        """Forgets the orders, not the peaks."""
        self._tops.clear()
        for peak in self._peaks:
            peak.heap = []

    def undo(self, number: int, reached: Iterable[PeakImage]) -> None:
        """As it was before the price of this number, the newest, but without orders."""
        if self._peaks and self._peaks[-1].number == number:
            self._peaks.pop()
        self._peaks += [_Peak(*peak) for peak in reached]
        self.clear()

    def records(self) -> Iterator[OrderRecord]:
        """Closed ones among them."""
        for peak in self._peaks:
            for _, _, record in peak.heap:
                yield record

    def _add(self, peak: _Peak, record: OrderRecord, distance: int) -> None:
        heappush(peak.heap, (distance, record.number, record))
        if peak.heap[0][1] == record.number:
            self._show(peak)

    def _show(self, peak: _Peak) -> None:
        """An entry that is overtaken stays until `take_hit` finds out, or there are too many: every price as high as
        the one before overtakes one."""
        if peak.heap:
            heappush(self._tops, self._top_of(peak))
            if len(self._tops) > 2 * len(self._peaks) + _STALE_TOPS:
                self._tops[:] = [self._top_of(one) for one in self._peaks if one.heap]
                heapify(self._tops)

    def _top_of(self, peak: _Peak) -> tuple[int, int, _Peak]:
        return peak.heap[0][0] * self._scale - peak.value, peak.number, peak
