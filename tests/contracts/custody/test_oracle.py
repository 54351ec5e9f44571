"""Prices: who may say one, when it counts, and which of several is the price."""

from __future__ import annotations

import pytest
from custody_world import ADMIN, ALICE, BOB, CAROL, REPORTER, SBTC, STALENESS, STRANGER, World
from hypothesis import given, settings
from hypothesis import strategies as st

PRICE = 60_000 * 10**6


@pytest.fixture
def three() -> World:
    """Four reporters, of whom two must agree to be there."""
    world = World(oracle_quorum=2)
    for reporter in (ALICE, BOB, CAROL):
        world.oracle.send(ADMIN, "setReporter", reporter, True)
    return world


def test_a_report_is_a_price_until_it_is_stale(world: World, refuses) -> None:
    world.evm.advance(10)
    logs = world.oracle.send(REPORTER, "report", SBTC, PRICE, world.evm.now - 5)
    assert world.events(logs) == [
        (
            "PriceReported",
            {"asset": SBTC, "reporter": "0x" + REPORTER.hex(), "price": PRICE, "publishTime": world.evm.now - 5},
        )
    ]
    world.evm.advance(STALENESS - 5)
    assert world.oracle.call("price", SBTC) == PRICE
    world.evm.advance(1)
    with refuses("O:QUORUM"):
        world.oracle.call("price", SBTC)
    assert world.oracle.call("reportOf", SBTC, REPORTER) == (PRICE, world.evm.now - STALENESS - 1)


@pytest.mark.parametrize(
    ("price", "age", "code"),
    [
        (0, 0, "O:ZERO"),
        (2**96, 0, "O:RANGE"),
        (2**256 - 1, 0, "O:RANGE"),
        (PRICE, -1, "O:FUTURE"),
        (PRICE, STALENESS + 1, "O:STALE"),
    ],
)
def test_attack_29_zero_absurd_future_and_stale_prices_are_refused(
    world: World, refuses, price: int, age: int, code: str
) -> None:
    world.evm.advance(1000)
    with refuses(code):
        world.oracle.send(REPORTER, "report", SBTC, price, world.evm.now - age)


def test_attack_30_an_older_or_equal_report_cannot_be_replayed(world: World, refuses) -> None:
    world.evm.advance(100)
    world.oracle.send(REPORTER, "report", SBTC, PRICE, world.evm.now - 1)
    for age in (1, 2, 100):
        with refuses("O:ORDER"):
            world.oracle.send(REPORTER, "report", SBTC, PRICE * 2, world.evm.now - age)
    world.oracle.send(REPORTER, "report", SBTC, PRICE * 2, world.evm.now)
    assert world.oracle.call("price", SBTC) == PRICE * 2


def test_below_the_quorum_there_is_no_price(three: World, refuses) -> None:
    three.report(SBTC, 10, ALICE)
    with refuses("O:QUORUM"):
        three.oracle.call("price", SBTC)
    three.report(SBTC, 30, BOB)
    assert three.oracle.call("price", SBTC) == 30  # of two, the upper: debt is never valued too low
    three.report(SBTC, 20, CAROL)
    assert three.oracle.call("price", SBTC) == 20


def test_one_reporter_cannot_move_the_median_past_the_others(three: World) -> None:
    for reporter, price in ((ALICE, 100), (BOB, 101), (CAROL, 2**96 - 1)):
        three.report(SBTC, price, reporter)
    assert three.oracle.call("price", SBTC) == 101


def test_only_fresh_reports_count(three: World) -> None:
    three.report(SBTC, 1, ALICE)
    three.evm.advance(STALENESS)
    three.report(SBTC, 50, BOB)
    three.report(SBTC, 60, CAROL)
    assert three.oracle.call("price", SBTC) == 50
    three.evm.advance(1)
    assert three.oracle.call("price", SBTC) == 60


def test_a_removed_reporter_counts_no_more(three: World, refuses) -> None:
    three.report(SBTC, 10, ALICE)
    three.report(SBTC, 30, BOB)
    three.oracle.send(ADMIN, "setReporter", ALICE, False)
    with refuses("O:QUORUM"):
        three.oracle.call("price", SBTC)
    with refuses("O:REPORTER"):
        three.oracle.send(ALICE, "report", SBTC, 10, three.evm.now)
    for reporter, allowed in ((BOB, True), (STRANGER, False), (bytes(20), True)):
        with refuses("O:REPORTER"):
            three.oracle.send(ADMIN, "setReporter", reporter, allowed)


def test_what_a_removed_reporter_said_stays_forgotten_when_it_comes_back(three: World, refuses) -> None:
    three.report(SBTC, 1, ALICE)
    three.report(SBTC, 30, BOB)
    three.oracle.send(ADMIN, "setReporter", ALICE, False)
    three.oracle.send(ADMIN, "setReporter", ALICE, True)
    assert three.oracle.call("reportOf", SBTC, ALICE) == (0, 0)
    with refuses("O:QUORUM"):
        three.oracle.call("price", SBTC)
    three.report(SBTC, 31, ALICE)
    assert three.oracle.call("price", SBTC) == 31


def test_nobody_can_be_removed_from_an_empty_list(refuses) -> None:
    world = World()
    world.oracle.send(ADMIN, "setReporter", REPORTER, False)
    with refuses("O:REPORTER"):
        world.oracle.send(ADMIN, "setReporter", REPORTER, False)


def test_there_are_at_most_nine_reporters(three: World, refuses) -> None:
    for index in range(1, 6):
        three.oracle.send(ADMIN, "setReporter", bytes([index]) * 20, True)
    assert three.oracle.call("reporterCount") == 9
    with refuses("O:COUNT"):
        three.oracle.send(ADMIN, "setReporter", bytes([9]) * 20, True)
    three.oracle.send(ADMIN, "setReporter", REPORTER, False)
    three.oracle.send(ADMIN, "setReporter", bytes([9]) * 20, True)


def test_a_quorum_of_nobody_or_an_age_of_nothing_is_refused(refuses) -> None:
    for options in ({"oracle_quorum": 0}, {"oracle_quorum": 10}, {"oracle_staleness": 0}):
        with refuses("O:CONFIG"):
            World(**options)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_the_price_is_the_upper_median(prices: list[int]) -> None:
    world = World()
    reporters = (REPORTER, ALICE, BOB, CAROL)
    for reporter, price in zip(reporters, prices, strict=False):
        if reporter != REPORTER:
            world.oracle.send(ADMIN, "setReporter", reporter, True)
        world.report(SBTC, price, reporter)
    assert world.oracle.call("price", SBTC) == sorted(prices)[len(prices) // 2]
