"""Tells the Oracle the bots' reference price of every synth, every 20 seconds. The local chain's only price source.

    python -m scripts.price_reporter --rpc URL --deployment deployment.json --key-file reporter.key \
        --key-file reporter2.key --key-file reporter3.key

Each key signs the price; the first one also pays for the transaction. With fewer keys than the Oracle's quorum nothing
is accepted. On a chain with money on it every reporter has its own source and its own machine, and one key.

Promises: the price is the one that the market maker with the same seed quotes around.
"""

from __future__ import annotations

import argparse
import os
import time as clock
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxdex.client import chain
from cxdex.client.driver import Driver
from cxdex.client.steps import Flow
from cxdex.deployment import load_deployment
from cxdex.eip712 import Domain, to_checksum
from cxdex.price_report import PriceReport, encode_submit, signed_reports, submitted
from cxdex.problem import Problem
from cxdex.wallet import LocalWallet
from scripts.bot import Bot, add_price_arguments, run_command
from scripts.reference_price import ReferencePrice, reference_price

if TYPE_CHECKING:
    from scripts.chain import Contract

FIRST_SYNTH = 2
IDLE_SECONDS = 30  # of a chain whose newest block is older than this no block may come for a while
NO_ADDRESS = "0x" + "0" * 40


class Reporter:
    """Reads the synths from the Vault, so that a market listed later is reported too."""

    def __init__(self, wallets: Sequence[LocalWallet], deployment_file: Path, prices: ReferencePrice) -> None:
        """`wallets`: who signs; the first one sends."""
        deployment = load_deployment(deployment_file)
        self._chain_id = deployment.chain_id
        self._wallets = wallets
        self._vault = to_checksum(deployment.contracts["Vault"])
        self._oracle = to_checksum(deployment.contracts["Oracle"])
        self._domain = Domain(deployment.chain_id, deployment.contracts["Oracle"])
        self._prices = prices

    def report(self) -> Flow[str]:
        """One price for each synth; returns the status line."""
        told: list[str] = []
        asset = FIRST_SYNTH
        while True:
            synth = yield from chain.view("Vault", self._vault, "synthOf", asset)
            if synth == NO_ADDRESS:
                return ", ".join(told) or ("no synth yet" if asset == FIRST_SYNTH else "no new block to report for")
            symbol = yield from chain.view("Synth", synth, "symbol")
            price = self._prices.price(f"{symbol}-USDC", clock.time())
            publish_time = yield from time_on_chain(int(clock.time()))
            _, last, _ = yield from chain.view_all("Oracle", self._oracle, "reported", asset)
            if publish_time > last:
                yield from self._submit(PriceReport(asset, price, publish_time))
                told.append(f"{symbol} {price / 1e6:.2f}")
            asset += 1

    def _submit(self, report: PriceReport) -> Flow[None]:
        reports = submitted(wallet.sign_price(self._domain, report) for wallet in self._wallets)
        data = "0x" + encode_submit(report.asset, reports).hex()
        yield from chain.send(self._wallets[0], self._chain_id, self._oracle, data)


def time_on_chain(now: int) -> Flow[int]:
    """The time of a report: the chain's own, because it is the chain that says what is stale and what is the future.

    A local node makes no blocks while nothing happens, so its newest one may be hours older than `now`, the time of our
    own clock; its next one is not.
    """
    newest = int((yield from chain.node("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    if now - newest > IDLE_SECONDS:
        pending = yield from chain.node("eth_getBlockByNumber", "pending", False)
        if pending is not None:
            return int(pending["timestamp"], 16)
    return newest


def submit_prices(
    contracts: Mapping[str, Contract], reporter_keys: Sequence[str], asset: int, price: int, time: int
) -> None:
    """One price, signed with every key and sent by the first.

    price: 1e-6 USDC per whole synth; time: unix seconds, not later than the chain's newest block.
    """
    oracle = contracts["Oracle"]
    domain = Domain(oracle.chain.chain_id, oracle.address)
    oracle.send(
        reporter_keys[0], "submit", asset, signed_reports(domain, reporter_keys, PriceReport(asset, price, time))
    )


def main() -> None:
    arguments = parse_arguments()
    bot = Bot("price-reporter")
    prices = reference_price(arguments.seed, arguments.prices)
    password = os.environ.get("CXDEX_KEYSTORE_PASSWORD")
    wallets = [LocalWallet.from_file(path, password) for path in arguments.key_file]
    reporter = Reporter(wallets, arguments.deployment, prices)
    driver = Driver(rpc_url=arguments.rpc)
    try:
        if bot.wait_for("the node", lambda: driver.run(reporter.report())):
            bot.repeat(lambda: driver.run(reporter.report()), lambda: arguments.interval)
    finally:
        driver.close()
    bot.log.info("stopped")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="price_reporter", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rpc", default=os.environ.get("CXDEX_RPC_URL"), help="URL of the Ethereum node")
    parser.add_argument("--deployment", type=Path, default=Path(".state/deployment.json"))
    parser.add_argument("--interval", type=float, default=20.0, help="seconds between reports")
    parser.add_argument(
        "--key-file",
        type=Path,
        action="append",
        required=True,
        help="file with a reporter's private key, or a keystore; once for each reporter, the sender first",
    )
    add_price_arguments(parser)
    arguments = parser.parse_args()
    if not arguments.rpc:
        raise Problem("NODE_MISSING", "which node?", allowed="--rpc URL or CXDEX_RPC_URL")
    return arguments


if __name__ == "__main__":
    raise SystemExit(run_command(main))
