"""Debt positions: 150 % to the unit, a fresh price for what is risky, none for what is safe."""

from __future__ import annotations

from math import ceil

import pytest
from custody_world import ALICE, BOB, ONE_SYNTH, ONE_USDC, PRICES, SBTC, SETH, STALENESS, World
from hypothesis import given, settings
from hypothesis import strategies as st

NEEDED = 90_000 * ONE_USDC  # 150 % of one sBTC


def test_minting_locks_cash_and_announces_every_balance(funded: World) -> None:
    events = funded.events(funded.engine.send(ALICE, "mint", SBTC, ONE_SYNTH, NEEDED))

    account = "0x" + ALICE.hex()
    assert [event for event in events if event[0] != "Transfer"] == [
        ("DebtChanged", {"account": account, "asset": SBTC, "debt": ONE_SYNTH, "collateral": NEEDED}),
        ("CollateralLocked", {"account": account, "amount": NEEDED, "balance": 10_000 * ONE_USDC}),
        (
            "SynthMinted",
            {"account": account, "asset": SBTC, "amount": ONE_SYNTH, "balance": ONE_SYNTH, "supply": ONE_SYNTH},
        ),
    ]
    assert funded.vault.call("collateralTotal") == NEEDED
    assert funded.engine.call("positions", ALICE, SBTC) == (ONE_SYNTH, NEEDED)


def test_the_ratio_is_150_percent_to_the_unit(funded: World, refuses) -> None:
    with refuses("E:RATIO"):
        funded.engine.send(ALICE, "mint", SBTC, ONE_SYNTH, NEEDED - 1)
    funded.engine.send(ALICE, "mint", SBTC, ONE_SYNTH, NEEDED)
    with refuses("E:RATIO"):
        funded.engine.send(ALICE, "mint", SBTC, 1, 0)
    with refuses("E:RATIO"):
        funded.engine.send(ALICE, "withdrawCollateral", SBTC, 1)


def test_the_smallest_debt_needs_a_unit_of_collateral(funded: World, refuses) -> None:
    with refuses("E:RATIO"):
        funded.engine.send(ALICE, "mint", SBTC, 1, 0)
    funded.engine.send(ALICE, "mint", SBTC, 1, 1)


@settings(derandomize=True, deadline=None)
@given(debt=st.integers(1, 10**30), price=st.integers(1, 2**96 - 1))
def test_the_required_collateral_is_rounded_up(debt: int, price: int) -> None:
    world = MODULE_WORLD
    world.evm.advance(1)
    world.report(SBTC, price)
    exact = debt * price * 3
    assert world.engine.call("requiredCollateral", SBTC, debt) == -(-exact // (2 * ONE_SYNTH))
    assert ceil(exact / (2 * ONE_SYNTH)) >= 0  # the reference above is integer arithmetic, never a float


MODULE_WORLD = World().open_markets()


def test_burning_part_frees_its_collateral_and_burning_all_frees_all(funded: World, refuses) -> None:
    funded.engine.send(ALICE, "mint", SBTC, ONE_SYNTH, NEEDED)
    name, fields = funded.events(funded.engine.send(ALICE, "burn", SBTC, ONE_SYNTH // 2))[-1]
    assert (name, fields["balance"], fields["supply"]) == ("SynthBurned", ONE_SYNTH // 2, ONE_SYNTH // 2)
    with refuses("E:RATIO"):
        funded.engine.send(ALICE, "withdrawCollateral", SBTC, NEEDED // 2 + 1)
    funded.engine.send(ALICE, "withdrawCollateral", SBTC, NEEDED // 2)
    funded.engine.send(ALICE, "burn", SBTC, ONE_SYNTH // 2)
    funded.engine.send(ALICE, "withdrawCollateral", SBTC, NEEDED // 2)
    assert funded.cash(ALICE) == 100_000 * ONE_USDC
    assert funded.engine.call("positions", ALICE, SBTC) == (0, 0)


def test_attack_29_a_stale_price_blocks_what_is_risky_and_nothing_else(funded: World, refuses) -> None:
    funded.engine.send(ALICE, "mint", SETH, ONE_SYNTH, 10_000 * ONE_USDC)
    funded.evm.advance(STALENESS + 1)
    with refuses("O:QUORUM"):
        funded.engine.send(ALICE, "mint", SETH, 1, 10_000 * ONE_USDC)
    with refuses("O:QUORUM"):
        funded.engine.send(ALICE, "withdrawCollateral", SETH, 1)
    funded.engine.send(ALICE, "addCollateral", SETH, 1)
    funded.engine.send(ALICE, "burn", SETH, ONE_SYNTH)
    funded.engine.send(ALICE, "withdrawCollateral", SETH, 10_000 * ONE_USDC + 1)
    assert funded.cash(ALICE) == 100_000 * ONE_USDC


def test_a_fall_of_the_price_frees_and_a_rise_binds(funded: World, refuses) -> None:
    funded.engine.send(ALICE, "mint", SBTC, ONE_SYNTH, NEEDED)
    funded.evm.advance(1)
    funded.report(SBTC, PRICES[SBTC] // 2)
    funded.engine.send(ALICE, "withdrawCollateral", SBTC, NEEDED // 2)
    funded.evm.advance(1)
    funded.report(SBTC, PRICES[SBTC])
    with refuses("E:RATIO"):
        funded.engine.send(ALICE, "mint", SBTC, 1, 1)
    funded.engine.send(ALICE, "addCollateral", SBTC, NEEDED // 2)
    funded.engine.send(ALICE, "burn", SBTC, ONE_SYNTH)


def test_positions_are_separate_by_account_and_asset(funded: World, refuses) -> None:
    funded.engine.send(ALICE, "mint", SBTC, ONE_SYNTH, NEEDED)
    with refuses("E:DEBT"):
        funded.engine.send(BOB, "burn", SBTC, 1)
    with refuses("E:DEBT"):
        funded.engine.send(ALICE, "burn", SETH, 1)
    with refuses("E:COLLATERAL"):
        funded.engine.send(BOB, "withdrawCollateral", SBTC, 1)
    with refuses("E:COLLATERAL"):
        funded.engine.send(ALICE, "withdrawCollateral", SETH, 1)


def test_debt_is_paid_back_with_synths_that_the_account_has(funded: World, refuses) -> None:
    funded.engine.send(ALICE, "mint", SETH, ONE_SYNTH, 10_000 * ONE_USDC)
    funded.vault.send(ALICE, "requestWithdraw", SETH, ONE_SYNTH, False)
    with refuses("S:FUNDS"):
        funded.engine.send(ALICE, "burn", SETH, 1)
    with refuses("E:DEBT"):
        funded.engine.send(ALICE, "burn", SETH, ONE_SYNTH + 1)


@pytest.mark.parametrize(
    ("function", "arguments", "code"),
    [
        ("mint", (SBTC, 0, 1), "E:ZERO"),
        ("burn", (SBTC, 0), "E:ZERO"),
        ("addCollateral", (SBTC, 0), "E:ZERO"),
        ("withdrawCollateral", (SBTC, 0), "E:ZERO"),
        ("addCollateral", (4, 1), "E:ASSET"),
        ("addCollateral", (0, 1), "E:ASSET"),
        ("mint", (4, 1, 1), "O:QUORUM"),
        ("mint", (SETH, 1, 100_001 * ONE_USDC), "S:FUNDS"),
    ],
)
def test_nonsense_is_refused(funded: World, refuses, function: str, arguments: tuple, code: str) -> None:
    with refuses(code):
        funded.engine.send(ALICE, function, *arguments)


def test_a_price_for_an_asset_that_does_not_exist_mints_nothing(funded: World, refuses) -> None:
    funded.report(9, 1)
    with refuses("V:ASSET"):
        funded.engine.send(ALICE, "mint", 9, 1, 1)


def test_numbers_that_would_overflow_revert(funded: World, refuses) -> None:
    with refuses(""):
        funded.engine.send(ALICE, "mint", SBTC, 2**256 - 1, 1)
    assert funded.engine.call("positions", ALICE, SBTC) == (0, 0)
