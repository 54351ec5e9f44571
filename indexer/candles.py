"""One-minute candles of settled fills, and how longer ones are made of them. Pure.

Prices are ticks, volume_lots lots, volume_quote 1e-6 USDC of notional. A minute without fills has no candle.
"""

from __future__ import annotations

from collections.abc import Iterable

from indexer.rows import CandleRow


def with_trade(candle: CandleRow | None, price: int, quantity: int, notional: int) -> CandleRow:
    """The candle after one more fill; fills arrive in chain order."""
    if candle is None:
        return CandleRow(price, price, price, price, quantity, notional, 1)
    opening, high, low, _, lots, quote, trades = candle
    return CandleRow(
        opening,
        price if price > high else high,
        price if price < low else low,
        price,
        lots + quantity,
        quote + notional,
        trades + 1,
    )


def roll_up(candles: Iterable[tuple[int, CandleRow]], seconds: int) -> list[tuple[int, CandleRow]]:
    """Candles of `seconds` (a multiple of 60) from (minute, candle) pairs in time order."""
    rolled: list[tuple[int, CandleRow]] = []
    for minute, candle in candles:
        start = minute - minute % seconds
        if rolled and rolled[-1][0] == start:
            rolled[-1] = (start, _joined(rolled[-1][1], candle))
        else:
            rolled.append((start, candle))
    return rolled


def _joined(first: CandleRow, second: CandleRow) -> CandleRow:
    return CandleRow(
        first.open,
        max(first.high, second.high),
        min(first.low, second.low),
        second.close,
        first.volume_lots + second.volume_lots,
        first.volume_quote + second.volume_quote,
        first.trades + second.trades,
    )
