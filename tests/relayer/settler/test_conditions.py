"""Conditional orders leave with their proof; when the chain no longer has the price, their market waits for it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from settler_stand import (
    BASE_ASSET,
    BTC,
    CORE_KEY,
    ETH,
    LOT_EXPONENT,
    VOIDED,
    Clock,
    Desk,
    Exchange,
    Trader,
    settle,
    settler_for,
)
from sqlalchemy import text

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.condition import Condition, Trigger
from cxdex.eip712 import order_digest
from cxdex.order import Side, SignedOrder
from cxdex.rpc import JsonRpc
from cxdex.signature import sign_digest
from cxdex.wallet import LocalWallet
from relayer.__main__ import main
from relayer.settler.chain import SettlementChain
from relayer.settler.endpoints import Endpoints
from relayer.settler.plan import Load

TICK = 10 ** (18 - LOT_EXPONENT)  # of the index, 1e-6 USDC a whole synth
HIGH, LOW = 1_000_000, 990_000  # ticks


class Prices:
    """The oracle's history of sBTC, from a while ago on."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.start = int(exchange.node.rpc.call("eth_getBlockByNumber", ["latest", False])["timestamp"], 16) - 3_600

    def publish(self, second: int, ticks: int) -> int:
        self.exchange.index.publish(BASE_ASSET[BTC], ticks * TICK, self.start + second)
        return self.start + second

    def stop(self, active_from: int = 0) -> Condition:
        return Condition(Trigger.INDEX_AT_OR_BELOW, LOW, self.start + active_from)


@pytest.fixture
def prices(exchange: Exchange) -> Prices:
    return Prices(exchange)


def waiting(
    desk: Desk, trader: Trader, condition: Condition, proof: tuple[int, int], side: Side = Side.SELL, lane: int = 0
) -> SignedOrder:
    plain = desk.order(trader, BTC, side, 10, 1_000_000, lane)
    order = replace(plain.order, condition=condition)
    digest = order_digest(desk.exchange.deployment.domain, order)
    return SignedOrder(order, sign_digest(trader.key, digest), digest, proof=proof)


def triggered(desk: Desk, seller: Trader, buyer: Trader, condition: Condition, *proof: int) -> None:
    """The stop takes from the buyer's bid."""
    first, second = (*proof, 0, 0)[:2]
    bid = desk.order(buyer, BTC, Side.BUY, 10, 1_000_000)
    desk.match(bid, waiting(desk, seller, condition, (first, second)), 10)


def prove(desk: Desk, second: int) -> None:
    with desk.database.begin() as connection:
        connection.execute(
            text('UPDATE "order" SET proof_first = :second WHERE "trigger" IS NOT NULL'), {"second": second}
        )


def test_conditional_orders_settle_with_the_proof_in_their_row(
    desk: Desk, exchange: Exchange, clock: Clock, prices: Prices
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    high, low = prices.publish(0, HIGH), prices.publish(10, LOW)
    triggered(desk, alice, bob, prices.stop(), low)
    desk.trade(alice, bob)
    triggered(desk, alice, bob, Condition(Trigger.INDEX_FALLS_BY, HIGH - LOW, prices.start), high, low)
    triggered(desk, alice, bob, Condition(Trigger.LAST_AT_OR_ABOVE, 1, prices.start))
    settle(settler_for(desk, clock), desk)
    assert exchange.filled_sequences() == {1: [0, 1, 2, 3]}
    assert [row.fills for row in desk.rows("batch")] == [4]


def test_a_price_that_a_reorg_took_is_waited_for_and_nobody_else_waits(
    desk: Desk, exchange: Exchange, clock: Clock, prices: Prices
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    for _ in range(3):
        desk.trade(alice, bob)
    low = prices.publish(10, LOW)
    triggered(desk, alice, bob, prices.stop(), low)
    desk.trade(alice, bob)
    desk.trade(desk.trader(4), desk.trader(5), ETH)
    exchange.node.rpc.call("anvil_reorg", [7, []])  # the price, and what the later traders paid in
    for number in (4, 5):
        desk.trader(number)
    settler = settler_for(desk, clock)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1, 2], 2: [0]}, "what is before it settles, and the other market"
    (letter,) = desk.rows("dead_letter")
    assert (letter.match_id, letter.market, letter.status, letter.reason) == (4, BTC, "HELD", "O:NONE")
    assert exchange.events(VOIDED) == []

    prices.publish(10, LOW)  # the same signed reports, in a later block
    clock.advance(16)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1, 2, 3, 4], 2: [0]}
    assert [row.status for row in desk.rows("dead_letter")] == ["RELEASED"]


def test_a_batch_that_a_reorg_drops_with_its_price_is_planned_anew(
    desk: Desk, exchange: Exchange, clock: Clock, prices: Prices
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob)
    low = prices.publish(10, LOW)
    triggered(desk, alice, bob, prices.stop(), low)
    settler = settler_for(desk, clock, confirmations=10)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1]}
    exchange.node.rpc.call("anvil_reorg", [2, []])
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0]}
    prices.publish(10, LOW)
    clock.advance(16)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_a_price_that_never_comes_back_gives_the_fill_up_in_the_end(
    desk: Desk, exchange: Exchange, clock: Clock, prices: Prices
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    prices.publish(20, LOW)
    triggered(desk, alice, bob, prices.stop(), prices.start + 10)  # of a second that the chain has passed over
    desk.trade(alice, bob)
    settler = settler_for(desk, clock)
    settle(settler, desk)
    assert exchange.filled_sequences() == {}
    clock.advance(700)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [1]}
    assert len(exchange.events(VOIDED)) == 1
    assert [row.reason for row in desk.rows("quarantine")] == ["X:PROOF"]


def test_a_better_proof_is_taken_from_the_row(
    desk: Desk, exchange: Exchange, clock: Clock, prices: Prices, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine has seen the chain anew and triggered the order by another price."""
    alice, bob = desk.trader(1), desk.trader(2)
    low = prices.publish(20, LOW)
    triggered(desk, alice, bob, prices.stop(), prices.start + 10)
    settler = settler_for(desk, clock)
    settle(settler, desk)
    assert [row.reason for row in desk.rows("dead_letter")] == ["X:PROOF"]
    assert main(["deadletter", "show", "--database", desk.url, "1"]) == 0
    shown = json.loads(capsys.readouterr().out)["taker"]
    assert (shown["trigger"], shown["triggerPrice"], shown["proof"]) == (
        "INDEX_AT_OR_BELOW",
        str(LOW),
        [prices.start + 10, 0],
    )
    prove(desk, low)
    clock.advance(16)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0]}


def test_a_proof_that_no_waiting_makes_right_is_given_up_at_once(
    desk: Desk, exchange: Exchange, clock: Clock, prices: Prices
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    low = prices.publish(10, LOW)
    desk.trade(alice, bob)
    triggered(desk, alice, bob, prices.stop(active_from=11), low)
    desk.trade(alice, bob)
    settle(settler_for(desk, clock), desk)
    assert exchange.filled_sequences() == {1: [0, 2]}
    assert [(row.match_id, row.reason) for row in desk.rows("quarantine")] == [(2, "X:EARLY")]


def test_the_gas_model_has_room_for_conditional_orders(desk: Desk, exchange: Exchange, prices: Prices) -> None:
    """It counts on a history of a million prices, so that no batch of a shorter one turns out too large."""
    chain = SettlementChain(
        Endpoints([JsonRpc(exchange.node.url, attempts=1)], Clock(), 3),
        exchange.deployment,
        LocalWallet(CORE_KEY).account,
    )
    traders = [desk.trader(number) for number in range(4)]
    seconds = [prices.publish(number, HIGH - number % 2 * 10_000) for number in range(40)]
    falls = Condition(Trigger.INDEX_FALLS_BY, HIGH - LOW, prices.start)
    last = Condition(Trigger.LAST_AT_OR_BELOW, 1, prices.start)
    for condition, proofs in (
        (prices.stop(), [(seconds[1], 0)]),
        (prices.stop(), [(second, 0) for second in seconds[1::2]]),
        (falls, [(seconds[0], seconds[1])]),
        (last, [(0, 0)]),
    ):
        fills, load = [], Load()
        for number in range(20):
            seller, buyer = traders[number % 2], traders[2 + number % 2]
            sold = waiting(desk, seller, condition, proofs[number % len(proofs)])
            bid = desk.order(buyer, BTC, Side.BUY, 10, 1_000_000)
            fills.append(MatchedFill(BTC, desk.sequence[BTC] + number, bid, sold, 10))
        for fill in fills:
            load.add(fill)
        assert load.calldata_bytes == len(encode_settle_batch(fills))
        estimate = chain.estimate_gas(encode_settle_batch(fills))
        assert isinstance(estimate, int), estimate
        assert 0.75 * load.gas < estimate < 1.02 * load.gas
