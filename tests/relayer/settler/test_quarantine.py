"""A fill that the contract will never take: what is before it settles, it is passed over, the rest goes on."""

from __future__ import annotations

from settler_stand import BTC, ETH, VOIDED, Clock, Desk, Exchange, settle, settler_for

from cxdex.order import Side


def test_a_bad_fill_in_the_middle_is_found_and_passed_over(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    for number in range(9):
        desk.trade(alice, bob, forged=number == 5)
    settle(settler_for(desk, clock), desk)
    assert exchange.filled_sequences() == {1: [0, 1, 2, 3, 4, 6, 7, 8]}
    assert len(exchange.events(VOIDED)) == 1
    assert [row.fills for row in desk.rows("batch")] == [5, 0, 3]
    (culprit,) = desk.rows("quarantine")
    assert (culprit.match_id, culprit.market, culprit.sequence, culprit.reason) == (6, BTC, 5, "S:SIG")


def test_several_bad_fills_in_two_markets(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    bad = {0, 3, 4, 9}
    for number in range(10):
        desk.trade(alice, bob, (BTC, ETH)[number % 2], forged=number in bad)
    settle(settler_for(desk, clock), desk)
    assert exchange.filled_sequences() == {1: [1, 3, 4], 2: [0, 2, 3]}
    assert {row.match_id - 1 for row in desk.rows("quarantine")} == bad


def test_an_overfill_is_passed_over(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob, carol = desk.trader(1), desk.trader(2), desk.trader(3)
    maker = desk.order(alice, BTC, Side.SELL, 10, 1_000_000)
    desk.match(maker, desk.order(bob, BTC, Side.BUY, 10, 1_000_000), 10)
    desk.match(maker, desk.order(carol, BTC, Side.BUY, 10, 1_000_000), 10)
    settle(settler_for(desk, clock), desk)
    assert exchange.filled_sequences() == {1: [0]}
    assert [row.reason for row in desk.rows("quarantine")] == ["S:OVERFILL"]


def test_a_void_that_a_reorg_drops_is_sent_again(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob, forged=True)
    desk.trade(alice, bob)
    settler = settler_for(desk, clock, confirmations=10)
    settle(settler, desk)
    exchange.node.rpc.call("anvil_reorg", [2, []])
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [1]}
    assert len(exchange.events(VOIDED)) == 1
    assert desk.statuses() == ["MINED", "MINED"]


def test_a_voided_trade_that_the_chain_has_not_passed_is_waited_for(
    desk: Desk, exchange: Exchange, clock: Clock
) -> None:
    """After a reorg the engine restores the trade; until then nothing of that market may be sent."""
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob)
    desk.trade(alice, bob)
    with desk.database.begin() as connection:
        connection.exec_driver_sql("UPDATE trade SET voided = 1 WHERE match_id = 1")
    settler = settler_for(desk, clock)
    settle(settler, desk)
    assert desk.rows("batch") == []
    with desk.database.begin() as connection:
        connection.exec_driver_sql("UPDATE trade SET voided = 0 WHERE match_id = 1")
    clock.advance(31)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0, 1]}
