"""Creates a synth and lists a market on it.

    python -m scripts.list_market --rpc URL --deployment FILE --keys FOLDER --symbol sSOL-USDC --synth "Synthetic Solana:sSOL"
        --lot-exponent 16 --quote-per-lot-tick 100

The terms are for ever. GATEWAY creates and lists; with --activate, ADMIN opens the market at once.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from cxdex.abi import synth_init_code_hash
from cxdex.deployment import load_deployment
from cxdex.eip712 import market_hash, to_checksum
from cxdex.market import MarketKind, MarketStatus
from cxdex.problem import Problem
from cxdex.synth_address import predict_synth_address
from scripts.chain import Chain, Contract
from scripts.keys import load_keys
from scripts.wiring import open_contracts


@dataclass(frozen=True, slots=True)
class Listing:
    """What GATEWAY decides once. Units as in `cxdex.market.MarketTerms`."""

    symbol: str
    lot_exponent: int
    quote_per_lot_tick: int
    min_lots: int = 1
    maker_fee_bps: int = 25
    taker_fee_bps: int = 25


def create_synth(contracts: dict[str, Contract], gateway_key: str, name: str, symbol: str) -> tuple[bytes, int]:
    """Address and asset number of the synth; one that exists already is left as it is."""
    factory = contracts["SynthFactory"]
    synth: bytes = factory.call("synthOf", symbol)
    if not any(synth):
        factory.send(gateway_key, "createSynth", name, symbol)
        synth = factory.call("synthOf", symbol)
    if synth != predict_synth_address(factory.address, synth_init_code_hash(), name, symbol):
        raise Problem("SYNTH_EXISTS", f"{symbol} exists under another name", given=name)
    return synth, contracts["Vault"].call("assetOf", synth)


def list_market(contracts: dict[str, Contract], gateway_key: str, asset: int, listing: Listing) -> bytes:
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


def activate_market(contracts: dict[str, Contract], admin_key: str, key: bytes) -> None:
    registry = contracts["MarketRegistry"]
    if registry.call("statusOf", key) == MarketStatus.PAUSED:
        registry.send(admin_key, "setStatus", key, MarketStatus.ACTIVE)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="list_market", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rpc", required=True, help="the node's URL")
    parser.add_argument("--deployment", type=Path, required=True, help="deployment.json of the exchange")
    parser.add_argument("--keys", type=Path, required=True, help="folder with gateway.key and admin.key")
    parser.add_argument("--symbol", required=True, help="what orders call the market, such as sSOL-USDC")
    parser.add_argument("--synth", required=True, metavar="NAME:SYMBOL", help="the base asset")
    parser.add_argument("--lot-exponent", type=int, required=True, help="one lot is 10**N of the synth's 1e-18 units")
    parser.add_argument("--quote-per-lot-tick", type=int, required=True, help="1e-6 USDC per lot and tick")
    parser.add_argument("--min-lots", type=int, default=1)
    parser.add_argument("--maker-fee-bps", type=int, default=25)
    parser.add_argument("--taker-fee-bps", type=int, default=25)
    parser.add_argument("--activate", action="store_true", help="open the market at once")
    given = parser.parse_args()
    try:
        keys = load_keys(given.keys, ("gateway", "admin") if given.activate else ("gateway",))
        chain = Chain(given.rpc)
        contracts = open_contracts(chain, load_deployment(given.deployment))
        name, _, symbol = given.synth.rpartition(":")
        synth, asset = create_synth(contracts, keys["gateway"], name, symbol)
        listing = Listing(
            given.symbol,
            given.lot_exponent,
            given.quote_per_lot_tick,
            given.min_lots,
            given.maker_fee_bps,
            given.taker_fee_bps,
        )
        market = list_market(contracts, keys["gateway"], asset, listing)
        if given.activate:
            activate_market(contracts, keys["admin"], market)
        status = MarketStatus(contracts["MarketRegistry"].call("statusOf", market))
        print(f"{given.symbol} is {status.name}; base asset {asset} is {symbol} at {to_checksum(synth)}")
    except (Problem, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
