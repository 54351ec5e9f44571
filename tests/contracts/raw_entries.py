"""Entries with single bits changed, as only a faulty or hostile relayer would send them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cxdex.batch import Role, pack_order_entry
from cxdex.order import SignedOrder

Reverts = Callable[..., Any]  # the fixture `reverts`: code, call, its values


def entry(signed: SignedOrder, role: Role, fill: int = 0, who_bits: int = 0, terms_bits: int = 0) -> bytes:
    """An order's entry with these bits flipped in its first and second word."""
    packed = pack_order_entry(signed, role, fill)
    who, terms = (int.from_bytes(packed[i : i + 32], "big") for i in (0, 32))
    return (who ^ who_bits).to_bytes(32, "big") + (terms ^ terms_bits).to_bytes(32, "big") + packed[64:]
