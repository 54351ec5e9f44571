"""The price that the demo bots believe in: a walk that is a pure function of (seed, market, time), or a CSV.

Promises: two processes with the same seed (or the same file) agree on the price at any moment, without talking;
          asking again gives the same answer, on every machine.
Never:    is a forecast. It only has to move like a market, so that the exchange has something to do.

The walk is a sum of smooth noises, one an octave of time from seconds to days. Each one's size grows with the
square root of its period, as a random walk's steps do, but the sum stays near the starting price for ever.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from cxdex.problem import Problem

USDC = 10**6
START_PRICES = {"sBTC-USDC": 60_000 * USDC, "sETH-USDC": 3_000 * USDC}
OTHER_START_PRICE = 100 * USDC
SHORTEST_PERIOD_SECONDS = 4.0
OCTAVES = 14  # the longest is about 18 hours
STEP_PER_SQRT_SECOND = 0.00006


@dataclass(frozen=True)
class RandomWalk:
    seed: int

    def price(self, market: str, time: float) -> int:
        """1e-6 USDC per whole synth at `time`, unix seconds."""
        drift = sum(
            STEP_PER_SQRT_SECOND * math.sqrt(period) * self._noise(market, period, time)
            for period in (SHORTEST_PERIOD_SECONDS * 2**octave for octave in range(OCTAVES))
        )
        return max(1, round(START_PRICES.get(market, OTHER_START_PRICE) * math.exp(drift)))

    def _noise(self, market: str, period: float, time: float) -> float:
        """Smooth, between -1 and 1, with a new independent value every `period` seconds."""
        step, part = divmod(time / period, 1.0)
        weight = part * part * (3 - 2 * part)
        return (1 - weight) * self._value(market, period, int(step)) + weight * self._value(
            market, period, int(step) + 1
        )

    def _value(self, market: str, period: float, step: int) -> float:
        digest = blake2b(f"{self.seed}|{market}|{period:g}|{step}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**63 - 1


@dataclass(frozen=True)
class RecordedPrices:
    """Rows of timestamp,price[,market]. Without a market they are the first market's; the others walk.

    The record is played in its own time, again and again, so that any moment has a price.
    """

    rows: dict[str, tuple[list[float], list[int]]]
    others: RandomWalk = field(default_factory=lambda: RandomWalk(1))

    def price(self, market: str, time: float) -> int:
        """1e-6 USDC per whole synth at `time`, unix seconds."""
        if market not in self.rows:
            return self.others.price(market, time)
        times, prices = self.rows[market]
        length = times[-1] - times[0]
        moment = times[0] + (time - times[0]) % length if length > 0 else times[0]
        return prices[bisect_right(times, moment) - 1]


ReferencePrice = RandomWalk | RecordedPrices


def reference_price(seed: int, path: Path | None) -> ReferencePrice:
    """The walk, or the record at `path`. Raises Problem PRICES_INVALID naming the line."""
    if path is None:
        return RandomWalk(seed)
    rows: dict[str, list[tuple[float, int]]] = {}
    first_market = next(iter(START_PRICES))
    try:
        with path.open(newline="") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if not row or (number == 1 and not _is_number(row[0])):
                    continue  # an empty line or the header
                market = row[2].strip() if len(row) > 2 and row[2].strip() else first_market
                rows.setdefault(market, []).append(_read_row(path, number, row))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Problem("PRICES_INVALID", f"cannot read the prices in {path}: {error}") from None
    if not rows:
        raise Problem("PRICES_INVALID", f"{path} has no prices", allowed="lines of timestamp,price")
    sorted_rows = {market: sorted(found) for market, found in rows.items()}
    columns = {market: ([t for t, _ in found], [p for _, p in found]) for market, found in sorted_rows.items()}
    return RecordedPrices(columns, RandomWalk(seed))


def _read_row(path: Path, number: int, row: list[str]) -> tuple[float, int]:
    try:
        moment, price = float(row[0]), round(float(row[1]) * USDC)
    except (ValueError, IndexError, OverflowError):
        moment, price = math.nan, 0
    if not math.isfinite(moment) or price <= 0:
        raise Problem(
            "PRICES_INVALID",
            f"{path}, line {number}: not a price",
            given=",".join(row)[:80],
            allowed="unix seconds, then a price above 0",
        )
    return moment, price


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
