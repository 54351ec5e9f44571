"""A signed order becomes a settled fill: real keys, a real node, a real database, every process of `make up`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cxdex import Exchange, LocalWallet
from scripts.stack.layout import Layout
from scripts.stack.run import Stack

pytestmark = pytest.mark.e2e

MARKET = "sBTC-USDC"
PATIENCE_SECONDS = 60.0


def test_an_order_becomes_a_settled_fill(stack: Stack, layout: Layout) -> None:
    alice = exchange_of(layout, "alice")
    wait_for("a book with both sides", lambda: all(alice.book(MARKET)[side] for side in ("bids", "asks")))
    best_ask = alice.book(MARKET)["asks"][0][0]

    placed = alice.buy(MARKET, "0.01", price=raised(best_ask), time_in_force="IOC")

    assert placed["status"] == "FILLED"
    fills = wait_for("settled fills", lambda: settled_fills(alice, placed["id"]))
    assert sum_of_lots(fills) == "0.01"
    assert all(fill["settlement"]["transaction"].startswith("0x") for fill in fills)


def test_balances_equal_the_chain_after_trading(stack: Stack, layout: Layout) -> None:
    assert audit(layout).returncode == 0


def test_a_withdrawal_needs_no_relayer(stack: Stack, layout: Layout) -> None:
    carol = exchange_of(layout, "carol")
    stack.child("engine").kill()
    stack.child("settler").kill()
    try:
        withdrawal = carol.withdraw("25")
        wait_for("the delay to pass", lambda: carol.claim(withdrawal))
    finally:
        stack.child("engine").restart()
        stack.child("settler").restart()
    states = wait_for("the indexer", lambda: [w for w in carol.withdrawals() if w["status"] == "CLAIMED"])
    assert states[0]["amount"] == "25"


@pytest.mark.parametrize("victim", ["engine", "settler", "indexer", "api"])
def test_a_killed_process_loses_nothing(stack: Stack, layout: Layout, victim: str) -> None:
    bob = exchange_of(layout, "bob")
    resting = bob.buy(MARKET, "0.01", price="1000.0")
    stack.child(victim).kill()
    stack.child(victim).restart()
    still_there = wait_for("the order", lambda: order_or_none(bob, resting["id"]))
    assert (still_there["status"], still_there["remaining"]) == ("OPEN", "0.01")
    bob.cancel(resting["id"])
    assert wait_for("a clean audit", lambda: audit(layout).returncode == 0)


def test_a_second_start_resumes_where_the_first_stopped(stack: Stack, layout: Layout) -> None:
    bob = exchange_of(layout, "bob")
    resting = bob.buy(MARKET, "0.02", price="1000.0")
    before = bob.balances()
    stack.stop()
    stack.children.clear()
    stack.start()
    assert order_or_none(bob, resting["id"])["status"] == "OPEN"
    assert bob.balances() == before
    bob.cancel(resting["id"])
    wait_for("a clean audit", lambda: audit(layout).returncode == 0)


def exchange_of(layout: Layout, person: str) -> Exchange:
    return Exchange(layout.api_url, LocalWallet(layout.keys[person]), rpc_url=layout.rpc_url)


def order_or_none(exchange: Exchange, order_id: str) -> Any:
    try:
        return exchange.order(order_id)
    except httpx.HTTPError:
        return None


def settled_fills(exchange: Exchange, order_id: str) -> Any:
    fills = [fill for fill in exchange.fills() if fill["orderId"] == order_id]
    return fills if fills and all(fill["settlement"]["status"] in ("mined", "final") for fill in fills) else None


def sum_of_lots(fills: list[dict[str, Any]]) -> str:
    from decimal import Decimal

    return str(sum((Decimal(fill["quantity"]) for fill in fills), Decimal(0)))


def raised(price: str) -> str:
    """A price one percent worse for a buyer, on the tick of 0.1."""
    tenths = int(price.partition(".")[0]) * 101 // 100
    return f"{tenths}.0"


def audit(layout: Layout) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "indexer", "audit", "--database", layout.database_url]
    command += ["--rpc", layout.rpc_url, "--deployment", str(layout.deployment)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def wait_for(what: str, condition: Callable[[], Any]) -> Any:
    """The first truthy value of the condition. Fails naming what never came."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    return pytest.fail(f"{what} did not come within {PATIENCE_SECONDS:.0f} s")
