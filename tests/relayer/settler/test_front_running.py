"""A trader makes a batch dearer between the settler's estimate and its block; that is all a trader can do to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from settler_stand import BTC, START_CASH, Clock, Desk, Exchange, Trader, settle, settler_for

from cxdex.eip712 import to_checksum
from cxdex.order import Side, SignedOrder
from relayer.settler.loop import Settler

LATE_LANE = 4  # in a slot of its own, that nothing is written to until a fill is


def match(desk: Desk, seller: Trader, buyer: Trader, lane: int = 0) -> tuple[SignedOrder, SignedOrder]:
    sale, bid = (
        desk.order(one, BTC, side, 10, 1_000_000, lane) for one, side in ((seller, Side.SELL), (buyer, Side.BUY))
    )
    desk.match(sale, bid, 10)
    return sale, bid


def mined_after(desk: Desk, settler: Settler, fills: int, first: Callable[[], None]) -> dict[str, Any]:
    """The receipt of the settler's next batch, in whose block `first` came before it."""
    node = desk.exchange.node
    node.automine(False)
    settler.step()
    batch = desk.rows("batch")[-1]
    assert (batch.fills, batch.status) == (fills, "SENT")
    node.rpc.call("anvil_dropTransaction", ["0x" + batch.tx_hash.hex()])
    node.automine(True)
    first()
    return node.receipt(node.rpc.call("eth_sendRawTransaction", ["0x" + batch.raw_transaction.hex()]))


def make_dearer(exchange: Exchange, order: SignedOrder, *, claims: bool) -> None:
    """A claim of all of the base, which was due, and both cancels: the fill goes on, and costs more."""
    account = order.order.account
    if claims:
        left = exchange.balance(account, 2)
        exchange.call_as(exchange.vault, "debit(address,uint256,uint256)", to_checksum(account), 2, left)
    exchange.as_trader(account, "cancelOrders(uint64[])", [order.order.nonce])
    exchange.as_trader(account, "cancelAll()")


@pytest.mark.parametrize("traders", [1, 12])
def test_attack_74_a_trader_cannot_starve_the_batch_that_has_its_fill(
    desk: Desk, exchange: Exchange, clock: Clock, traders: int
) -> None:
    """Three times alone, and the fill would be given up: one that turned out badly, taken back."""
    maker, takers = desk.trader(1), [desk.trader(2 + number) for number in range(traders)]
    for taker in takers:  # so that every slot is in use
        match(desk, maker, taker)
    settler = settler_for(desk, clock)
    settle(settler, desk)
    orders = [match(desk, maker, taker) for taker in takers]

    def first() -> None:
        for _, bid in orders:
            make_dearer(exchange, bid, claims=True)
        make_dearer(exchange, orders[-1][0], claims=False)

    assert mined_after(desk, settler, traders, first)["status"] == "0x1"
    assert exchange.filled_sequences() == {1: list(range(2 * traders))}


@pytest.mark.parametrize("traders", [1, 5])
def test_a_fill_that_would_be_skipped_and_is_not_has_gas_for_what_it_writes(
    desk: Desk, exchange: Exchange, clock: Clock, traders: int
) -> None:
    """Buyers without money when the settler asks, each fill the first of its buyer and of both lanes. The deposits come
    first in the block."""
    makers = [desk.trader(100 + number) for number in range(traders)]
    takers = [desk.trader_without_money(200 + number) for number in range(traders)]
    orders = [match(desk, *both, LATE_LANE) for both in zip(makers, takers, strict=True)]

    def first() -> None:
        for (sale, bid), taker in zip(orders, takers, strict=True):
            exchange.credit(taker.account, 0, START_CASH)
            make_dearer(exchange, sale, claims=False)
            make_dearer(exchange, bid, claims=False)

    assert mined_after(desk, settler_for(desk, clock), traders, first)["status"] == "0x1"
    assert exchange.filled_sequences() == {1: list(range(traders))}
