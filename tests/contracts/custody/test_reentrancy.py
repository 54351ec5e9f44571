"""A token that calls somebody in the middle of a transfer, with money of its own inside: no other door is open."""

from __future__ import annotations

from typing import Any

import pytest
from custody_world import (
    ALICE,
    BOB,
    CXPT,
    DELAY,
    KEYS,
    ONE_SYNTH,
    ONE_USDC,
    PRICES,
    SBTC,
    STRANGER,
    USDC,
    World,
    sign_leave,
)

from cxdex.eip712 import market_hash
from cxdex.order import Side
from scripts.chain import Contract

AMOUNT = 1_000 * ONE_USDC
COLLATERAL = 300_000 * ONE_USDC
NONCE, FOR_EVER = 5, 2**255

# what the token, as a customer, could do with its own money: contract, function, arguments
DOORS = (
    ("SynthEngine", "mint", (SBTC, ONE_SYNTH, COLLATERAL)),
    ("SynthEngine", "burn", (SBTC, ONE_SYNTH)),
    ("SynthEngine", "addCollateral", (SBTC, 1)),
    ("SynthEngine", "withdrawCollateral", (SBTC, 1)),
    ("Vault", "deposit", (1,)),
    ("Vault", "requestWithdraw", (USDC, 1, False)),
    ("Vault", "redirectWithdraw", (2, BOB)),
    ("Vault", "cancelWithdraw", (2,)),
    ("Vault", "claimWithdraw", (2,)),
    ("Vault", "withdraw", ()),  # the arguments carry a signature: see `arguments_of`
    ("Vault", "redeemCxpt", (AMOUNT,)),
    ("Vault", "depositAsset", (CXPT, AMOUNT)),
    ("Vault", "collectFees", (market_hash("sBTC-USDC"),)),
)
MOMENTS = ("deposit", "signed deposit", "claim", "leave", "collateral")


def as_token(world: World, contract: Contract, function: str, *arguments: Any) -> bool:
    """The token makes a call on its own account, outside any other transfer. Whether it succeeded."""
    world.usdc.send(ALICE, "setCall", contract.address, contract.encode(function, *arguments))
    world.usdc.send(ALICE, "transfer", ALICE, 0)
    world.usdc.send(ALICE, "setCall", bytes(20), b"")
    return bool(world.usdc.call("callSucceeded"))


def arguments_of(world: World, function: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if function != "withdraw":
        return arguments
    terms = (USDC, AMOUNT, False, BOB, NONCE, FOR_EVER)
    return (*terms, *sign_leave(KEYS["cosigner"], world.vault, world.usdc.address, *terms))


def at(world: World, moment: str) -> None:
    """A transfer of USDC happens in the middle of a call of somebody else."""
    if moment == "claim":
        world.vault.send(ALICE, "claimWithdraw", 1)
    elif moment == "leave":
        world.leave(ALICE, USDC, 1)
    elif moment == "collateral":
        world.engine.send(ALICE, "addCollateral", SBTC, 1)
    elif moment == "signed deposit":
        world.vault.send(
            STRANGER, "depositWithAuthorization", ALICE, 1, 0, FOR_EVER, bytes(32), 27, bytes(32), bytes(32)
        )
    else:
        world.vault.send(ALICE, "deposit", 1)


@pytest.fixture
def rich_token() -> World:
    """The hostile token has cash, a position with spare collateral, CXPT and synths in its wallet, a due withdrawal,
    and allowances for all; there are fees to collect; Alice has a due withdrawal and money for whatever comes."""
    world = World("HostileUSDC").open_markets()
    token, vault = world.usdc, world.vault
    world.deposit(ALICE, 10 * AMOUNT)
    world.give(ALICE, 10 * AMOUNT)
    vault.send(ALICE, "requestWithdraw", USDC, AMOUNT, False)
    token.send(ALICE, "mint", token.address, 8 * COLLATERAL)
    for contract, function, *arguments in (
        (token, "approve", vault.address, 8 * COLLATERAL),
        (vault, "deposit", 4 * COLLATERAL),
        (world.engine, "mint", SBTC, 2 * ONE_SYNTH, 2 * COLLATERAL),
        (vault, "requestWithdraw", USDC, AMOUNT, False),
        (vault, "requestWithdraw", USDC, AMOUNT, True),
        (vault, "requestWithdraw", SBTC, ONE_SYNTH, False),
        (world.cxpt, "approve", vault.address, AMOUNT),
        (world.synths[SBTC], "approve", vault.address, ONE_SYNTH),
    ):
        assert as_token(world, contract, function, *arguments)
    world.borrow(BOB, SBTC, ONE_SYNTH, COLLATERAL)
    maker = world.order(BOB, "sBTC-USDC", Side.SELL, 10, 600_000)
    world.settle(maker, world.order(ALICE, "sBTC-USDC", Side.BUY, 10, 600_000), 10)
    world.evm.advance(DELAY)
    vault.send(STRANGER, "claimWithdraw", 3)
    vault.send(STRANGER, "claimWithdraw", 4)
    world.report(SBTC, PRICES[SBTC])
    return world


@pytest.mark.parametrize(("contract", "function", "arguments"), DOORS, ids=[door[1] for door in DOORS])
@pytest.mark.parametrize("moment", MOMENTS)
def test_attack_27_a_rich_token_finds_no_other_door(
    rich_token: World, contract: str, function: str, arguments: tuple, moment: str
) -> None:
    world, target = rich_token, rich_token.contracts[contract]
    arguments = arguments_of(world, function, arguments)
    calls = world.usdc.call("calls")
    world.usdc.send(ALICE, "setCall", target.address, target.encode(function, *arguments))
    at(world, moment)
    assert world.usdc.call("calls") == calls + 1
    assert world.usdc.call("callSucceeded") is False

    assert as_token(world, target, function, *arguments)  # at any other time the same call is fine


def test_every_door_of_the_vault_was_tried(world: World) -> None:
    """The rest need a signature of USDC's own, which the token could give itself: they end in the same `deposit`."""
    same = {"depositWithPermit", "depositWithAuthorization"}
    privileged = {"registerSynth", "lockCollateral", "lockProceeds", "releaseCollateral", "mintSynth", "burnSynth"}
    privileged |= {"escrowSynth", "burnEscrow", "returnEscrow", "withdrawFees", "payRebates"}
    privileged |= {"pause", "resume", "allowPause"}
    writing = {
        entry["name"]
        for entry in world.artifacts["Vault"].abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }
    assert writing - same - privileged == {function for contract, function, _ in DOORS if contract == "Vault"}
