"""Prices that reporters sign: whose count, how many it takes, which of several is the price, and until when."""

from __future__ import annotations

import pytest
from custody_evm import CHAIN_ID
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_world import (
    ASSET,
    OTHER_ASSET,
    PRICE,
    STALENESS,
    STRANGERS_KEY,
    OracleWorld,
    code_of,
    topic,
    words,
)

from cxdex.eip712 import Domain
from cxdex.price_report import MAX_PRICE, PriceReport, sign_report, submitted
from cxdex.signature import CURVE_ORDER

LOW_S_BITS = 2**255 - 1


@pytest.fixture
def three() -> OracleWorld:
    """Three reporters of whom two must sign. No second source."""
    world = OracleWorld()
    world.evm.advance(10_000)
    return world


def test_a_price_that_a_quorum_signed_is_the_price_until_it_is_stale(three: OracleWorld, refuses) -> None:
    with refuses("O:STALE"):
        three.price()
    [log] = three.agree(PRICE, age=5)
    topics, data = log.data
    assert topics[0] == topic("PriceUpdated(uint256,uint256,uint256,uint256)")
    assert (topics[1], data) == (words(ASSET), words(PRICE, three.evm.now - 5, 0))
    three.evm.advance(STALENESS - 5)
    assert three.price() == PRICE
    three.evm.advance(1)
    with refuses("O:STALE"):
        three.price()
    published = three.evm.now - STALENESS - 1
    assert three.oracle.call("reported", ASSET) == (PRICE, published, False)
    assert three.oracle.call("lastPrice", ASSET) == (PRICE, published)


@pytest.mark.parametrize(
    ("price", "age", "code"),
    [
        (PRICE, -1, "O:FUTURE"),
        (PRICE, STALENESS + 1, "O:STALE"),
        (PRICE, 10_000 + 1_800_000_000, "O:STALE"),
    ],
)
def test_attack_29_future_and_stale_reports_are_refused(
    three: OracleWorld, refuses, price: int, age: int, code: str
) -> None:
    for late in (0, 1):
        told = [(n, price, age if n == late else 0) for n in range(2)]
        with refuses(code):
            three.submit(three.reports(*told))
    three.agree(price, age=STALENESS)
    assert three.price() == price


@pytest.mark.parametrize(("price", "code"), [(0, "O:ZERO"), (MAX_PRICE + 1, "O:RANGE"), (2**256 - 1, "O:RANGE")])
def test_attack_29_zero_and_absurd_prices_are_refused(three: OracleWorld, refuses, price: int, code: str) -> None:
    good, bad = three.reports((0, PRICE, 0), (1, PRICE, 0))
    with refuses(code):
        three.submit([good, (price, *bad[1:])])
    three.agree(MAX_PRICE)
    assert three.price() == MAX_PRICE


def test_attack_30_a_price_that_is_not_newer_is_refused(three: OracleWorld, refuses) -> None:
    earlier = three.reports((0, PRICE, 0), (1, PRICE, 0))
    three.submit(earlier)
    with refuses("O:ORDER"):
        three.submit(earlier)
    three.evm.advance(10)
    for age in (10, 11, 200):
        with refuses("O:ORDER"):
            three.agree(PRICE + 1, age=age)
    three.agree(PRICE + 1, age=9)
    assert three.price() == PRICE + 1


def test_attack_30_one_old_report_among_new_ones_is_refused(three: OracleWorld, refuses) -> None:
    three.agree(PRICE)
    three.evm.advance(30)
    told = ((0, PRICE, 30), (1, PRICE, 0), (2, PRICE, 0))
    with refuses("O:ORDER"):
        three.submit(three.reports(*told))
    three.submit(three.reports((0, PRICE, 29), (1, PRICE, 0), (2, PRICE, 3)))
    assert three.oracle.call("reported", ASSET) == (PRICE, three.evm.now - 29, False)  # the earliest counts


def test_below_the_quorum_there_is_no_price(three: OracleWorld, refuses) -> None:
    for told in ((), ((0, PRICE, 0),)):
        with refuses("O:QUORUM"):
            three.submit(three.reports(*told))


def test_attack_30_a_signer_does_not_count_twice(three: OracleWorld, refuses) -> None:
    [one] = three.reports((0, PRICE, 0))
    [another] = three.reports((0, PRICE + 1, 0))
    for pair in ([one, one], [one, another]):
        with refuses("O:SORT"):
            three.submit(pair)
    first, second = three.reports((0, PRICE, 0), (1, PRICE, 0))
    with refuses("O:SORT"):
        three.submit([second, first])


def test_attack_29_a_stranger_signs_nothing(three: OracleWorld, refuses) -> None:
    stranger = sign_report(STRANGERS_KEY, three.domain, PriceReport(ASSET, PRICE, three.evm.now))
    outsider = three.sign(3, PRICE)  # a reporter elsewhere
    for forged in (stranger, outsider):
        with refuses("O:REPORTER"):
            three.submit(submitted([three.sign(0, PRICE), forged]))


def test_attack_01_02_reports_for_another_chain_or_oracle_are_refused(three: OracleWorld, refuses) -> None:
    elsewhere = [Domain(CHAIN_ID + 1, three.oracle.address), Domain(CHAIN_ID, bytes(20)), Domain(1, bytes(20))]
    for domain in elsewhere:
        foreign = submitted(three.sign(n, PRICE, domain=domain) for n in range(2))
        with refuses("O:REPORTER"):
            three.submit(foreign)


def test_attack_03_a_report_for_another_asset_or_time_or_price_is_refused(three: OracleWorld) -> None:
    reports = three.reports((0, PRICE, 0), (1, PRICE, 0))
    (price, time, r, vs), other = reports
    # Every word of the message is signed: a changed one recovers to somebody else, or to nobody.
    for changed in ((price + 1, time, r, vs), (price, time - 1, r, vs)):
        assert code_of(lambda one=changed: three.submit([one, other])) in ("O:REPORTER", "O:SIGNATURE")
    assert code_of(lambda: three.submit(reports, OTHER_ASSET)) in ("O:REPORTER", "O:SIGNATURE")
    three.submit(reports)


def test_attack_07_08_malleable_and_garbage_signatures_are_refused(three: OracleWorld) -> None:
    (price, time, r, vs), other = three.reports((0, PRICE, 0), (1, PRICE, 0))
    for bad_r, bad_vs in ((0, vs), (r, 0), (0, 0), (2**256 - 1, vs), (CURVE_ORDER, vs)):  # nobody's
        assert code_of(lambda r=bad_r, v=bad_vs: three.submit([(price, time, r, v), other])) == "O:SIGNATURE"
    for bad_r, bad_vs in ((r, vs ^ 1), (r, vs ^ 2**255), (r ^ 1, vs)):
        code = code_of(lambda r=bad_r, v=bad_vs: three.submit([(price, time, r, v), other]))
        assert code in ("O:SIGNATURE", "O:REPORTER")
    high = CURVE_ORDER - (vs & LOW_S_BITS)
    assert high > LOW_S_BITS  # the twin of this signature does not even fit the compact form
    for bad_vs in (CURVE_ORDER // 2 + 1, CURVE_ORDER // 2 + 1 | 2**255, 2**255 - 1, 2**256 - 1):
        assert code_of(lambda v=bad_vs: three.submit([(price, time, r, v), other])) == "O:SIGNATURE"
    assert three.oracle.call("checkpointCount", ASSET) == 0


def test_of_two_reports_the_upper_is_the_price(three: OracleWorld) -> None:
    three.report(1000, 1010)
    assert three.price() == 1010  # of two, the upper: debt is never valued too low


def test_attack_29_one_liar_of_three_moves_the_median_only_among_the_honest(three: OracleWorld) -> None:
    for liar in range(3):
        for lie in (1, MAX_PRICE):
            three.evm.advance(1)
            honest = iter((PRICE, PRICE + 100))
            prices = [lie if n == liar else next(honest) for n in range(3)]
            three.report(*prices)
            assert PRICE <= three.price() <= PRICE + 100


def test_attack_29_a_liar_beside_one_honest_reporter_gets_two_percent(three: OracleWorld, refuses) -> None:
    for lie in (PRICE * 102 // 100 + 1, MAX_PRICE, PRICE * 98 // 100, 1):
        with refuses("O:SPREAD"):
            three.report(PRICE, lie)
        with refuses("O:SPREAD"):
            three.report(lie, PRICE)
    three.report(PRICE, PRICE * 102 // 100)
    assert three.price() == PRICE * 102 // 100


def test_reports_beyond_the_quorum_and_all_nine_count(refuses) -> None:
    world = OracleWorld(reporters=9, quorum=5)
    prices = [PRICE + n for n in (5, 1, 9, 3, 7, 2, 8, 4, 6)]
    world.report(*prices)
    assert world.price() == PRICE + 5
    world.evm.advance(1)
    with refuses("O:QUORUM"):
        world.report(*prices[:4])


def test_assets_do_not_know_of_each_other(three: OracleWorld, refuses) -> None:
    three.agree(PRICE)
    with refuses("O:STALE"):
        three.price(OTHER_ASSET)
    three.submit(submitted(three.sign(n, 3_000, asset=OTHER_ASSET) for n in range(2)), OTHER_ASSET)
    assert (three.price(), three.price(OTHER_ASSET)) == (PRICE, 3_000)


# ---------------------------------------------------------------- jumps, where there is no second source


def test_attack_29_a_jump_is_no_price_until_the_next_report_confirms_it(three: OracleWorld, refuses) -> None:
    three.agree(PRICE)
    three.evm.advance(20)
    [log] = three.agree(2 * PRICE)
    assert log.data[0][0] == topic("PriceDisputed(uint256,uint256,uint256)")
    assert log.data[1] == words(2 * PRICE, three.evm.now)
    with refuses("O:DEVIATION"):
        three.price()
    assert three.oracle.call("reported", ASSET) == (2 * PRICE, three.evm.now, True)
    assert three.oracle.call("lastPrice", ASSET) == (PRICE, three.evm.now - 20)
    three.evm.advance(20)
    three.agree(2 * PRICE + 5)
    assert three.price() == 2 * PRICE + 5
    assert [price for _, price in three.history()] == [PRICE, 2 * PRICE + 5]


def test_attack_30_what_is_in_doubt_is_not_replaced_by_something_older(three: OracleWorld, refuses) -> None:
    three.agree(PRICE)
    three.evm.advance(20)
    three.agree(2 * PRICE)
    for price, age in ((2 * PRICE, 0), (2 * PRICE, 1), (PRICE, 1), (3 * PRICE, 19)):
        with refuses("O:ORDER"):
            three.agree(price, age=age)
    assert three.oracle.call("reported", ASSET) == (2 * PRICE, three.evm.now, True)


def test_attack_29_a_single_outlier_is_forgotten(three: OracleWorld) -> None:
    three.agree(PRICE)
    three.evm.advance(20)
    three.agree(PRICE // 3)
    three.evm.advance(20)
    three.agree(PRICE + 1)
    assert three.price() == PRICE + 1
    assert [price for _, price in three.history()] == [PRICE, PRICE + 1]


def test_a_move_of_a_fifth_is_no_jump(three: OracleWorld) -> None:
    three.agree(PRICE)
    for price in (PRICE * 120 // 100, PRICE):
        three.evm.advance(20)
        three.agree(price)
        assert three.price() == price
    three.evm.advance(20)
    three.agree(PRICE * 120 // 100 + 1)
    assert three.oracle.call("reported", ASSET)[2] is True


# ---------------------------------------------------------------- properties


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.integers(1000, 1012), min_size=1, max_size=9))
def test_the_price_is_the_upper_median(prices: list[int]) -> None:
    world = OracleWorld(reporters=len(prices), quorum=len(prices))
    world.report(*prices)
    assert world.price() == sorted(prices)[len(prices) // 2]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.data())
def test_fewer_liars_than_half_cannot_leave_the_range_of_the_honest(data: st.DataObject) -> None:
    """With a spread of 2 % at most between the two in the middle: the same holds for exactly half, up to 2 %."""
    count = data.draw(st.integers(2, 9))
    liars = data.draw(st.integers(0, count // 2))
    honest = data.draw(st.lists(st.integers(1_000, 1_100), min_size=count - liars, max_size=count - liars))
    lies = data.draw(st.lists(st.integers(1, MAX_PRICE), min_size=liars, max_size=liars))
    prices = data.draw(st.permutations(honest + lies))
    world = OracleWorld(reporters=count, quorum=count)
    code = code_of(lambda: world.report(*prices))
    assert code in ("", "O:SPREAD")
    if not code:
        slack = 0 if 2 * liars < count else 2
        assert min(honest) * 100 <= world.price() * (100 + slack)
        assert world.price() * 100 <= max(honest) * (100 + slack)


def test_attack_02_the_twin_of_an_oracle_takes_none_of_its_reports(three: OracleWorld) -> None:
    """The same reporters and the same chain: what is signed for one Oracle is nothing to another."""
    twin = three.twin()
    reports = three.reports((0, PRICE, 0), (1, PRICE, 0))
    assert code_of(lambda: twin.submit(reports)) in ("O:REPORTER", "O:SIGNATURE")
    three.submit(reports)
    twin.agree(PRICE)
    assert twin.price() == PRICE
