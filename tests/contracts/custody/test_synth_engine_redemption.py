"""Redemption: the next price, not a known one; out of positions that are whole; what is not redeemed comes back."""

from __future__ import annotations

import pytest
from custody_world import (
    ALICE,
    BOB,
    CAROL,
    GUARDIAN,
    ONE_SYNTH,
    PRICES,
    SBTC,
    SETH,
    STALENESS,
    STRANGER,
    World,
)
from debt_desk import DAY, NEEDED, announced, asset_of, give_synths, position, set_price, text, timelock, wallet
from hypothesis import given, settings
from hypothesis import strategies as st

PRICE = PRICES[SBTC]
DELAY, WINDOW = 60, 3600
WHOLE = ONE_SYNTH
LEAST, MOST = 50, 300  # fee, 1/10,000


@pytest.fixture
def market(funded: World) -> World:
    """Alice owes one sBTC at 150 %; Carol, who has no position, has one in her wallet; Bob owes it at 300 %."""
    funded.borrow(ALICE, SBTC, WHOLE, NEEDED)
    give_synths(funded, BOB, WHOLE)
    funded.synths[SBTC].send(BOB, "transfer", CAROL, WHOLE)
    funded.synths[SBTC].send(CAROL, "approve", funded.vault.address, WHOLE)
    return funded


def request(world: World, amount: int = WHOLE, fee: int = MOST, account: bytes = CAROL) -> int:
    world.engine.send(account, "requestRedemption", SBTC, amount, fee)
    count: int = world.engine.call("redemptionCount")
    return count


def publish(world: World, price: int = PRICE, seconds: int = DELAY) -> None:
    """The first price that this request can have, or one of `seconds` later."""
    world.evm.advance(seconds)
    world.report(SBTC, price)


def test_a_request_puts_synths_into_escrow_and_says_from_when_a_price_counts(market: World) -> None:
    logs = market.engine.send(CAROL, "requestRedemption", SBTC, WHOLE, 120)
    asked = {"id": 1, "account": text(CAROL), "asset": SBTC, "amount": WHOLE}
    assert announced(market, logs) == [
        ("RedemptionRequested", {**asked, "maxFeeBps": 120, "priceFrom": market.evm.now + DELAY}),
        ("SynthEscrowed", {"owner": text(CAROL), "asset": SBTC, "amount": WHOLE}),
    ]
    assert market.engine.call("redemptions", 1) == (text(CAROL), SBTC, WHOLE, 120, market.evm.now)
    assert market.vault.call("escrowTotal", SBTC) == WHOLE
    assert wallet(market, CAROL, SBTC) == 0


@pytest.mark.parametrize("moment", [2**31 + 1, 2**39 + 1])
@pytest.mark.parametrize("fee", [LEAST + 1, MOST])
def test_the_parts_of_a_request_do_not_touch(market: World, moment: int, fee: int) -> None:
    market.evm.advance(moment - market.evm.now)
    identity = request(market, fee=fee)
    assert market.engine.call("redemptions", identity) == (text(CAROL), SBTC, WHOLE, fee, moment)


@pytest.mark.parametrize("paid", [0, 1, 2])
def test_a_redemption_is_paid_to_the_last_unit(market: World, paid: int) -> None:
    amount = -(-paid * WHOLE * 10_000 // (PRICE * (10_000 - LEAST))) or 1
    identity = request(market, amount)
    publish(market)
    inside = market.vault.call("collateralTotal")
    market.engine.send(STRANGER, "executeRedemption", identity, [ALICE])
    assert position(market, ALICE) == (WHOLE - amount, NEEDED - paid)
    assert (market.cash(CAROL), market.vault.call("collateralTotal")) == (paid, inside - paid)


def test_anyone_executes_at_the_price_less_the_fee_that_stays_in_the_position(market: World) -> None:
    identity = request(market)
    publish(market)
    supply, total, cash = asset_of(market)["debt"], market.vault.call("collateralTotal"), market.cash(CAROL)
    logs = market.engine.send(STRANGER, "executeRedemption", identity, [ALICE])
    payout = PRICE * (10_000 - LEAST) // 10_000
    assert announced(market, logs) == [
        ("DebtChanged", {"account": text(ALICE), "asset": SBTC, "debt": 0, "collateral": NEEDED - payout}),
        (
            "RedemptionExecuted",
            {
                "id": identity,
                "account": text(CAROL),
                "asset": SBTC,
                "amount": WHOLE,
                "payout": payout,
                "remaining": 0,
                "price": PRICE,
            },
        ),
        ("EscrowBurned", {"asset": SBTC, "amount": WHOLE, "supply": supply - WHOLE}),
        (
            "CollateralReleased",
            {"account": text(CAROL), "amount": payout, "balance": cash + payout, "total": total - payout},
        ),
    ]
    assert market.engine.call("redemptions", identity) == (text(bytes(20)), 0, 0, 0, 0)
    assert market.vault.call("escrowTotal", SBTC) == 0


def test_twenty_positions_are_redeemed_from_in_a_call_and_no_more(market: World, refuses) -> None:
    identity = request(market)
    publish(market)
    nobody = [index.to_bytes(20, "big") for index in range(1_000, 1_020)]
    with refuses(""):
        market.engine.send(STRANGER, "executeRedemption", identity, [*nobody, ALICE])
    market.engine.send(STRANGER, "executeRedemption", identity, [*nobody[1:], ALICE])


def test_the_price_is_the_first_one_a_minute_after_the_request(market: World, refuses) -> None:
    """Not the one that was known, not a better one that came later."""
    identity = request(market)
    publish(market, PRICE * 11 // 10, DELAY - 1)
    with refuses("E:EARLY"):
        market.engine.send(CAROL, "executeRedemption", identity, [ALICE])
    publish(market, PRICE * 105 // 100, 1)
    publish(market, PRICE * 115 // 100, 10)
    market.engine.send(CAROL, "executeRedemption", identity, [ALICE])
    assert market.cash(CAROL) == PRICE * 105 * (10_000 - LEAST) // (100 * 10_000)


@pytest.mark.parametrize(
    ("percent", "fee"),
    [(110, 50), (150, 50), (151, 51), (200, 100), (300, 200), (399, 299), (400, 300), (900, 300)],
)
def test_the_fee_rises_with_the_ratio_of_the_position(market: World, percent: int, fee: int) -> None:
    """At its price; Bob's position is at 300 % of the price that it was taken on at."""
    price = PRICE * 300 // percent
    set_price(market, price)
    identity = request(market)
    publish(market, price)
    market.engine.send(CAROL, "executeRedemption", identity, [BOB])
    # The price is a whole unit, so the ratio is a bit above the percentage where the division leaves something over.
    collateral = 3 * PRICE
    exact = -(-collateral * 10_000 // price)
    expected = LEAST if exact <= 15_000 else min(LEAST + -(-(exact - 15_000) // 100), MOST)
    assert expected - fee in (0, 1)
    assert market.cash(CAROL) == price * (10_000 - expected) // 10_000


def test_a_ratio_that_is_a_unit_more_costs_a_basis_point_more(market: World) -> None:
    market.give(ALICE, 1)
    market.engine.send(ALICE, "addCollateral", SBTC, 1)
    identity = request(market)
    publish(market)
    market.engine.send(CAROL, "executeRedemption", identity, [ALICE])
    assert market.cash(CAROL) == PRICE * (10_000 - LEAST - 1) // 10_000


def test_a_position_whose_fee_is_above_the_signed_most_is_passed_over(market: World, refuses) -> None:
    identity = request(market, fee=199)
    publish(market)
    with refuses("E:TARGET"):
        market.engine.send(STRANGER, "executeRedemption", identity, [BOB])
    before = position(market, BOB)
    market.engine.send(STRANGER, "executeRedemption", identity, [BOB, ALICE])
    assert position(market, BOB) == before
    assert position(market, ALICE)[0] == 0
    assert market.cash(CAROL) == PRICE * (10_000 - LEAST) // 10_000


def test_attack_68_a_position_that_is_not_whole_pays_nobody_before_the_others(market: World, refuses) -> None:
    """At 100 % to the unit it still pays; a unit less, and it is left to the wind-down."""
    price = NEEDED  # 100 % for Alice
    set_price(market, price + 1)
    identity = request(market, WHOLE // 2)
    publish(market, price + 1)
    before = position(market, ALICE)
    with refuses("E:TARGET"):
        market.engine.send(CAROL, "executeRedemption", identity, [ALICE])
    assert position(market, ALICE) == before
    market.evm.advance(WINDOW + 1)
    market.engine.send(STRANGER, "cancelRedemption", identity)
    market.to_wallet(CAROL, SBTC, WHOLE // 2)
    set_price(market, price)
    identity = request(market, WHOLE // 2)
    publish(market, price)
    market.engine.send(CAROL, "executeRedemption", identity, [ALICE])
    assert position(market, ALICE) == (WHOLE // 2, NEEDED - price // 2 * (10_000 - LEAST) // 10_000)


def test_several_positions_pay_in_the_order_in_which_they_are_named(market: World) -> None:
    identity = request(market)
    market.engine.send(CAROL, "cancelRedemption", identity)
    market.to_wallet(CAROL, SBTC, WHOLE)
    give_synths(market, BOB, WHOLE // 2)
    market.synths[SBTC].send(BOB, "transfer", CAROL, WHOLE // 2)
    market.synths[SBTC].send(CAROL, "approve", market.vault.address, 2 * WHOLE)
    identity = request(market, 3 * WHOLE // 2)
    publish(market)
    market.engine.send(STRANGER, "executeRedemption", identity, [ALICE, ALICE, BOB])
    assert position(market, ALICE)[0] == 0
    assert position(market, BOB)[0] == WHOLE
    paid = PRICE * (10_000 - 50) // 10_000 + PRICE // 2 * (10_000 - 200) // 10_000
    assert market.cash(CAROL) == paid


def test_what_the_named_positions_cannot_absorb_can_be_redeemed_from_others_and_comes_back_after_the_hour(
    market: World, refuses
) -> None:
    give_synths(market, BOB, 2 * WHOLE)
    market.synths[SBTC].send(BOB, "transfer", CAROL, 2 * WHOLE)
    market.synths[SBTC].send(CAROL, "approve", market.vault.address, 3 * WHOLE)
    identity = request(market, 3 * WHOLE)
    publish(market)
    name, fields = announced(market, market.engine.send(STRANGER, "executeRedemption", identity, [ALICE]))[1]
    assert (name, fields["amount"], fields["remaining"]) == ("RedemptionExecuted", WHOLE, 2 * WHOLE)
    with refuses("E:EARLY"):
        market.engine.send(CAROL, "cancelRedemption", identity)
    market.evm.advance(WINDOW)
    with refuses("E:EARLY"):
        market.engine.send(STRANGER, "cancelRedemption", identity)
    market.evm.advance(1)
    for late in (CAROL, STRANGER):
        with refuses("E:LATE"):
            market.engine.send(late, "executeRedemption", identity, [BOB])
    logs = market.engine.send(STRANGER, "cancelRedemption", identity)
    back = {"account": text(CAROL), "asset": SBTC, "amount": 2 * WHOLE}
    assert announced(market, logs) == [
        ("RedemptionCancelled", {"id": identity, **back}),
        ("EscrowReturned", {**back, "balance": 2 * WHOLE}),
    ]


def test_the_holder_backs_out_only_while_nobody_can_know_the_price(market: World, refuses) -> None:
    """Who could wait for the price and then choose would have an option for nothing. From the minute on, a price may
    have been signed without being on the chain."""
    identity = request(market)
    with refuses("E:OWNER"):
        market.engine.send(STRANGER, "cancelRedemption", identity)
    publish(market, PRICE, DELAY - 1)
    market.engine.send(CAROL, "cancelRedemption", identity)
    assert market.vault.call("balanceOf", CAROL, SBTC) == WHOLE
    market.to_wallet(CAROL, SBTC, WHOLE)
    identity = request(market)
    market.evm.advance(DELAY)
    with refuses("E:EARLY"):
        market.engine.send(CAROL, "cancelRedemption", identity)
    market.report(SBTC, PRICE)
    for anyone in (CAROL, STRANGER):
        with refuses("E:EARLY"):
            market.engine.send(anyone, "cancelRedemption", identity)
    with refuses("E:TARGET"):
        market.engine.send(CAROL, "executeRedemption", identity, [])
    with refuses("E:TARGET"):
        market.engine.send(CAROL, "executeRedemption", identity, [CAROL, STRANGER])


def test_a_request_without_a_price_is_never_trapped(market: World, refuses) -> None:
    identity = request(market)
    market.evm.advance(DELAY + WINDOW)
    with refuses("E:EARLY"):
        market.engine.send(CAROL, "cancelRedemption", identity)
    market.evm.advance(1)
    with refuses("E:OWNER"):
        market.engine.send(STRANGER, "cancelRedemption", identity)
    market.engine.send(CAROL, "cancelRedemption", identity)
    assert market.vault.call("balanceOf", CAROL, SBTC) == WHOLE


def test_a_price_that_comes_late_opens_the_hour_then(market: World) -> None:
    identity = request(market)
    market.evm.advance(30 * DAY)
    market.report(SBTC, PRICE)
    market.evm.advance(WINDOW)
    market.engine.send(STRANGER, "executeRedemption", identity, [ALICE])
    assert position(market, ALICE)[0] == 0


def test_a_dead_oracle_stops_no_redemption_that_has_its_price(market: World) -> None:
    identity = request(market)
    publish(market)
    market.evm.advance(STALENESS + 1)
    market.engine.send(STRANGER, "executeRedemption", identity, [ALICE])
    assert position(market, ALICE)[0] == 0


def test_a_pause_stops_no_redemption(market: World) -> None:
    market.engine.send(GUARDIAN, "pause", 3 * DAY)
    market.engine.send(GUARDIAN, "lowerCap", SBTC, 0)
    identity = request(market)
    publish(market)
    market.engine.send(STRANGER, "executeRedemption", identity, [ALICE])
    assert market.cash(CAROL) == PRICE * (10_000 - LEAST) // 10_000


def test_attack_59_a_request_is_over_once(market: World, refuses) -> None:
    identity = request(market, WHOLE // 2)
    publish(market)
    market.engine.send(STRANGER, "executeRedemption", identity, [ALICE])
    second = request(market, WHOLE // 2)
    market.engine.send(CAROL, "cancelRedemption", second)
    for over in (identity, second, 0, second + 1):
        assert market.engine.call("redemptions", over) == (text(bytes(20)), 0, 0, 0, 0)
        with refuses("E:UNKNOWN"):
            market.engine.send(CAROL, "executeRedemption", over, [ALICE])
        with refuses("E:UNKNOWN"):
            market.engine.send(CAROL, "cancelRedemption", over)


def test_a_request_is_of_one_asset(market: World, refuses) -> None:
    """A position in another synth is no target, however large."""
    give_synths(market, STRANGER, 100 * WHOLE, SETH)
    identity = request(market)
    publish(market)
    with refuses("E:TARGET"):
        market.engine.send(CAROL, "executeRedemption", identity, [STRANGER])


def test_redeeming_from_ones_own_position_gains_nothing(market: World) -> None:
    market.to_wallet(ALICE, SBTC, WHOLE)
    identity = request(market, account=ALICE)
    publish(market)
    cash = market.cash(ALICE)
    market.engine.send(ALICE, "executeRedemption", identity, [ALICE])
    assert position(market, ALICE)[1] + market.cash(ALICE) == cash + NEEDED


@pytest.mark.parametrize(
    ("asset", "amount", "fee", "code"),
    [
        (SBTC, 0, MOST, "E:ZERO"),
        (SBTC, WHOLE, LEAST - 1, "E:FEE"),
        (SBTC, WHOLE, MOST + 1, "E:FEE"),
        (9, WHOLE, MOST, "E:ASSET"),
        (SBTC, WHOLE + 1, MOST, "T:ALLOWANCE"),
        (SETH, 1, MOST, "T:ALLOWANCE"),
    ],
)
def test_nonsense_is_refused(market: World, refuses, asset: int, amount: int, fee: int, code: str) -> None:
    with refuses(code):
        market.engine.send(CAROL, "requestRedemption", asset, amount, fee)
    assert market.engine.call("redemptionCount") == 0


def test_a_wound_asset_gives_requests_back_and_takes_no_new_ones(market: World, refuses) -> None:
    identity = request(market)
    publish(market)
    market.engine.send(timelock(market), "windDown", SBTC)
    with refuses("E:WOUND"):
        market.engine.send(CAROL, "executeRedemption", identity, [ALICE])
    market.engine.send(STRANGER, "cancelRedemption", identity)
    market.to_wallet(CAROL, SBTC, WHOLE)
    with refuses("E:WOUND"):
        request(market)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    debt=st.integers(10**12, 10**19),
    ratio=st.integers(10_000, 60_000),
    part=st.integers(1, 10_000),
    price=st.integers(10**6, 10**12),
)
def test_attack_38_no_redemption_leaves_a_position_less_healthy(debt: int, ratio: int, part: int, price: int) -> None:
    world = POOL.world()
    set_price(world, price)
    collateral = -(-debt * price * ratio // (10**4 * ONE_SYNTH))
    required = -(-debt * price * 3 // (2 * ONE_SYNTH))
    world.borrow(ALICE, SBTC, debt, max(collateral, required))
    debt_before, collateral_before = position(world, ALICE)
    amount = max(1, debt * part // 10_000)
    world.to_wallet(ALICE, SBTC, debt)
    identity = request(world, amount, account=ALICE)
    publish(world, price)
    world.engine.send(STRANGER, "executeRedemption", identity, [ALICE])
    debt_after, collateral_after = position(world, ALICE)
    assert debt_after == debt_before - amount
    assert collateral_after * debt_before >= collateral_before * debt_after
    assert (collateral_before - collateral_after) * ONE_SYNTH <= amount * price * (10_000 - LEAST) // 10_000
    POOL.clear(world, debt_after, collateral_after)


class Pool:
    """One world for all examples."""

    def __init__(self) -> None:
        self.made: World | None = None

    def world(self) -> World:
        self.made = self.made or World().open_markets()
        return self.made

    def clear(self, world: World, debt: int, collateral: int) -> None:
        if debt:
            world.synths[SBTC].send(ALICE, "approve", world.vault.address, debt)
            world.engine.send(ALICE, "burn", SBTC, debt)
        if collateral:
            world.engine.send(ALICE, "withdrawCollateral", SBTC, collateral)


POOL = Pool()
