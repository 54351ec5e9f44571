"""The outflow breaker: a fast drain becomes a slow one, and nobody waits longer than six hours for it."""

from __future__ import annotations

import pytest
from custody_evm import START
from custody_world import ALICE, BOB, CAROL, DELAY, GUARDIAN, ONE_SYNTH, ONE_USDC, PRICES, SBTC, STRANGER, USDC, World

HOUR = 3600
LONGEST = 6 * HOUR
FREE = 250_000 * ONE_USDC
RICH = 10_000_000 * ONE_USDC
POOR = 400_000 * ONE_USDC


@pytest.fixture
def rich() -> World:
    """Ten million USDC inside, at the beginning of a clock hour: two millions may leave within it."""
    world = World().open_markets()
    world.deposit(ALICE, RICH - POOR)
    world.deposit(BOB, POOR)
    next_hour(world)
    return world


@pytest.fixture
def poor() -> World:
    """400,000 USDC inside: a fifth is less than what is always free."""
    world = World().open_markets()
    world.deposit(ALICE, POOR)
    next_hour(world)
    return world


def next_hour(world: World) -> None:
    world.evm.advance(HOUR - (world.evm.now - START) % HOUR)
    assert world.evm.now % HOUR == 0


def request(world: World, account: bytes, amount: int) -> int:
    world.vault.send(account, "requestWithdraw", USDC, amount, False)
    identity: int = world.vault.call("withdrawalCount")
    return identity


def test_a_fifth_of_the_cash_may_leave_within_an_hour(rich: World, refuses) -> None:
    limit = RICH // 5
    rich.leave(ALICE, USDC, limit - 1)
    with refuses("V:BREAKER"):
        rich.leave(ALICE, USDC, 2)
    rich.leave(BOB, USDC, 1)
    with refuses("V:BREAKER"):
        rich.leave(BOB, USDC, 1)
    assert rich.vault.call("outflowWindow") == (rich.evm.now, limit, limit)


@pytest.mark.parametrize("cash", [RICH + 5, 5 * (2**41 - 1), 2**104 - 1], ids=["odd", "all ones", "all there can be"])
def test_what_is_counted_and_the_limit_do_not_touch(refuses, cash: int) -> None:
    """Both are parts of one word."""
    world = World()
    world.deposit(ALICE, cash)
    next_hour(world)
    limit = cash // 5
    world.leave(ALICE, USDC, limit // 2)
    world.leave(ALICE, USDC, limit - limit // 2 - 1)
    with refuses("V:BREAKER"):
        world.leave(ALICE, USDC, 2)
    assert world.vault.call("outflowWindow") == (world.evm.now, limit - 1, limit)
    world.leave(ALICE, USDC, 1)
    assert world.vault.call("outflowWindow") == (world.evm.now, limit, limit)


def test_a_quarter_million_may_always_leave_within_an_hour(poor: World, refuses) -> None:
    with refuses("V:BREAKER"):
        poor.leave(ALICE, USDC, FREE + 1)
    poor.leave(ALICE, USDC, FREE)
    with refuses("V:BREAKER"):
        poor.leave(ALICE, USDC, 1)


def test_the_next_clock_hour_begins_anew_with_the_cash_of_its_beginning(rich: World, refuses) -> None:
    rich.leave(ALICE, USDC, RICH // 5)
    rich.evm.advance(HOUR - 1)
    with refuses("V:BREAKER"):
        rich.leave(ALICE, USDC, 1)
    rich.evm.advance(1)
    left = RICH - RICH // 5
    rich.leave(ALICE, USDC, left // 5)
    with refuses("V:BREAKER"):
        rich.leave(ALICE, USDC, 1)
    assert rich.vault.call("outflowWindow") == (rich.evm.now, left // 5, left // 5)


def test_a_deposit_does_not_raise_the_limit_of_its_hour(rich: World, refuses) -> None:
    rich.deposit(CAROL, 10 * RICH)
    with refuses("V:BREAKER"):
        rich.leave(ALICE, USDC, RICH // 5 + 1)
    rich.leave(ALICE, USDC, RICH // 5)


def test_a_claim_beyond_the_limit_waits_six_hours_and_no_longer(rich: World, refuses) -> None:
    """Claims after six hours always pass, however much has left."""
    first, second = request(rich, ALICE, RICH // 5 + 1), request(rich, BOB, POOR)
    rich.evm.advance(DELAY)
    with refuses("V:BREAKER"):
        rich.vault.send(ALICE, "claimWithdraw", first)
    rich.evm.advance(LONGEST - DELAY - 1)
    with refuses("V:BREAKER"):
        rich.vault.send(ALICE, "claimWithdraw", first)
    rich.evm.advance(1)

    logs = rich.vault.send(STRANGER, "claimWithdraw", first)

    tripped = [fields for name, fields in rich.events(logs) if name == "BreakerTripped"]
    assert tripped == [{"asset": USDC, "outflow": RICH // 5 + 1, "limit": RICH // 5}]
    names = [name for name, _ in rich.events(rich.vault.send(STRANGER, "claimWithdraw", second))]
    assert "BreakerTripped" not in names  # once an hour
    assert rich.usdc.call("balanceOf", ALICE) == RICH // 5 + 1
    assert rich.usdc.call("balanceOf", BOB) == POOR
    with refuses("V:BREAKER"):
        rich.leave(ALICE, USDC, 1)


def test_the_unit_after_a_limit_that_was_just_reached_trips_the_breaker(rich: World) -> None:
    waited = request(rich, ALICE, 1)
    rich.evm.advance(LONGEST)
    rich.leave(BOB, USDC, POOR)
    rich.leave(ALICE, USDC, RICH // 5 - POOR)
    names = [name for name, _ in rich.events(rich.vault.send(STRANGER, "claimWithdraw", waited))]
    assert "BreakerTripped" in names


def test_a_claim_within_the_limit_needs_the_ordinary_delay_only(rich: World) -> None:
    identity = request(rich, ALICE, RICH // 5)
    rich.evm.advance(DELAY)
    rich.vault.send(STRANGER, "claimWithdraw", identity)
    assert rich.usdc.call("balanceOf", ALICE) == RICH // 5


def test_a_delay_of_six_hours_is_never_made_longer() -> None:
    world = World(withdrawal_delay=LONGEST)
    world.deposit(ALICE, RICH)
    identity = request(world, ALICE, RICH)
    world.evm.advance(LONGEST)
    world.vault.send(STRANGER, "claimWithdraw", identity)
    assert world.usdc.call("balanceOf", ALICE) == RICH


def test_a_redirected_withdrawal_waits_from_its_redirection(rich: World, refuses) -> None:
    identity = request(rich, ALICE, RICH // 2)
    rich.evm.advance(LONGEST)
    rich.vault.send(ALICE, "redirectWithdraw", identity, CAROL)
    rich.evm.advance(DELAY)
    with refuses("V:BREAKER"):
        rich.vault.send(ALICE, "claimWithdraw", identity)
    rich.evm.advance(LONGEST - DELAY)
    rich.vault.send(STRANGER, "claimWithdraw", identity)
    assert rich.usdc.call("balanceOf", CAROL) == RICH // 2


def test_only_usdc_that_leaves_as_usdc_counts(rich: World) -> None:
    rich.report(SBTC, PRICES[SBTC])
    rich.borrow(ALICE, SBTC, 100 * ONE_SYNTH, RICH)
    rich.leave(ALICE, SBTC, 100 * ONE_SYNTH)
    rich.leave(ALICE, USDC, RICH // 2, as_cxpt=True)
    rich.vault.send(ALICE, "redeemCxpt", RICH // 2)
    assert rich.vault.call("outflowWindow")[1] == 0
    rich.leave(ALICE, USDC, RICH // 5)


def test_no_role_can_trip_or_lengthen_it(rich: World) -> None:
    """A pause of deposits does not touch it, and fees that ADMIN takes do not count: test_fee_pocket."""
    rich.vault.send(GUARDIAN, "pause", 72 * HOUR)
    rich.leave(ALICE, USDC, RICH // 5)


def test_two_hours_that_look_alike_are_not_one(rich: World) -> None:
    """An hour without any change of cash in between is still over."""
    rich.leave(ALICE, USDC, RICH // 5)
    rich.evm.advance(30 * 24 * HOUR)
    rich.leave(ALICE, USDC, (RICH - RICH // 5) // 5)
