"""The fee of one fill, to the unit, as the contract computes it.

fee = min(ceil(notional * bps / 10_000), floor(notional * max_fee_bps / 10_000))      [1e-6 USDC]

The rate rounds up (for the protocol), the signed cap rounds down (for the trader), and the cap wins.
Both sides together never pay more than 50 bps: the registry refuses such a listing.
"""

from __future__ import annotations

BPS = 10_000
MAX_TOTAL_FEE_BPS = 50


def fill_fee(notional: int, fee_bps: int, max_fee_bps: int) -> int:
    """Fee of one side of one fill, 1e-6 USDC."""
    return min(-(-notional * fee_bps // BPS), fee_cap(notional, max_fee_bps))


def fee_cap(notional: int, max_fee_bps: int) -> int:
    """Most the order allows for this notional, 1e-6 USDC, rounded down.

    Floors add up to at most the floor of the sum, so reserving the cap on what remains of an order covers
    its fees however it is split into fills.
    """
    return notional * max_fee_bps // BPS
