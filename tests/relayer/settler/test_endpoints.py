"""Several nodes: one that fails, one that is behind, one that lies. Each fill still settles once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from settler_doors import Door
from settler_stand import Clock, Desk, Exchange, Node, SettlerProcess, eventually, settle, settler_for

from cxdex.problem import Problem
from relayer.settler.state import read_state


@pytest.fixture
def doors(node: Node) -> Iterator[tuple[Door, Door]]:
    pair = Door(node.url), Door(node.url)
    yield pair
    for door in pair:
        door.close()


def both(doors: tuple[Door, Door]) -> str:
    return ",".join(door.url for door in doors)


def refusal(settler) -> str:
    with pytest.raises(Problem) as refused:
        settler.step()
    return refused.value.code


def test_the_second_is_used_when_the_first_is_down(
    desk: Desk, exchange: Exchange, clock: Clock, doors: tuple[Door, Door]
) -> None:
    first, second = doors
    first.is_shut = True
    desk.trade(desk.trader(1), desk.trader(2))
    settle(settler_for(desk, clock, url=both(doors)), desk)
    assert exchange.filled_sequences() == {1: [0]}
    assert len(second.sent) == 1
    state = read_state(desk.database)
    assert state is not None
    assert state.node == second.url


def test_a_node_that_dies_with_a_batch_on_its_way_is_replaced_and_the_same_bytes_go_to_the_other(
    desk: Desk, exchange: Exchange, node: Node, clock: Clock, doors: tuple[Door, Door]
) -> None:
    first, second = doors
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob)
    settler = settler_for(desk, clock, url=both(doors))
    node.automine(False)
    settler.step()
    assert desk.statuses() == ["SENT"]
    first.is_shut = True
    assert refusal(settler) == "NODE_UNAVAILABLE", "said once, then the other one is chosen"
    settler.step()
    assert second.sent == first.sent
    desk.trade(alice, bob)
    node.mine()
    node.automine(True)
    clock.advance(31)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1]}
    assert len(desk.rows("batch")) == len(desk.rows("batch_attempt")) == 2


def test_a_node_that_falls_behind_is_left(
    desk: Desk, exchange: Exchange, node: Node, clock: Clock, doors: tuple[Door, Door]
) -> None:
    first, second = doors
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob)
    settler = settler_for(desk, clock, url=both(doors))
    settle(settler, desk)
    assert second.sent == []
    first.freeze()
    node.mine(5)
    desk.trade(alice, bob)
    clock.advance(6)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1]}
    assert len(second.sent) == 1


def test_a_switch_to_a_node_two_blocks_behind_signs_nothing_new_for_a_used_nonce(
    desk: Desk, exchange: Exchange, node: Node, clock: Clock, doors: tuple[Door, Door]
) -> None:
    first, second = doors
    second.freeze()
    alice, bob = desk.trader(1), desk.trader(2)
    second.freeze()
    desk.trade(alice, bob)
    settler = settler_for(desk, clock, url=both(doors), confirmations=1)
    settle(settler, desk)
    assert desk.statuses() == ["FINAL"], "for the first node"
    desk.trade(alice, bob)
    first.is_shut = True
    clock.advance(31)
    for _ in range(4):
        try:
            settler.step()
        except Problem:
            clock.advance(6)
    assert second.sent == first.sent, "only what was signed already"
    assert len(desk.rows("batch_attempt")) == 1
    second.frozen_at = None
    clock.advance(31)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1]}
    assert len(desk.rows("batch_attempt")) == 2


def test_nothing_is_done_while_only_a_node_that_is_behind_answers(
    desk: Desk, exchange: Exchange, node: Node, clock: Clock, doors: tuple[Door, Door]
) -> None:
    first, second = doors
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob)
    settler = settler_for(desk, clock, url=both(doors))
    second.freeze()
    node.mine(5)
    settle(settler, desk)
    desk.trade(alice, bob)
    first.is_shut = True
    clock.advance(31)
    assert refusal(settler) in ("NODE_UNAVAILABLE", "NODE_BEHIND")
    assert refusal(settler) == "NODE_BEHIND"
    assert second.sent == []
    assert len(desk.rows("batch")) == 1
    second.frozen_at = None
    clock.advance(31)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1]}


def test_one_of_three_that_claims_a_block_that_is_not_there_makes_nobody_else_late(
    desk: Desk, exchange: Exchange, node: Node, clock: Clock, doors: tuple[Door, Door]
) -> None:
    liar, honest = doors
    desk.trade(desk.trader(1), desk.trader(2))
    node.mine(8)
    liar.claims = 10**9
    settler = settler_for(desk, clock, url=f"{honest.url},{node.url},{liar.url}")
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0]}
    assert (len(honest.sent), liar.sent) == (1, [])
    liar.is_shut = True
    clock.advance(31)
    settler.step()


def now_of(node: Node) -> int:
    return int(node.rpc.call("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)


def test_two_stuck_nodes_do_not_outvote_the_one_that_goes_on(
    desk: Desk, exchange: Exchange, node: Node, clock: Clock, doors: tuple[Door, Door],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    desk.trade(desk.trader(1), desk.trader(2))
    for door in doors:
        door.freeze()
    node.wait(200)
    node.mine(5)
    clock.ms = now_of(node) * 1_000
    settler = settler_for(desk, clock, url=f"{both(doors)},{node.url}")
    settle(settler, desk)
    assert [door.sent for door in doors] == [[], []]
    assert exchange.filled_sequences() == {1: [0]}
    assert caplog.text.count("ALERT: most nodes stand still") == 1
    for door in doors:
        door.frozen_at = None
    clock.advance(6)
    settle(settler, desk)
    state = read_state(desk.database)
    assert state is not None
    assert state.node == node.url, "what is in use stays in use"


def test_a_node_ahead_of_stuck_ones_with_another_history_is_not_believed(
    desk: Desk, exchange: Exchange, stranger: Exchange, node: Node, clock: Clock, doors: tuple[Door, Door]
) -> None:
    desk.trade(desk.trader(1), desk.trader(2))
    node.mine(20)
    for door in doors:
        door.freeze()
    stranger.node.mine(int(node.rpc.call("eth_blockNumber"), 16))
    stranger.node.wait(200)
    clock.ms = now_of(stranger.node) * 1_000
    settler = settler_for(desk, clock, url=f"{both(doors)},{stranger.node.url}")
    for _ in range(3):
        settler.step()
        clock.advance(6)
    assert stranger.filled_sequences() == {}
    assert [len(door.sent) > 0 for door in doors] == [True, False]


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Exchange]:
    """The same contracts at the same addresses on a chain of its own."""
    folder = tmp_path / "other chain"
    folder.mkdir()
    node = Node(folder)
    exchange = Exchange(node)
    yield exchange
    node.stop()


def test_two_nodes_with_different_chains_make_nothing_be_signed(
    desk: Desk, exchange: Exchange, stranger: Exchange, clock: Clock
) -> None:
    assert stranger.address == exchange.address
    desk.trade(desk.trader(1), desk.trader(2))
    for one in (exchange, stranger):
        one.node.mine(8)
    top = max(int(one.node.rpc.call("eth_blockNumber"), 16) for one in (exchange, stranger))
    for one in (exchange, stranger):
        one.node.mine(top + 1 - int(one.node.rpc.call("eth_blockNumber"), 16))
    settler = settler_for(desk, clock, url=f"{exchange.node.url},{stranger.node.url}")
    assert refusal(settler) == "NODES_DISAGREE"
    assert desk.rows("batch") == []


def test_a_majority_outvotes_a_node_with_another_chain(
    desk: Desk, exchange: Exchange, stranger: Exchange, clock: Clock, doors: tuple[Door, Door],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    desk.trade(desk.trader(1), desk.trader(2))
    behind = int(exchange.node.rpc.call("eth_blockNumber"), 16) - int(stranger.node.rpc.call("eth_blockNumber"), 16)
    stranger.node.mine(behind)
    exchange.node.mine(8)
    stranger.node.mine(8)
    settle(settler_for(desk, clock, url=f"{stranger.node.url},{both(doors)}"), desk)
    assert exchange.filled_sequences() == {1: [0]}
    assert stranger.filled_sequences() == {}
    assert "has another block" in caplog.text


def test_the_last_node_may_not_bring_another_history(
    desk: Desk, exchange: Exchange, stranger: Exchange, clock: Clock, doors: tuple[Door, Door]
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob)
    first = doors[0]
    exchange.node.mine(8)
    settler = settler_for(desk, clock, url=f"{first.url},{stranger.node.url}")
    settle(settler, desk)  # the stranger is behind, so it has no voice
    stranger.node.mine(40)
    first.is_shut = True
    desk.trade(alice, bob)
    clock.advance(31)
    codes = []
    for _ in range(3):
        codes.append(refusal(settler))
        clock.advance(6)
    assert codes[-1] == "NODES_DISAGREE"
    assert len(desk.rows("batch_attempt")) == 1
    assert stranger.filled_sequences() == {}


def test_the_process_takes_a_list(desk: Desk, exchange: Exchange, tmp_path: Path, doors: tuple[Door, Door]) -> None:
    first, second = doors
    desk.trade(desk.trader(1), desk.trader(2))
    settler = SettlerProcess(desk, tmp_path, url=both(doors))
    try:
        settler.wait_ready()
        eventually(lambda: desk.statuses() == ["FINAL"])
        first.is_shut = True
        desk.trade(desk.trader(3), desk.trader(4))
        eventually(lambda: desk.statuses() == ["FINAL", "FINAL"])
        assert settler.stop() == 0
    finally:
        settler.kill()
    assert second.url in settler.log
    assert exchange.filled_sequences() == {1: [0, 1]}
