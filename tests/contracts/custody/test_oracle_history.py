"""What can be asked about past prices: the first one since a moment, and the mean over a window."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_world import ASSET, GUARDIAN, MAX_AGE, OTHER_ASSET, PRICE, OracleWorld, code_of, words

from cxdex.price_report import MAX_PRICE

Points = list[tuple[int, int]]  # (publishTime, price), ascending


@pytest.fixture
def world() -> OracleWorld:
    oracle_world = OracleWorld()
    oracle_world.evm.advance(10_000)
    return oracle_world


def publish(world: OracleWorld, prices: list[tuple[int, int]]) -> Points:
    """Reports (seconds after the one before, price); returns what the history must hold."""
    points = []
    for gap, price in prices:
        world.evm.advance(gap)
        world.agree(price)
        points.append((world.evm.now, price))
    return points


def integral(points: Points, start: int, end: int) -> int:
    """Second by second, as nobody would do it on chain."""
    total = 0
    for second in range(start, end):
        total += next(price for time, price in reversed(points) if time <= second)
    return total


def test_every_accepted_price_is_a_checkpoint_with_the_sum_before_it(world: OracleWorld, refuses) -> None:
    points = publish(world, [(0, 100), (10, 110), (5, 105)])
    assert world.history() == points
    assert [world.oracle.call("checkpoint", ASSET, n)[2] for n in range(3)] == [0, 1000, 1550]
    for asset, index in ((ASSET, 3), (ASSET, 2**256 - 1), (OTHER_ASSET, 0)):
        with refuses("O:NONE"):
            world.oracle.call("checkpoint", asset, index)
    assert world.oracle.call("lastPrice", ASSET) == (105, points[-1][0])
    assert world.oracle.call("lastPrice", OTHER_ASSET) == (0, 0)


def test_without_any_price_nothing_is_answered(world: OracleWorld, refuses) -> None:
    for time in (0, 1, world.evm.now, 2**256 - 1):
        with refuses("O:NONE"):
            world.oracle.call("firstPriceSince", ASSET, time)
    world.evm.advance(MAX_AGE + 2)
    with refuses("O:NONE"):
        world.oracle.call("twap", ASSET, world.evm.now - MAX_AGE - 2, world.evm.now - MAX_AGE - 1)


def test_the_first_price_since_a_moment_never_changes_once_it_is_there(world: OracleWorld, refuses) -> None:
    asked_at = world.evm.now + 60
    world.agree(PRICE)
    with refuses("O:NONE"):
        world.oracle.call("firstPriceSince", ASSET, asked_at)
    world.evm.advance(59)
    world.agree(PRICE + 1)
    with refuses("O:NONE"):
        world.oracle.call("firstPriceSince", ASSET, asked_at)
    world.evm.advance(11)
    world.agree(PRICE + 2, age=5)
    found = (PRICE + 2, asked_at + 5)
    assert world.oracle.call("firstPriceSince", ASSET, asked_at) == found
    for _ in range(5):
        world.evm.advance(3)
        world.agree(PRICE + 9)
        assert world.oracle.call("firstPriceSince", ASSET, asked_at) == found
    assert world.oracle.call("firstPriceSince", ASSET, 0) == (PRICE, asked_at - 60)


def test_attack_30_a_window_is_answered_only_when_it_can_no_longer_change(world: OracleWorld, refuses) -> None:
    [(first, _)] = publish(world, [(0, 100)])
    world.evm.advance(50)
    for end in (world.evm.now, world.evm.now + 1, 2**256 - 1):
        with refuses("O:OPEN"):
            world.oracle.call("twap", ASSET, first, end)
    end = world.evm.now
    world.agree(110)
    assert world.oracle.call("twap", ASSET, first, end) == 100
    with refuses("O:OPEN"):
        world.oracle.call("twap", ASSET, first, end + 1)
    for start in (end, end + 1):
        with refuses("O:WINDOW"):
            world.oracle.call("twap", ASSET, start, end)
    with refuses("O:NONE"):
        world.oracle.call("twap", ASSET, first - 1, end)


def test_attack_34_when_prices_stay_away_the_window_closes_with_the_last_one(world: OracleWorld, refuses) -> None:
    points = publish(world, [(0, 100), (40, 110)])
    start, end = points[0][0], points[1][0] + 60
    world.evm.advance(60 + MAX_AGE)
    with refuses("O:OPEN"):
        world.oracle.call("twap", ASSET, start, end)
    world.evm.advance(1)
    assert world.oracle.call("twap", ASSET, start, end) == (40 * 100 + 60 * 110) // 100
    world.agree(115)
    assert world.oracle.call("twap", ASSET, start, end) == (40 * 100 + 60 * 110) // 100


def test_attack_33_an_outlier_moves_the_mean_by_its_weight_and_no_more(world: OracleWorld) -> None:
    minute = [(20, PRICE)] * 90
    low = publish(world, [*minute, (20, PRICE * 6 // 5), (20, PRICE), *minute])
    start, end = low[0][0], low[-1][0]
    mean = world.oracle.call("twap", ASSET, start, end)
    assert mean == PRICE + (PRICE // 5) * 20 // (end - start)
    assert (mean - PRICE) * 100 < PRICE  # a fifth, for 20 seconds of an hour: a ninth of a percent


def test_attack_33_a_jump_that_nobody_confirms_moves_nothing(world: OracleWorld) -> None:
    points = publish(world, [(20, PRICE)] * 10 + [(20, 50 * PRICE)] + [(20, PRICE)] * 10)
    assert world.oracle.call("twap", ASSET, points[0][0], points[-1][0]) == PRICE


def test_attack_57_the_largest_prices_over_the_longest_times_do_not_overflow(world: OracleWorld) -> None:
    world.agree(MAX_PRICE)
    start = world.evm.now
    world.evm.advance(2**40 - 2 - start)
    world.oracle.send(GUARDIAN, "freeze", OTHER_ASSET, 1)
    world.evm.advance(1)
    world.agree(MAX_PRICE)
    assert world.oracle.call("twap", ASSET, start, world.evm.now) == MAX_PRICE
    world.evm.advance(1)
    assert code_of(lambda: world.agree(MAX_PRICE)) == "O:RANGE"
    assert code_of(lambda: world.agree(1)) == "O:RANGE"
    assert code_of(lambda: world.oracle.send(GUARDIAN, "freeze", ASSET, 1)) == "O:RANGE"


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.data())
def test_mean_and_search_equal_the_plainest_reference(data: st.DataObject) -> None:
    world = OracleWorld()
    steps = st.tuples(st.integers(1, 12), st.integers(1000, 1200))
    points = publish(world, data.draw(st.lists(steps, min_size=1, max_size=12)))
    first, last = points[0][0], points[-1][0]
    for _ in range(6):
        time = data.draw(st.integers(first - 2, last + 2))
        later = [(price, published) for published, price in points if published >= time]
        if later:
            assert world.oracle.call("firstPriceSince", ASSET, time) == later[0]
        else:
            assert code_of(lambda t=time: world.oracle.call("firstPriceSince", ASSET, t)) == "O:NONE"
        start, end = (data.draw(st.integers(first, last)) for _ in range(2))
        if start < end:
            mean = integral(points, start, end) // (end - start)
            assert world.oracle.call("twap", ASSET, start, end) == mean


def test_the_search_reads_few_checkpoints_of_many(world: OracleWorld) -> None:
    """A bound on gas, not a measure of it: 200 prices, 8 reads a search."""
    points = publish(world, [(1, PRICE + n) for n in range(200)])
    for time, price in (points[0], points[77], points[-1]):
        assert world.oracle.call("firstPriceSince", ASSET, time) == (price, time)
        assert world.ask_with(70_000, "firstPriceSince", ASSET, time) == words(price, time)
