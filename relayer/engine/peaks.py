"""Prices that trailing orders count from, as they are kept in memory of recent facts and in snapshots.

Never: does anything with them (see `trailing`).
"""

from __future__ import annotations

import msgspec

PeakImage = tuple[int, int, int]
"""(number of the price, its value, its time)"""


class Reached(msgspec.Struct, frozen=True, array_like=True):
    """The peaks that a price took over, of those who wait for a fall and of those who wait for a rise. number: the
    price's."""

    number: int
    falls: list[PeakImage]
    rises: list[PeakImage]
