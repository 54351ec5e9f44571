"""Notional is exact, and fees are the contract's to the unit: never above the signed cap."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxdex.fees import TIER_THRESHOLDS, fee_cap, fee_tier, fill_fee
from cxdex.market import MarketKind, MarketTerms

amounts = st.integers(0, 2**104)
bps = st.integers(0, 50)
tiers = st.integers(0, 4)


def terms(lot_exponent: int, quote_per_lot_tick: int) -> MarketTerms:
    return MarketTerms("S-USDC", 1, MarketKind.SPOT, 2, "S", lot_exponent, quote_per_lot_tick, 1, 25, 25)


def test_units_of_the_demo_market() -> None:
    btc = terms(14, 10)
    assert (btc.lot_size, btc.tick_size, btc.notional(1, 600_000)) == (10**14, 100_000, 6_000_000)


@given(st.integers(0, 18), st.integers(1, 2**32 - 1), st.integers(1, 2**39 - 1), st.integers(1, 2**64 - 1))
def test_notional_is_price_times_amount_exactly(exponent: int, k: int, lots: int, ticks: int) -> None:
    market = terms(exponent, k)
    price = Fraction(ticks * market.tick_size, 10**6)
    amount = Fraction(lots * market.lot_size, 10**18)
    assert market.notional(lots, ticks) == price * amount * 10**6


@given(amounts, bps, st.integers(0, 10_000), tiers)
def test_a_fee_never_passes_the_cap_or_the_rate(notional: int, rate: int, cap: int, tier: int) -> None:
    fee = fill_fee(notional, rate, cap, tier)
    assert 0 <= fee <= fee_cap(notional, cap) <= Fraction(notional * cap, 10_000)
    assert fee < Fraction(notional * rate * (10 - tier), 100_000) + 1


@given(amounts, bps, tiers)
def test_the_rate_rounds_up_when_the_cap_allows(notional: int, rate: int, tier: int) -> None:
    exact = Fraction(notional * rate * (10 - tier), 100_000)
    assert exact <= fill_fee(notional, rate, 10_000, tier) < exact + 1 or fill_fee(notional, rate, 10_000) == notional


@given(amounts, bps, st.integers(0, 10_000), st.integers(0, 3))
def test_a_higher_tier_never_pays_more(notional: int, rate: int, cap: int, tier: int) -> None:
    assert fill_fee(notional, rate, cap, tier + 1) <= fill_fee(notional, rate, cap, tier)


@pytest.mark.parametrize(
    ("cxpt", "tier"),
    [(0, 0), (999_999_999, 0), (10**9, 1), (10**10 - 1, 1), (10**10, 2), (10**11, 3), (10**12 - 1, 3), (10**12, 4)],
)
def test_a_tier_begins_at_its_threshold(cxpt: int, tier: int) -> None:
    assert fee_tier(cxpt) == tier
    assert fee_tier(2**200) == len(TIER_THRESHOLDS) == 4


@given(st.lists(st.integers(0, 10**15), max_size=20), st.integers(0, 10_000))
def test_what_is_reserved_covers_any_split_into_fills(parts: list[int], cap: int) -> None:
    assert sum(fee_cap(part, cap) for part in parts) <= fee_cap(sum(parts), cap)


@pytest.mark.parametrize(
    ("notional", "rate", "cap", "tier", "fee"),
    [
        (10_000, 25, 25, 0, 25),
        (1, 25, 25, 0, 0),
        (401, 25, 50, 0, 2),
        (399, 25, 25, 0, 0),
        (100_000, 25, 25, 1, 225),
        (100_000, 25, 10, 4, 100),
        (100_000, 25, 25, 4, 150),
        (10_001, 25, 25, 4, 16),
    ],
)
def test_examples(notional: int, rate: int, cap: int, tier: int, fee: int) -> None:
    assert fill_fee(notional, rate, cap, tier) == fee
