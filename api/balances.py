"""Balances as JSON: what the engine counts, what it has reserved, and what the chain has settled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from api.markets import MarketDirectory, format_amount
from cxdex.market import USDC_ASSET
from relayer.wire import Balance, SetAsideState


def balances_to_json(
    markets: MarketDirectory,
    balances: Iterable[Balance],
    settled: Mapping[int, int] | None = None,
    set_asides: Iterable[SetAsideState] = (),
) -> list[dict[str, Any]]:
    """One object an asset, cash first. `total` counts matched but unsettled fills; `available` = total - reserved.

    `settled` (the contract's ledger, by asset) and `leaving` are left out of the JSON when `settled` is None.
    """
    engine = {balance.asset: balance for balance in balances}
    leaving: dict[int, int] = defaultdict(int)
    for held in set_asides:
        leaving[held.asset] += held.amount
    assets = sorted({USDC_ASSET, *engine, *(settled or {})})
    shown = []
    for asset in assets:
        balance = engine.get(asset, Balance(asset, 0, 0))
        entry: dict[str, Any] = {
            "asset": asset,
            "symbol": markets.asset_symbol(asset),
            "total": format_amount(asset, balance.total),
            "reserved": format_amount(asset, balance.reserved),
            "available": format_amount(asset, balance.total - balance.reserved),
        }
        if settled is not None:
            entry["settled"] = format_amount(asset, settled.get(asset, 0))
            entry["leaving"] = format_amount(asset, leaving[asset])
        shown.append(entry)
    return shown
