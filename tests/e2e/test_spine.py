"""A signed order becomes a settled fill: real keys, a real node, a real database, every process of `make up`."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cxdex import Exchange, LocalWallet
from cxdex.client.replies import Order
from cxdex.deployment import known_deployment, load_deployment
from cxdex.problem import Problem
from cxdex.storage import open_database
from relayer.wire import SOCKET_NAME
from scripts.reconcile import reconcile
from scripts.stack.layout import CHAIN_ID, Layout
from scripts.stack.run import Stack

pytestmark = pytest.mark.e2e

MARKET = "sBTC-USDC"
ALICE = bytes.fromhex("976EA74026E726554dB657fA54763abd0C3a0aa9")
PATIENCE_SECONDS = 120.0


def test_an_order_becomes_a_settled_fill(stack: Stack, layout: Layout) -> None:
    alice = exchange_of(layout, "alice")
    before = {balance.symbol: Decimal(balance.total) for balance in alice.balances()}

    order = buy_now(alice, "0.01")
    fills = alice.wait_until_settled(order, within=PATIENCE_SECONDS)

    assert order.filled == "0.01"
    assert sum(Decimal(fill.quantity) for fill in fills) == Decimal("0.01")
    assert all(str(fill.settlement.transaction).startswith("0x") for fill in fills)
    paid = sum(Decimal(fill.notional) + Decimal(fill.fee) for fill in fills)
    after = {balance.symbol: balance for balance in alice.balances()}
    assert Decimal(after["sBTC"].total) == before["sBTC"] + Decimal("0.01")
    assert Decimal(after["USDC"].total) == before["USDC"] - paid
    wait_for("the chain's balance to be the engine's", lambda: settled_is_total(alice))


def test_the_package_knows_the_addresses_of_the_local_chain(stack: Stack, layout: Layout) -> None:
    packaged, deployed = known_deployment(CHAIN_ID), load_deployment(layout.deployment)
    assert packaged.contracts == deployed.contracts
    with pytest.raises(Problem, match="DEPLOYMENT_UNKNOWN"):
        known_deployment(1)


def test_balances_equal_the_chain_while_trading(stack: Stack, layout: Layout) -> None:
    done = audit(layout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_engine_agrees_with_the_chain_and_a_wrong_balance_is_named(
    stack: Stack, layout: Layout, tmp_path: Path
) -> None:
    real, socket = open_database(layout.database_url), layout.state / SOCKET_NAME
    differences, compared = asyncio.run(reconcile(real, socket))
    assert (differences, compared > 5) == ([], True)

    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(layout.state / "exchange.db")) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("UPDATE account_balance SET amount = ? WHERE account = ? AND asset = 0", (bytes(32), ALICE))
        target.commit()
    differences, _ = asyncio.run(reconcile(open_database(f"sqlite:///{copy}"), socket, looks=1))
    assert any(line.startswith(f"0x{ALICE.hex()} asset 0: engine ") for line in differences)


def test_a_withdrawal_needs_no_relayer(stack: Stack, layout: Layout) -> None:
    carol = exchange_of(layout, "carol")
    carol.status()  # which contracts: anybody can know them beforehand
    stack.child("engine").kill()
    stack.child("settler").kill()
    try:
        withdrawal = carol.withdraw("25")
        wait_for("the delay to pass", lambda: claimed(carol, withdrawal))
    finally:
        stack.child("engine").restart()
        stack.child("settler").restart()
    paid = wait_for("the indexer", lambda: [w for w in carol.withdrawals() if w.status == "CLAIMED"])
    assert paid[0].amount == "25"


@pytest.mark.parametrize("victim", ["engine", "settler", "indexer", "api"])
def test_a_killed_process_loses_nothing(stack: Stack, layout: Layout, victim: str) -> None:
    bob = exchange_of(layout, "bob")
    resting = bob.buy(MARKET, "0.01", price="1000")
    stack.child(victim).kill()
    stack.child(victim).restart()
    order = wait_for("the order", lambda: order_or_none(bob, resting.id))
    assert (order.status, order.remaining) == ("OPEN", "0.01")
    assert bob.cancel(resting.id).status == "CANCELLED"
    wait_for("database, chain and engine to agree", lambda: agrees(layout))


def test_a_second_start_resumes_where_the_first_stopped(stack: Stack, layout: Layout) -> None:
    bob = exchange_of(layout, "bob")
    resting = bob.buy(MARKET, "0.02", price="1000")
    before = bob.balances()
    stack.stop()
    stack.children.clear()
    stack.start()
    order = wait_for("the order", lambda: order_or_none(bob, resting.id))
    assert (order.status, order.remaining) == ("OPEN", "0.02")
    assert bob.balances() == before
    bob.cancel(resting.id)
    wait_for("database, chain and engine to agree", lambda: agrees(layout))


def exchange_of(layout: Layout, person: str) -> Exchange:
    return Exchange(layout.api_url, LocalWallet(layout.keys[person]), rpc_url=layout.rpc_url)


def best_ask(exchange: Exchange) -> str | None:
    book = exchange.book(MARKET)
    return book.asks[0][0] if book.asks and book.bids else None


def settled_is_total(exchange: Exchange) -> bool:
    return all(balance.settled == balance.total for balance in exchange.balances())


def order_or_none(exchange: Exchange, order_id: str) -> Any:
    """None while the exchange is still starting again."""
    try:
        return exchange.order(order_id)
    except Problem:
        return None


def claimed(exchange: Exchange, withdrawal: Any) -> bool:
    """False while the delay has not passed: the chain refuses."""
    try:
        exchange.claim(withdrawal)
    except Problem:
        return False
    return True


def buy_now(exchange: Exchange, quantity: str, **terms: Any) -> Order:
    """At whatever the market maker asks."""
    return until_filled(
        exchange, lambda price: exchange.buy(MARKET, quantity, price=price, time_in_force="IOC", **terms)
    )


def until_filled(exchange: Exchange, place: Callable[[str], Order]) -> Order:
    """What `place` has bought, as often as it takes: the market maker may take its quote away before an order comes."""

    def attempt() -> Order | None:
        order = place(raised(wait_for("a book with both sides", lambda: best_ask(exchange))))
        return order if Decimal(order.filled) else None

    order: Order = wait_for("a fill", attempt)
    assert order.status == "FILLED"
    return order


def raised(price: str) -> str:
    """A price about one percent worse for a buyer, in whole USDC."""
    return str(int(Decimal(price)) * 101 // 100)


def agrees(layout: Layout) -> bool:
    """Database, contracts and engine say the same."""
    if audit(layout).returncode:
        return False
    return not asyncio.run(reconcile(open_database(layout.database_url), layout.state / SOCKET_NAME))[0]


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
