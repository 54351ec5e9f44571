"""Synths and their markets, created by the roles that may.

Promises: what exists already is left as it is, so that a listing that was interrupted can be run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cxdex.abi import synth_init_code_hash
from cxdex.eip712 import market_hash
from cxdex.market import MarketKind, MarketStatus
from cxdex.problem import Problem
from cxdex.synth_address import predict_synth_address
from scripts.chain import Contract


@dataclass(frozen=True, slots=True)
class Listing:
    """What GATEWAY decides once. Units as in `cxdex.market.MarketTerms`."""

    symbol: str
    lot_exponent: int
    quote_per_lot_tick: int
    min_lots: int = 1
    maker_fee_bps: int = 25
    taker_fee_bps: int = 25


def create_synth(contracts: Mapping[str, Contract], gateway_key: str, name: str, symbol: str) -> tuple[bytes, int]:
    """Address and asset number of the synth; one that exists already is left as it is."""
    factory = contracts["SynthFactory"]
    synth: bytes = factory.call("synthOf", symbol)
    if not any(synth):
        factory.send(gateway_key, "createSynth", name, symbol)
        synth = factory.call("synthOf", symbol)
    if synth != predict_synth_address(factory.address, synth_init_code_hash(), name, symbol):
        raise Problem("SYNTH_EXISTS", f"{symbol} exists under another name", given=name)
    return synth, contracts["Vault"].call("assetOf", synth)


def open_asset(contracts: Mapping[str, Contract], gateway_key: str, asset: int, cap: int) -> None:
    """Lets a synth be minted, up to `cap` (1e-18). One that is open already is left as it is."""
    opened, *_ = contracts["SynthEngine"].call("assets", asset)
    if not opened:
        contracts["SynthEngine"].send(gateway_key, "openAsset", asset, cap)


def list_market(contracts: Mapping[str, Contract], gateway_key: str, asset: int, listing: Listing) -> bytes:
    """The market's key. A market that is listed already is left as it is."""
    registry, key = contracts["MarketRegistry"], market_hash(listing.symbol)
    if registry.call("statusOf", key) == MarketStatus.UNLISTED:
        registry.send(
            gateway_key,
            "listMarket",
            listing.symbol,
            MarketKind.SPOT,
            asset,
            listing.lot_exponent,
            listing.quote_per_lot_tick,
            listing.min_lots,
            listing.maker_fee_bps,
            listing.taker_fee_bps,
        )
    return key


def activate_market(contracts: Mapping[str, Contract], admin_key: str, key: bytes) -> None:
    registry = contracts["MarketRegistry"]
    if registry.call("statusOf", key) == MarketStatus.PAUSED:
        registry.send(admin_key, "setStatus", key, MarketStatus.ACTIVE)
