"""What the Vault does when the SynthEngine, or Settlement in a fill, tells it to: exact sums, events and refusals.

The callers are played here, because the Vault must hold its sums whatever they ask. Who may call: test_privileges.
"""

from __future__ import annotations

from typing import Any

import pytest
from custody_world import ALICE, BOB, ONE_SYNTH, ONE_USDC, SBTC, SETH, USDC, World

AMOUNT = 1_000 * ONE_USDC
A_THIRD = ONE_SYNTH // 3


@pytest.fixture
def holding(funded: World) -> World:
    """Alice has one sBTC in her wallet, allowed to the Vault, against 90,000 USDC; and 100,000 USDC inside."""
    funded.borrow(ALICE, SBTC, ONE_SYNTH, 90_000 * ONE_USDC)
    funded.to_wallet(ALICE, SBTC, ONE_SYNTH)
    return funded


def by_engine(world: World, function: str, *arguments: Any) -> list[tuple[str, dict[str, Any]]]:
    """The Vault's own events."""
    logs = world.vault.send(world.engine.address, function, *arguments)
    return [event for event in world.events(logs) if event[0] not in ("Transfer", "Approval")]


def cash_sums(world: World) -> tuple[int, int, int]:
    """Ledger, collateral, and all USDC that the Vault holds."""
    held = world.usdc.call("balanceOf", world.vault.address)
    return world.vault.call("ledgerTotal", USDC), world.vault.call("collateralTotal"), held


def synth_sums(world: World) -> tuple[int, int, int, int]:
    """Ledger, escrow, all that the Vault holds, and supply."""
    token, vault = world.synths[SBTC], world.vault
    held = token.call("balanceOf", vault.address)
    return vault.call("ledgerTotal", SBTC), vault.call("escrowTotal", SBTC), held, token.call("totalSupply")


def test_collateral_comes_out_of_the_wallet(holding: World, refuses) -> None:
    ledger, collateral, held = cash_sums(holding)
    holding.give(BOB, AMOUNT)
    with refuses("T:BALANCE"):
        holding.usdc.send(BOB, "approve", holding.vault.address, AMOUNT + 1)
        by_engine(holding, "lockCollateral", BOB, AMOUNT + 1)

    events = by_engine(holding, "lockCollateral", BOB, AMOUNT)

    total = collateral + AMOUNT
    assert events == [("CollateralLocked", {"account": "0x" + BOB.hex(), "amount": AMOUNT, "total": total})]
    assert cash_sums(holding) == (ledger, total, held + AMOUNT)
    assert (holding.cash(BOB), holding.usdc.call("balanceOf", BOB)) == (100_000 * ONE_USDC, 0)


def test_attack_54_collateral_that_loses_a_fee_counts_as_received() -> None:
    world = World("HostileUSDC").open_markets()
    world.usdc.send(ALICE, "setFee", 100)
    world.give(ALICE, AMOUNT)
    (event,) = by_engine(world, "lockCollateral", ALICE, AMOUNT)
    received = AMOUNT * 99 // 100
    assert event[1]["amount"] == event[1]["total"] == world.vault.call("collateralTotal") == received
    assert world.usdc.call("balanceOf", world.vault.address) == received


def test_the_engine_is_told_what_arrived() -> None:
    world = World("HostileUSDC").open_markets()
    world.usdc.send(ALICE, "setFee", 100)
    world.give(ALICE, AMOUNT)
    data = world.vault.encode("lockCollateral", ALICE, AMOUNT)
    answer = world.evm.answer(world.engine.address, world.vault.address, data)
    assert int.from_bytes(answer, "big") == AMOUNT * 99 // 100


def test_attack_55_collateral_that_a_token_only_claims_to_have_sent_is_refused(refuses) -> None:
    world = World("HostileUSDC").open_markets()
    world.give(ALICE, AMOUNT)
    world.usdc.send(ALICE, "setLies", True)
    with refuses("V:TRANSFER"):
        by_engine(world, "lockCollateral", ALICE, AMOUNT)


def test_released_collateral_is_cash_and_never_more_than_there_is(holding: World, refuses) -> None:
    ledger, collateral, held = cash_sums(holding)
    for amount in (collateral + 1, 2**256 - 1):
        with refuses("V:FUNDS"):
            by_engine(holding, "releaseCollateral", BOB, amount)

    events = by_engine(holding, "releaseCollateral", BOB, collateral)

    balance = 100_000 * ONE_USDC + collateral
    fields = {"account": "0x" + BOB.hex(), "amount": collateral, "balance": balance, "total": 0}
    assert events == [("CollateralReleased", fields)]
    assert cash_sums(holding) == (ledger + collateral, 0, held)
    assert holding.cash(BOB) == balance


def test_proceeds_of_a_fill_move_from_the_ledger_to_the_collateral(holding: World, refuses) -> None:
    """Settlement has debited them already: the Vault changes its sums and asks nobody."""
    ledger, collateral, held = cash_sums(holding)
    logs = holding.vault.send(holding.settlement.address, "lockProceeds", ALICE, AMOUNT, 7)
    total = collateral + AMOUNT
    fields = {"account": "0x" + ALICE.hex(), "amount": AMOUNT, "balance": 7, "total": total}
    assert holding.events(logs) == [("ProceedsLocked", fields)]
    assert cash_sums(holding) == (ledger - AMOUNT, total, held)
    with refuses("V:ENGINE"):
        holding.vault.send(holding.settlement.address, "lockCollateral", ALICE, 1)
    with refuses("V:SETTLEMENT"):
        by_engine(holding, "lockProceeds", ALICE, 1, 0)


def test_synths_are_made_inside_and_burnt_in_the_wallet(holding: World, refuses) -> None:
    minted = by_engine(holding, "mintSynth", SBTC, BOB, 5)
    fields = {"account": "0x" + BOB.hex(), "asset": SBTC, "amount": 5, "balance": 5, "supply": ONE_SYNTH + 5}
    assert minted == [("SynthMinted", fields)]
    assert synth_sums(holding) == (5, 0, 5, ONE_SYNTH + 5)

    for owner, code in ((ALICE, "T:ALLOWANCE"), (BOB, "T:ALLOWANCE")):
        with refuses(code):
            by_engine(holding, "burnSynth", SBTC, owner, ONE_SYNTH + 1)
    burnt = by_engine(holding, "burnSynth", SBTC, ALICE, A_THIRD)
    fields = {"owner": "0x" + ALICE.hex(), "asset": SBTC, "amount": A_THIRD, "supply": ONE_SYNTH + 5 - A_THIRD}
    assert burnt == [("SynthBurned", fields)]
    assert synth_sums(holding) == (5, 0, 5, ONE_SYNTH + 5 - A_THIRD)
    assert holding.vault.call("balanceOf", BOB, SBTC) == 5


def test_an_escrow_is_burnt_or_returned_and_nobodys_balance_meanwhile(holding: World) -> None:
    events = by_engine(holding, "escrowSynth", SBTC, ALICE, ONE_SYNTH)
    fields = {"owner": "0x" + ALICE.hex(), "asset": SBTC, "amount": ONE_SYNTH}
    assert events == [("SynthEscrowed", fields)]
    assert synth_sums(holding) == (0, ONE_SYNTH, ONE_SYNTH, ONE_SYNTH)
    assert holding.vault.call("balanceOf", ALICE, SBTC) == 0

    events = by_engine(holding, "burnEscrow", SBTC, A_THIRD)
    left = ONE_SYNTH - A_THIRD
    assert events == [("EscrowBurned", {"asset": SBTC, "amount": A_THIRD, "supply": left})]
    assert synth_sums(holding) == (0, left, left, left)

    events = by_engine(holding, "returnEscrow", SBTC, BOB, A_THIRD)
    fields = {"account": "0x" + BOB.hex(), "asset": SBTC, "amount": A_THIRD, "balance": A_THIRD}
    assert events == [("EscrowReturned", fields)]
    assert synth_sums(holding) == (A_THIRD, left - A_THIRD, left, left)


def test_attack_66_the_engine_cannot_burn_or_return_what_is_not_in_escrow(holding: World, refuses) -> None:
    """Not the synths of a trading balance, and not the escrow of another synth."""
    by_engine(holding, "mintSynth", SBTC, BOB, ONE_SYNTH)
    by_engine(holding, "mintSynth", SETH, BOB, ONE_SYNTH)
    by_engine(holding, "escrowSynth", SBTC, ALICE, 5)
    for asset, amount in ((SBTC, 6), (SETH, 1), (SBTC, 2**256 - 1)):
        with refuses("V:FUNDS"):
            by_engine(holding, "burnEscrow", asset, amount)
        with refuses("V:FUNDS"):
            by_engine(holding, "returnEscrow", asset, ALICE, amount)
    assert holding.vault.call("balanceOf", BOB, SBTC) == holding.vault.call("balanceOf", BOB, SETH) == ONE_SYNTH


@pytest.mark.parametrize("asset", [USDC, 1, 4, 2**96 + SBTC])
def test_only_a_synth_is_minted_burnt_or_held_in_escrow(holding: World, refuses, asset: int) -> None:
    for function, arguments in (
        ("mintSynth", (asset, ALICE, 1)),
        ("burnSynth", (asset, ALICE, 1)),
        ("escrowSynth", (asset, ALICE, 1)),
        ("burnEscrow", (asset, 0)),
    ):
        with refuses("V:ASSET"):
            by_engine(holding, function, *arguments)
    with refuses("V:FUNDS"):
        by_engine(holding, "returnEscrow", asset, ALICE, 1)


def test_the_breaker_counts_nothing_of_all_this(holding: World) -> None:
    before = holding.vault.call("outflowWindow")[1]
    holding.give(BOB, 10**12)
    by_engine(holding, "lockCollateral", BOB, 10**12)
    by_engine(holding, "releaseCollateral", BOB, 10**12)
    assert holding.vault.call("outflowWindow")[1] == before
