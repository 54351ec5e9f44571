"""An order that waits for the index: the reporters' price triggers it, the settler proves it, the chain agrees."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from cxdex import LocalWallet
from cxdex.condition import Condition, Trigger
from cxdex.deployment import load_deployment
from cxdex.order import Order, OrderType, Side, SignedOrder, TimeInForce
from relayer.client import EngineClient
from relayer.wire import SOCKET_NAME, OrderState, WireOrder
from scripts.stack.layout import Layout
from scripts.stack.run import Stack
from tests.e2e.test_spine import MARKET, PATIENCE_SECONDS, buy_now, exchange_of, settled_is_total, wait_for

pytestmark = pytest.mark.e2e

LOTS = 100  # 0.01 sBTC
DEAR, CHEAP = 700_000, 500_000  # ticks of 0.1 USDC, around what the market maker quotes


def test_a_pair_of_legs_one_set_off_by_the_index(stack: Stack, layout: Layout) -> None:
    """A take-profit that rests, and a stop of the same nonce: the next price is at its level, and it sells."""
    bob = exchange_of(layout, "bob")
    bob.wait_until_settled(buy_now(bob, "0.01"), within=PATIENCE_SECONDS)

    now = int(time.time())
    stop = Condition(Trigger.INDEX_AT_OR_BELOW, 2**40, now)
    account = LocalWallet(layout.keys["bob"]).account
    (nonce,) = asyncio.run(ask_engine(layout, lambda engine: engine.next_nonces(account)))
    profit = sale(layout, "bob", nonce, DEAR)
    leg = sale(layout, "bob", nonce, CHEAP, stop, OrderType.MARKET, TimeInForce.IOC)
    states = asyncio.run(place(layout, profit, leg))
    assert states[0].status == "OPEN"
    assert states[1].status in ("PENDING", "FILLED")

    sold = wait_for("the stop", lambda: filled(layout, leg))
    assert sold.filled == LOTS
    assert state_of(layout, profit).status == "CANCELLED"
    first, second = wait_for("the tables", lambda: proof_of(layout, leg))
    assert (first >= now, second) == (True, 0)
    fills = bob.wait_until_settled(bob.order("0x" + leg.digest.hex()), within=PATIENCE_SECONDS)
    assert sum(Decimal(fill.quantity) for fill in fills) == Decimal("0.01")
    wait_for("the chain's balance to be the engine's", lambda: settled_is_total(bob))


def sale(
    layout: Layout,
    person: str,
    nonce: int,
    price: int,
    condition: Condition | None = None,
    kind: OrderType = OrderType.LIMIT,
    force: TimeInForce = TimeInForce.GTC,
) -> SignedOrder:
    wallet = LocalWallet(layout.keys[person])
    expiry = int(time.time()) + 86_400
    terms = (LOTS, price, 50, expiry, nonce)
    order = Order(wallet.account, MARKET, Side.SELL, kind, force, *terms, condition=condition)
    return wallet.sign_order(load_deployment(layout.deployment).domain, order)


async def ask_engine(layout: Layout, question: Any) -> Any:
    async with EngineClient(layout.state / SOCKET_NAME) as engine:
        return await question(engine)


async def place(layout: Layout, *orders: SignedOrder) -> list[OrderState]:
    wires = [WireOrder(signed.order, signed.signature, signed.digest) for signed in orders]
    results = await ask_engine(layout, lambda engine: engine.place(wires))
    assert [result.problem for result in results] == [None] * len(orders)
    return [result.state for result in results]


def state_of(layout: Layout, signed: SignedOrder) -> OrderState:
    found: OrderState = asyncio.run(ask_engine(layout, lambda engine: engine.order(signed.digest)))
    return found


def filled(layout: Layout, signed: SignedOrder) -> OrderState | None:
    found = state_of(layout, signed)
    return found if found.status == "FILLED" else None


def proof_of(layout: Layout, signed: SignedOrder) -> tuple[int, int] | None:
    """As the projector wrote it for the settler, once it has."""
    query = 'SELECT proof_first, proof_second FROM "order" WHERE digest = ? AND proof_first > 0'
    with closing(sqlite3.connect(layout.state / "exchange.db")) as database:
        found: tuple[int, int] | None = database.execute(query, (signed.digest,)).fetchone()
    return found
