"""The second source: when it counts, what happens when it disagrees, and that nobody can make it look dead."""

from __future__ import annotations

import pytest
from oracle_world import (
    ASSET,
    BOMB,
    BURNS_GAS,
    BURNS_GAS_IN_DECIMALS,
    DAY,
    GOOD,
    HEARTBEAT,
    MAX_AGE,
    PRICE,
    REVERTS,
    REVERTS_IN_DECIMALS,
    SHORT,
    STALENESS,
    STRANGER,
    TIMELOCK,
    OracleWorld,
    code_of,
    topic,
    words,
)

from cxdex.price_report import MAX_PRICE

DEAD = (False, 0, 0)


@pytest.fixture
def world() -> OracleWorld:
    oracle_world = OracleWorld()
    oracle_world.evm.advance(10_000)
    return oracle_world


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_answers_of_any_decimals_become_millionths_of_a_usdc(world: OracleWorld, decimals: int) -> None:
    world.add_source(PRICE, decimals)
    assert world.oracle.call("secondPrice", ASSET) == (True, PRICE, world.evm.now)
    assert world.oracle.call("sourceOf", ASSET)[1:] == (HEARTBEAT, decimals)


def test_the_first_source_is_the_price_while_both_agree(world: OracleWorld) -> None:
    world.add_source(PRICE)
    world.agree(PRICE * 101 // 100)
    assert world.price() == PRICE * 101 // 100


@pytest.mark.parametrize(("first", "second"), [(102, 100), (100, 102)])
def test_two_percent_is_the_most_that_the_sources_may_differ(
    world: OracleWorld, refuses, first: int, second: int
) -> None:
    aggregator = world.add_source(PRICE * second // 100)
    world.agree(PRICE * first // 100)
    assert world.price() == PRICE * first // 100
    one = 100 if second > first else -100  # a millionth of a USDC has 100 of the source's units
    world.answer(aggregator, PRICE * second + one)
    with refuses("O:DEVIATION"):
        world.price()
    world.answer(aggregator, PRICE * second)
    assert world.price() == PRICE * first // 100


def test_attack_29_a_price_that_the_second_source_denies_enters_no_history(world: OracleWorld, refuses) -> None:
    aggregator = world.add_source(PRICE)
    world.agree(PRICE)
    world.evm.advance(20)
    world.agree(PRICE * 103 // 100)
    with refuses("O:DEVIATION"):
        world.price()
    assert [price for _, price in world.history()] == [PRICE]
    world.answer(aggregator, PRICE * 103)
    assert world.price() == PRICE * 103 // 100  # they agree now
    world.evm.advance(1)
    world.agree(PRICE * 103 // 100)
    assert [price for _, price in world.history()] == [PRICE, PRICE * 103 // 100]


def test_what_was_denied_is_not_believed_when_the_denier_falls_silent(world: OracleWorld, refuses) -> None:
    aggregator = world.add_source(PRICE)
    world.agree(PRICE)
    world.evm.advance(20)
    world.agree(PRICE * 110 // 100)
    aggregator.send(STRANGER, "behave", REVERTS, 0)
    with refuses("O:DEVIATION"):
        world.price()


def test_the_second_source_confirms_a_jump(world: OracleWorld) -> None:
    world.add_source(PRICE)
    world.agree(PRICE)
    world.evm.advance(20)
    world.add_source(2 * PRICE)
    world.agree(2 * PRICE)
    assert world.price() == 2 * PRICE
    assert [price for _, price in world.history()] == [PRICE, 2 * PRICE]


def test_silent_reporters_leave_the_price_to_the_second_source(world: OracleWorld, refuses) -> None:
    aggregator = world.add_source(PRICE)
    assert world.price() == PRICE  # nobody has ever reported
    world.agree(PRICE)
    world.evm.advance(STALENESS + 1)
    world.answer(aggregator, PRICE * 200, age=HEARTBEAT)
    assert world.price() == 2 * PRICE
    world.evm.advance(1)
    with refuses("O:STALE"):
        world.price()


# ---------------------------------------------------------------- what counts as silence


@pytest.mark.parametrize("behaviour", [REVERTS, BURNS_GAS, SHORT, BURNS_GAS_IN_DECIMALS, REVERTS_IN_DECIMALS])
def test_attack_29_a_source_that_does_not_answer_is_silent(world: OracleWorld, refuses, behaviour: int) -> None:
    aggregator = world.add_source(PRICE)
    aggregator.send(STRANGER, "behave", behaviour, 0)
    assert world.oracle.call("secondPrice", ASSET) == DEAD
    with refuses("O:STALE"):
        world.price()
    world.agree(PRICE)
    assert world.price() == PRICE
    aggregator.send(STRANGER, "behave", GOOD, 0)
    assert world.oracle.call("secondPrice", ASSET) == (True, PRICE, world.evm.now)


def test_attack_29_a_source_that_answers_with_nothing_at_all_is_silent(world: OracleWorld) -> None:
    aggregator = world.add_source(PRICE)
    world.evm.set_code(aggregator.address, b"\x00")
    assert world.oracle.call("secondPrice", ASSET) == DEAD


@pytest.mark.parametrize(
    ("answer", "age"),
    [
        (0, 0),
        (-1, 0),
        (-PRICE * 100, 0),
        (-(2**255), 0),
        (99, 0),  # less than a millionth
        ((MAX_PRICE + 1) * 100, 0),
        (2**120 + 1, 0),
        (2**255 - 1, 0),
        (PRICE * 100, -1),
        (PRICE * 100, HEARTBEAT + 1),
        (PRICE * 100, 1_800_010_000),  # at the beginning of time, as an unfinished round has it
    ],
)
def test_attack_29_zero_negative_absurd_future_and_stale_answers_are_silence(
    world: OracleWorld, answer: int, age: int
) -> None:
    aggregator = world.add_source()
    world.answer(aggregator, answer, age)
    assert world.oracle.call("secondPrice", ASSET) == DEAD
    world.agree(PRICE)
    assert world.price() == PRICE
    world.answer(aggregator, MAX_PRICE * 100, HEARTBEAT)
    assert world.oracle.call("secondPrice", ASSET) == (True, MAX_PRICE, world.evm.now - HEARTBEAT)


@pytest.mark.parametrize(("decimals", "least"), [(0, 1), (6, 1), (8, 100), (18, 10**12)])
def test_the_least_and_the_largest_price_are_heard(world: OracleWorld, decimals: int, least: int) -> None:
    aggregator = world.add_source(decimals=decimals)
    world.answer(aggregator, least)
    assert world.oracle.call("secondPrice", ASSET) == (True, max(1, 10**6 // 10**decimals), world.evm.now)
    world.answer(aggregator, MAX_PRICE * 10**decimals // 10**6)
    assert world.oracle.call("secondPrice", ASSET)[0] is True


def test_the_parts_of_a_source_do_not_touch(world: OracleWorld) -> None:
    """Each with its lowest bit set."""
    source, heartbeat, decimals = world.add_source(decimals=7, heartbeat=3601), 3601, 7
    while source.address[-1] % 2 == 0:
        source = world.add_source(decimals=decimals, heartbeat=heartbeat)
    assert world.oracle.call("sourceOf", ASSET) == (source.address, heartbeat, decimals)
    world.answer(source, PRICE * 10, heartbeat)
    assert world.oracle.call("secondPrice", ASSET) == (True, PRICE, world.evm.now - heartbeat)
    world.answer(source, PRICE * 10, heartbeat + 1)
    assert world.oracle.call("secondPrice", ASSET) == DEAD


def test_an_asset_without_a_source_has_a_silent_one(world: OracleWorld) -> None:
    assert world.oracle.call("secondPrice", ASSET) == DEAD


@pytest.mark.parametrize("decimals", [6, 7, 9, 18, 255, 2**256 - 1])
def test_attack_29_a_source_that_changes_its_decimals_is_silent(world: OracleWorld, refuses, decimals: int) -> None:
    aggregator = world.add_source(PRICE, 8)
    aggregator.send(STRANGER, "setDecimals", decimals)
    assert world.oracle.call("secondPrice", ASSET) == DEAD
    with refuses("O:STALE"):
        world.price()


def test_a_long_answer_is_read_to_the_end_of_what_is_asked(world: OracleWorld) -> None:
    aggregator = world.add_source(PRICE)
    aggregator.send(STRANGER, "behave", BOMB, 0)
    assert world.oracle.call("secondPrice", ASSET) == (True, PRICE, world.evm.now)


# ---------------------------------------------------------------- gas


def test_attack_45_a_caller_with_little_gas_cannot_make_a_source_look_dead(world: OracleWorld) -> None:
    """The reporters say one thing, the source another, so no amount of gas may lead to a price."""
    aggregator = world.add_source(PRICE * 110 // 100)
    aggregator.send(STRANGER, "behave", GOOD, 1_000)  # about 120,000 gas of work, honest and slow
    world.agree(PRICE)
    answers = {world.ask_with(gas, "price", ASSET) for gas in range(20_000, 700_000, 500)}
    assert answers == {"", "O:GAS", "O:DEVIATION"}


def test_attack_45_a_dead_source_is_dead_for_everybody_with_enough_gas(world: OracleWorld) -> None:
    """What a source needs beyond its allowance it never gets, however much the caller has."""
    aggregator = world.add_source(PRICE * 110 // 100)
    aggregator.send(STRANGER, "behave", GOOD, 2_000)
    world.agree(PRICE)
    answers = {world.ask_with(gas, "price", ASSET) for gas in range(20_000, 1_000_000, 2_000)}
    assert answers == {"", "O:GAS", words(PRICE)}
    assert world.oracle.call("secondPrice", ASSET) == DEAD


def test_attack_45_submitting_with_little_gas_cannot_pass_the_second_source(world: OracleWorld) -> None:
    aggregator = world.add_source(PRICE * 110 // 100)
    aggregator.send(STRANGER, "behave", GOOD, 1_000)
    reports = world.reports((0, PRICE, 0), (1, PRICE, 0))
    codes = set()
    for gas in range(30_000, 600_000, 5_000):
        before = world.snapshot()
        codes.add(world.send_with(gas, "submit", ASSET, reports))
        assert world.oracle.call("checkpointCount", ASSET) == 0
        world.restore(before)
    assert codes == {"", "O:GAS", b""}


# ---------------------------------------------------------------- setting it


def test_a_source_can_be_replaced_and_taken_away(world: OracleWorld, refuses) -> None:
    world.add_source(PRICE)
    world.add_source(2 * PRICE, decimals=18, heartbeat=MAX_AGE)
    assert world.price() == 2 * PRICE
    (log,) = world.oracle.send(TIMELOCK, "setSource", ASSET, bytes(20), 0)
    topics = [topic("SourceSet(uint256,address,uint256,uint256)"), words(ASSET), bytes(32)]
    assert log.data == (topics, words(0, 0))
    assert world.oracle.call("sourceOf", ASSET) == (bytes(20), 0, 0)
    with refuses("O:STALE"):
        world.price()


def test_what_is_no_source_is_refused(world: OracleWorld) -> None:
    good = world.create("MockAggregator", 8).address
    absurd = world.create("MockAggregator", 19).address
    for source, heartbeat in (
        (good, 0),
        (good, MAX_AGE + 1),
        (absurd, HEARTBEAT),
        (STRANGER, HEARTBEAT),
        (bytes(20), HEARTBEAT),
    ):
        code = code_of(lambda s=source, h=heartbeat: world.oracle.send(TIMELOCK, "setSource", ASSET, s, h))
        assert code == "O:SOURCE"
    assert code_of(lambda: world.oracle.send(TIMELOCK, "setSource", ASSET, good, MAX_AGE)) == ""


# ---------------------------------------------------------------- the history goes on without reporters


def test_attack_34_the_second_source_fills_the_history_while_the_reporters_are_silent(
    world: OracleWorld, refuses
) -> None:
    aggregator = world.add_source(PRICE)
    world.agree(PRICE)
    asked_at = world.evm.now + 1
    with refuses("O:FRESH"):
        world.oracle.send(STRANGER, "poke", ASSET)
    world.evm.advance(STALENESS + 1)
    with refuses("O:ORDER"):
        world.oracle.send(STRANGER, "poke", ASSET)  # its answer is from before the last report
    with refuses("O:NONE"):
        world.oracle.call("firstPriceSince", ASSET, asked_at)
    world.answer(aggregator, PRICE * 150, age=10)
    world.oracle.send(STRANGER, "poke", ASSET)
    assert world.oracle.call("firstPriceSince", ASSET, asked_at) == (PRICE * 3 // 2, world.evm.now - 10)
    aggregator.send(STRANGER, "behave", REVERTS, 0)
    with refuses("O:STALE"):
        world.oracle.send(STRANGER, "poke", ASSET)
    with refuses("O:ORDER"):
        world.agree(PRICE * 3 // 2, age=10)  # the history has something as new
    world.agree(PRICE * 3 // 2, age=9)
    assert world.price() == PRICE * 3 // 2


def test_an_old_report_confirms_no_jump_away_from_what_the_second_source_filled_in(world: OracleWorld, refuses) -> None:
    aggregator = world.add_source(PRICE)
    world.agree(PRICE)
    world.evm.advance(DAY)
    world.answer(aggregator, PRICE * 150)
    world.oracle.send(STRANGER, "poke", ASSET)
    aggregator.send(STRANGER, "behave", REVERTS, 0)
    world.evm.advance(20)
    world.agree(PRICE)
    with refuses("O:DEVIATION"):
        world.price()
    world.evm.advance(20)
    world.agree(PRICE)
    assert world.price() == PRICE


def test_the_history_ends_with_the_last_second_that_fits(world: OracleWorld, refuses) -> None:
    """In the year 36812."""
    aggregator = world.add_source()
    world.evm.advance(2**40 - 1 - world.evm.now)
    world.answer(aggregator, PRICE * 100)
    world.oracle.send(STRANGER, "poke", ASSET)
    assert world.history() == [(2**40 - 1, PRICE)]
    world.evm.advance(1)
    world.answer(aggregator, PRICE * 100)
    with refuses("O:RANGE"):
        world.oracle.send(STRANGER, "poke", ASSET)
