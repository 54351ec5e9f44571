"""A token that calls somebody in the middle of a transfer, with money of its own inside: no other door is open."""

from __future__ import annotations

from typing import Any

import pytest
from custody_world import ALICE, CXPT, ONE_SYNTH, ONE_USDC, PRICES, SBTC, USDC, World

from scripts.chain import Contract

AMOUNT = 1_000 * ONE_USDC
COLLATERAL = 300_000 * ONE_USDC

# what the token, as a customer, could do with its own balance: contract, function, arguments
DOORS = (
    ("SynthEngine", "mint", (SBTC, ONE_SYNTH, COLLATERAL)),
    ("SynthEngine", "burn", (SBTC, ONE_SYNTH)),
    ("SynthEngine", "addCollateral", (SBTC, 1)),
    ("SynthEngine", "withdrawCollateral", (SBTC, 1)),
    ("Vault", "requestWithdraw", (SBTC, ONE_SYNTH, False)),
    ("Vault", "cancelWithdraw", (2,)),
    ("Vault", "claimWithdraw", (2,)),
    ("Vault", "redeemCxpt", (AMOUNT,)),
    ("Vault", "depositAsset", (CXPT, AMOUNT)),
)


def as_token(world: World, contract: Contract, function: str, *arguments: Any) -> bool:
    """The token makes a call on its own account, outside any other transfer. Whether it succeeded."""
    world.usdc.send(ALICE, "setCall", contract.address, contract.encode(function, *arguments))
    world.usdc.send(ALICE, "transfer", ALICE, 0)
    world.usdc.send(ALICE, "setCall", bytes(20), b"")
    return bool(world.usdc.call("callSucceeded"))


@pytest.fixture
def rich_token() -> World:
    """The hostile token has cash, a position with spare collateral, CXPT in its wallet and a due withdrawal."""
    world = World("HostileUSDC").open_markets()
    token, vault = world.usdc, world.vault
    world.deposit(ALICE, AMOUNT)
    vault.send(ALICE, "requestWithdraw", USDC, AMOUNT, False)
    token.send(ALICE, "mint", token.address, 4 * COLLATERAL)
    for contract, function, *arguments in (
        (token, "approve", vault.address, 4 * COLLATERAL),
        (vault, "deposit", 4 * COLLATERAL),
        (world.engine, "mint", SBTC, 2 * ONE_SYNTH, 2 * COLLATERAL),
        (vault, "requestWithdraw", USDC, AMOUNT, False),
        (vault, "requestWithdraw", USDC, AMOUNT, True),
    ):
        assert as_token(world, contract, function, *arguments)
    world.evm.advance(3600)
    vault.send(ALICE, "claimWithdraw", 3)
    assert as_token(world, world.cxpt, "approve", vault.address, AMOUNT)
    world.report(SBTC, PRICES[SBTC])
    return world


@pytest.mark.parametrize(("contract", "function", "arguments"), DOORS)
@pytest.mark.parametrize("moment", ["deposit", "claim"])
def test_attack_27_a_rich_token_finds_no_other_door(
    rich_token: World, contract: str, function: str, arguments: tuple, moment: str
) -> None:
    world, target = rich_token, rich_token.contracts[contract]
    calls = world.usdc.call("calls")
    world.usdc.send(ALICE, "setCall", target.address, target.encode(function, *arguments))
    if moment == "claim":
        world.vault.send(ALICE, "claimWithdraw", 1)
    else:
        world.deposit(ALICE, AMOUNT)
    assert world.usdc.call("calls") == calls + 1
    assert world.usdc.call("callSucceeded") is False

    assert as_token(world, target, function, *arguments)  # at any other time the same call is fine
