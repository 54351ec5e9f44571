"""The deploy script on a real node: everything connected, nothing done twice, and no half-finished exchange."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cxdex.abi import synth_init_code_hash
from cxdex.deployment import CONTRACTS, Deployment, load_deployment
from cxdex.eip712 import market_hash
from cxdex.market import MarketKind, MarketStatus, MarketTerms
from cxdex.problem import Problem
from cxdex.synth_address import predict_synth_address
from scripts.artifacts import ROOT
from scripts.chain import Chain, Contract, address_of
from scripts.demo_funds import DEPOSITS, WALLET
from scripts.exchange import SYNTHS, Options, deploy, role_addresses
from scripts.stack.layout import demo_keys, free_port
from scripts.stack.node import anvil_binary
from scripts.wiring import open_contracts

ONE_USDC = 10**6
OPTIONS = Options(withdrawal_delay=30, demo=True)
KEYS = demo_keys()
ROLES = role_addresses(KEYS)


@contextmanager
def running_node(chain_id: int = 31337) -> Iterator[str]:
    """URL of a fresh node."""
    port = free_port()
    arguments = ["--port", str(port), "--chain-id", str(chain_id), "--hardfork", "prague", "--enable-tx-gas-limit"]
    process = subprocess.Popen([str(anvil_binary()), *arguments, "--silent"])
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                Chain(url)
                break
            except Problem:
                assert time.monotonic() < deadline, "the node did not start"
                time.sleep(0.02)
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    with running_node() as url:
        yield url


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployed") / "deployment.json"


@pytest.fixture(scope="module")
def deployment(node: str, path: Path) -> Deployment:
    return deploy(node, KEYS, path, OPTIONS)


@pytest.fixture(scope="module")
def contracts(node: str, deployment: Deployment) -> dict[str, Contract]:
    return open_contracts(Chain(node), deployment)


def test_the_file_says_what_everybody_needs(deployment: Deployment, path: Path) -> None:
    content = json.loads(path.read_text())
    assert content["chainId"] == 31337
    assert content["deployedBlock"] == 1
    assert set(content["contracts"]) == set(CONTRACTS)
    assert set(content["roles"]) == {
        "admin", "guardian", "core", "gateway", "cosigner", "reporter", "reporter2", "reporter3",
    }  # fmt: skip
    assert load_deployment(path) == deployment


def test_a_second_run_changes_nothing(node: str, deployment: Deployment, path: Path) -> None:
    before, block = path.read_text(), Chain(node).block_number()
    assert deploy(node, KEYS, path, OPTIONS) == deployment
    assert (path.read_text(), Chain(node).block_number()) == (before, block)


@pytest.mark.parametrize("synth", SYNTHS, ids=lambda synth: synth.symbol)
def test_both_markets_are_open_on_the_agreed_terms(contracts: dict[str, Contract], synth) -> None:
    listing = synth.listing
    assert contracts["MarketRegistry"].call("statusOf", market_hash(listing.symbol)) == MarketStatus.ACTIVE
    terms = MarketTerms(
        listing.symbol, 1, MarketKind.SPOT, 2, synth.symbol, listing.lot_exponent, listing.quote_per_lot_tick,
        listing.min_lots, listing.maker_fee_bps, listing.taker_fee_bps,
    )  # fmt: skip
    wanted = {"sBTC": (10**14, ONE_USDC // 10), "sETH": (10**15, ONE_USDC // 100)}
    assert (terms.lot_size, terms.tick_size) == wanted[synth.symbol]
    assert (terms.maker_fee_bps, terms.taker_fee_bps, terms.min_lots) == (25, 25, 1)


@pytest.mark.parametrize("synth", SYNTHS, ids=lambda synth: synth.symbol)
def test_synths_are_where_the_client_predicts_and_have_a_price(contracts: dict[str, Contract], synth) -> None:
    factory = contracts["SynthFactory"]
    address = predict_synth_address(factory.address, synth_init_code_hash(), synth.name, synth.symbol)
    assert factory.call("synthOf", synth.symbol) == address
    asset = contracts["Vault"].call("assetOf", address)
    price, published, disputed = contracts["Oracle"].call("reported", asset)
    assert (price, disputed) == (synth.price, False)
    assert published > 0


def test_the_demo_accounts_can_buy_and_the_makers_can_sell(contracts: dict[str, Contract]) -> None:
    vault, usdc = contracts["Vault"], contracts["USDC"]
    for name, deposited in DEPOSITS.items():
        account = address_of(KEYS[name])
        assert vault.call("sharesOf", account) == deposited
        assert usdc.call("balanceOf", account) == WALLET
        assert contracts["Vault"].chain.balance(account) > 10**18
    for name in ("maker", "taker", "alice"):
        for asset in (2, 3):
            assert vault.call("balanceOf", address_of(KEYS[name]), asset) > 0
    assert vault.call("collateralTotal") > 0


def test_a_refusal_carries_the_contracts_own_code(contracts: dict[str, Contract]) -> None:
    with pytest.raises(Problem, match=r"Vault\.deposit: the contract refused: V:ZERO") as caught:
        contracts["Vault"].send(KEYS["alice"], "deposit", 0)
    assert caught.value.code == "TRANSACTION_REVERTED"


def test_a_deployer_key_that_is_used_meanwhile_leaves_no_file(node: str, deployment, tmp_path: Path) -> None:
    out = tmp_path / "deployment.json"
    chain = Chain(node)

    def interfere(line: str) -> None:
        if line == "contract Oracle":
            chain.send(KEYS["deployer"], address_of(KEYS["bob"]), b"")

    with pytest.raises(Problem, match="ADDRESS_WRONG"):
        deploy(node, KEYS, out, OPTIONS, interfere)
    assert not out.exists()


def test_a_file_of_another_chain_is_not_overwritten(node: str, deployment, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "deployment.json"
    other.write_text(json.dumps({**json.loads(path.read_text()), "chainId": 1}))
    with pytest.raises(Problem, match="DEPLOYMENT_INVALID"):
        deploy(node, KEYS, other, OPTIONS)


def test_no_mock_money_where_money_may_be_real(tmp_path: Path) -> None:
    with running_node(chain_id=8453) as url, pytest.raises(Problem, match="USDC_MISSING"):
        deploy(url, KEYS, tmp_path / "deployment.json", Options())


def test_no_short_withdrawal_delay_where_money_may_be_real(tmp_path: Path) -> None:
    options = Options(usdc=bytes(19) + b"\x01", withdrawal_delay=599)
    with running_node(chain_id=8453) as url, pytest.raises(Problem, match="DELAY_TOO_SHORT"):
        deploy(url, KEYS, tmp_path / "deployment.json", options)


def run_script(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def write_keys(folder: Path) -> Path:
    for name, key in KEYS.items():
        (folder / f"{name}.key").write_text(key + "\n")
    return folder


def test_a_third_market_is_listed_from_the_command_line(node: str, deployment, path: Path, tmp_path: Path) -> None:
    keys = write_keys(tmp_path)
    done = run_script(
        "scripts.list_market", "--rpc", node, "--deployment", str(path), "--keys", str(keys), "--symbol", "sSOL-USDC",
        "--synth", "Synthetic Solana:sSOL", "--cap", "100000", "--lot-exponent", "16",
        "--quote-per-lot-tick", "100", "--activate",
    )  # fmt: skip
    assert done.stdout.startswith("sSOL-USDC is ACTIVE; base asset 4 is sSOL at 0x"), done.stderr


def test_what_goes_wrong_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    keys = write_keys(tmp_path)
    out = tmp_path / "deployment.json"
    dead = f"http://127.0.0.1:{free_port()}"
    away = run_script("scripts.deploy", "--rpc", dead, "--keys", str(keys), "--out", str(out))
    assert (away.returncode, away.stderr.count("\n")) == (1, 1)
    assert away.stderr.startswith("NODE_UNAVAILABLE: the node at http://127.0.0.1")
    (keys / "core.key").unlink()
    missing = run_script("scripts.deploy", "--rpc", dead, "--keys", str(keys), "--out", str(out))
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "core.key" in missing.stderr
