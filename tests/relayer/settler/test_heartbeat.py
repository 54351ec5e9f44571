"""CORE's sign of life, and what the settler says about being late."""

from __future__ import annotations

import logging

import pytest
from settler_stand import BTC, Clock, Desk, Exchange, settle, settler_for

from cxdex.keccak import keccak
from cxdex.market import MarketStatus
from relayer.settler.state import read_state

HEARTBEAT = "0x" + keccak(b"Heartbeat(uint256)").hex()
HOUR = 3_600


def beats(exchange: Exchange) -> int:
    return len(exchange.events(HEARTBEAT))


def test_an_hour_after_the_last_one_it_beats_once(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    settler = settler_for(desk, clock)
    before = beats(exchange)
    settle(settler, desk)
    assert beats(exchange) == before, "the last one is fresh"
    exchange.node.wait(HOUR - 120)
    clock.advance(61)
    settle(settler, desk)
    assert beats(exchange) == before
    exchange.node.wait(180)
    clock.advance(61)
    settle(settler, desk)
    clock.advance(61)
    settle(settler, desk)
    assert beats(exchange) == before + 1
    (batch,) = desk.rows("batch")
    assert (batch.fills, batch.first_match_id, batch.status) == (0, 0, "MINED")
    assert desk.rows("quarantine") == []


def test_it_beats_right_after_a_start_and_fills_go_on(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    exchange.node.wait(5 * HOUR)
    desk.trade(desk.trader(1), desk.trader(2))
    before = beats(exchange)
    settle(settler_for(desk, clock), desk)
    assert beats(exchange) == before + 1
    assert exchange.filled_sequences() == {1: [0]}


def test_a_beat_that_a_reorg_drops_is_sent_again(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    exchange.node.wait(2 * HOUR)
    settler = settler_for(desk, clock, confirmations=10)
    before = beats(exchange)
    settle(settler, desk)
    exchange.node.rpc.call("anvil_reorg", [1, []])
    settle(settler, desk)
    assert beats(exchange) == before + 1


def test_three_hours_of_silence_are_an_alert_once(
    desk: Desk, exchange: Exchange, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settler = settler_for(desk, clock)
    settle(settler, desk)
    exchange.node.automine(False)  # what is sent stays unmined
    exchange.node.wait(4 * HOUR)
    for _ in range(3):
        clock.advance(61)
        settler.step()
    assert caplog.text.count("ALERT: CORE's last sign of life") == 1


def test_the_engine_can_read_how_late_settlement_is(
    desk: Desk, exchange: Exchange, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settler = settler_for(desk, clock)
    settler.step()
    state = read_state(desk.database)
    assert state is not None
    assert (state.oldest_ms, state.waiting, state.error) == (None, 0, None)
    assert state.refusal(clock()) is None

    exchange.node.automine(False)
    desk.trade(desk.trader_without_money(1), desk.trader_without_money(2), time_ms=clock())
    settler.step()
    clock.advance(119)
    settler.step()
    state = read_state(desk.database)
    assert state is not None
    assert (state.oldest_ms, state.waiting) == (clock() - 119_000, 1)
    assert state.refusal(clock()) is None
    clock.advance(2)
    settler.step()
    state = read_state(desk.database)
    assert state is not None
    refusal = state.refusal(clock())
    assert refusal is not None
    assert refusal.code == "SETTLEMENT_BEHIND"
    assert caplog.text.count("ALERT: a fill has waited 121 s") == 1

    exchange.node.mine()
    exchange.node.automine(True)
    settle(settler, desk)
    clock.advance(2)
    settler.step()
    state = read_state(desk.database)
    assert state is not None
    assert state.refusal(clock()) is None
    assert caplog.text.count("no fill is older than the promise any more") == 1


def test_a_settler_that_is_gone_shows_by_the_age_of_its_word(desk: Desk, clock: Clock) -> None:
    settler_for(desk, clock).step()
    state = read_state(desk.database)
    assert state is not None
    assert state.refusal(clock() + 119_000) is None
    refusal = state.refusal(clock() + 121_000)
    assert refusal is not None
    assert "nothing is known of settlement since 121 s" in refusal.detail


def test_fills_of_a_paused_market_do_not_stop_the_others(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    desk.trade(desk.trader(1), desk.trader(2), BTC, time_ms=clock())
    exchange.set_status(BTC, MarketStatus.PAUSED)
    settler = settler_for(desk, clock)
    settler.step()
    clock.advance(500)
    settler.step()
    state = read_state(desk.database)
    assert state is not None
    assert (state.oldest_ms, state.waiting) == (None, 1)
    assert state.refusal(clock()) is None
