"""Debt positions: 150 % to the unit, a fresh price for what is risky, none for what is safe, a cap on all of it."""

from __future__ import annotations

import pytest
from custody_world import (
    ALICE,
    BOB,
    GATEWAY,
    GUARDIAN,
    ONE_SYNTH,
    ONE_USDC,
    PRICES,
    SBTC,
    SETH,
    STALENESS,
    USDC,
    World,
)
from debt_desk import (
    DAY,
    FILLS,
    NEEDED,
    FillWorld,
    announced,
    asset_of,
    lift_cap,
    position,
    set_price,
    text,
    timelock,
    wallet,
)
from hypothesis import given, settings
from hypothesis import strategies as st

MAX_AMOUNT = 2**128 - 1


def test_minting_locks_cash_of_the_wallet_and_announces_every_balance(funded: World) -> None:
    funded.give(ALICE, NEEDED)
    logs = funded.engine.send(ALICE, "mint", SBTC, ONE_SYNTH, NEEDED)

    account = text(ALICE)
    assert announced(funded, logs) == [
        ("CollateralLocked", {"account": account, "amount": NEEDED, "total": NEEDED}),
        ("DebtChanged", {"account": account, "asset": SBTC, "debt": ONE_SYNTH, "collateral": NEEDED}),
        (
            "SynthMinted",
            {"account": account, "asset": SBTC, "amount": ONE_SYNTH, "balance": ONE_SYNTH, "supply": ONE_SYNTH},
        ),
    ]
    assert funded.vault.call("collateralTotal") == NEEDED
    assert position(funded, ALICE) == (ONE_SYNTH, NEEDED)
    assert wallet(funded, ALICE, USDC) == 0
    assert funded.cash(ALICE) == 100_000 * ONE_USDC


def test_the_trading_balance_is_never_taken_for_a_position(funded: World, refuses) -> None:
    """What is matched and not settled yet must not be withdrawn from under it."""
    with refuses("T:ALLOWANCE"):
        funded.engine.send(ALICE, "mint", SBTC, ONE_SYNTH, NEEDED)
    with refuses("T:ALLOWANCE"):
        funded.engine.send(ALICE, "addCollateral", SBTC, 1)
    funded.borrow(ALICE, SBTC, ONE_SYNTH, NEEDED)
    with refuses("T:ALLOWANCE"):
        funded.engine.send(ALICE, "burn", SBTC, 1)
    with refuses("T:ALLOWANCE"):
        funded.engine.send(ALICE, "requestRedemption", SBTC, 1, 300)
    assert funded.vault.call("balanceOf", ALICE, SBTC) == ONE_SYNTH


def test_the_ratio_is_150_percent_to_the_unit(funded: World, refuses) -> None:
    funded.give(ALICE, NEEDED)
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
    funded.borrow(ALICE, SBTC, 1, 1)


def test_the_smallest_debt_binds_collateral(funded: World, refuses) -> None:
    funded.borrow(ALICE, SBTC, 1, 1)
    with refuses("E:RATIO"):
        funded.engine.send(ALICE, "withdrawCollateral", SBTC, 1)
    assert position(funded, ALICE) == (1, 1)


def test_a_single_unit_of_collateral_is_locked(funded: World) -> None:
    funded.borrow(ALICE, SBTC, ONE_SYNTH, NEEDED + 1)
    funded.give(ALICE, 1)
    funded.engine.send(ALICE, "mint", SBTC, 1, 1)
    assert position(funded, ALICE) == (ONE_SYNTH + 1, NEEDED + 2)
    assert (wallet(funded, ALICE, USDC), funded.vault.call("collateralTotal")) == (0, NEEDED + 2)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(debt=st.integers(1, 10**30), price=st.integers(1, 2**80 - 1))
def test_the_required_collateral_is_rounded_up(debt: int, price: int) -> None:
    world = MODULE_WORLD
    set_price(world, price)
    assert world.engine.call("requiredCollateral", SBTC, debt) == -(-debt * price * 3 // (2 * ONE_SYNTH))


MODULE_WORLD = World().open_markets()


def test_burning_part_frees_its_collateral_and_burning_all_frees_all(funded: World, refuses) -> None:
    funded.borrow(ALICE, SBTC, ONE_SYNTH, NEEDED)
    funded.to_wallet(ALICE, SBTC, ONE_SYNTH)
    logs = funded.engine.send(ALICE, "burn", SBTC, ONE_SYNTH // 2)
    half = ONE_SYNTH // 2
    assert announced(funded, logs) == [
        ("DebtChanged", {"account": text(ALICE), "asset": SBTC, "debt": half, "collateral": NEEDED}),
        ("SynthBurned", {"owner": text(ALICE), "asset": SBTC, "amount": half, "supply": half}),
    ]
    with refuses("E:RATIO"):
        funded.engine.send(ALICE, "withdrawCollateral", SBTC, NEEDED // 2 + 1)
    funded.engine.send(ALICE, "withdrawCollateral", SBTC, NEEDED // 2)
    funded.engine.send(ALICE, "burn", SBTC, half)
    funded.engine.send(ALICE, "withdrawCollateral", SBTC, NEEDED // 2)
    assert funded.cash(ALICE) == 100_000 * ONE_USDC + NEEDED
    assert position(funded, ALICE) == (0, 0)
    assert asset_of(funded)["debt"] == asset_of(funded)["indebted"] == 0


def test_released_collateral_arrives_in_the_trading_balance(funded: World) -> None:
    funded.borrow(ALICE, SETH, ONE_SYNTH, 10_000 * ONE_USDC)
    logs = funded.engine.send(ALICE, "withdrawCollateral", SETH, 5_500 * ONE_USDC)
    assert funded.events(logs) == [
        ("DebtChanged", {"account": text(ALICE), "asset": SETH, "debt": ONE_SYNTH, "collateral": 4_500 * ONE_USDC}),
        (
            "CollateralReleased",
            {
                "account": text(ALICE),
                "amount": 5_500 * ONE_USDC,
                "balance": 105_500 * ONE_USDC,
                "total": 4_500 * ONE_USDC,
            },
        ),
    ]


def test_attack_29_a_stale_price_blocks_what_is_risky_and_nothing_else(funded: World, refuses) -> None:
    funded.borrow(ALICE, SETH, ONE_SYNTH, 10_000 * ONE_USDC)
    funded.to_wallet(ALICE, SETH, ONE_SYNTH)
    funded.give(ALICE, 2)
    funded.evm.advance(STALENESS + 1)
    for door, arguments in {
        "mint": (SETH, 1, 1),
        "withdrawCollateral": (SETH, 1),
        "liquidate": (BOB, SETH, 1),
        "takeOver": (BOB, SETH, 1, 1),
        "requiredCollateral": (SETH, 1),
    }.items():
        with refuses("O:STALE"):
            funded.engine.send(ALICE, door, *arguments)
    funded.engine.send(ALICE, "addCollateral", SETH, 1)
    funded.engine.send(ALICE, "requestRedemption", SETH, ONE_SYNTH // 2, 300)
    funded.engine.send(ALICE, "cancelRedemption", 1)
    funded.to_wallet(ALICE, SETH, ONE_SYNTH // 2)
    funded.synths[SETH].send(ALICE, "approve", funded.vault.address, ONE_SYNTH)
    funded.engine.send(ALICE, "burn", SETH, ONE_SYNTH)
    funded.engine.send(ALICE, "withdrawCollateral", SETH, 10_000 * ONE_USDC + 1)
    assert funded.cash(ALICE) == 110_000 * ONE_USDC + 1


def test_a_fall_of_the_price_frees_and_a_rise_binds(funded: World, refuses) -> None:
    funded.borrow(ALICE, SBTC, ONE_SYNTH, NEEDED)
    funded.to_wallet(ALICE, SBTC, ONE_SYNTH)
    set_price(funded, PRICES[SBTC] // 2)
    funded.engine.send(ALICE, "withdrawCollateral", SBTC, NEEDED // 2)
    set_price(funded, PRICES[SBTC])
    funded.give(ALICE, NEEDED // 2)
    with refuses("E:RATIO"):
        funded.engine.send(ALICE, "mint", SBTC, 1, 1)
    funded.engine.send(ALICE, "addCollateral", SBTC, NEEDED // 2)
    funded.engine.send(ALICE, "burn", SBTC, ONE_SYNTH)


def test_positions_are_separate_by_account_and_asset(funded: World, refuses) -> None:
    funded.borrow(ALICE, SBTC, ONE_SYNTH, NEEDED)
    for account, asset in ((BOB, SBTC), (ALICE, SETH)):
        with refuses("E:DEBT"):
            funded.engine.send(account, "burn", asset, 1)
        with refuses("E:COLLATERAL"):
            funded.engine.send(account, "withdrawCollateral", asset, 1)


def test_debt_is_paid_back_with_synths_that_the_wallet_has(funded: World, refuses) -> None:
    funded.borrow(ALICE, SETH, ONE_SYNTH, 10_000 * ONE_USDC)
    funded.synths[SETH].send(ALICE, "approve", funded.vault.address, ONE_SYNTH)
    with refuses("T:BALANCE"):
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
        ("mint", (4, 1, 1), "E:ASSET"),
        ("burn", (4, 1), "E:ASSET"),
        ("addCollateral", (4, 1), "E:ASSET"),
        ("addCollateral", (0, 1), "E:ASSET"),
        ("mint", (SETH, 1, 1), "T:ALLOWANCE"),
        ("mint", (SETH, 2**256 - 1, 1), "E:CAP"),
    ],
)
def test_nonsense_is_refused(funded: World, refuses, function: str, arguments: tuple, code: str) -> None:
    with refuses(code):
        funded.engine.send(ALICE, function, *arguments)
    assert position(funded, ALICE) == position(funded, ALICE, SETH) == (0, 0)


def test_numbers_that_would_overflow_revert(funded: World, refuses) -> None:
    """A position is a word of two halves; neither may reach into the other."""
    lift_cap(funded)
    set_price(funded, 1)
    with refuses("E:CAP"):
        funded.engine.send(ALICE, "mint", SBTC, MAX_AMOUNT + 1, 0)
    funded.give(ALICE, MAX_AMOUNT + 1)
    with refuses("E:RANGE"):
        funded.engine.send(ALICE, "addCollateral", SBTC, MAX_AMOUNT + 1)
    assert position(funded, ALICE) == (0, 0)
    funded.engine.send(ALICE, "addCollateral", SBTC, MAX_AMOUNT)
    funded.give(ALICE, 1)
    with refuses("E:RANGE"):
        funded.engine.send(ALICE, "addCollateral", SBTC, 1)
    funded.engine.send(ALICE, "mint", SBTC, MAX_AMOUNT, 0)
    assert position(funded, ALICE) == (MAX_AMOUNT, MAX_AMOUNT)


def test_attack_57_the_largest_debt_at_the_largest_price_is_liquidated_and_ended_like_any_other(world: World) -> None:
    lift_cap(world)
    set_price(world, 1)
    world.borrow(ALICE, SBTC, MAX_AMOUNT, 2**103)
    world.to_wallet(ALICE, SBTC, MAX_AMOUNT)
    set_price(world, 2**80 - 1)
    world.engine.send(ALICE, "liquidate", ALICE, SBTC, MAX_AMOUNT // 2)
    world.engine.send(timelock(world), "windDown", SBTC)
    world.engine.send(BOB, "processPositions", SBTC, [ALICE])
    world.engine.send(ALICE, "claimWound", SBTC, MAX_AMOUNT - MAX_AMOUNT // 2)
    assert position(world, ALICE) == (0, 0)
    assert 2**103 - 1 <= world.cash(ALICE) <= 2**103


# ------------------------------------------------------------------ caps


def test_gateway_opens_an_asset_once(world: World, refuses) -> None:
    world.factory.send(GATEWAY, "createSynth", "Synthetic Gold", "sXAU")
    asset = world.vault.call("synthCount") + 1
    with refuses("E:CAP"):
        world.engine.send(GATEWAY, "openAsset", asset, MAX_AMOUNT + 1)
    assert world.events(world.engine.send(GATEWAY, "openAsset", asset, MAX_AMOUNT)) == [
        ("AssetOpened", {"asset": asset, "cap": MAX_AMOUNT})
    ]
    for again in (asset, asset + 1, USDC):
        with refuses("E:ASSET"):
            world.engine.send(GATEWAY, "openAsset", again, 1)


def test_invariant_21_nobody_mints_past_the_cap(funded: World, refuses) -> None:
    cap = asset_of(funded)["cap"]
    funded.engine.send(GUARDIAN, "lowerCap", SBTC, ONE_SYNTH)
    funded.borrow(ALICE, SBTC, ONE_SYNTH - 1, NEEDED)
    with refuses("E:CAP"):
        funded.borrow(BOB, SBTC, 2, 1)
    funded.borrow(BOB, SBTC, 1, 1)
    logs = funded.engine.send(timelock(funded), "raiseCap", SBTC, ONE_SYNTH + 1)
    assert funded.events(logs) == [("CapChanged", {"asset": SBTC, "previous": ONE_SYNTH, "cap": ONE_SYNTH + 1})]
    funded.borrow(BOB, SBTC, 1, 1)
    assert asset_of(funded)["debt"] == ONE_SYNTH + 1 < cap


def test_a_cap_below_the_supply_stops_mints_and_nothing_else(funded: World, refuses) -> None:
    funded.borrow(ALICE, SBTC, ONE_SYNTH, NEEDED)
    funded.to_wallet(ALICE, SBTC, ONE_SYNTH)
    funded.engine.send(GUARDIAN, "lowerCap", SBTC, 0)
    with refuses("E:CAP"):
        funded.borrow(BOB, SBTC, 1, 1)
    funded.engine.send(ALICE, "burn", SBTC, ONE_SYNTH)
    funded.engine.send(ALICE, "withdrawCollateral", SBTC, NEEDED)


def test_caps_move_only_in_the_direction_of_the_role(funded: World, refuses) -> None:
    cap = asset_of(funded)["cap"]
    for role, function, value in (
        (GUARDIAN, "lowerCap", cap),
        (GUARDIAN, "lowerCap", cap + 1),
        (timelock(funded), "raiseCap", cap),
        (timelock(funded), "raiseCap", MAX_AMOUNT + 1),
    ):
        with refuses("E:CAP"):
            funded.engine.send(role, function, SBTC, value)
    with refuses("E:ASSET"):
        funded.engine.send(timelock(funded), "raiseCap", 9, 1)


# ------------------------------------------------------------------ brake


def test_a_pause_stops_minting_and_nothing_else(funded: World, refuses) -> None:
    funded.borrow(ALICE, SBTC, ONE_SYNTH, NEEDED)
    funded.to_wallet(ALICE, SBTC, ONE_SYNTH)
    funded.give(ALICE, 1)
    funded.engine.send(GUARDIAN, "pause", 3 * DAY)
    with refuses("B:PAUSED"):
        funded.engine.send(ALICE, "mint", SBTC, 1, 1)
    funded.engine.send(ALICE, "addCollateral", SBTC, 1)
    funded.engine.send(ALICE, "withdrawCollateral", SBTC, 1)
    funded.engine.send(ALICE, "requestRedemption", SBTC, ONE_SYNTH // 2, 300)
    funded.engine.send(ALICE, "cancelRedemption", 1)
    funded.engine.send(ALICE, "burn", SBTC, ONE_SYNTH // 2)
    funded.evm.advance(3 * DAY)
    set_price(funded, PRICES[SBTC])
    funded.give(ALICE, 1)
    funded.engine.send(ALICE, "mint", SBTC, 1, 1)


def test_attack_67_everybody_gets_out_of_a_paused_engine_with_a_dead_oracle(funded: World) -> None:
    """A debtor who holds the synths burns them; nothing that this needs can be refused."""
    funded.borrow(ALICE, SBTC, ONE_SYNTH, NEEDED)
    funded.engine.send(GUARDIAN, "pause", 3 * DAY)
    funded.engine.send(GUARDIAN, "lowerCap", SBTC, 0)
    funded.evm.advance(STALENESS + 1)
    funded.to_wallet(ALICE, SBTC, ONE_SYNTH)
    funded.engine.send(ALICE, "burn", SBTC, ONE_SYNTH)
    funded.engine.send(ALICE, "withdrawCollateral", SBTC, NEEDED)
    funded.leave(ALICE, USDC, 100_000 * ONE_USDC + NEEDED)
    assert wallet(funded, ALICE, USDC) == 100_000 * ONE_USDC + NEEDED


# ------------------------------------------------------------------ fills that mint


@pytest.fixture
def shop() -> World:
    """FILLS is Settlement for the engine. It has no ledger, so tests end where the engine has booked and minted."""
    return FillWorld().open_markets()


def test_a_fill_books_its_proceeds_and_as_much_cash_as_150_percent_needs(shop: World) -> None:
    proceeds = 60_000 * ONE_USDC
    logs = shop.engine.send(FILLS, "mintForFill", ALICE, SBTC, ONE_SYNTH, proceeds, NEEDED)
    account = text(ALICE)
    assert announced(shop, logs) == [
        ("DebtChanged", {"account": account, "asset": SBTC, "debt": ONE_SYNTH, "collateral": NEEDED}),
        (
            "SynthMinted",
            {"account": account, "asset": SBTC, "amount": ONE_SYNTH, "balance": ONE_SYNTH, "supply": ONE_SYNTH},
        ),
    ]


def test_a_fill_books_no_more_than_the_order_signed(shop: World, refuses) -> None:
    with refuses("E:TOPUP"):
        shop.engine.send(FILLS, "mintForFill", ALICE, SBTC, ONE_SYNTH, 60_000 * ONE_USDC, NEEDED - 1)
    with refuses("E:TOPUP"):
        shop.engine.send(FILLS, "mintForFill", ALICE, SBTC, ONE_SYNTH, NEEDED + 1, NEEDED)
    assert position(shop, ALICE) == (0, 0)


def test_collateral_that_is_there_already_counts_and_proceeds_always_become_collateral(shop: World) -> None:
    shop.give(ALICE, NEEDED)
    shop.engine.send(ALICE, "addCollateral", SBTC, NEEDED)
    shop.engine.send(FILLS, "mintForFill", ALICE, SBTC, ONE_SYNTH, 0, 0)
    assert position(shop, ALICE) == (ONE_SYNTH, NEEDED)
    shop.engine.send(FILLS, "mintForFill", ALICE, SBTC, 10**7, 0, 1)
    assert position(shop, ALICE) == (ONE_SYNTH + 10**7, NEEDED + 1)
    shop.engine.send(FILLS, "mintForFill", ALICE, SBTC, 10**7, 5_000, 5_000)
    assert position(shop, ALICE) == (ONE_SYNTH + 2 * 10**7, NEEDED + 5_001)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((ALICE, SBTC, 0, 1, 1), "E:ZERO"),
        ((ALICE, 9, 1, 1, 1), "E:ASSET"),
        ((ALICE, SBTC, MAX_AMOUNT, 0, 2**64 - 1), "E:CAP"),
        ((ALICE, SBTC, MAX_AMOUNT + 1, 0, 2**64 - 1), "E:CAP"),
        ((ALICE, SBTC, 1, MAX_AMOUNT + 1, 2**256 - 1), "E:RANGE"),
    ],
)
def test_a_fill_that_cannot_mint_changes_nothing(shop: World, refuses, arguments: tuple, code: str) -> None:
    with refuses(code):
        shop.engine.send(FILLS, "mintForFill", *arguments)
    assert position(shop, ALICE) == (0, 0)


def test_a_fill_mints_nothing_while_paused_or_without_a_price(shop: World, refuses) -> None:
    shop.engine.send(GUARDIAN, "pause", 60)
    with refuses("B:PAUSED"):
        shop.engine.send(FILLS, "mintForFill", ALICE, SBTC, 1, 1, 1)
    shop.evm.advance(STALENESS + 1)
    with refuses("O:STALE"):
        shop.engine.send(FILLS, "mintForFill", ALICE, SBTC, 1, 1, 1)
