"""Assets and amounts as requests about money name them."""

from __future__ import annotations

from api.context import Context
from api.markets import asset_decimals
from api.reads.accounts import synth_symbols
from cxdex.market import CXPT_ASSET, USDC_ASSET
from cxdex.problem import Problem
from cxdex.units import parse_decimal

_MOST = 2**128 - 1


def read_asset(context: Context, name: str | None) -> int:
    """The ledger's number of an asset, by symbol or number. Cash when it is not named."""
    if name is None:
        return USDC_ASSET
    names = {"USDC": USDC_ASSET, "CXPT": CXPT_ASSET}
    with context.database.snapshot() as reader:
        names.update({symbol: asset for asset, symbol in synth_symbols(reader).items()})
    asset = names.get(name)
    if asset is None and name.isascii() and name.isdecimal() and len(name) < 6:
        asset = int(name)
    if asset is None or (asset > CXPT_ASSET and asset not in names.values()):
        raise Problem(
            "FIELD_INVALID", "no such asset", field="asset", given=name[:80], allowed=", ".join(sorted(names))
        )
    return asset


def read_amount(asset: int, text: str) -> int:
    amount = parse_decimal(text, asset_decimals(asset), "amount")
    if not 0 < amount <= _MOST:
        raise Problem("FIELD_INVALID", "the amount must be more than 0", field="amount", given=text)
    return amount
