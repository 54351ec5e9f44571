"""The API's own copy of one market's book, kept from the engine's feed, so that a new subscriber costs the engine
nothing.

Promises: equal to the engine's book as of `seq`; levels come best first.
Never:    keeps a copy across a gap: the feed replaces it by a snapshot.
"""

from __future__ import annotations

from decimal import Decimal
from zlib import crc32

import msgspec

from relayer.feeds import CHECKSUM_LEVELS

Level = tuple[str, str]


class BookChange(msgspec.Struct, frozen=True):
    """Levels as [price, total quantity]; a quantity of "0" removes the level."""

    bids: list[Level] = []
    asks: list[Level] = []


_decoder = msgspec.json.Decoder(BookChange)


class Book:
    def __init__(self) -> None:
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}
        self._sorted: BookChange | None = None

    def apply(self, data: msgspec.Raw) -> None:
        change = _decoder.decode(data)
        _merge(self._bids, change.bids)
        _merge(self._asks, change.asks)
        self._sorted = None

    def top(self, depth: int | None = None) -> BookChange:
        """The best `depth` levels of each side, or all of them."""
        if self._sorted is None:
            self._sorted = BookChange(
                bids=sorted(self._bids.items(), key=_price, reverse=True),
                asks=sorted(self._asks.items(), key=_price),
            )
        whole = self._sorted
        return whole if depth is None else BookChange(bids=whole.bids[:depth], asks=whole.asks[:depth])

    def checksum(self) -> int:
        """CRC32 of the ten best levels a side, as `relayer.feeds` defines it."""
        best = self.top(CHECKSUM_LEVELS)
        return crc32("|".join(f"{price}:{quantity}" for price, quantity in (*best.bids, *best.asks)).encode())


def _merge(side: dict[str, str], levels: list[Level]) -> None:
    for price, quantity in levels:
        if quantity == "0":
            side.pop(price, None)
        else:
            side[price] = quantity


def _price(level: Level) -> Decimal:
    return Decimal(level[0])
