"""CXPT: one USDC of the reserve in a wallet, redeemable one to one, tradable only here."""

from __future__ import annotations

import pytest
from custody_world import ALICE, BOB, CXPT, DELAY, ONE_USDC, STRANGER, USDC, World

AMOUNT = 25_000 * ONE_USDC


@pytest.fixture
def holding(funded: World) -> World:
    """Alice has withdrawn 25,000 USDC as CXPT."""
    funded.vault.send(ALICE, "requestWithdraw", USDC, AMOUNT, True)
    funded.evm.advance(DELAY)
    funded.vault.send(STRANGER, "claimWithdraw", 1)
    return funded


def backed(world: World) -> bool:
    supply, reserve = world.cxpt.call("totalSupply"), world.vault.call("cxptReserve")
    return supply == reserve


def test_cash_that_leaves_as_cxpt_moves_into_the_reserve_at_claim(funded: World) -> None:
    funded.vault.send(ALICE, "requestWithdraw", USDC, AMOUNT, True)
    assert (funded.vault.call("cxptReserve"), funded.vault.call("ledgerTotal", USDC)) == (0, 200_000 * ONE_USDC)
    funded.evm.advance(DELAY)
    funded.vault.send(STRANGER, "claimWithdraw", 1)

    assert (funded.vault.call("cxptReserve"), funded.vault.call("ledgerTotal", USDC)) == (AMOUNT, 175_000 * ONE_USDC)
    assert funded.cxpt.call("balanceOf", ALICE) == AMOUNT
    assert funded.usdc.call("balanceOf", ALICE) == 0
    assert funded.usdc.call("balanceOf", funded.vault.address) == 200_000 * ONE_USDC


def test_it_counts_like_usdc(world: World) -> None:
    names = [world.cxpt.call(getter) for getter in ("name", "symbol", "decimals")]
    assert names == ["Cxmpute Token", "CXPT", 6]
    assert world.usdc.call("decimals") == 6


def test_redeeming_gives_the_cash_back_one_to_one(holding: World) -> None:
    name, fields = holding.events(holding.vault.send(ALICE, "redeemCxpt", AMOUNT))[-1]
    assert (name, fields["amount"], fields["balance"]) == ("CxptRedeemed", AMOUNT, 100_000 * ONE_USDC)
    assert holding.cxpt.call("totalSupply") == holding.vault.call("cxptReserve") == 0


def test_cxpt_goes_into_the_vault_and_out_again(holding: World) -> None:
    holding.cxpt.send(ALICE, "approve", holding.vault.address, AMOUNT)
    holding.vault.send(ALICE, "depositAsset", CXPT, AMOUNT)
    assert holding.vault.call("balanceOf", ALICE, CXPT) == AMOUNT
    assert holding.cxpt.call("balanceOf", holding.vault.address) == AMOUNT
    assert backed(holding)

    holding.vault.send(ALICE, "requestWithdraw", CXPT, AMOUNT, False)
    holding.evm.advance(DELAY)
    holding.vault.send(ALICE, "claimWithdraw", 2)
    assert holding.cxpt.call("balanceOf", ALICE) == AMOUNT
    assert backed(holding)


def test_attack_70_a_wallet_can_give_cxpt_to_nobody(holding: World, refuses) -> None:
    for to in (BOB, ALICE, holding.vault.address, holding.cxpt.address):
        with refuses("C:TRANSFER"):
            holding.cxpt.send(ALICE, "transfer", to, 1)
    holding.cxpt.send(ALICE, "approve", BOB, AMOUNT)
    for to in (BOB, holding.vault.address):
        with refuses("C:TRANSFER"):
            holding.cxpt.send(BOB, "transferFrom", ALICE, to, 1)
    holding.cxpt.send(ALICE, "approve", holding.vault.address, AMOUNT)
    with refuses("C:TRANSFER"):
        holding.cxpt.send(holding.vault.address, "transferFrom", ALICE, BOB, 1)
    holding.vault.send(ALICE, "redeemCxpt", AMOUNT)


def test_what_a_wallet_does_not_hold_cannot_be_redeemed(holding: World, refuses) -> None:
    with refuses("T:BALANCE"):
        holding.vault.send(BOB, "redeemCxpt", 1)
    with refuses("V:ZERO"):
        holding.vault.send(ALICE, "redeemCxpt", 0)
    for beyond_the_reserve in (AMOUNT + 1, 2**256 - 1):
        with refuses("T:BALANCE"):
            holding.vault.send(ALICE, "redeemCxpt", beyond_the_reserve)
    assert backed(holding)
