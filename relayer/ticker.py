"""What happened in a market in the last day, from its matches, minute by minute.

Owns:     `Minute` (the matches of one minute), `Tape` (a market's last 1,440 of them, and its last price).
Promises: exact integers. The clock is the engine's: the time of the command that matched, which never runs backwards.
          The day is the running minute and the 1,439 before it, so it moves on once a minute. Every match counts, also
          one that the chain later passes over: it was traded here. After a restart the same minutes are there again,
          from the table that the projector keeps.
Never:    does I/O or reads a clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MINUTE_MS = 60_000
DAY_MINUTES = 1_440


@dataclass(slots=True)
class Minute:
    """Prices in ticks. lots: traded. lot_ticks: the sum of lots times price, which the market's terms make USDC of."""

    open: int
    high: int
    low: int
    close: int
    lots: int
    lot_ticks: int
    trades: int
    last_ms: int

    @classmethod
    def of(cls, price: int, lots: int, time_ms: int) -> Minute:
        return cls(price, price, price, price, lots, lots * price, 1, time_ms)

    def join(self, later: Minute) -> None:
        """Adds what happened after."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.lots += later.lots
        self.lot_ticks += later.lot_ticks
        self.trades += later.trades
        self.last_ms = later.last_ms

    def copy(self) -> Minute:
        return Minute(self.open, self.high, self.low, self.close, self.lots, self.lot_ticks, self.trades, self.last_ms)


class Tape:
    """One market. last: the price of the newest match, in ticks, however old; None before the first one."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.last_ms = 0
        self._minutes: deque[tuple[int, Minute]] = deque()
        self._past: Minute | None = None  # all of them but the newest, joined
        self._is_joined = True

    def match(self, price: int, lots: int, time_ms: int) -> None:
        self.add(time_ms // MINUTE_MS, Minute.of(price, lots, time_ms))

    def add(self, number: int, minute: Minute) -> None:
        """`number`: minutes since 1970; not before the newest one here."""
        self.last, self.last_ms = minute.close, minute.last_ms
        if self._minutes and self._minutes[-1][0] == number:
            self._minutes[-1][1].join(minute)
            return
        self._minutes.append((number, minute))
        self._is_joined = False

    def day(self, time_ms: int) -> Minute | None:
        """The day that ends with this time's minute, as one long minute; None when nothing was traded in it."""
        first = time_ms // MINUTE_MS - DAY_MINUTES + 1
        while self._minutes and self._minutes[0][0] < first:
            self._minutes.popleft()
            self._is_joined = False
        if not self._minutes:
            return None
        if not self._is_joined:
            self._join()
        newest = self._minutes[-1][1]
        if self._past is None:
            return newest
        whole = self._past.copy()
        whole.join(newest)
        return whole

    def _join(self) -> None:
        self._past = None
        for _, minute in list(self._minutes)[:-1]:
            if self._past is None:
                self._past = minute.copy()
            else:
                self._past.join(minute)
        self._is_joined = True
