"""The public JSON form of a market-maker protection: one shape for REST and for the private feed.

Promises: amounts are decimal strings, times and spans are milliseconds.
Never:    does I/O or knows who is asking.
"""

from __future__ import annotations

from typing import Any

from cxdex.market import MarketTerms
from cxdex.units import format_quantity, format_usdc
from relayer.wire import GuardState


def guard_json(state: GuardState, terms: MarketTerms, now_ms: int) -> dict[str, Any]:
    """status: OFF, ARMED or TRIPPED. `until`: when it arms itself again; null until it is reset."""
    is_tripped = state.until_ms is not None and (state.until_ms == 0 or now_ms < state.until_ms)
    status = "OFF" if not state.window_ms else "TRIPPED" if is_tripped else "ARMED"
    return {
        "market": terms.symbol,
        "status": status,
        "windowMs": state.window_ms,
        "maxQuantity": None if state.lots is None else format_quantity(terms, state.lots),
        "maxNotional": None if state.notional is None else format_usdc(state.notional),
        "cooldownMs": state.cooldown_ms,
        "until": (state.until_ms or None) if is_tripped else None,
    }
