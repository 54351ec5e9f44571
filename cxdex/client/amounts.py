"""Numbers as people hand them in, made into the decimal strings that the exchange takes.

Never: accepts a float. 0.1 + 0.2 is not 0.3 there, and this is money.
"""

from __future__ import annotations

from decimal import Decimal

from cxdex.problem import OrderProblem

Amount = str | int | Decimal


def to_decimal_text(value: Amount, field: str) -> str:
    """``"0.01"``, ``1`` and ``Decimal("0.01")`` are fine. Raises OrderProblem NUMBER_NOT_STRING for a float."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise OrderProblem(
        "NUMBER_NOT_STRING",
        f"{field} is a {type(value).__name__}: floats cannot hold decimal money exactly",
        field=field,
        given=repr(value)[:80],
        allowed='a string such as "0.01", an int, or a decimal.Decimal',
    )
