"""When a conditional order may begin to trade: the signed words of stops, take-profits and trailing stops.

Owns:     the triggers, and the exact rule by which an index price meets one.
Promises: the rule is the contract's own (contracts/Triggers.vy): products are compared and nothing is divided, so
          that the engine and the chain never disagree by a rounding.
Never:    knows where prices come from or what time it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from cxdex.market import ASSET_DECIMALS, MarketTerms
from cxdex.signed_field import Word, require_range

TRIGGER_PRICE_BITS = 64
ACTIVE_FROM_BITS = 40
ONE_SYNTH: int = 10**ASSET_DECIMALS


class Trigger(Word):
    """INDEX is the oracle's price, and the chain checks it; LAST is the market's own last price, which it does not.

    A stop sell is AT_OR_BELOW, a sell that takes profit AT_OR_ABOVE, for a buy the other way round. FALLS_BY (sell)
    and RISES_BY (buy) trail: the price has moved so far from its highest (lowest) since the order became active.
    """

    INDEX_AT_OR_ABOVE = 0
    INDEX_AT_OR_BELOW = 1
    LAST_AT_OR_ABOVE = 2
    LAST_AT_OR_BELOW = 3
    INDEX_FALLS_BY = 4
    INDEX_RISES_BY = 5
    LAST_FALLS_BY = 6
    LAST_RISES_BY = 7

    @property
    def by_index(self) -> bool:
        return self.value & 2 == 0

    @property
    def trails(self) -> bool:
        return self.value & 4 != 0

    @property
    def on_rise(self) -> bool:
        """A rising price meets it. Otherwise a falling one does."""
        return self in (
            Trigger.INDEX_AT_OR_ABOVE,
            Trigger.LAST_AT_OR_ABOVE,
            Trigger.INDEX_RISES_BY,
            Trigger.LAST_RISES_BY,
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """What must have happened to a price before the order trades.

    trigger_price  ticks, 1 .. 2**64 - 1: the level that is reached, or for a trailing trigger the distance
    active_from    unix seconds: only prices that were published (INDEX) or traded (LAST) then or later count
    """

    trigger: Trigger
    trigger_price: int
    active_from: int

    def __post_init__(self) -> None:
        require_range("triggerPrice", self.trigger_price, 1, 2**TRIGGER_PRICE_BITS - 1)
        require_range("activeFrom", self.active_from, 0, 2**ACTIVE_FROM_BITS - 1)

    def is_met_by_index(self, terms: MarketTerms, price: int, extreme: int = 0) -> bool:
        """Whether this index price meets it. Both in 1e-6 USDC a whole synth.

        extreme  for a trailing trigger the highest (FALLS_BY) or lowest (RISES_BY) price since `active_from`
        """
        reached = (price - extreme if self.trigger.on_rise else extreme - price) if self.trigger.trails else price
        return self._is_met(index_scaled(terms, reached), ticks_scaled(terms, self.trigger_price))

    def is_met_by_last(self, price: int, extreme: int = 0) -> bool:
        """The same for the market's last price and its extreme, both in ticks."""
        reached = (price - extreme if self.trigger.on_rise else extreme - price) if self.trigger.trails else price
        return self._is_met(reached, self.trigger_price)

    def _is_met(self, reached: int, wanted: int) -> bool:
        if self.trigger.trails or self.trigger.on_rise:
            return reached >= wanted
        return reached <= wanted


def index_scaled(terms: MarketTerms, price: int) -> int:
    """An index price, 1e-6 USDC a whole synth, on the scale on which it is compared with `ticks_scaled`."""
    return price * terms.lot_size


def ticks_scaled(terms: MarketTerms, ticks: int) -> int:
    return ticks * terms.quote_per_lot_tick * ONE_SYNTH
