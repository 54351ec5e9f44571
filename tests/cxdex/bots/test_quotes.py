"""The market maker's decisions, and the price that the bots agree on."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxdex.fees import fee_cap
from cxdex.market import MarketKind, MarketTerms
from cxdex.order import Side
from cxdex.problem import Problem
from scripts.demo_taker import chance_to_buy
from scripts.quotes import Quote, Style, affordable, sort_out, wanted_quotes
from scripts.reference_price import USDC, RandomWalk, reference_price

BTC = MarketTerms("sBTC-USDC", 1, MarketKind.SPOT, 2, "sBTC", 14, 10, 1, 25, 25)
STYLE = Style(levels=5, half_spread_bps=5, step_bps=5, tolerance_bps=2, notional=5_000 * USDC)

quotes = st.lists(
    st.builds(Quote, st.sampled_from(Side), st.integers(500_000, 700_000), st.integers(1, 10_000)), max_size=12
)


@given(st.integers(1_000 * USDC, 10**6 * USDC))
def test_bids_are_below_the_reference_and_asks_above(reference: int) -> None:
    wanted = wanted_quotes(BTC, reference, STYLE)
    assert len(wanted) == 10
    for quote in wanted:
        price = quote.price * BTC.tick_size
        assert price < reference if quote.side is Side.BUY else price > reference
        assert quote.quantity >= BTC.min_lots
        assert BTC.notional(quote.quantity - 1, quote.price) <= STYLE.notional


def test_a_book_that_is_right_is_left_alone() -> None:
    wanted = wanted_quotes(BTC, 60_000 * USDC, STYLE)
    assert sort_out(wanted, wanted, 2) == ([], [])


def test_a_small_move_leaves_the_book_alone_and_a_large_one_replaces_it() -> None:
    have = wanted_quotes(BTC, 60_000 * USDC, STYLE)
    assert sort_out(wanted_quotes(BTC, 60_003 * USDC, STYLE), have, 2) == ([], [])
    missing, moved = sort_out(wanted_quotes(BTC, 60_500 * USDC, STYLE), have, 2)
    assert (len(missing), moved) == (10, list(range(10)))


def test_a_quote_that_was_mostly_taken_is_renewed() -> None:
    wanted = wanted_quotes(BTC, 60_000 * USDC, STYLE)
    have = [Quote(wanted[0].side, wanted[0].price, wanted[0].quantity // 3), *wanted[1:]]
    assert sort_out(wanted, have, 2) == ([wanted[0]], [0])


@given(quotes, quotes)
def test_every_quote_is_kept_cancelled_or_placed_exactly_once(wanted: list[Quote], have: list[Quote]) -> None:
    missing, moved = sort_out(wanted, have, 2)
    assert len(wanted) - len(missing) == len(have) - len(moved)
    assert len(set(moved)) == len(moved)


@given(quotes, st.integers(0, 10**12), st.integers(0, 10**20), st.integers(0, 50))
def test_no_more_is_quoted_than_the_balances_carry(wanted: list[Quote], cash: int, base: int, fee: int) -> None:
    chosen, left = affordable(BTC, wanted, cash, base, fee)
    notionals = [BTC.notional(q.quantity, q.price) for q in chosen if q.side is Side.BUY]
    assert cash - sum(n + fee_cap(n, fee) for n in notionals) == left >= 0
    assert sum(q.quantity * BTC.lot_size for q in chosen if q.side is Side.SELL) <= base
    assert all(q.quantity >= BTC.min_lots for q in chosen)


def test_processes_with_one_seed_agree_on_the_price() -> None:
    moments = [1_790_000_000.25, 1_790_000_001.0, 1_800_000_000.0]
    here = [RandomWalk(7).price("sBTC-USDC", moment) for moment in moments]
    program = (
        f"from scripts.reference_price import RandomWalk as W; print([W(7).price('sBTC-USDC', t) for t in {moments}])"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == str(here)
    assert here != [RandomWalk(8).price("sBTC-USDC", moment) for moment in moments]


def test_the_walk_is_smooth_and_stays_near_its_start() -> None:
    walk = RandomWalk(1)
    chooser = random.Random(1)
    for _ in range(200):
        moment = chooser.uniform(1.7e9, 1.9e9)
        now, soon = walk.price("sETH-USDC", moment), walk.price("sETH-USDC", moment + 0.1)
        assert abs(soon - now) < now * 0.001
        assert 0.8 * 3_000 * USDC < now < 1.25 * 3_000 * USDC


def test_recorded_prices_are_played_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("timestamp,price,market\n100,60000.5\n110,61000\n120,62000\n100,3000,sETH-USDC\n")
    prices = reference_price(1, path)
    at = [prices.price("sBTC-USDC", moment) // 10**5 for moment in (100, 109.9, 110, 119, 120, 131, 90)]
    assert at == [600_005, 600_005, 610_000, 610_000, 600_005, 610_000, 610_000]
    assert prices.price("sETH-USDC", 5) == 3_000 * USDC
    assert prices.price("sSOL-USDC", 5) == RandomWalk(1).price("sSOL-USDC", 5)


@pytest.mark.parametrize("text", ["", "timestamp,price\n", "1,x\n", "1\n", "1,0\n", "1,-5\n", "nan,5\n", "1,inf\n"])
def test_a_file_without_prices_is_a_problem(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(text)
    with pytest.raises(Problem, match="PRICES_INVALID"):
        reference_price(1, path)


def test_the_taker_buys_when_it_holds_cash_and_sells_when_it_holds_synth() -> None:
    assert [chance_to_buy(*held) for held in ((10, 0), (0, 10), (5, 5), (0, 0))] == [1, 0, 0.5, 0.5]


@pytest.mark.parametrize("bot", ["market_maker", "demo_taker", "price_reporter"])
def test_a_bot_without_its_key_says_so_in_one_line(bot: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", f"scripts.{bot}", "--key-file", str(tmp_path / "none")]
    if bot == "price_reporter":
        command += ["--rpc", "http://127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert done.stderr.startswith("KEY_MISSING")
    assert done.stderr.count("\n") == 1
