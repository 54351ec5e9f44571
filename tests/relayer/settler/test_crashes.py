"""The settler dies by SIGKILL, at every commit boundary and at random: each fill still settles exactly once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from settler_gate import Gate
from settler_stand import FILL, Desk, Exchange, Node, SettlerProcess, eventually


@pytest.fixture
def gate(node: Node) -> Iterator[Gate]:
    gate = Gate(node.url)
    yield gate
    gate.close()


def trade(desk: Desk, count: int) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    for _ in range(count):
        desk.trade(alice, bob)


def finish(desk: Desk, exchange: Exchange, folder: Path, fills: int) -> None:
    """A fresh process completes everything; then rows and chain agree."""
    survivor = SettlerProcess(desk, folder)
    try:
        eventually(lambda: sum(len(numbers) for numbers in exchange.filled_sequences().values()) >= fills)
        eventually(lambda: set(desk.statuses()) <= {"FINAL", "FAILED"})
        assert survivor.stop() == 0
    finally:
        survivor.kill()
    assert exchange.filled_sequences() == {1: list(range(fills))}
    final = [row for row in desk.rows("batch") if row.status == "FINAL"]
    assert sum(row.fills for row in final) == fills
    on_chain = {log["transactionHash"] for log in exchange.events(FILL)}
    assert {"0x" + row.tx_hash.hex() for row in final} == on_chain


@pytest.mark.parametrize("forward", [False, True], ids=["before the node has it", "after the node has it"])
def test_killed_between_the_commit_and_the_answer_to_sending(
    desk: Desk, exchange: Exchange, gate: Gate, tmp_path: Path, forward: bool
) -> None:
    trade(desk, 3)
    gate.shut("eth_sendRawTransaction", forward=forward)
    victim = SettlerProcess(desk, tmp_path, url=gate.url)
    assert gate.reached.wait(60)
    assert desk.statuses() == ["PREPARED"]
    victim.kill()
    finish(desk, exchange, tmp_path, 3)
    assert len(desk.rows("batch")) == 1


def test_killed_when_sent_and_not_mined(desk: Desk, exchange: Exchange, node: Node, tmp_path: Path) -> None:
    trade(desk, 3)
    node.automine(False)
    victim = SettlerProcess(desk, tmp_path)
    eventually(lambda: desk.statuses() == ["SENT"])
    victim.kill()
    node.mine()
    finish(desk, exchange, tmp_path, 3)
    assert len(desk.rows("batch")) == 1


def test_killed_when_mined_and_not_final(desk: Desk, exchange: Exchange, tmp_path: Path) -> None:
    trade(desk, 3)
    victim = SettlerProcess(desk, tmp_path, confirmations=50)
    eventually(lambda: desk.statuses() == ["MINED"])
    victim.kill()
    finish(desk, exchange, tmp_path, 3)
    assert len(desk.rows("batch")) == 1


def test_killed_before_it_learns_that_a_batch_is_mined(
    desk: Desk, exchange: Exchange, gate: Gate, tmp_path: Path
) -> None:
    trade(desk, 3)
    gate.shut("eth_getTransactionReceipt", forward=True)
    victim = SettlerProcess(desk, tmp_path, url=gate.url)
    assert gate.reached.wait(60)
    assert desk.statuses() == ["SENT"]
    victim.kill()
    finish(desk, exchange, tmp_path, 3)
    assert len(desk.rows("batch")) == 1


def test_killed_at_random_while_fills_arrive(desk: Desk, exchange: Exchange, tmp_path: Path) -> None:
    dice = random.Random(7)
    alice, bob = desk.trader(1), desk.trader(2)
    for _ in range(4):
        victim = SettlerProcess(desk, tmp_path)
        victim.wait_ready()
        stop_after = len(desk.rows("batch_attempt")) + dice.randint(0, 3)
        for _ in range(12):
            desk.trade(alice, bob)
            if len(desk.rows("batch_attempt")) > stop_after:
                break
        victim.kill()
    finish(desk, exchange, tmp_path, desk.match_id)


def test_it_stops_cleanly_and_never_shows_its_key(desk: Desk, exchange: Exchange, tmp_path: Path) -> None:
    trade(desk, 3)
    settler = SettlerProcess(desk, tmp_path)
    settler.wait_ready()
    eventually(lambda: desk.statuses() == ["FINAL"])
    assert settler.stop() == 0
    assert "3 fills" in settler.log
    assert "59c6995e" not in settler.log
    assert "Traceback" not in settler.log


def test_it_waits_for_a_node_that_is_away_and_says_so(
    desk: Desk, exchange: Exchange, node: Node, tmp_path: Path
) -> None:
    trade(desk, 3)
    node.stop()
    settler = SettlerProcess(desk, tmp_path)
    eventually(lambda: "does not answer" in settler.log)
    node.start()
    eventually(lambda: desk.statuses() == ["FINAL"])
    assert settler.stop() == 0
    assert exchange.filled_sequences() == {1: [0, 1, 2]}
