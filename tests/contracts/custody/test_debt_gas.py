"""What synth debt costs, from a real node's receipts, behind the proxies as deployed.

A figure that gets worse by more than 0.5 % fails; GAS_SNAPSHOT=write accepts new ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from custody_world import ONE_SYNTH, ONE_USDC, PRICES, SETH, sign_leave
from test_deploy import KEYS, running_node

from cxdex.keccak import keccak
from scripts.chain import Chain, Contract, address_of
from scripts.exchange import REPORTERS, Options, deploy
from scripts.price_reporter import submit_prices
from scripts.wiring import open_contracts

SNAPSHOT = Path(__file__).with_name("debt_gas.json")
TOLERANCE = 1.005
PRICE = PRICES[SETH]
ALICE, BOB = KEYS["alice"], KEYS["bob"]
CROWD = ["0x" + keccak(f"crowd {number}".encode()).hex() for number in range(10)]
WEEK = 7 * 86_400
FOR_EVER = 2**40


class Lender:
    """Bob has synths in his wallet; Alice borrows; a crowd of ten borrows the least that there is."""

    def __init__(self, contracts: dict[str, Contract]) -> None:
        self.contracts = contracts
        self.engine, self.vault, self.usdc = contracts["SynthEngine"], contracts["Vault"], contracts["USDC"]
        self.chain = self.engine.chain
        # A second a block on every machine: where a price stands in the history decides what finding it costs.
        self.chain.rpc("anvil_setBlockTimestampInterval", 1)
        synth = Contract(self.chain, "Synth", self.vault.call("synthOf", SETH), self.usdc.abi)
        for key in (ALICE, BOB, *CROWD):
            self.chain.send(KEYS["deployer"], address_of(key), b"", 10**18)
            self.usdc.send(key, "mint", address_of(key), 10**6 * ONE_USDC)
            self.usdc.send(key, "approve", self.vault.address, 2**256 - 1)
            synth.send(key, "approve", self.vault.address, 2**256 - 1)
        self.act(BOB, "mint", SETH, 20 * ONE_SYNTH, 300_000 * ONE_USDC)
        terms = (SETH, 20 * ONE_SYNTH, False, address_of(BOB), 1, FOR_EVER)
        self.vault.send(BOB, "withdraw", *terms, *sign_leave(KEYS["cosigner"], self.vault, address_of(BOB), *terms))
        synth.send(BOB, "transfer", address_of(ALICE), ONE_SYNTH)

    def act(self, key: str, function: str, *arguments: object) -> int:
        return int(self.engine.send(key, function, *arguments)["gasUsed"], 16)

    def pass_time(self, seconds: int) -> None:
        self.chain.rpc("evm_setNextBlockTimestamp", self.chain.timestamp() + seconds)
        self.chain.rpc("evm_mine")

    def publish(self, price: int, seconds: int = 2) -> None:
        """Twice, so that a jump is believed."""
        for _ in range(2):
            self.pass_time(seconds)
            keys = [KEYS[name] for name in REPORTERS]
            submit_prices(self.contracts, keys, SETH, price, self.chain.timestamp())

    def positions(self) -> Iterator[tuple[str, int]]:
        yield "mint, a first debt", self.act(ALICE, "mint", SETH, 10 * ONE_SYNTH, 45_000 * ONE_USDC)
        yield "mint more", self.act(ALICE, "mint", SETH, ONE_SYNTH, 4_500 * ONE_USDC)
        yield "add collateral", self.act(ALICE, "addCollateral", SETH, 4_500 * ONE_USDC)
        yield "withdraw collateral", self.act(ALICE, "withdrawCollateral", SETH, 4_500 * ONE_USDC)
        yield "burn", self.act(ALICE, "burn", SETH, ONE_SYNTH // 2)

    def others(self) -> Iterator[tuple[str, int]]:
        """What others do to Alice's position."""
        self.publish(PRICE * 13 // 10)
        alice = address_of(ALICE)
        yield "liquidate by burning", self.act(BOB, "liquidate", alice, SETH, ONE_SYNTH)
        yield "liquidate by taking over", self.act(BOB, "takeOver", alice, SETH, ONE_SYNTH // 10, ONE_USDC)
        yield "request a redemption", self.act(BOB, "requestRedemption", SETH, ONE_SYNTH, 300)
        self.publish(PRICE * 13 // 10, 60)
        yield "redeem from a position", self.act(ALICE, "executeRedemption", 1, [alice])

    def end(self) -> Iterator[tuple[str, int]]:
        """Bob's and Alice's positions are processed first, the crowd's dust as a page."""
        dust = [self.act(key, "mint", SETH, 10**7, 1) for key in CROWD]
        yield "open a position of dust", min(dust[1:])
        self.pass_time(WEEK)
        yield "wind down", self.act(ALICE, "windDown", SETH)
        self.act(ALICE, "processPositions", SETH, [address_of(ALICE), address_of(BOB)])
        page = self.act(ALICE, "processPositions", SETH, [address_of(key) for key in CROWD])
        yield "process a position of dust, of ten", page // len(CROWD)
        yield "claim", self.act(BOB, "claimWound", SETH, ONE_SYNTH)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    path = tmp_path_factory.mktemp("gas") / "deployment.json"
    with running_node() as url:
        deployment = deploy(url, KEYS, path, Options())
        lender = Lender(open_contracts(Chain(url), deployment))
        yield {**dict(lender.positions()), **dict(lender.others()), **dict(lender.end())}


def test_no_step_of_a_debt_costs_more_than_the_snapshot(measured: dict[str, int]) -> None:
    if os.environ.get("GAS_SNAPSHOT") == "write":
        SNAPSHOT.write_text(json.dumps(measured, indent=2) + "\n")
    known = json.loads(SNAPSHOT.read_text())
    worse = {name: (known[name], gas) for name, gas in measured.items() if gas > known[name] * TOLERANCE}
    assert not worse, "gas (snapshot, now)"
    assert known.keys() == measured.keys()


def test_dust_costs_whoever_opens_it_more_than_whoever_processes_it(measured: dict[str, int]) -> None:
    assert measured["open a position of dust"] > 3 * measured["process a position of dust, of ten"]
