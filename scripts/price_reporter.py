"""Tells the Oracle the bots' reference price of every synth, every 20 seconds. The local chain's only price source.

    python -m scripts.price_reporter --rpc URL --deployment deployment.json --key-file reporter.key

Promises: the price is the one that the market maker with the same seed quotes around.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from cxdex.client import chain
from cxdex.client.driver import Driver
from cxdex.client.steps import Flow
from cxdex.deployment import load_deployment
from cxdex.eip712 import to_checksum
from cxdex.problem import Problem
from cxdex.wallet import LocalWallet
from scripts.bot import Bot, add_key_argument, add_price_arguments, run_command, wallet_of
from scripts.reference_price import ReferencePrice, reference_price

FIRST_SYNTH = 2
NO_ADDRESS = "0x" + "0" * 40


class Reporter:
    """Reads the synths from the Vault, so that a market listed later is reported too."""

    def __init__(self, wallet: LocalWallet, deployment_file: Path, prices: ReferencePrice) -> None:
        deployment = load_deployment(deployment_file)
        self._chain_id = deployment.chain_id
        self._wallet = wallet
        self._vault = to_checksum(deployment.contracts["Vault"])
        self._oracle = to_checksum(deployment.contracts["Oracle"])
        self._prices = prices

    def report(self) -> Flow[str]:
        """One report for each synth; returns the status line."""
        told: list[str] = []
        asset = FIRST_SYNTH
        while True:
            synth = yield from chain.view("Vault", self._vault, "synthOf", asset)
            if synth == NO_ADDRESS:
                return ", ".join(told) or "no synth yet"
            symbol = yield from chain.view("Synth", synth, "symbol")
            price = self._prices.price(f"{symbol}-USDC", time.time())
            head = yield from chain.node("eth_getBlockByNumber", "latest", False)
            publish_time = min(int(time.time()), int(head["timestamp"], 16))
            last = yield from self._last_report(asset)
            if publish_time > last:
                data = chain.encode_call("Oracle", "report", asset, price, publish_time)
                yield from chain.send(self._wallet, self._chain_id, self._oracle, data)
                told.append(f"{symbol} {price / 1e6:.2f}")
            asset += 1

    def _last_report(self, asset: int) -> Flow[int]:
        """publishTime of our newest report, 0 for none."""
        account = to_checksum(self._wallet.account)
        _, publish_time = yield from chain.view_all("Oracle", self._oracle, "reportOf", asset, account)
        return int(publish_time)


def main() -> None:
    arguments = parse_arguments()
    bot = Bot("price-reporter")
    prices = reference_price(arguments.seed, arguments.prices)
    reporter = Reporter(wallet_of(arguments), arguments.deployment, prices)
    driver = Driver(rpc_url=arguments.rpc)
    try:
        if bot.wait_for("the node", lambda: driver.run(reporter.report())):
            bot.repeat(lambda: driver.run(reporter.report()), lambda: arguments.interval)
    finally:
        driver.close()
    bot.log.info("stopped")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="price_reporter", description=__doc__)
    parser.add_argument("--rpc", default=os.environ.get("CXDEX_RPC_URL"), help="URL of the Ethereum node")
    parser.add_argument("--deployment", type=Path, default=Path(".state/deployment.json"))
    parser.add_argument("--interval", type=float, default=20.0, help="seconds between reports")
    add_key_argument(parser)
    add_price_arguments(parser)
    arguments = parser.parse_args()
    if not arguments.rpc:
        raise Problem("NODE_MISSING", "which node?", allowed="--rpc URL or CXDEX_RPC_URL")
    return arguments


if __name__ == "__main__":
    raise SystemExit(run_command(main))
