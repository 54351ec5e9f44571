"""Batches that simulate well and revert on chain: halved until the fill is found, and not repeated for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from settler_doors import Door
from settler_stand import BTC, ETH, VOIDED, Clock, Desk, Exchange, Node, settle, settler_for

from cxdex.market import MarketStatus
from relayer.settler.quarantine import HOLD_SECONDS, MOST_IN_A_ROW, MOST_REVERTS


@pytest.fixture
def flatterer(node: Node) -> Iterator[Door]:
    door = Door(node.url)
    door.flatters = True
    yield door
    door.close()


def play(desk: Desk, clock: Clock, url: str, rounds: int = 6, *, restart: bool = False) -> None:
    settler = settler_for(desk, clock, url=url)
    for _ in range(rounds):
        settle(settler, desk)
        clock.advance(16)
        if restart:
            settler = settler_for(desk, clock, url=url)


@pytest.mark.parametrize("restart", [False, True])
def test_a_fill_that_reverts_only_on_chain_is_found_by_halves_and_given_up(
    desk: Desk, exchange: Exchange, clock: Clock, flatterer: Door, restart: bool, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    for number in range(9):
        desk.trade(alice, bob, forged=number == 5)
    play(desk, clock, flatterer.url, restart=restart)
    assert exchange.filled_sequences() == {1: [0, 1, 2, 3, 4, 6, 7, 8]}
    assert len(exchange.events(VOIDED)) == 1
    (culprit,) = desk.rows("quarantine")
    assert (culprit.match_id, culprit.market) == (6, BTC)
    assert f"reverted on chain {MOST_REVERTS} times" in culprit.reason
    failed = [row.fills for row in desk.rows("batch") if row.status == "FAILED"]
    assert failed.count(1) == MOST_REVERTS
    assert len(failed) < 9
    assert "ALERT: batch 1 simulated well and reverted on chain" in caplog.text
    assert "ALERT: match 6 (sBTC-USDC, sequence 5) is refused: its transaction reverted on chain" in caplog.text


def test_the_other_market_settles_while_the_fill_pauses(
    desk: Desk, exchange: Exchange, clock: Clock, flatterer: Door
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob, forged=True)
    desk.trade(alice, bob, ETH)
    desk.trade(alice, bob)
    settle(settler_for(desk, clock, url=flatterer.url), desk)
    assert exchange.filled_sequences() == {2: [0]}
    assert [row.status for row in desk.rows("dead_letter")] == ["HELD"]


def test_after_a_revert_whose_reason_has_passed_everything_settles_in_halves(
    desk: Desk, exchange: Exchange, node: Node, clock: Clock
) -> None:
    """Between simulation and block the market was paused, and opened again."""
    alice, bob = desk.trader(1), desk.trader(2)
    for _ in range(8):
        desk.trade(alice, bob)
    settler = settler_for(desk, clock)
    node.automine(False)
    settler.step()
    (batch,) = desk.rows("batch")
    node.rpc.call("anvil_dropTransaction", ["0x" + batch.tx_hash.hex()])
    node.automine(True)
    exchange.set_status(BTC, MarketStatus.PAUSED)
    node.rpc.call("eth_sendRawTransaction", ["0x" + batch.raw_transaction.hex()])
    exchange.set_status(BTC, MarketStatus.ACTIVE)
    play(desk, clock, node.url)
    assert exchange.filled_sequences() == {1: list(range(8))}
    assert [row.fills for row in desk.rows("batch")] == [8, 4, 2, 1, 1]
    assert desk.rows("quarantine") == desk.rows("dead_letter") == []


def test_when_everything_reverts_it_is_not_all_given_up(
    desk: Desk, exchange: Exchange, clock: Clock, flatterer: Door, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    for _ in range(MOST_IN_A_ROW + 1):
        desk.trade(alice, bob, forged=True)
    desk.trade(alice, bob)
    play(desk, clock, flatterer.url, rounds=24, restart=True)
    assert len(desk.rows("quarantine")) == MOST_IN_A_ROW
    assert [row.status for row in desk.rows("dead_letter")] == ["VOIDED"] * MOST_IN_A_ROW + ["HELD"]
    assert f"{MOST_IN_A_ROW} fills in a row were given up" in caplog.text
    clock.advance(HOLD_SECONDS)
    play(desk, clock, flatterer.url)
    assert len(desk.rows("quarantine")) == MOST_IN_A_ROW + 1
    assert exchange.filled_sequences() == {1: [MOST_IN_A_ROW + 1]}
