"""The end of a synth: one price, everybody processed by anyone, one ratio for the first claim and the last."""

from __future__ import annotations

import pytest
from custody_world import (
    ADMIN,
    ALICE,
    BOB,
    CAROL,
    GUARDIAN,
    ONE_SYNTH,
    ONE_USDC,
    PRICES,
    SBTC,
    SETH,
    STALENESS,
    STRANGER,
    USDC,
    World,
)
from debt_desk import (
    DAY,
    NEEDED,
    announced,
    asset_of,
    give_synths,
    lift_cap,
    pot_of,
    set_price,
    text,
    timelock,
    wallet,
)
from hypothesis import given, settings
from hypothesis import strategies as st

PRICE = PRICES[SBTC]
WHOLE = ONE_SYNTH
RATE = 10**18  # a price of one is a rate of this
WEEK = 7 * DAY


@pytest.fixture
def market(funded: World) -> World:
    """Alice owes one sBTC at 150 %, Bob one at 300 %. Carol holds one, Alice one."""
    funded.borrow(ALICE, SBTC, WHOLE, NEEDED)
    funded.to_wallet(ALICE, SBTC, WHOLE)
    give_synths(funded, BOB, WHOLE)
    funded.synths[SBTC].send(BOB, "transfer", CAROL, WHOLE)
    funded.synths[SBTC].send(CAROL, "approve", funded.vault.address, WHOLE)
    return funded


def wind_down(world: World, price: int) -> None:
    set_price(world, price)
    world.engine.send(timelock(world), "windDown", SBTC)


def test_the_timelock_fixes_one_price(market: World, refuses) -> None:
    set_price(market, 70_000 * ONE_USDC)
    logs = market.engine.send(timelock(market), "windDown", SBTC)
    assert market.events(logs) == [("AssetWound", {"asset": SBTC, "price": 70_000 * ONE_USDC})]
    assert asset_of(market)["wound price"] == 70_000 * ONE_USDC
    set_price(market, PRICE)
    with refuses("E:WOUND"):
        market.engine.send(timelock(market), "windDown", SBTC)
    assert asset_of(market)["wound price"] == 70_000 * ONE_USDC


def test_anyone_ends_an_asset_whose_oracle_was_silent_for_a_week_at_the_last_price(market: World, refuses) -> None:
    set_price(market, 70_000 * ONE_USDC)
    market.evm.advance(WEEK - 1)
    with refuses("E:ALIVE"):
        market.engine.send(STRANGER, "windDown", SBTC)
    market.evm.advance(1)
    market.engine.send(STRANGER, "windDown", SBTC)
    assert asset_of(market)["wound price"] == 70_000 * ONE_USDC


def test_nobody_else_ends_an_asset_that_has_a_price(market: World, refuses) -> None:
    market.evm.advance(WEEK)
    market.report(SBTC, PRICE)
    for caller in (STRANGER, ADMIN, GUARDIAN, ALICE):
        with refuses("E:ALIVE"):
            market.engine.send(caller, "windDown", SBTC)


def test_the_timelock_ends_an_asset_without_a_fresh_price_at_the_last_one(market: World) -> None:
    market.evm.advance(STALENESS + 1)
    market.engine.send(timelock(market), "windDown", SBTC)
    assert asset_of(market)["wound price"] == PRICE


def test_an_asset_that_never_had_a_price_has_nothing_to_wind_down(world: World, refuses) -> None:
    world.factory.send(world.factory.call("GATEWAY"), "createSynth", "Synthetic Gold", "sXAU")
    with refuses("E:ASSET"):
        world.engine.send(timelock(world), "windDown", 4)
    world.engine.send(world.factory.call("GATEWAY"), "openAsset", 4, WHOLE)
    for caller in (timelock(world), STRANGER):
        with refuses("E:PRICE"):
            world.engine.send(caller, "windDown", 4)


def test_every_position_pays_what_it_owes_and_keeps_the_rest(market: World) -> None:
    wind_down(market, 80_000 * ONE_USDC)
    cash, total = market.cash(ALICE), market.vault.call("collateralTotal")
    logs = market.engine.send(STRANGER, "processPositions", SBTC, [ALICE])
    paid, released = 80_000 * ONE_USDC, 10_000 * ONE_USDC
    assert announced(market, logs) == [
        ("DebtChanged", {"account": text(ALICE), "asset": SBTC, "debt": 0, "collateral": 0}),
        (
            "PositionProcessed",
            {"account": text(ALICE), "asset": SBTC, "paid": paid, "released": released, "pot": paid},
        ),
        (
            "CollateralReleased",
            {"account": text(ALICE), "amount": released, "balance": cash + released, "total": total - released},
        ),
    ]
    assert pot_of(market) == {"supply": 2 * WHOLE, "amount": paid, "fixed": False, "rate": 0}


@pytest.mark.parametrize("rest", [0, 1, 2])
def test_a_position_gets_back_the_last_unit(market: World, rest: int) -> None:
    wind_down(market, NEEDED - rest)  # the price of what Alice owes, so this is what she has left
    cash, total = market.cash(ALICE), market.vault.call("collateralTotal")
    market.engine.send(STRANGER, "processPositions", SBTC, [ALICE])
    assert (market.cash(ALICE), market.vault.call("collateralTotal")) == (cash + rest, total - rest)


def test_a_solvent_asset_pays_the_price_to_everybody(market: World) -> None:
    wind_down(market, 80_000 * ONE_USDC)
    logs = market.engine.send(STRANGER, "processPositions", SBTC, [ALICE, BOB])
    assert announced(market, logs)[-1] == ("RateFixed", {"asset": SBTC, "rate": 80_000 * ONE_USDC * RATE})
    for holder in (CAROL, ALICE):
        cash = market.cash(holder)
        market.engine.send(holder, "claimWound", SBTC, WHOLE)
        assert market.cash(holder) == cash + 80_000 * ONE_USDC
    assert pot_of(market)["amount"] == 0
    assert market.vault.call("collateralTotal") == 0
    assert market.synths[SBTC].call("totalSupply") == 0


def test_attack_43_the_first_claim_and_the_last_get_the_same_ratio(market: World) -> None:
    """Alice's position is worth half of what it owes: the loss is everybody's, and no one's because of the hour."""
    price = 180_000 * ONE_USDC
    wind_down(market, price)
    market.engine.send(STRANGER, "processPositions", SBTC, [BOB, ALICE])
    pot = 180_000 * ONE_USDC + NEEDED  # Bob's is at 100 % exactly
    assert pot_of(market) == {"supply": 2 * WHOLE, "amount": pot, "fixed": True, "rate": pot // 2 * RATE}
    logs = market.engine.send(CAROL, "claimWound", SBTC, WHOLE)
    total = market.vault.call("collateralTotal")
    assert announced(market, logs) == [
        (
            "WoundClaimed",
            {"account": text(CAROL), "asset": SBTC, "amount": WHOLE, "payout": pot // 2, "pot": pot // 2},
        ),
        ("SynthBurned", {"owner": text(CAROL), "asset": SBTC, "amount": WHOLE, "supply": WHOLE}),
        ("CollateralReleased", {"account": text(CAROL), "amount": pot // 2, "balance": pot // 2, "total": total}),
    ]
    cash = market.cash(ALICE)
    market.engine.send(ALICE, "claimWound", SBTC, WHOLE // 3)
    market.engine.send(ALICE, "claimWound", SBTC, WHOLE - WHOLE // 3)
    assert market.cash(ALICE) - cash in (pot // 2 - 1, pot // 2)  # two claims are rounded down twice


def test_attack_43_nobody_is_paid_before_everybody_is_processed(market: World, refuses) -> None:
    with refuses("E:RATE"):
        market.engine.send(CAROL, "claimWound", SBTC, WHOLE)
    wind_down(market, 180_000 * ONE_USDC)
    market.engine.send(STRANGER, "processPositions", SBTC, [BOB])
    with refuses("E:RATE"):
        market.engine.send(CAROL, "claimWound", SBTC, WHOLE)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("mint", (SBTC, 1, 1)),
        ("burn", (SBTC, 1)),
        ("withdrawCollateral", (SBTC, 1)),
        ("liquidate", (BOB, SBTC, 1)),
        ("takeOver", (BOB, SBTC, 1, 0)),
        ("requestRedemption", (SBTC, 1, 300)),
    ],
)
def test_a_debt_of_a_wound_asset_ends_in_processing_and_in_no_other_way(
    market: World, refuses, function: str, arguments: tuple
) -> None:
    """A burn at par, too, would leave less to each of those who hold on."""
    wind_down(market, 180_000 * ONE_USDC)
    market.give(ALICE, 1)
    with refuses("E:WOUND"):
        market.engine.send(ALICE, function, *arguments)


def test_collateral_without_debt_leaves_a_wound_asset(market: World) -> None:
    market.give(CAROL, 5)
    market.engine.send(CAROL, "addCollateral", SBTC, 3)
    wind_down(market, PRICE)
    market.engine.send(CAROL, "addCollateral", SBTC, 2)
    market.engine.send(CAROL, "withdrawCollateral", SBTC, 5)
    assert market.cash(CAROL) == 5


def test_other_assets_go_on(market: World) -> None:
    wind_down(market, PRICE)
    set_price(market, PRICES[SETH], SETH)
    give_synths(market, CAROL, WHOLE, SETH)
    market.engine.send(CAROL, "burn", SETH, WHOLE)
    assert asset_of(market, SETH)["debt"] == 0


def test_attack_59_nothing_is_processed_or_claimed_twice(market: World, refuses) -> None:
    with refuses("E:LIVE"):
        market.engine.send(STRANGER, "processPositions", SBTC, [ALICE])
    wind_down(market, PRICE)
    market.engine.send(STRANGER, "processPositions", SBTC, [ALICE, ALICE])
    assert pot_of(market)["amount"] == PRICE
    for nothing in ([ALICE], [CAROL], []):
        with refuses("E:TARGET"):
            market.engine.send(STRANGER, "processPositions", SBTC, nothing)
    market.engine.send(STRANGER, "processPositions", SBTC, [ALICE, BOB])
    market.engine.send(CAROL, "claimWound", SBTC, WHOLE)
    market.synths[SBTC].send(CAROL, "approve", market.vault.address, WHOLE)
    with refuses("T:BALANCE"):
        market.engine.send(CAROL, "claimWound", SBTC, WHOLE)
    with refuses("E:TARGET"):
        market.engine.send(STRANGER, "processPositions", SBTC, [ALICE, BOB])
    assert pot_of(market)["rate"] == PRICE * RATE


def test_a_claim_that_pays_nothing_burns_nothing(market: World, refuses) -> None:
    wind_down(market, PRICE)
    market.engine.send(STRANGER, "processPositions", SBTC, [ALICE, BOB])
    least = -(-(10**36) // (PRICE * RATE))  # the fewest synths that are worth a unit
    for amount in (0, least - 1):
        with refuses("E:ZERO"):
            market.engine.send(CAROL, "claimWound", SBTC, amount)
    market.engine.send(CAROL, "claimWound", SBTC, least)
    assert market.cash(CAROL) == 1


def test_an_asset_without_debt_is_over_at_once(world: World) -> None:
    logs = world.engine.send(timelock(world), "windDown", SBTC)
    assert world.events(logs) == [
        ("AssetWound", {"asset": SBTC, "price": PRICE}),
        ("RateFixed", {"asset": SBTC, "rate": PRICE * RATE}),
    ]


def test_invariant_28_a_page_of_fifty_is_processed_whoever_they_are(funded: World, refuses) -> None:
    """Among them an account without a wallet worth the name, a contract, and one whose debt is a single unit."""
    accounts = [index.to_bytes(20, "big") for index in range(1_000, 1_049)] + [funded.vault.address]
    for account in accounts[:-1]:
        funded.borrow(account, SBTC, 1, 1)
    funded.borrow(ALICE, SBTC, WHOLE, NEEDED)
    wind_down(funded, PRICE * 2)
    with refuses(""):  # one more than fits a page
        funded.engine.send(STRANGER, "processPositions", SBTC, [*accounts, ALICE])
    funded.engine.send(STRANGER, "processPositions", SBTC, [*accounts[1:], ALICE])
    assert pot_of(funded)["fixed"] is False
    funded.engine.send(STRANGER, "processPositions", SBTC, accounts[:1])
    assert pot_of(funded)["fixed"] is True
    assert pot_of(funded)["amount"] == NEEDED + 49


def test_attack_67_everybody_gets_out_of_a_wound_asset_while_all_is_paused_and_the_oracle_dead(market: World) -> None:
    """Two holders and two debtors, at a loss, without anybody's leave: what they take out together is all there was."""
    set_price(market, 180_000 * ONE_USDC)
    market.engine.send(GUARDIAN, "pause", 3 * DAY)
    market.vault.send(GUARDIAN, "pause", 3 * DAY)
    market.evm.advance(WEEK)
    market.engine.send(STRANGER, "windDown", SBTC)
    market.engine.send(STRANGER, "processPositions", SBTC, [ALICE, BOB])
    for holder in (ALICE, CAROL):
        market.engine.send(holder, "claimWound", SBTC, WHOLE)
    for account in (ALICE, BOB, CAROL):
        cash = market.cash(account)
        if cash:
            market.vault.send(account, "requestWithdraw", USDC, cash, False)
            market.evm.advance(6 * 3600)
            market.vault.send(STRANGER, "claimWithdraw", market.vault.call("withdrawalCount"))
    assert sum(wallet(market, one, USDC) for one in (ALICE, BOB, CAROL)) == 200_000 * ONE_USDC + NEEDED + 3 * PRICE
    assert wallet(market, market.vault.address, USDC) == 0


def test_a_call_that_is_short_of_gas_does_not_pass_for_a_silent_oracle(market: World) -> None:
    """The reporters are silent, the second source speaks, slowly: with any gas, nobody ends the asset."""
    aggregator = market.create("MockAggregator", 8)
    market.oracle.send(timelock(market), "setSource", SBTC, aggregator.address, 3_600)
    market.evm.advance(WEEK)
    aggregator.send(STRANGER, "set", PRICE * 100, market.evm.now)
    aggregator.send(STRANGER, "behave", 0, 700)  # about 110,000 gas an answer
    found = {gas: refusal_with(market, gas) for gas in range(60_000, 1_200_000, 20_000)}
    assert set(found.values()) == {"E:GAS", "E:ALIVE"}
    assert found[1_180_000] == "E:ALIVE"
    assert asset_of(market)["wound price"] == 0
    market.evm.advance(3_601)
    market.engine.send(STRANGER, "windDown", SBTC)  # now both are silent


def refusal_with(world: World, gas: int) -> str:
    """What a stranger's attempt with this much gas meets."""
    with pytest.raises(RuntimeError) as caught:
        world.evm._evm.message_call(
            text(STRANGER), text(world.engine.address), world.engine.encode("windDown", SBTC), gas=gas
        )
    return next(code for code in ("E:GAS", "E:ALIVE") if code.encode().hex() in str(caught.value))


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    debts=st.lists(st.integers(1, 10**22), min_size=1, max_size=4),
    factor=st.integers(1, 5_000),
    shares=st.lists(st.integers(1, 100), min_size=3, max_size=3),
)
def test_invariant_14_all_claims_together_are_at_most_the_pot(debts: list[int], factor: int, shares: list[int]) -> None:
    """Any debts, a price up to fifty times higher, and the supply split among three holders as it comes."""
    world = World().open_markets()
    lift_cap(world)
    owners = [ALICE, BOB, CAROL, ADMIN][: len(debts)]
    for owner, debt in zip(owners, debts, strict=True):
        world.borrow(owner, SBTC, debt, -(-debt * PRICE * 3 // (2 * WHOLE)))
        world.leave(owner, SBTC, debt, recipient=STRANGER)
    price = max(1, PRICE * factor // 100)
    wind_down(world, price)
    world.engine.send(STRANGER, "processPositions", SBTC, owners)
    pot, supply = pot_of(world), sum(debts)
    assert pot["supply"] == supply
    assert pot["rate"] == min(price * RATE, pot["amount"] * 10**36 // supply)
    left, paid = supply, 0
    synth = world.synths[SBTC]
    synth.send(STRANGER, "approve", world.vault.address, supply)
    for share in shares:
        amount = left * share // 100
        if amount * pot["rate"] // 10**36:
            world.engine.send(STRANGER, "claimWound", SBTC, amount)
            left, paid = left - amount, paid + amount * pot["rate"] // 10**36
    if left * pot["rate"] // 10**36:
        world.engine.send(STRANGER, "claimWound", SBTC, left)
        paid += left * pot["rate"] // 10**36
    assert world.cash(STRANGER) == paid <= pot["amount"]
    assert pot_of(world)["amount"] == world.vault.call("collateralTotal") == pot["amount"] - paid
    if pot["rate"] < price * RATE:
        assert pot["amount"] - paid <= len(shares) + 1  # at a loss nothing but rounding stays behind
