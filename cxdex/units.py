"""Decimal strings at the edge, integers inside. Nothing here ever rounds.

Owns:     the conversion between what people write ("0.5", "60000.10") and lots, ticks and token units.
Promises: a value that is not a whole number of lots or ticks is refused, and the refusal names the nearest
          values that are allowed. No float, no exponent, no sign, no JSON number.
"""

from __future__ import annotations

import re

from cxdex.market import ASSET_DECIMALS, USDC_DECIMALS, MarketTerms
from cxdex.problem import OrderProblem

WHOLE_DIGITS = 31
_TENS = tuple(10**exponent for exponent in range(ASSET_DECIMALS + 1))
_DECIMAL = re.compile(rf"(0|[1-9][0-9]{{0,{WHOLE_DIGITS - 1}}})(?:\.([0-9]{{1,18}}))?", re.ASCII)


def parse_decimal(text: object, decimals: int, field: str) -> int:
    """``"1.5"`` with 6 decimals is 1_500_000. Raises OrderProblem with the reason."""
    if not isinstance(text, str):
        raise OrderProblem(
            "NUMBER_NOT_STRING",
            f"{field} must be a decimal string: JSON numbers lose digits",
            field=field,
            given=repr(text)[:80],
            allowed='a string such as "1.25"',
        )
    if text.isdecimal() and text.isascii() and len(text) <= WHOLE_DIGITS and (text[0] != "0" or text == "0"):
        return int(text + "0" * decimals)
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise OrderProblem(
            "DECIMAL_INVALID",
            f"{field} is not a plain decimal number",
            field=field,
            given=text[:80],
            allowed='digits with at most one point, such as "1.25"; no sign, exponent or spaces',
        )
    whole, fraction = match.group(1), (match.group(2) or "").rstrip("0")
    if len(fraction) > decimals:
        raise OrderProblem(
            "DECIMAL_INVALID",
            f"{field} has more than {decimals} decimal places",
            field=field,
            given=text[:80],
            allowed=f"at most {decimals} decimal places",
        )
    return int(whole + fraction.ljust(decimals, "0"))


def format_decimal(value: int, decimals: int) -> str:
    """The shortest decimal string: 1_500_000 with 6 decimals is ``"1.5"``. Negative values keep their sign."""
    if not value:
        return "0"
    sign, digits = ("-", -value) if value < 0 else ("", value)
    unit = _TENS[decimals]
    whole, fraction = divmod(digits, unit)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{str(unit + fraction)[1:]}".rstrip("0")  # with its leading zeros


def parse_usdc(text: object, field: str) -> int:
    return parse_decimal(text, USDC_DECIMALS, field)


def format_usdc(value: int) -> str:
    return format_decimal(value, USDC_DECIMALS)


def format_asset(value: int) -> str:
    """A synth amount in 1e-18 units as a decimal string."""
    return format_decimal(value, ASSET_DECIMALS)


def parse_quantity(terms: MarketTerms, text: object, field: str = "quantity") -> int:
    """Lots. Raises ORDER_LOT_INVALID with the nearest allowed values."""
    value = parse_decimal(text, ASSET_DECIMALS, field)
    return _whole(value, terms.lot_size, ASSET_DECIMALS, "ORDER_LOT_INVALID", "lot size", field)


def parse_price(terms: MarketTerms, text: object, field: str = "limitPrice") -> int:
    """Ticks. Raises ORDER_TICK_INVALID with the nearest allowed values."""
    value = parse_decimal(text, ASSET_DECIMALS, field)
    tick = terms.tick_size * 10 ** (ASSET_DECIMALS - USDC_DECIMALS)
    return _whole(value, tick, ASSET_DECIMALS, "ORDER_TICK_INVALID", "tick size", field)


def format_quantity(terms: MarketTerms, lots: int) -> str:
    return format_decimal(lots * terms.lot_size, ASSET_DECIMALS)


def format_price(terms: MarketTerms, ticks: int) -> str:
    return format_decimal(ticks * terms.tick_size, USDC_DECIMALS)


def _whole(value: int, step: int, decimals: int, code: str, noun: str, field: str) -> int:
    count, rest = divmod(value, step)
    if rest:
        below, above = (format_decimal(n * step, decimals) for n in (count, count + 1))
        raise OrderProblem(
            code,
            f"{field} is not a multiple of the market's {noun} {format_decimal(step, decimals)}",
            field=field,
            given=format_decimal(value, decimals),
            allowed=f"nearest: {below} or {above}" if count else f"nearest: {above}",
        )
    return count
