"""A stop is triggered by a price that the oracle has published, settled with the proof, and checked by the chain."""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from cxdex import Exchange
from cxdex.client.replies import Order
from cxdex.market import MarketTerms
from cxdex.units import format_price
from scripts.stack.layout import Layout
from scripts.stack.run import Stack
from tests.e2e.test_spine import MARKET, PATIENCE_SECONDS, buy_now, exchange_of, wait_for

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


def scaled(terms: MarketTerms, price: str, percent: int) -> str:
    ticks = int(Decimal(price) * 10**6) // terms.tick_size
    return format_price(terms, ticks * percent // 100)


def with_a_synth(exchange: Exchange, quantity: str) -> str:
    """Buys it, and returns the index."""
    exchange.wait_until_settled(buy_now(exchange, quantity), within=PATIENCE_SECONDS)
    index: str = wait_for("the index", lambda: exchange.ticker(MARKET).index)
    return index


def when_filled(exchange: Exchange, order: Order) -> Order:
    done: Order = wait_for("the trigger", lambda: (now := exchange.order(order.id)).status == "FILLED" and now)
    return done


def test_a_stop_by_the_index_settles_with_its_proof(stack: Stack, layout: Layout) -> None:
    alice = exchange_of(layout, "alice")
    index = with_a_synth(alice, "0.01")
    terms = next(market.terms for market in alice.markets() if market.symbol == MARKET)
    above, floor = scaled(terms, index, 110), scaled(terms, index, 85)
    placed = alice.stop(MARKET, "SELL", "0.01", above, worst_price=floor)  # the next price that is published is below
    assert placed.status in ("PENDING", "FILLED"), "it may be published before the answer is written"
    done = when_filled(alice, placed)
    assert placed.condition is not None
    assert done.proof is not None
    assert len(done.proof) == 1
    assert done.proof[0] >= int(placed.condition.active_from), "published after it was signed"
    fills = alice.wait_until_settled(done, within=PATIENCE_SECONDS)
    assert sum(Decimal(fill.quantity) for fill in fills) == Decimal("0.01")
    assert all(fill.is_settled for fill in fills)


def test_a_pair_is_settled_as_one_order(stack: Stack, layout: Layout) -> None:
    alice = exchange_of(layout, "alice")
    index = with_a_synth(alice, "0.01")
    terms = next(market.terms for market in alice.markets() if market.symbol == MARKET)
    profit, stop_at, floor = (scaled(terms, index, percent) for percent in (115, 110, 85))
    limit, guard = alice.bracket(MARKET, "SELL", "0.01", profit, stop_at, worst_price=floor)
    done = when_filled(alice, guard)
    assert (alice.order(limit.id).status, alice.order(limit.id).reason) == ("CANCELLED", "OCO")
    assert all(fill.is_settled for fill in alice.wait_until_settled(done, within=PATIENCE_SECONDS))


def test_the_quick_starts_orders_that_wait_are_taken(stack: Stack, layout: Layout) -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / "docs/quickstart.md").read_text(), re.DOTALL | re.MULTILINE)
    (script,) = [block for block in blocks if "--trail" in block]
    bob = exchange_of(layout, "bob")
    with_a_synth(bob, "0.1")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "CXDEX_API": layout.api_url,
        "CXDEX_PRIVATE_KEY": layout.keys["bob"],
    }
    command = f'cxdex() {{ "{sys.executable}" -m cxdex "$@"; }}\n{script}'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PENDING") == 4
    assert bob.cancel_all(MARKET) >= 1
