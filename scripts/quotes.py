"""Which quotes a market maker wants, and which of those it has are still good. Plain functions of plain values.

Prices in ticks, quantities in lots, money in 1e-6 USDC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxdex.fees import fee_cap
from cxdex.market import MarketTerms
from cxdex.order import Side

BPS = 10_000


@dataclass(frozen=True)
class Style:
    """half_spread_bps: of the best quote from the reference; step_bps: between levels; tolerance_bps: how far a
    quote may be from where it should be before it is replaced; notional: of a level, 1e-6 USDC."""

    levels: int
    half_spread_bps: float
    step_bps: float
    tolerance_bps: float
    notional: int


@dataclass(frozen=True)
class Quote:
    side: Side
    price: int
    quantity: int


def wanted_quotes(terms: MarketTerms, reference: int, style: Style) -> list[Quote]:
    """Best levels first, a bid and an ask in turn. reference: 1e-6 USDC per whole synth."""
    quotes = []
    for level in range(style.levels):
        distance = round(reference * (style.half_spread_bps + level * style.step_bps) / BPS)
        bid = (reference - distance) // terms.tick_size
        ask = -(-(reference + distance) // terms.tick_size)
        for side, price in ((Side.BUY, bid), (Side.SELL, ask)):
            if price > 0:
                quantity = max(terms.min_lots, style.notional // terms.notional(1, price))
                quotes.append(Quote(side, price, quantity))
    return quotes


def sort_out(wanted: Sequence[Quote], have: Sequence[Quote], tolerance_bps: float) -> tuple[list[Quote], list[int]]:
    """(quotes to place, indexes of those in `have` to cancel). A quote that has hardly moved stays in the book."""
    missing: list[Quote] = []
    free = set(range(len(have)))
    for quote in wanted:
        near = [i for i in free if _still_good(have[i], quote, tolerance_bps)]
        if near:
            free.remove(min(near, key=lambda i: abs(have[i].price - quote.price)))
        else:
            missing.append(quote)
    return missing, sorted(free)


def affordable(
    terms: MarketTerms, quotes: Sequence[Quote], cash: int, base: int, max_fee_bps: int
) -> tuple[list[Quote], int]:
    """The quotes that the balances carry, smaller where they must be, and the cash that is left.

    cash in 1e-6 USDC, base in 1e-18 units, both free of reservations.
    """
    chosen = []
    for quote in quotes:
        if quote.side is Side.BUY:
            lots = min(quote.quantity, cash * BPS // (terms.notional(1, quote.price) * (BPS + max_fee_bps)))
        else:
            lots = min(quote.quantity, base // terms.lot_size)
        if lots < terms.min_lots:
            continue
        if quote.side is Side.BUY:
            notional = terms.notional(lots, quote.price)
            cash -= notional + fee_cap(notional, max_fee_bps)
        else:
            base -= lots * terms.lot_size
        chosen.append(Quote(quote.side, quote.price, lots))
    return chosen, cash


def _still_good(have: Quote, wanted: Quote, tolerance_bps: float) -> bool:
    return (
        have.side is wanted.side
        and abs(have.price - wanted.price) * BPS <= tolerance_bps * wanted.price
        and 2 * have.quantity >= wanted.quantity
    )
