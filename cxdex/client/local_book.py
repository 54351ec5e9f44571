"""A market's book kept from the feed, and the checksum that proves it equal to the exchange's.

CRC32 of ``price:quantity|price:quantity|...`` over the ten best bids, best first, then the ten best asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from zlib import crc32

CHECKSUM_LEVELS = 10

Level = tuple[str, str]


class LocalBook:
    """Levels as (price, quantity) strings; the exchange sends one spelling of a number, so text is the key."""

    def __init__(self) -> None:
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}

    def replace(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        self._bids = dict(map(tuple, bids))  # type: ignore[arg-type]  # JSON gives lists of two
        self._asks = dict(map(tuple, asks))  # type: ignore[arg-type]

    def apply(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """A quantity of "0" removes the level."""
        for side, levels in ((self._bids, bids), (self._asks, asks)):
            for price, quantity in levels:
                if quantity == "0":
                    side.pop(price, None)
                else:
                    side[price] = quantity

    @property
    def bids(self) -> list[Level]:
        """Best first."""
        return sorted(self._bids.items(), key=_price, reverse=True)

    @property
    def asks(self) -> list[Level]:
        """Best first."""
        return sorted(self._asks.items(), key=_price)

    def checksum(self) -> int:
        best = self.bids[:CHECKSUM_LEVELS] + self.asks[:CHECKSUM_LEVELS]
        return crc32("|".join(":".join(level) for level in best).encode())


def _price(level: Level) -> Decimal:
    return Decimal(level[0])
