"""A trader makes a batch dearer between the settler's estimate and its block; that is all a trader can do to it."""

from __future__ import annotations

import pytest
from settler_stand import BTC, Clock, Desk, Exchange, Node, Trader, settler_for

from cxdex.eip712 import to_checksum
from cxdex.order import Side


def make_dearer(exchange: Exchange, trader: Trader, nonce: int) -> None:
    """A claim of a withdrawal that was due, and both cancels: the fill goes on, and costs 22,000 more."""
    left = exchange.balance(trader.account, 2)
    if left:
        exchange.call_as(exchange.vault, "debit(address,uint256,uint256)", to_checksum(trader.account), 2, left)
    exchange.as_trader(trader.account, "cancelOrders(uint64[])", [nonce])
    exchange.as_trader(trader.account, "cancelAll()")


@pytest.mark.parametrize("traders", [1, 12])
def test_attack_74_a_trader_cannot_starve_the_batch_that_has_its_fill(
    desk: Desk, exchange: Exchange, node: Node, clock: Clock, traders: int
) -> None:
    """Three times alone, and the fill would be given up: one that turned out badly, taken back."""
    maker = desk.trader(1)
    takers = [desk.trader(2 + number) for number in range(traders)]
    orders = []
    for taker in takers:  # every slot is in use, and warm runs are cheap
        desk.trade(maker, taker)
    settler = settler_for(desk, clock)
    settler.step()
    exchange.wait_for_nonce(2)
    settler.step()
    for taker in takers:
        sale, bid = (desk.order(one, BTC, side, 10, 1_000_000) for one, side in ((maker, Side.SELL), (taker, Side.BUY)))
        orders.append(bid)
        desk.match(sale, bid, 10)
    node.automine(False)
    settler.step()
    batch = desk.rows("batch")[-1]
    assert batch.fills == traders
    node.rpc.call("anvil_dropTransaction", ["0x" + batch.tx_hash.hex()])
    node.automine(True)
    for taker, bid in zip(takers, orders, strict=True):
        make_dearer(exchange, taker, bid.order.nonce)
    tx_hash = node.rpc.call("eth_sendRawTransaction", ["0x" + batch.raw_transaction.hex()])
    receipt = node.receipt(tx_hash)
    assert receipt["status"] == "0x1"
    assert exchange.filled_sequences() == {1: list(range(2 * traders))}
