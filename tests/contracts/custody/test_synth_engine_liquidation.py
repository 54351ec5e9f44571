"""Liquidation below 125 %: by burning or by taking over, never worse for the position, never in its owner's hands."""

from __future__ import annotations

import pytest
from custody_world import ALICE, BOB, CAROL, GUARDIAN, ONE_SYNTH, ONE_USDC, SBTC, STALENESS, USDC, World
from debt_desk import (
    DAY,
    NEEDED,
    announced,
    asset_of,
    give_synths,
    lift_cap,
    position,
    set_price,
    text,
    wallet,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.batch import SkipReason
from cxdex.order import Side, SignatureKind, SignedOrder

# Alice owes one sBTC behind 90,000 USDC: below 125 % from a price above 72,000, below 105 % above 85,714.29.
HEALTHY = 72_000 * ONE_USDC
UNHEALTHY = 75_000 * ONE_USDC  # 120 %
THIN = 88_000 * ONE_USDC  # 102 %
UNDER_WATER = 100_000 * ONE_USDC
BURNT, TAKEN_OVER = 0, 1
REENTERS = 8  # a mode of HostileWallet: it calls somebody, and accepts if that call went through
LOTS, TICKS = 1_000, 750_000  # a tenth of an sBTC at 75,000


@pytest.fixture
def market(funded: World) -> World:
    """Alice owes one sBTC at 150 %; Bob has two in his wallet."""
    funded.borrow(ALICE, SBTC, ONE_SYNTH, NEEDED)
    give_synths(funded, BOB, 2 * ONE_SYNTH)
    return funded


def test_a_burn_pays_105_percent_and_leaves_the_rest_to_the_owner(market: World) -> None:
    set_price(market, UNHEALTHY)
    cash, total = market.cash(BOB), market.vault.call("collateralTotal")
    debt = asset_of(market)["debt"]
    paid = 31_500 * ONE_USDC  # 0.4 * 75,000 * 105 %
    logs = market.engine.send(BOB, "liquidate", ALICE, SBTC, 4 * ONE_SYNTH // 10)
    left = (6 * ONE_SYNTH // 10, NEEDED - paid)
    assert announced(market, logs) == [
        ("DebtChanged", {"account": text(ALICE), "asset": SBTC, "debt": left[0], "collateral": left[1]}),
        (
            "Liquidated",
            {
                "account": text(ALICE),
                "asset": SBTC,
                "liquidator": text(BOB),
                "debt": 4 * ONE_SYNTH // 10,
                "collateral": paid,
                "kind": BURNT,
            },
        ),
        (
            "SynthBurned",
            {"owner": text(BOB), "asset": SBTC, "amount": 4 * ONE_SYNTH // 10, "supply": debt - 4 * ONE_SYNTH // 10},
        ),
        ("CollateralReleased", {"account": text(BOB), "amount": paid, "balance": cash + paid, "total": total - paid}),
    ]
    assert position(market, ALICE) == left
    assert wallet(market, BOB, SBTC) == 16 * ONE_SYNTH // 10
    assert asset_of(market)["debt"] == debt - 4 * ONE_SYNTH // 10


def test_what_is_healed_by_a_part_is_not_liquidated_further(market: World, refuses) -> None:
    set_price(market, UNHEALTHY)
    market.engine.send(BOB, "liquidate", ALICE, SBTC, ONE_SYNTH // 4)
    assert position(market, ALICE) == (3 * ONE_SYNTH // 4, 3 * 75_000 * ONE_USDC // 4 * 125 // 100)
    with refuses("E:HEALTHY"):
        market.engine.send(BOB, "liquidate", ALICE, SBTC, 1)


def test_the_whole_debt_burnt_leaves_collateral_that_the_owner_takes(market: World) -> None:
    set_price(market, UNHEALTHY)
    market.engine.send(BOB, "liquidate", ALICE, SBTC, ONE_SYNTH)
    left = NEEDED - 78_750 * ONE_USDC
    assert position(market, ALICE) == (0, left)
    assert asset_of(market)["indebted"] == 1  # Bob's
    market.engine.send(ALICE, "withdrawCollateral", SBTC, left)
    assert market.cash(ALICE) == 100_000 * ONE_USDC + left


def test_a_takeover_moves_debt_and_105_percent_and_needs_no_synths(market: World) -> None:
    set_price(market, UNHEALTHY)
    debt = asset_of(market)["debt"]
    seized, topped_up = 78_750 * ONE_USDC, 33_750 * ONE_USDC  # 105 %, and what is missing to 150 %
    market.give(CAROL, topped_up)
    logs = market.engine.send(CAROL, "takeOver", ALICE, SBTC, ONE_SYNTH, topped_up)
    assert announced(market, logs) == [
        ("DebtChanged", {"account": text(ALICE), "asset": SBTC, "debt": 0, "collateral": NEEDED - seized}),
        (
            "CollateralLocked",
            {"account": text(CAROL), "amount": topped_up, "total": market.vault.call("collateralTotal")},
        ),
        ("DebtChanged", {"account": text(CAROL), "asset": SBTC, "debt": ONE_SYNTH, "collateral": seized + topped_up}),
        (
            "Liquidated",
            {
                "account": text(ALICE),
                "asset": SBTC,
                "liquidator": text(CAROL),
                "debt": ONE_SYNTH,
                "collateral": seized,
                "kind": TAKEN_OVER,
            },
        ),
    ]
    assert asset_of(market)["debt"] == debt
    assert asset_of(market)["indebted"] == 2


@pytest.mark.parametrize("paid", [0, 1, 2])
def test_a_liquidator_is_paid_to_the_last_unit(market: World, paid: int) -> None:
    set_price(market, UNHEALTHY)
    cash, inside = market.cash(BOB), market.vault.call("collateralTotal")
    debt = -(-paid * ONE_SYNTH * 100 // (UNHEALTHY * 105)) or 1
    market.engine.send(BOB, "liquidate", ALICE, SBTC, debt)
    assert position(market, ALICE) == (ONE_SYNTH - debt, NEEDED - paid)
    assert (market.cash(BOB), market.vault.call("collateralTotal")) == (cash + paid, inside - paid)


def test_a_takeover_locks_a_single_unit_when_asked_to(market: World) -> None:
    set_price(market, UNHEALTHY)
    debt, collateral = position(market, BOB)
    market.give(BOB, 1)
    inside = market.vault.call("collateralTotal")
    market.engine.send(BOB, "takeOver", ALICE, SBTC, 1, 1)
    assert position(market, BOB) == (debt + 1, collateral + 1)
    assert market.vault.call("collateralTotal") == inside + 1


def test_a_takeover_adds_to_the_position_that_the_liquidator_has(market: World) -> None:
    set_price(market, UNHEALTHY)
    debt, collateral = position(market, BOB)
    market.engine.send(BOB, "takeOver", ALICE, SBTC, ONE_SYNTH // 2, 0)
    assert position(market, BOB) == (debt + ONE_SYNTH // 2, collateral + 39_375 * ONE_USDC)
    assert position(market, ALICE) == (ONE_SYNTH // 2, NEEDED - 39_375 * ONE_USDC)
    assert asset_of(market)["indebted"] == 2


@pytest.mark.parametrize("door", ["liquidate", "takeOver"])
@pytest.mark.parametrize("price", [THIN, UNDER_WATER])
def test_below_105_percent_a_debt_takes_its_share_of_the_collateral_and_no_more(
    market: World, door: str, price: int
) -> None:
    set_price(market, price)
    market.give(BOB, 10**12)
    amount = ONE_SYNTH // 3
    market.engine.send(BOB, door, ALICE, SBTC, amount, *([10**11] if door == "takeOver" else []))
    assert position(market, ALICE) == (ONE_SYNTH - amount, NEEDED - NEEDED * amount // ONE_SYNTH)


def test_attack_40_the_boundary_is_125_percent_to_the_unit(market: World, refuses) -> None:
    """Equal is healthy, one unit less is not, and a position that is gone cannot be liquidated again."""
    set_price(market, HEALTHY)
    for door, arguments in (("liquidate", ()), ("takeOver", (0,))):
        with refuses("E:HEALTHY"):
            market.engine.send(BOB, door, ALICE, SBTC, ONE_SYNTH, *arguments)
    set_price(market, HEALTHY + 1)
    market.engine.send(BOB, "liquidate", ALICE, SBTC, ONE_SYNTH)
    with refuses("E:HEALTHY"):
        market.engine.send(BOB, "liquidate", ALICE, SBTC, 1)


def test_attack_26_a_wallet_that_is_asked_in_mid_batch_cannot_liquidate(market: World) -> None:
    """Settlement asks the taker's contract about its signature while the maker's balances are in memory; that contract
    has all that it takes to liquidate the maker. It is asked read-only, so it does not get to, and its fill is
    skipped."""
    set_price(market, UNHEALTHY)
    hostile = market.create("HostileWallet", market.engine.address, REENTERS)
    market.deposit(hostile.address, 100_000 * ONE_USDC)
    give_synths(market, hostile.address, 2 * ONE_SYNTH)
    liquidation = market.engine.encode("liquidate", ALICE, SBTC, ONE_SYNTH)
    hostile.send(BOB, "setAttack", liquidation)
    sale = market.order(ALICE, "sBTC-USDC", Side.SELL, LOTS, TICKS)
    bid = market.order(hostile.address, "sBTC-USDC", Side.BUY, LOTS, TICKS, key="bob")
    bid = SignedOrder(bid.order, b"", bid.digest, SignatureKind.CONTRACT)
    cash, owed = market.cash(ALICE), position(market, ALICE)

    ((name, skipped),) = announced(market, market.settle(sale, bid, LOTS))

    assert (name, skipped["reason"]) == ("FillSkipped", SkipReason.TAKER_SIGNATURE)
    assert (market.cash(ALICE), position(market, ALICE)) == (cash, owed)
    market.evm.send(hostile.address, market.engine.address, liquidation)  # outside a batch nothing stops it
    assert position(market, ALICE)[0] == 0


def test_attack_36_an_owner_has_nothing_to_block_a_liquidation_with(market: World) -> None:
    """Not dust, not a top-up that is too small, not a request that is under way, not a burn just before."""
    set_price(market, UNHEALTHY)
    market.give(ALICE, 1)
    market.engine.send(ALICE, "addCollateral", SBTC, 1)
    market.vault.send(ALICE, "requestWithdraw", SBTC, ONE_SYNTH, False)
    market.to_wallet(ALICE, SBTC, 1)
    market.engine.send(ALICE, "burn", SBTC, 1)
    market.engine.send(BOB, "liquidate", ALICE, SBTC, ONE_SYNTH)  # of a debt that is a unit less by now
    assert position(market, ALICE)[0] == 0
    assert wallet(market, BOB, SBTC) == ONE_SYNTH + 1


def test_attack_36_only_enough_collateral_prevents_a_liquidation(market: World, refuses) -> None:
    set_price(market, UNHEALTHY)
    missing = 3_750 * ONE_USDC  # to 125 %
    market.give(ALICE, missing)
    market.engine.send(ALICE, "addCollateral", SBTC, missing - 1)
    market.engine.send(BOB, "liquidate", ALICE, SBTC, 1)
    market.engine.send(ALICE, "addCollateral", SBTC, 1)
    with refuses("E:HEALTHY"):
        market.engine.send(BOB, "liquidate", ALICE, SBTC, 1)


def test_attack_37_a_liquidator_without_the_means_is_refused(market: World, refuses) -> None:
    set_price(market, UNHEALTHY)
    before = position(market, ALICE)
    with refuses("T:ALLOWANCE"):
        market.engine.send(CAROL, "liquidate", ALICE, SBTC, 1)
    market.synths[SBTC].send(CAROL, "approve", market.vault.address, ONE_SYNTH)
    with refuses("T:BALANCE"):
        market.engine.send(CAROL, "liquidate", ALICE, SBTC, 1)
    missing = 33_750 * ONE_USDC
    market.give(CAROL, missing - 1)
    with refuses("E:RATIO"):
        market.engine.send(CAROL, "takeOver", ALICE, SBTC, ONE_SYNTH, missing - 1)
    with refuses("T:ALLOWANCE"):
        market.engine.send(CAROL, "takeOver", ALICE, SBTC, ONE_SYNTH, missing)
    assert position(market, ALICE) == before
    assert position(market, CAROL) == (0, 0)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    debt=st.integers(10**12, 10**19),
    ratio=st.integers(1, 12_499),
    part=st.integers(1, 10_000),
    takes_over=st.booleans(),
)
def test_attack_38_no_liquidation_leaves_a_position_less_healthy(
    debt: int, ratio: int, part: int, takes_over: bool
) -> None:
    world = SCENE.fresh()
    debt_before, collateral_before = SCENE.borrow(world, debt, ratio)
    amount = max(1, debt * part // 10_000)
    if takes_over:
        world.give(BOB, 10**16)
        world.engine.send(BOB, "takeOver", ALICE, SBTC, amount, 10**15)
    else:
        world.engine.send(BOB, "liquidate", ALICE, SBTC, amount)
    debt_after, collateral_after = position(world, ALICE)
    assert debt_after == debt_before - amount
    assert collateral_after * debt_before >= collateral_before * debt_after
    assert collateral_before - collateral_after <= amount * SCENE.price * 105 // (100 * ONE_SYNTH)


class Scene:
    """One world for all examples: building one for each would take most of the time."""

    price = 60_000 * ONE_USDC

    def __init__(self) -> None:
        self.world: World | None = None

    def fresh(self) -> World:
        if self.world is None:
            self.world = World().open_markets()
            lift_cap(self.world)
            give_synths(self.world, BOB, 10_000 * ONE_SYNTH)
        world = self.world
        set_price(world, self.price)
        debt, collateral = position(world, ALICE)
        if debt:
            world.synths[SBTC].send(BOB, "transfer", ALICE, debt)
            world.synths[SBTC].send(ALICE, "approve", world.vault.address, debt)
            world.engine.send(ALICE, "burn", SBTC, debt)
        if collateral:
            world.engine.send(ALICE, "withdrawCollateral", SBTC, collateral)
        return world

    def borrow(self, world: World, debt: int, ratio: int) -> tuple[int, int]:
        """A position of this ratio, in 1/10,000, at the price where `fresh` puts it; taken on when it was lower."""
        collateral = debt * self.price * ratio // (ONE_SYNTH * 10_000)
        set_price(world, max(1, collateral * ONE_SYNTH * 2 // (3 * debt)))
        world.borrow(ALICE, SBTC, debt, collateral)
        set_price(world, self.price)
        return position(world, ALICE)


SCENE = Scene()


def test_attack_39_liquidating_oneself_gains_nothing(market: World, refuses) -> None:
    """What the wallet, the trading balance and the position are worth together stays the same to the unit."""
    set_price(market, UNHEALTHY)
    market.to_wallet(ALICE, SBTC, ONE_SYNTH)
    with refuses("E:SELF"):
        market.engine.send(ALICE, "takeOver", ALICE, SBTC, ONE_SYNTH, 0)

    def worth() -> int:
        debt, collateral = position(market, ALICE)
        synths = wallet(market, ALICE, SBTC) - debt
        return market.cash(ALICE) + collateral + synths * UNHEALTHY // ONE_SYNTH

    before = worth()
    for _ in range(2):
        market.engine.send(ALICE, "liquidate", ALICE, SBTC, ONE_SYNTH // 10)
        assert worth() == before


def test_attack_39_a_second_account_of_the_owner_gains_nothing(market: World) -> None:
    set_price(market, UNHEALTHY)
    market.give(CAROL, 33_750 * ONE_USDC)
    before = sum(position(market, one)[1] for one in (ALICE, CAROL)) + wallet(market, CAROL, USDC)
    market.engine.send(CAROL, "takeOver", ALICE, SBTC, ONE_SYNTH, 33_750 * ONE_USDC)
    assert sum(position(market, one)[1] for one in (ALICE, CAROL)) == before
    assert position(market, ALICE)[0] + position(market, CAROL)[0] == ONE_SYNTH


def test_attack_42_an_owner_can_top_up_while_nobody_can_liquidate(market: World, refuses) -> None:
    """No grace after an outage is needed: what saves a position works all along."""
    set_price(market, UNHEALTHY)
    market.evm.advance(STALENESS + 1)
    with refuses("O:STALE"):
        market.engine.send(BOB, "liquidate", ALICE, SBTC, 1)
    market.give(ALICE, 3_750 * ONE_USDC)
    market.engine.send(ALICE, "addCollateral", SBTC, 3_750 * ONE_USDC)
    set_price(market, UNHEALTHY)
    with refuses("E:HEALTHY"):
        market.engine.send(BOB, "liquidate", ALICE, SBTC, 1)


def test_a_pause_and_a_low_cap_stop_no_liquidation(market: World) -> None:
    set_price(market, UNHEALTHY)
    market.engine.send(GUARDIAN, "pause", 3 * DAY)
    market.engine.send(GUARDIAN, "lowerCap", SBTC, 0)
    market.engine.send(BOB, "liquidate", ALICE, SBTC, ONE_SYNTH // 10)
    market.give(CAROL, 10**11)
    market.engine.send(CAROL, "takeOver", ALICE, SBTC, ONE_SYNTH // 10, 10**11)
    assert position(market, ALICE)[0] == 8 * ONE_SYNTH // 10


def test_more_than_the_debt_is_the_debt(market: World) -> None:
    set_price(market, UNHEALTHY)
    market.give(CAROL, 10**11)
    market.engine.send(CAROL, "takeOver", ALICE, SBTC, 2**256 - 1, 10**11)
    assert position(market, ALICE) == (0, NEEDED - 78_750 * ONE_USDC)
    assert position(market, CAROL) == (ONE_SYNTH, 78_750 * ONE_USDC + 10**11)


def test_nothing_of_a_debt_is_refused(market: World, refuses) -> None:
    set_price(market, UNHEALTHY)
    for door, arguments in (("liquidate", ()), ("takeOver", (0,))):
        with refuses("E:ZERO"):
            market.engine.send(BOB, door, ALICE, SBTC, 0, *arguments)
        with refuses("E:HEALTHY"):  # nobody's debt
            market.engine.send(BOB, door, CAROL, SBTC, 1, *arguments)
