"""Markets: the immutable terms of a listing and what they mean for prices and quantities.

quantity in lots, price in ticks, and notional = quantity * price * quote_per_lot_tick exactly, in 1e-6 USDC.
Never: knows books, balances or I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

USDC_DECIMALS = 6
ASSET_DECIMALS = 18

USDC_ASSET = 0
CXPT_ASSET = 1

_TENS: tuple[int, ...] = tuple(10**exponent for exponent in range(ASSET_DECIMALS + 1))


class MarketStatus(IntEnum):
    """The circuit breaker. A market never leaves DELISTED or SETTLED."""

    UNLISTED = 0
    PAUSED = 1
    ACTIVE = 2
    DELISTED = 3
    SETTLED = 4


class MarketKind(IntEnum):
    SPOT = 0


@dataclass(frozen=True, slots=True)
class MarketTerms:
    """What a listing fixes for ever. All of it comes from the registry's MarketListed event.

    index               number of the market in fill events, 1 .. 65535
    base_asset          number of the synth in the ledger, 2 .. 65535
    lot_exponent        one lot is 10**lot_exponent of the synth's 1e-18 units
    quote_per_lot_tick  1e-6 USDC that one lot costs per tick of price (the k of the formulas), >= 1
    min_lots            smallest fill, in lots
    maker_fee_bps, taker_fee_bps  1/10,000 of notional; together at most 50
    """

    symbol: str
    index: int
    kind: MarketKind
    base_asset: int
    base_symbol: str
    lot_exponent: int
    quote_per_lot_tick: int
    min_lots: int
    maker_fee_bps: int
    taker_fee_bps: int

    @property
    def lot_size(self) -> int:
        """1e-18 units of the synth in one lot."""
        return _TENS[self.lot_exponent]

    @property
    def tick_size(self) -> int:
        """1e-6 USDC per whole synth in one tick."""
        return self.quote_per_lot_tick * _TENS[ASSET_DECIMALS - self.lot_exponent]

    def notional(self, quantity: int, price: int) -> int:
        """Exact, 1e-6 USDC. quantity in lots, price in ticks."""
        return quantity * price * self.quote_per_lot_tick
