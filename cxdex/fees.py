"""The fee of one fill, to the unit, as the contract computes it.

fee = min(ceil(notional * bps * (100 - 10 * tier) / 1_000_000), floor(notional * max_fee_bps / 10_000))  [1e-6 USDC]

The rate rounds up (for the protocol), the signed cap rounds down (for the trader), and the cap wins.
Both sides together never pay more than 50 bps: the registry refuses such a listing. An account's tier is what
its CXPT inside the exchange reaches, at each credit or debit of CXPT; each tier takes 10 % off its rate.
"""

from __future__ import annotations

from bisect import bisect_right

BPS = 10_000
MAX_TOTAL_FEE_BPS = 50
PERCENT = 100
DISCOUNT_PERCENT_A_TIER = 10
TIER_THRESHOLDS = (10**9, 10**10, 10**11, 10**12)  # 1e-6 CXPT: 1,000 to 1,000,000 CXPT for tiers 1 to 4


def fill_fee(notional: int, fee_bps: int, max_fee_bps: int, tier: int = 0) -> int:
    """Fee of one side of one fill, 1e-6 USDC, for an account of this tier."""
    rate = fee_bps * (PERCENT - DISCOUNT_PERCENT_A_TIER * tier)
    return min(-(-notional * rate // (BPS * PERCENT)), fee_cap(notional, max_fee_bps))


def fee_tier(cxpt_balance: int) -> int:
    """The tier, 0 to 4, of an account with this much CXPT inside the exchange (1e-6 CXPT)."""
    return bisect_right(TIER_THRESHOLDS, cxpt_balance)


def fee_cap(notional: int, max_fee_bps: int) -> int:
    """Most the order allows for this notional, 1e-6 USDC, rounded down.

    Floors add up to at most the floor of the sum, so reserving the cap on what remains of an order covers
    its fees however it is split into fills.
    """
    return notional * max_fee_bps // BPS
