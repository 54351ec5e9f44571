"""What bringing money in and taking it out costs, from a real node's receipts, behind the proxies as deployed.

Every figure is of a second time: the slots that it writes are non-zero before, except those that are new each time. A
figure that gets worse by more than 0.5 % fails; GAS_SNAPSHOT=write accepts new ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from custody_world import ONE_USDC, USDC, sign_authorization, sign_leave
from test_deploy import KEYS, running_node

from scripts.chain import Chain, Contract, address_of
from scripts.exchange import Options, deploy
from scripts.wiring import open_contracts

SNAPSHOT = Path(__file__).with_name("custody_gas.json")
TOLERANCE = 1.005
DELAY = 60
AMOUNT = 1_000 * ONE_USDC
KEY = KEYS["alice"]
ALICE = address_of(KEY)
FOR_EVER = 2**40


class Customer:
    """Alice, with money and every allowance."""

    def __init__(self, contracts: dict[str, Contract]) -> None:
        self.usdc, self.vault, self.cxpt = contracts["USDC"], contracts["Vault"], contracts["CXPT"]
        self.chain = self.vault.chain
        self.nonce = 0
        self.chain.send(KEYS["deployer"], ALICE, b"", 10**18)
        self.usdc.send(KEY, "mint", ALICE, 10**6 * ONE_USDC)
        self.usdc.send(KEY, "approve", self.vault.address, 2**256 - 1)

    def act(self, function: str, *arguments: object) -> int:
        return int(self.vault.send(KEY, function, *arguments)["gasUsed"], 16)

    def deposit(self) -> int:
        return self.act("deposit", AMOUNT)

    def deposit_signed(self) -> int:
        self.nonce += 1
        window, nonce = (0, FOR_EVER), self.nonce.to_bytes(32, "big")
        signed = sign_authorization(KEY, self.usdc, self.vault.address, AMOUNT, nonce, window=window)
        return self.act("depositWithAuthorization", ALICE, AMOUNT, *window, nonce, *signed)

    def request(self) -> int:
        return self.act("requestWithdraw", USDC, 5, False)

    def redirect(self) -> int:
        return self.act("redirectWithdraw", self.vault.call("withdrawalCount"), address_of(KEYS["bob"]))

    def claim(self) -> int:
        """With a request left behind: the announced sums stay above zero."""
        identity = self.vault.call("withdrawalCount") + 1
        self.request()
        self.request()
        self.chain.rpc("evm_increaseTime", DELAY)
        self.chain.rpc("evm_mine")
        return self.act("claimWithdraw", identity)

    def withdraw(self, as_cxpt: bool = False) -> int:
        self.nonce += 1
        terms = (USDC, 5, as_cxpt, ALICE, self.nonce, FOR_EVER)
        return self.act("withdraw", *terms, *sign_leave(KEYS["cosigner"], self.vault, ALICE, *terms))

    def withdraw_as_cxpt(self) -> int:
        return self.withdraw(as_cxpt=True)

    def redeem(self) -> int:
        return self.act("redeemCxpt", 1)


STEPS: dict[str, Callable[[Customer], int]] = {
    "deposit": Customer.deposit,
    "deposit by a signed transfer": Customer.deposit_signed,
    "request": Customer.request,
    "redirect": Customer.redirect,
    "claim": Customer.claim,
    "withdraw at once": Customer.withdraw,
    "withdraw at once as CXPT": Customer.withdraw_as_cxpt,
    "redeem CXPT": Customer.redeem,
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    path = tmp_path_factory.mktemp("gas") / "deployment.json"
    with running_node() as url:
        deployment = deploy(url, KEYS, path, Options(withdrawal_delay=DELAY))
        alice = Customer(open_contracts(Chain(url), deployment))
        for first in STEPS.values():
            first(alice)
        yield {name: second(alice) for name, second in STEPS.items()}


def test_no_way_in_or_out_costs_more_than_the_snapshot(measured: dict[str, int]) -> None:
    if os.environ.get("GAS_SNAPSHOT") == "write":
        SNAPSHOT.write_text(json.dumps(measured, indent=2) + "\n")
    known = json.loads(SNAPSHOT.read_text())
    worse = {name: (known[name], gas) for name, gas in measured.items() if gas > known[name] * TOLERANCE}
    assert not worse, "gas (snapshot, now)"
    assert known.keys() == measured.keys()
