"""Decimal strings at the edge: exact or refused, never rounded."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxdex.market import MarketKind, MarketTerms
from cxdex.problem import OrderProblem
from cxdex.units import (
    format_asset,
    format_decimal,
    format_price,
    format_quantity,
    format_usdc,
    parse_decimal,
    parse_price,
    parse_quantity,
    parse_usdc,
)

BTC = MarketTerms("sBTC-USDC", 1, MarketKind.SPOT, 2, "sBTC", 14, 10, 1, 25, 25)
decimals = st.integers(0, 18)


@given(st.integers(0, 10**30), decimals)
def test_formatting_and_parsing_are_inverse(value: int, places: int) -> None:
    assert parse_decimal(format_decimal(value, places), places, "x") == value


@given(st.integers(0, 10**24), decimals)
def test_the_string_says_the_same_as_decimal_arithmetic(value: int, places: int) -> None:
    assert Decimal(format_decimal(value, places)) == Decimal(value).scaleb(-places)


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "+1", "-1", "1e3", ".5", "5.", "01", "1,5", "0x1", "NaN", "\u0661", "1.1234567"]
)
def test_what_is_not_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(OrderProblem) as caught:
        parse_usdc(text, "amount")
    assert (caught.value.code, caught.value.field) == ("DECIMAL_INVALID", "amount")


@pytest.mark.parametrize("value", [1, 1.5, None, True, ["1"], {}])
def test_numbers_are_refused_as_numbers(value: object) -> None:
    with pytest.raises(OrderProblem) as caught:
        parse_usdc(value, "amount")
    assert caught.value.code == "NUMBER_NOT_STRING"


def test_trailing_zeros_are_not_places() -> None:
    assert parse_usdc("1.50000000000", "x") == 1_500_000


def test_a_wrong_lot_names_its_neighbours() -> None:
    with pytest.raises(OrderProblem) as caught:
        parse_quantity(BTC, "0.00015")
    assert (caught.value.code, caught.value.allowed) == ("ORDER_LOT_INVALID", "nearest: 0.0001 or 0.0002")


def test_a_wrong_tick_names_its_neighbours() -> None:
    with pytest.raises(OrderProblem) as caught:
        parse_price(BTC, "60000.05")
    assert (caught.value.code, caught.value.allowed) == ("ORDER_TICK_INVALID", "nearest: 60000 or 60000.1")


def test_below_the_first_step_only_the_upper_neighbour_is_named() -> None:
    with pytest.raises(OrderProblem) as caught:
        parse_price(BTC, "0.05")
    assert caught.value.allowed == "nearest: 0.1"


@given(st.integers(1, 2**39 - 1), st.integers(1, 2**64 - 1))
def test_lots_and_ticks_survive_the_round_trip(lots: int, ticks: int) -> None:
    assert parse_quantity(BTC, format_quantity(BTC, lots)) == lots
    assert parse_price(BTC, format_price(BTC, ticks)) == ticks


def test_shortest_strings() -> None:
    assert [format_usdc(1_000_000), format_usdc(-1_500_000), format_asset(1)] == ["1", "-1.5", "0.000000000000000001"]
    assert format_usdc(0) == "0"
