"""A fill that is refused for a reason nobody knows: its market waits, an operator may decide, time decides last."""

from __future__ import annotations

import json

import pytest
from settler_stand import BASE_ASSET, BTC, ETH, VOIDED, Clock, Desk, Exchange, Trader, settle, settler_for

from cxdex.eip712 import to_checksum
from relayer.__main__ import main

ALL_BUT_A_LITTLE = 2**256 - 10**12


def crowded(desk: Desk) -> tuple[Trader, Trader]:
    """A buyer whose balance has no room: the contract's addition overflows, and it reverts without a word."""
    alice, bob = desk.trader(1), desk.trader(2, lots=0)
    desk.exchange.credit(bob.account, BASE_ASSET[BTC], ALL_BUT_A_LITTLE)
    return alice, bob


def make_room(exchange: Exchange, trader: Trader) -> None:
    exchange.call_as(
        exchange.vault, "debit(address,uint256,uint256)", to_checksum(trader.account), BASE_ASSET[BTC], 2**255
    )


class Said:
    def __init__(self, desk: Desk, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        self.code = main(["deadletter", words[0], "--database", desk.url, *words[1:]])
        captured = capsys.readouterr()
        self.out, self.err = captured.out, captured.err
        assert "Traceback" not in self.err


def test_a_refusal_without_a_word_holds_its_market_and_no_other(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = crowded(desk)
    desk.trade(alice, bob, BTC)
    desk.trade(alice, desk.trader(3), BTC)
    desk.trade(desk.trader(4), desk.trader(5), ETH)
    settler = settler_for(desk, clock)
    settle(settler, desk)
    assert exchange.filled_sequences() == {2: [0]}
    (letter,) = desk.rows("dead_letter")
    assert (letter.match_id, letter.market, letter.sequence, letter.status) == (1, BTC, 0, "HELD")
    assert exchange.events(VOIDED) == []

    make_room(exchange, bob)
    clock.advance(16)
    settle(settler, desk)
    assert exchange.filled_sequences() == {2: [0], 1: [0, 1]}, "it was asked again by itself"
    assert [row.status for row in desk.rows("dead_letter")] == ["RELEASED"]


def test_when_the_time_is_over_it_is_given_up(
    desk: Desk, exchange: Exchange, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = crowded(desk)
    desk.trade(alice, bob)
    desk.trade(alice, desk.trader(3))
    settler = settler_for(desk, clock)
    settle(settler, desk)
    clock.advance(599)
    settle(settler, desk)
    assert exchange.events(VOIDED) == []
    clock.advance(2)
    settle(settler, desk)
    clock.advance(31)
    settle(settler, desk)
    assert len(exchange.events(VOIDED)) == 1
    assert exchange.filled_sequences() == {1: [1]}
    assert [row.status for row in desk.rows("dead_letter")] == ["VOIDED"]
    assert [row.match_id for row in desk.rows("quarantine")] == [1]
    (trade, *_) = desk.rows("trade")
    ids = ["0x" + trade.maker_digest.hex(), "0x" + trade.taker_digest.hex()]
    told = [
        record.about  # type: ignore[attr-defined]
        for record in caplog.records
        if record.levelname == "ERROR" and "match 1 " in record.getMessage()
    ]
    assert told == [{"match": 1, "orders": ids}] * 2, "refused and given up, each under both orders' ids"


def test_an_operator_looks_and_retries(
    desk: Desk, exchange: Exchange, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    alice, bob = crowded(desk)
    desk.trade(alice, bob)
    settler = settler_for(desk, clock)
    settle(settler, desk)
    assert "1  HELD" in Said(desk, capsys, "list").out
    shown = json.loads(Said(desk, capsys, "show", "1").out)
    assert (shown["status"], shown["market"], shown["sequence"]) == ("HELD", BTC, 0)
    assert shown["maker"]["account"] == "0x" + alice.account.hex()
    assert shown["taker"]["signatureKind"] == "ACCOUNT"

    assert Said(desk, capsys, "retry", "1").code == 0
    clock.advance(6)
    settle(settler, desk)
    (letter,) = desk.rows("dead_letter")
    assert (letter.status, letter.decision) == ("HELD", None), "asked, and refused again"

    make_room(exchange, bob)
    assert Said(desk, capsys, "retry", "1").code == 0
    clock.advance(6)
    settle(settler, desk)
    assert exchange.filled_sequences() == {1: [0]}
    assert Said(desk, capsys, "list").out == "nothing is refused\n"
    assert "1  RELEASED" in Said(desk, capsys, "list", "--all").out
    assert Said(desk, capsys, "retry", "1").err.startswith("deadletter: LETTER_PASSED")


def test_an_operator_drops(desk: Desk, exchange: Exchange, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    alice, bob = crowded(desk)
    desk.trade(alice, bob)
    settler = settler_for(desk, clock)
    settle(settler, desk)
    asked = Said(desk, capsys, "drop", "1")
    assert asked.code == 1
    assert "repeat with --yes" in asked.out
    clock.advance(6)
    settle(settler, desk)
    assert exchange.events(VOIDED) == []
    assert Said(desk, capsys, "drop", "1", "--yes").code == 0
    clock.advance(6)
    settle(settler, desk)
    assert len(exchange.events(VOIDED)) == 1
    assert "1  VOIDED" in Said(desk, capsys, "list").out
    assert "orders must be sent anew" in Said(desk, capsys, "retry", "1").err
    assert Said(desk, capsys, "drop", "1").code == 0
    assert Said(desk, capsys, "list").out == "nothing is refused\n"


def test_a_fill_whose_own_bytes_are_wrong_is_given_up_at_once_and_listed(
    desk: Desk, exchange: Exchange, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    alice, bob = desk.trader(1), desk.trader(2)
    desk.trade(alice, bob, forged=True)
    settle(settler_for(desk, clock), desk)
    assert len(exchange.events(VOIDED)) == 1
    shown = json.loads(Said(desk, capsys, "show", "1").out)
    assert (shown["status"], shown["reason"]) == ("VOIDED", "S:SIG")
    assert "not signed by its account" in shown["meaning"]


def test_a_held_fill_is_still_held_after_a_restart(desk: Desk, exchange: Exchange, clock: Clock) -> None:
    alice, bob = crowded(desk)
    desk.trade(alice, bob)
    settle(settler_for(desk, clock), desk)
    clock.advance(300)
    settle(settler_for(desk, clock), desk)
    assert [row.status for row in desk.rows("dead_letter")] == ["HELD"]
    clock.advance(301)
    settle(settler_for(desk, clock), desk)
    assert len(exchange.events(VOIDED)) == 1


@pytest.mark.parametrize("words", [("show", "7"), ("retry", "7"), ("drop", "7")])
def test_an_unknown_match_is_one_clear_line(
    desk: Desk, capsys: pytest.CaptureFixture[str], words: tuple[str, str]
) -> None:
    said = Said(desk, capsys, *words)
    assert said.code == 1
    assert said.err.startswith("deadletter: LETTER_UNKNOWN")
    assert said.err.count("\n") == 1


def test_a_database_without_a_settler_is_one_clear_line(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deadletter", "list", "--database", f"sqlite:///{tmp_path / 'other.db'}"]) == 1
    assert capsys.readouterr().err.startswith("deadletter: DATABASE_EMPTY")
