"""Fees: from the ledger into the pocket, from the pocket to ADMIN's recipient or back to traders as CXPT."""

from __future__ import annotations

from typing import Any

import pytest
from custody_world import (
    ADMIN,
    ALICE,
    BOB,
    CAROL,
    CORE,
    CXPT,
    DEPLOYER,
    GUARDIAN,
    ONE_SYNTH,
    ONE_USDC,
    SBTC,
    STRANGER,
    USDC,
    World,
)

from cxdex.eip712 import market_hash
from cxdex.order import Side

MARKET = market_hash("sBTC-USDC")
OTHER_MARKET = market_hash("sETH-USDC")
FEE = 2 * 15_000_000  # 25 bps of 6,000 USDC, from both sides


@pytest.fixture
def traded(funded: World) -> World:
    """Bob has sold Alice a tenth of an sBTC at 60,000 USDC."""
    funded.borrow(BOB, SBTC, ONE_SYNTH, 90_000 * ONE_USDC)
    maker = funded.order(BOB, "sBTC-USDC", Side.SELL, 1_000, 600_000)
    taker = funded.order(ALICE, "sBTC-USDC", Side.BUY, 1_000, 600_000)
    funded.settle(maker, taker, 1_000)
    assert funded.settlement.call("accruedFees", MARKET) == FEE
    return funded


def pockets(world: World) -> tuple[int, int, int, int]:
    """USDC of the Vault: ledger, pocket, reserve, and all there is."""
    vault = world.vault
    held = world.usdc.call("balanceOf", vault.address)
    return vault.call("ledgerTotal", USDC), vault.call("feePocket"), vault.call("cxptReserve"), held


def test_anyone_moves_accrued_fees_into_the_pocket(traded: World) -> None:
    ledger, pocket, reserve, held = pockets(traded)

    logs = traded.vault.send(STRANGER, "collectFees", MARKET)

    assert traded.events(logs) == [("FeesCollected", {"market": MARKET, "amount": FEE, "pocket": FEE})]
    assert pockets(traded) == (ledger - FEE, pocket + FEE, reserve, held)
    assert traded.settlement.call("accruedFees", MARKET) == 0


def test_nothing_is_collected_twice_or_where_nothing_is(traded: World, refuses) -> None:
    traded.vault.send(STRANGER, "collectFees", MARKET)
    for market in (MARKET, OTHER_MARKET):
        with refuses("V:ZERO"):
            traded.vault.send(STRANGER, "collectFees", market)
    with refuses("S:MARKET"):
        traded.vault.send(STRANGER, "collectFees", bytes(32))
    assert traded.vault.call("feePocket") == FEE


def test_admin_takes_fees_out_and_never_more_than_the_pocket(traded: World, refuses) -> None:
    traded.vault.send(STRANGER, "collectFees", MARKET)
    for amount in (FEE + 1, 2**256 - 1):
        with refuses("V:FUNDS"):
            traded.vault.send(ADMIN, "withdrawFees", CAROL, amount)
    logs = traded.vault.send(ADMIN, "withdrawFees", CAROL, FEE - 1)
    fields = [fields for name, fields in traded.events(logs) if name == "FeesWithdrawn"]
    assert fields == [{"recipient": "0x" + CAROL.hex(), "amount": FEE - 1, "pocket": 1}]
    assert traded.usdc.call("balanceOf", CAROL) == FEE - 1
    with refuses("V:FUNDS"):
        traded.vault.send(ADMIN, "withdrawFees", CAROL, 2)


def test_fees_that_were_not_collected_are_not_in_the_pocket(traded: World, refuses) -> None:
    with refuses("V:FUNDS"):
        traded.vault.send(ADMIN, "withdrawFees", CAROL, 1)


def test_taking_fees_does_not_use_up_the_outflow_of_users(traded: World) -> None:
    traded.vault.send(STRANGER, "collectFees", MARKET)
    before = traded.vault.call("outflowWindow")
    traded.vault.send(ADMIN, "withdrawFees", CAROL, FEE)
    assert traded.vault.call("outflowWindow") == before


def test_a_rebate_is_cxpt_in_the_trading_balance_backed_by_the_fees(traded: World) -> None:
    traded.vault.send(STRANGER, "collectFees", MARKET)
    ledger, pocket, reserve, held = pockets(traded)

    logs = traded.vault.send(ADMIN, "payRebates", [ALICE, BOB, ALICE], [3, 4, 5])

    def paid(account: bytes, amount: int, balance: int, left: int) -> dict[str, Any]:
        return {"account": "0x" + account.hex(), "amount": amount, "balance": balance, "pocket": left}

    assert [fields for name, fields in traded.events(logs) if name == "RebatePaid"] == [
        paid(ALICE, 3, 3, FEE - 3),
        paid(BOB, 4, 4, FEE - 7),
        paid(ALICE, 5, 8, FEE - 12),
    ]
    assert pockets(traded) == (ledger, pocket - 12, reserve + 12, held)
    assert traded.cxpt.call("totalSupply") == traded.vault.call("cxptReserve") == 12
    assert traded.cxpt.call("balanceOf", traded.vault.address) == traded.vault.call("ledgerTotal", CXPT) == 12

    traded.leave(ALICE, CXPT, 8)
    traded.vault.send(ALICE, "redeemCxpt", 8)
    assert traded.vault.call("cxptReserve") == 4


def test_rebates_are_paid_whole_or_not_at_all(traded: World, refuses) -> None:
    traded.vault.send(STRANGER, "collectFees", MARKET)
    for accounts, amounts, code in (
        ([ALICE, BOB], [FEE, 1], "V:FUNDS"),
        ([ALICE, BOB], [2**256 - 1, 1], "V:FUNDS"),
        ([ALICE, BOB], [1, 0], "V:ZERO"),
        ([ALICE, BOB], [1], "V:LENGTH"),
        ([], [], "V:LENGTH"),
    ):
        with refuses(code):
            traded.vault.send(ADMIN, "payRebates", accounts, amounts)
    assert (traded.vault.call("feePocket"), traded.vault.call("balanceOf", ALICE, CXPT)) == (FEE, 0)
    traded.vault.send(ADMIN, "payRebates", [ALICE] * 64, [1] * 64)
    with refuses(""):
        traded.vault.send(ADMIN, "payRebates", [ALICE] * 65, [1] * 65)


def test_only_admin_disposes_of_fees_and_of_nothing_else(traded: World, refuses) -> None:
    traded.vault.send(STRANGER, "collectFees", MARKET)
    for other in (GUARDIAN, CORE, ALICE, STRANGER):
        with refuses("V:ADMIN"):
            traded.vault.send(other, "withdrawFees", other, 1)
        with refuses("V:ADMIN"):
            traded.vault.send(other, "payRebates", [other], [1])
    for recipient in (bytes(20), traded.vault.address):
        with refuses("V:RECIPIENT"):
            traded.vault.send(ADMIN, "withdrawFees", recipient, 1)
    with refuses("V:ZERO"):
        traded.vault.send(ADMIN, "withdrawFees", ADMIN, 0)


def test_a_fee_payment_that_usdc_refuses_stays_in_the_pocket(traded: World, refuses) -> None:
    traded.vault.send(STRANGER, "collectFees", MARKET)
    traded.usdc.send(DEPLOYER, "blacklist", CAROL)
    with refuses("A:BLOCKED"):
        traded.vault.send(ADMIN, "withdrawFees", CAROL, FEE)
    assert traded.vault.call("feePocket") == FEE
    traded.vault.send(ADMIN, "withdrawFees", BOB, FEE)
