"""What a chain does to a transaction: reorgs, restarts, silence, a nonce taken by something else."""

from __future__ import annotations

import pytest
from settler_stand import BTC, Clock, Desk, Exchange, Node, settle, settler_for

from cxdex.market import MarketStatus
from cxdex.problem import Problem
from relayer.settler.wallet import GWEI, read_transaction


@pytest.fixture
def two_trades(desk: Desk) -> Desk:
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob)
    desk.trade(alice, bob)
    return desk


def newest_hash(desk: Desk) -> str:
    return "0x" + desk.rows("batch")[-1].tx_hash.hex()


def test_a_reorg_that_drops_a_batch_gets_it_back_once(
    two_trades: Desk, exchange: Exchange, node: Node, clock: Clock
) -> None:
    settler = settler_for(two_trades, clock, confirmations=10)
    settle(settler, two_trades)
    assert two_trades.statuses() == ["MINED"]
    node.rpc.call("anvil_reorg", [1, []])
    assert exchange.filled_sequences() == {}
    settle(settler, two_trades)
    assert two_trades.statuses() == ["MINED"]
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_a_reorg_that_drops_two_batches_gets_both_back_in_order(
    two_trades: Desk, exchange: Exchange, node: Node, clock: Clock
) -> None:
    settler = settler_for(two_trades, clock, confirmations=10, max_fills=1)
    settle(settler, two_trades)
    assert two_trades.statuses() == ["MINED", "MINED"]
    node.rpc.call("anvil_reorg", [2, []])
    settle(settler, two_trades)
    assert two_trades.statuses() == ["MINED", "MINED"]
    assert exchange.filled_sequences() == {1: [0, 1]}


@pytest.mark.parametrize("later", [0, 1], ids=["nothing after it", "a batch after it"])
def test_a_reorg_deeper_than_the_confirmations_gets_final_batches_back(
    two_trades: Desk, exchange: Exchange, node: Node, clock: Clock, later: int
) -> None:
    settler = settler_for(two_trades, clock, confirmations=2, max_fills=2 - later)
    settle(settler, two_trades)
    node.mine(1 - later)
    settle(settler, two_trades)
    assert two_trades.statuses() == (["FINAL", "MINED"] if later else ["FINAL"])
    node.rpc.call("anvil_reorg", [2, []])
    assert exchange.filled_sequences() == {}
    settle(settler, two_trades)
    assert two_trades.statuses() in (["FINAL", "MINED"], ["MINED", "MINED"], ["MINED"])
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_a_reorg_that_drops_a_foreign_transaction_before_a_batch_does_not_stop_settlement(
    two_trades: Desk, exchange: Exchange, node: Node, clock: Clock
) -> None:
    node.transact(exchange.core, exchange.accounts[9], "0x")
    settler = settler_for(two_trades, clock, confirmations=10)
    settle(settler, two_trades)
    node.rpc.call("anvil_reorg", [2, []])
    settle(settler, two_trades)
    assert two_trades.statuses() == ["FAILED", "MINED"]
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_a_reorg_after_which_the_nonce_is_taken_plans_the_fills_again(
    two_trades: Desk, exchange: Exchange, node: Node, clock: Clock
) -> None:
    settler = settler_for(two_trades, clock, confirmations=10)
    settle(settler, two_trades)
    node.rpc.call("anvil_reorg", [1, []])
    node.transact(exchange.core, exchange.accounts[9], "0x")
    settle(settler, two_trades)
    failed, again = two_trades.rows("batch")
    assert (failed.status, again.status) == ("FAILED", "MINED")
    assert "nonce" in failed.error
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_a_dropped_transaction_whose_nonce_is_used_is_planned_again(
    two_trades: Desk, exchange: Exchange, node: Node, clock: Clock
) -> None:
    settler = settler_for(two_trades, clock)
    node.automine(False)
    settler.step()
    node.rpc.call("anvil_dropTransaction", [newest_hash(two_trades)])
    node.automine(True)
    node.transact(exchange.core, exchange.accounts[9], "0x")
    settle(settler, two_trades)
    assert two_trades.statuses() == ["FAILED", "MINED"]
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_a_batch_that_reverts_on_chain_is_planned_again(
    two_trades: Desk, exchange: Exchange, node: Node, clock: Clock
) -> None:
    """Between simulation and block the market was paused, and opened again."""
    settler = settler_for(two_trades, clock)
    node.automine(False)
    settler.step()
    batch = newest_hash(two_trades)
    node.rpc.call("anvil_dropTransaction", [batch])
    node.automine(True)
    exchange.set_status(BTC, MarketStatus.PAUSED)
    node.rpc.call("eth_sendRawTransaction", ["0x" + two_trades.rows("batch")[-1].raw_transaction.hex()])
    node.receipt(batch)
    exchange.set_status(BTC, MarketStatus.ACTIVE)
    settle(settler, two_trades)
    assert two_trades.statuses() == ["FAILED", "MINED", "MINED"], "half of it first"
    reverted = two_trades.rows("batch")[0]
    assert "reverted" in reverted.error
    receipt = node.receipt(batch)
    assert (reverted.block, "0x" + reverted.tx_hash.hex()) == (int(receipt["blockNumber"], 16), batch)
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_a_stuck_transaction_is_replaced_at_higher_fees(
    two_trades: Desk, exchange: Exchange, node: Node, clock: Clock
) -> None:
    settler = settler_for(two_trades, clock)
    node.automine(False)
    settler.step()
    first = two_trades.rows("batch")[0]
    clock.advance(46)
    settler.step()
    second = two_trades.rows("batch")[0]
    (before, old), (after, new) = read_transaction(first.raw_transaction), read_transaction(second.raw_transaction)
    assert before == after
    assert new.max_fee * 8 >= old.max_fee * 9
    assert new.tip * 8 >= old.tip * 9
    assert second.attempts == 2
    node.mine()
    settler.step()
    assert two_trades.statuses() == ["MINED"]
    assert newest_hash(two_trades) == "0x" + second.tx_hash.hex()
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_an_earlier_attempt_that_mines_is_recognised(
    two_trades: Desk, exchange: Exchange, node: Node, clock: Clock
) -> None:
    settler = settler_for(two_trades, clock)
    node.automine(False)
    settler.step()
    first = two_trades.rows("batch")[0]
    clock.advance(46)
    settler.step()
    node.rpc.call("anvil_dropTransaction", [newest_hash(two_trades)])
    node.rpc.call("eth_sendRawTransaction", ["0x" + first.raw_transaction.hex()])
    node.mine()
    settler.step()
    (batch,) = two_trades.rows("batch")
    assert (batch.status, batch.tx_hash, batch.raw_transaction) == ("MINED", first.tx_hash, first.raw_transaction)
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_fees_never_pass_the_cap(two_trades: Desk, exchange: Exchange, node: Node, clock: Clock) -> None:
    settler = settler_for(two_trades, clock, fee_cap=3 * GWEI)
    node.automine(False)
    settler.step()
    for _ in range(8):
        clock.advance(46)
        settler.step()
    for attempt in two_trades.rows("batch_attempt"):
        assert read_transaction(attempt.raw_transaction)[1].max_fee <= 3 * GWEI
    node.mine()
    settler.step()
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_a_base_fee_above_the_cap_is_waited_out(two_trades: Desk, exchange: Exchange, node: Node, clock: Clock) -> None:
    settler = settler_for(two_trades, clock, fee_cap=3 * GWEI)
    node.rpc.call("anvil_setNextBlockBaseFeePerGas", [hex(5 * GWEI)])
    node.mine()
    with pytest.raises(Problem) as caught:
        settler.step()
    assert caught.value.code == "FEE_CAP"
    node.rpc.call("anvil_setNextBlockBaseFeePerGas", [hex(GWEI)])
    node.mine()
    settle(settler, two_trades)
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_a_node_that_restarts_and_forgets_its_pool_gets_the_bytes_again(
    two_trades: Desk, exchange: Exchange, node: Node, clock: Clock
) -> None:
    settler = settler_for(two_trades, clock)
    node.automine(False)
    settler.step()
    assert two_trades.statuses() == ["SENT"]
    node.stop()
    with pytest.raises(Problem) as caught:
        settler.step()
    assert caught.value.code == "NODE_UNAVAILABLE"
    node.start()
    clock.advance(6)
    settle(settler, two_trades)
    assert two_trades.statuses() == ["MINED"]
    assert exchange.filled_sequences() == {1: [0, 1]}


@pytest.mark.parametrize("depth", [1, 2, 7, 64])
def test_a_reorg_of_any_depth_leaves_each_fill_once(
    desk: Desk, exchange: Exchange, node: Node, clock: Clock, depth: int
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    for _ in range(3):
        desk.trade(alice, bob)
    node.mine(70)  # so that what the contract needs lies deeper
    settler = settler_for(desk, clock, confirmations=100, max_fills=1)
    settle(settler, desk)
    node.mine(max(0, depth - 3))
    before = exchange.filled_sequences()
    node.rpc.call("anvil_reorg", [depth, []])
    assert exchange.filled_sequences() != before
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1, 2]}
    assert desk.statuses() == ["MINED"] * 3
    assert len(desk.rows("batch_attempt")) == 3, "the same bytes again"
