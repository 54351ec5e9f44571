"""The process that reports prices, on a real node with the real contracts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cxdex.client.steps import Flow, NodeCall
from cxdex.problem import Problem
from scripts.chain import Chain, Contract
from scripts.demo_funds import give_ether
from scripts.exchange import Options, deploy
from scripts.price_reporter import submit_prices, time_on_chain
from scripts.reference_price import RandomWalk
from scripts.stack.layout import demo_keys
from scripts.wiring import open_contracts
from tests.indexer.live_exchange import local_node

KEYS = demo_keys()
REPORTERS = ("reporter", "reporter2", "reporter3")
SBTC, SETH = 2, 3


class Deployed:
    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.path = folder / "deployment.json"
        self.contracts: dict[str, Contract] = open_contracts(Chain(url), deploy(url, KEYS, self.path, Options()))
        self.oracle = self.contracts["Oracle"]
        give_ether(self.oracle.chain, KEYS)
        for name in REPORTERS:
            (folder / f"{name}.key").write_text(KEYS[name])

    def reporter(self, *names: str) -> subprocess.Popen[str]:
        keys = [part for name in names for part in ("--key-file", str(self.path.parent / f"{name}.key"))]
        command = [sys.executable, "-m", "scripts.price_reporter", "--rpc", self.url, "--deployment", str(self.path)]
        return subprocess.Popen(
            [*command, *keys, "--interval", "0.2", "--seed", "3"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with local_node() as node:
        yield Deployed(node.url, tmp_path_factory.mktemp("deployed"))


def test_three_keys_make_the_reference_price_the_oracles(deployed: Deployed) -> None:
    before = [deployed.oracle.call("checkpointCount", asset) for asset in (SBTC, SETH)]
    process = deployed.reporter(*REPORTERS)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 20
        while deployed.oracle.call("checkpointCount", SETH) < before[1] + 3:
            assert time.monotonic() < deadline
            time.sleep(1)
            deployed.oracle.chain.rpc("evm_mine")  # somebody else's transaction
    finally:
        process.terminate()
        process.communicate(timeout=20)
    walk = RandomWalk(3)
    for asset, market in ((SBTC, "sBTC-USDC"), (SETH, "sETH-USDC")):
        price, published = deployed.oracle.call("lastPrice", asset)
        # The chain's clock runs ahead of ours when it makes many blocks in a second.
        around = [walk.price(market, published + n) for n in range(-120, 5)]
        assert min(around) * 999 <= price * 1000 <= max(around) * 1001
        assert deployed.oracle.call("price", asset) == price


def test_one_key_is_not_a_quorum(deployed: Deployed) -> None:
    time.sleep(1)
    deployed.oracle.chain.rpc("evm_mine")
    process = deployed.reporter("reporter2")
    try:
        assert process.stderr is not None
        assert "O:QUORUM" in process.stderr.readline()
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_a_price_is_signed_by_many_and_sent_by_the_first(deployed: Deployed) -> None:
    oracle = deployed.oracle
    time.sleep(1)
    oracle.chain.rpc("evm_mine")
    price = oracle.call("price", SBTC)
    keys = [KEYS[name] for name in REPORTERS[1:]]
    published = oracle.chain.timestamp()
    submit_prices(deployed.contracts, keys, SBTC, price + 7, published)
    assert oracle.call("lastPrice", SBTC) == (price + 7, published)
    with pytest.raises(Problem, match="O:ORDER"):
        submit_prices(deployed.contracts, keys, SBTC, price + 8, published)


@pytest.mark.parametrize(
    ("newest", "pending", "wanted"),
    [
        (1_000, None, 1_000),
        (1_030, None, 1_030),  # a local chain that made many blocks in a second
        (995, 1_020, 995),
        (900, 1_019, 1_019),  # nothing happened for two minutes
        (900, None, 900),  # and the node does not tell its next block
    ],
)
def test_the_publish_time_is_the_chains_and_not_that_of_a_chain_long_idle(
    newest: int, pending: int | None, wanted: int
) -> None:
    times = {"latest": newest, "pending": pending}

    def node(call: NodeCall) -> dict[str, Any]:
        when = times[call.params[0]]
        return {"result": None if when is None else {"timestamp": hex(when)}}

    assert run(time_on_chain(1_020), node) == wanted


def run(flow: Flow[int], node: Any) -> int:
    answer = None
    while True:
        try:
            answer = node(flow.send(answer))
        except StopIteration as done:
            return int(done.value)
