"""Fills reach the chain: in order, complete, once."""

from __future__ import annotations

import pytest
from settler_stand import (
    BTC,
    ETH,
    LOT_EXPONENT,
    SKIPPED,
    START_CASH,
    START_LOTS,
    USDC,
    Clock,
    Desk,
    Exchange,
    eventually,
    settle,
    settler_for,
)

from cxdex.market import MarketStatus
from cxdex.order import Side
from cxdex.problem import Problem
from cxdex.wallet import LocalWallet
from relayer.settler.chain import SettlementChain

CANCEL_DELAY_SECONDS = 300  # a cancel on chain counts from then on


def test_fills_settle_in_one_batch_and_become_final(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    for _ in range(3):
        desk.trade(alice, bob)
    settler = settler_for(desk, clock)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1, 2]}
    (batch,) = desk.rows("batch")
    assert (batch.status, batch.fills, batch.first_match_id, batch.last_match_id) == ("MINED", 3, 1, 3)
    assert batch.gas_used > 0
    exchange.node.mine(2)
    settle(settler, desk)
    assert desk.statuses() == ["FINAL"]


def test_two_markets_interleaved_go_into_one_batch(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    for market in (BTC, ETH, BTC, ETH, ETH, BTC):
        desk.trade(alice, bob, market)
    settle(settler_for(desk, clock), desk)
    assert exchange.filled_sequences() == {1: [0, 1, 2], 2: [0, 1, 2]}
    assert [row.fills for row in desk.rows("batch")] == [6]
    spans = {(row.market, row.first_sequence, row.last_sequence) for row in desk.rows("batch_span")}
    assert spans == {(BTC, 0, 2), (ETH, 0, 2)}


def test_proceeds_of_one_fill_pay_for_the_next_one(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    rich, seller = desk.trader(1), desk.trader(2, cash=0)
    desk.trade(seller, rich, BTC)
    desk.trade(rich, seller, ETH, quantity=9)  # 9 lots and their fees, out of the 10 just sold
    settle(settler_for(desk, clock), desk)
    assert exchange.filled_sequences() == {1: [0], 2: [0]}
    assert desk.statuses() == ["MINED"]


@pytest.mark.parametrize("together", [True, False])
def test_an_order_and_its_replacement_settle_each_under_its_own_signature(
    desk: Desk, exchange: Exchange, clock: Clock, together: bool
) -> None:
    """What the engine lets them fill (`relayer.engine.amending`) is what the chain's one count of the nonce allows."""
    alice, bob = desk.trader(1), desk.trader(2)
    settler = settler_for(desk, clock)
    old = desk.order(alice, BTC, Side.SELL, 10, 1_000_000)
    desk.match(old, desk.order(bob, BTC, Side.BUY, 6, 1_000_000), 6)
    if not together:
        settle(settler, desk)
    alice.seq[0] -= 1
    new = desk.order(alice, BTC, Side.SELL, 8, 900_000)
    assert new.order.nonce == old.order.nonce
    desk.match(new, desk.order(bob, BTC, Side.BUY, 1, 1_000_000, 1), 1)
    alice.seq[0] -= 1
    desk.match(desk.order(bob, BTC, Side.BUY, 13, 950_000, 2), desk.order(alice, BTC, Side.SELL, 20, 950_000), 13)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1, 2]}
    assert exchange.balance(alice.account, 2) == (START_LOTS - 20) * 10**LOT_EXPONENT


def test_an_order_that_fills_against_several_is_sent_once(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    taker = desk.order(bob, BTC, Side.BUY, 30, 1_000_000)
    for lane in range(3):
        desk.match(desk.order(alice, BTC, Side.SELL, 10, 1_000_000, lane), taker, 10)
    settle(settler_for(desk, clock), desk)
    assert exchange.filled_sequences() == {1: [0, 1, 2]}
    assert exchange.balance(bob.account, 0) == START_CASH - 30 * USDC - 3 * 25_000


def test_a_cancel_on_chain_skips_one_fill_and_not_the_rest(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob, carol = desk.trader(1), desk.trader(2), desk.trader(3)
    desk.trade(alice, bob)
    desk.trade(carol, bob)
    desk.trade(alice, bob)
    exchange.as_trader(carol.account, "cancelAll()")
    exchange.node.wait(CANCEL_DELAY_SECONDS)
    settle(settler_for(desk, clock), desk)
    assert exchange.filled_sequences() == {1: [0, 2]}
    assert len(exchange.events(SKIPPED)) == 1
    assert desk.statuses() == ["MINED"]


def test_a_batch_closes_at_its_count_or_at_its_age(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    settler = settler_for(desk, clock, max_fills=3, interval_ms=30_000)
    for _ in range(4):
        desk.trade(alice, bob, time_ms=clock())
    settle(settler, desk)
    assert [row.fills for row in desk.rows("batch")] == [3]
    clock.advance(29.9)
    settle(settler, desk)
    assert len(desk.rows("batch")) == 1
    clock.advance(0.2)
    settle(settler, desk)
    assert [row.fills for row in desk.rows("batch")] == [3, 1]
    assert exchange.filled_sequences() == {1: [0, 1, 2, 3]}


def test_a_batch_closes_at_its_gas_budget(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    for _ in range(12):
        desk.trade(alice, bob)
    settle(settler_for(desk, clock, gas_limit=180_000), desk)
    batches = desk.rows("batch")
    assert len(batches) > 1
    assert all(batch.gas_used <= 180_000 for batch in batches)
    assert exchange.filled_sequences() == {1: list(range(12))}


def test_a_batch_that_runs_out_of_gas_is_cut_and_nobody_is_blamed(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    for _ in range(12):
        desk.trade(alice, bob)
    settle(settler_for(desk, clock, gas_cap=200_000), desk)
    assert len(desk.rows("batch")) > 1
    assert desk.rows("quarantine") == []
    assert exchange.filled_sequences() == {1: list(range(12))}


def test_a_paused_market_waits_while_the_other_goes_on(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    exchange.set_status(BTC, MarketStatus.PAUSED)
    desk.trade(alice, bob, BTC)
    desk.trade(alice, bob, ETH, lane=1)
    settler = settler_for(desk, clock)
    settle(settler, desk)
    assert exchange.filled_sequences() == {2: [0]}
    assert desk.rows("quarantine") == []
    exchange.set_status(BTC, MarketStatus.ACTIVE)
    clock.advance(31)
    settle(settler, desk)
    assert exchange.filled_sequences() == {2: [0], 1: [0]}


def test_what_is_settled_cannot_settle_again(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    """Not even when the tables are lost: the contract's sequence decides, and the same bytes have the same nonce."""
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob)
    desk.trade(alice, bob)
    settle(settler_for(desk, clock), desk)
    (batch,) = desk.rows("batch")
    with desk.database.begin() as connection:
        for table in ("batch", "batch_attempt", "batch_span"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    settle(settler_for(desk, clock), desk)
    core = LocalWallet("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d").account
    chain = SettlementChain(exchange.node.rpc, exchange.deployment, core)
    chain.send(batch.raw_transaction)
    assert exchange.filled_sequences() == {1: [0, 1]}
    assert desk.rows("batch") == []


def test_two_settlers_on_one_database_settle_everything_once(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    first, second = settler_for(desk, clock, max_fills=2), settler_for(desk, clock, max_fills=2)
    for _ in range(6):
        desk.trade(alice, bob)

    def all_are_settled() -> bool:
        first.step()
        second.step()
        return sum(len(numbers) for numbers in exchange.filled_sequences().values()) >= 6

    eventually(all_are_settled)
    for _ in range(4):
        all_are_settled()
    assert exchange.filled_sequences() == {1: list(range(6))}


def test_a_key_that_is_not_cores_is_refused_in_plain_words(exchange: Exchange) -> None:
    stranger = bytes.fromhex(exchange.accounts[7][2:])
    with pytest.raises(Problem, match="CORE is") as caught:
        SettlementChain(exchange.node.rpc, exchange.deployment, stranger).require_ours()
    assert caught.value.code == "WRONG_KEY"


def test_no_money_for_gas_is_said_and_nothing_is_written(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob)
    exchange.node.rpc.call("anvil_setBalance", [exchange.core, "0x1"])
    settler = settler_for(desk, clock)
    with pytest.raises(Problem) as caught:
        settler.step()
    assert caught.value.code == "GAS_FUNDS"
    assert desk.rows("batch") == []
    exchange.node.rpc.call("anvil_setBalance", [exchange.core, hex(10**20)])
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0]}


def test_markets_are_those_that_have_trades(desk: Desk) -> None:
    assert desk.store.markets() == []
    alice, bob = desk.trader(1), desk.trader(2)
    for market in (ETH, BTC, ETH):
        desk.trade(alice, bob, market)
    assert desk.store.markets() == [BTC, ETH]


def test_the_same_two_orders_trade_several_times_in_a_row_in_one_batch(
    desk: Desk, exchange: Exchange, clock: Clock
) -> None:
    """A taker that meets an iceberg again: a transaction for each would be a block for each."""
    alice, bob = desk.trader(1), desk.trader(2)
    maker = desk.order(alice, BTC, Side.SELL, 50, 1_000_000)
    taker = desk.order(bob, BTC, Side.BUY, 50, 1_000_000)
    before = exchange.balance(bob.account, 2)
    for _ in range(4):
        desk.match(maker, taker, 10)
    desk.trade(alice, bob, lane=1)
    settle(settler_for(desk, clock), desk)
    assert exchange.filled_sequences() == {1: [0, 1, 2, 3, 4]}
    assert [row.fills for row in desk.rows("batch")] == [5]
    assert exchange.balance(bob.account, 2) - before == 50 * 10**12
