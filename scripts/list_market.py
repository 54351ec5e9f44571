r"""Creates a synth and lists a market on it.

    python -m scripts.list_market --rpc URL --deployment FILE --keys FOLDER --symbol sSOL-USDC \
        --synth "Synthetic Solana:sSOL" --cap 100000 --lot-exponent 16 --quote-per-lot-tick 100 --activate

The terms are for ever. GATEWAY creates and lists; with --activate, ADMIN opens the market at once.
`ape run list_market` takes the same options.
"""

from __future__ import annotations

from pathlib import Path

import click

from cxdex.deployment import load_deployment
from cxdex.eip712 import to_checksum
from cxdex.market import MarketStatus
from cxdex.problem import Problem
from scripts.chain import Chain
from scripts.keys import load_keys
from scripts.markets import Listing, activate_market, create_synth, list_market, open_asset
from scripts.wiring import open_contracts

WHOLE = 10**18  # units of a synth


@click.command(help="Creates a synth if it is new, and lists a market on it. The terms are for ever.")
@click.option("--rpc", required=True, help="The node's URL.")
@click.option("--deployment", type=Path, required=True, help="deployment.json of the exchange.")
@click.option("--keys", type=Path, required=True, help="Folder with gateway.key and admin.key.")
@click.option("--symbol", required=True, help="What orders call the market, such as sSOL-USDC.")
@click.option("--synth", required=True, metavar="NAME:SYMBOL", help="The base asset.")
@click.option("--cap", type=int, required=True, help="Most whole synths that may be minted, if the synth is new.")
@click.option("--lot-exponent", type=int, required=True, help="One lot is 10**N of the synth's 1e-18 units.")
@click.option("--quote-per-lot-tick", type=int, required=True, help="1e-6 USDC per lot and tick.")
@click.option("--min-lots", default=1, show_default=True, help="Smallest fill, in lots.")
@click.option("--maker-fee-bps", default=25, show_default=True, help="1/10,000 of the notional.")
@click.option("--taker-fee-bps", default=25, show_default=True, help="1/10,000 of the notional.")
@click.option("--activate", is_flag=True, help="Open the market at once.")
def cli(
    rpc: str,
    deployment: Path,
    keys: Path,
    symbol: str,
    synth: str,
    cap: int,
    lot_exponent: int,
    quote_per_lot_tick: int,
    min_lots: int,
    maker_fee_bps: int,
    taker_fee_bps: int,
    activate: bool,
) -> None:
    name, _, synth_symbol = synth.rpartition(":")
    listing = Listing(symbol, lot_exponent, quote_per_lot_tick, min_lots, maker_fee_bps, taker_fee_bps)
    try:
        held = load_keys(keys, ("gateway", "admin") if activate else ("gateway",))
        contracts = open_contracts(Chain(rpc), load_deployment(deployment))
        address, asset = create_synth(contracts, held["gateway"], name, synth_symbol)
        open_asset(contracts, held["gateway"], asset, cap * WHOLE)
        market = list_market(contracts, held["gateway"], asset, listing)
        if activate:
            activate_market(contracts, held["admin"], market)
        status = MarketStatus(contracts["MarketRegistry"].call("statusOf", market))
    except (Problem, ValueError) as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(f"{symbol} is {status.name}; base asset {asset} is {synth_symbol} at {to_checksum(address)}")


if __name__ == "__main__":
    cli()
