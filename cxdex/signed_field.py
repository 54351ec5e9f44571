"""What one signed field may hold: a word that this exchange knows, or a whole number of a width.

Promises: a refusal names the field, what was given and what is allowed.
Never:    knows which fields there are (see `order`, `condition`).
"""

from __future__ import annotations

from enum import IntEnum

from cxdex.problem import OrderProblem


class Word(IntEnum):
    """An enumeration that a wallet shows as a word and the contract packs as its number."""

    @classmethod
    def parse(cls, word: str, field: str) -> Word:
        try:
            return cls[word]
        except KeyError:
            raise OrderProblem(
                "ORDER_FIELD_INVALID",
                f"{field} is not one of the words this exchange knows",
                field=field,
                given=word,
                allowed=", ".join(member.name for member in cls),
            ) from None


def require_range(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise OrderProblem(
            "ORDER_FIELD_INVALID",
            f"{field} is outside the range the contract can hold",
            field=field,
            given=str(value),
            allowed=f"{low} to {high}",
        )
