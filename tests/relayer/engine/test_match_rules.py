"""`python -m relayer match`: its exact rules, one test a sentence, said without the naive matcher's help."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from relayer import match

Flow = list[dict[str, Any]]


def place(name: str, account: str, side: str, quantity: int, price: int | None = 100, tif: str = "GTC",
          stp: str = "NONE") -> dict[str, Any]:  # fmt: skip
    command = {"op": "place", "id": name, "account": account, "side": side, "quantity": quantity, "tif": tif}
    return {**command, "stp": stp, **({"type": "market"} if price is None else {"type": "limit", "price": price})}


def cancel(name: str) -> dict[str, Any]:
    return {"op": "cancel", "id": name}


def reduce(name: str, quantity: int) -> dict[str, Any]:
    return {"op": "reduce", "id": name, "quantity": quantity}


def replace(name: str, price: int, quantity: int, stp: str = "NONE") -> dict[str, Any]:
    return {"op": "replace", "id": name, "price": price, "quantity": quantity, "stp": stp}


def show(printer: Any, flow: Flow) -> list[dict[str, Any]]:
    out = io.BytesIO()
    printer([json.dumps(command).encode() for command in flow], out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def last(flow: Flow) -> list[tuple[Any, ...]]:
    """What the last command caused: (event, and what it says)."""
    said = [event for event in show(match._print_events, flow) if event["seq"] == len(flow) - 1]
    words = []
    for event in said:
        if event["event"] == "trade":
            words.append(("trade", event["taker"], event["maker"], event["price"], event["quantity"]))
        elif event["event"] == "stp":
            words.append(("stp", event["taker"], event["maker"]))
        else:
            words.append((event["event"], event["id"]))
    return words


def book(flow: Flow) -> list[tuple[Any, ...]]:
    rows = show(match._print_book, flow)
    assert all(list(row) == ["side", "price", "id", "quantity"] for row in rows)
    return [tuple(row.values()) for row in rows]


def trades(flow: Flow) -> list[tuple[Any, ...]]:
    """(maker, price, quantity)"""
    return [event[2:] for event in last(flow) if event[0] == "trade"]


ASKS = [place("1", "a", "sell", 2, 101), place("2", "b", "sell", 3, 100), place("3", "c", "sell", 4, 100)]


def test_events_carry_the_index_of_their_command() -> None:
    events = show(match._print_events, [*ASKS, place("4", "d", "buy", 9, 101), cancel("9")])
    assert [event["seq"] for event in events] == [0, 1, 2, 3, 3, 3, 3, 4]
    assert events[4] == {"seq": 3, "event": "trade", "taker": "4", "maker": "2", "price": 100, "quantity": 3}


def test_best_price_first_then_oldest_at_the_makers_price_one_trade_a_maker() -> None:
    assert trades([*ASKS, place("4", "d", "buy", 8, 105)]) == [("2", 100, 3), ("3", 100, 4), ("1", 101, 1)]
    bids = [place("1", "a", "buy", 2, 99), place("2", "b", "buy", 3, 100), place("3", "c", "buy", 4, 100)]
    assert trades([*bids, place("4", "d", "sell", 8, 95)]) == [("2", 100, 3), ("3", 100, 4), ("1", 99, 1)]


def test_the_book_is_bids_then_asks_best_first_oldest_first_within_a_price() -> None:
    flow = [*ASKS, place("4", "d", "buy", 1, 98), place("5", "d", "buy", 1, 99), place("6", "e", "buy", 2, 99)]
    assert book(flow) == [
        ("buy", 99, "5", 1), ("buy", 99, "6", 2), ("buy", 98, "4", 1),
        ("sell", 100, "2", 3), ("sell", 100, "3", 4), ("sell", 101, "1", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("taker", [place("4", "d", "buy", 9, 100, "IOC"), place("4", "d", "buy", 10, None, "GTC")])
def test_an_ioc_or_market_remainder_is_dropped(taker: dict[str, Any]) -> None:
    assert last([*ASKS, taker])[-1] == ("canceled", "4")
    assert not [row for row in book([*ASKS, taker]) if row[0] == "buy"]


def test_a_market_order_takes_every_price() -> None:
    far = [place("1", "a", "sell", 1, 2**64 - 1), place("2", "a", "buy", 1, 1)]
    assert trades([*far, place("3", "b", "buy", 1, None)]) == [("1", 2**64 - 1, 1)]
    assert trades([*far, place("3", "b", "sell", 1, None)]) == [("2", 1, 1)]


def test_fok_is_checked_before_any_fill() -> None:
    assert last([*ASKS, place("4", "d", "buy", 8, 100, "FOK")]) == [("rejected", "4")]
    assert book([*ASKS, place("4", "d", "buy", 8, 100, "FOK")]) == book(ASKS)
    assert len(trades([*ASKS, place("4", "d", "buy", 7, 100, "FOK")])) == 2


def test_own_orders_that_stp_would_cancel_do_not_count_for_fok() -> None:
    """With CANCEL_MAKER what stands behind them does."""
    assert last([*ASKS, place("4", "b", "buy", 5, 100, "FOK", "CANCEL_MAKER")]) == [("rejected", "4")]
    taken = last([*ASKS, place("4", "b", "buy", 4, 100, "FOK", "CANCEL_MAKER")])
    assert taken[-2:] == [("canceled", "2"), ("trade", "4", "3", 100, 4)]
    assert len(trades([*ASKS, place("4", "b", "buy", 7, 100, "FOK", "NONE")])) == 2


@pytest.mark.parametrize("stp", ["CANCEL_TAKER", "CANCEL_BOTH", "DECREMENT"])
def test_behind_an_own_order_nothing_is_reachable_for_fok(stp: str) -> None:
    flow = [*ASKS, place("4", "c", "buy", 4, 101, "FOK", stp)]
    assert last(flow) == [("rejected", "4")]
    assert book(flow) == book(ASKS)
    assert trades([*ASKS, place("4", "c", "buy", 3, 101, "FOK", stp)]) == [("2", 100, 3)]


def test_post_only_that_would_match_is_rejected_unchanged() -> None:
    for account in ("d", "a"):
        flow = [*ASKS, place("4", account, "buy", 1, 100, "POST_ONLY", "CANCEL_MAKER")]
        assert last(flow) == [("rejected", "4")]
        assert book(flow) == book(ASKS)
    assert ("buy", 99, "4", 1) in book([*ASKS, place("4", "d", "buy", 1, 99, "POST_ONLY")])


@pytest.mark.parametrize(
    ("quantity", "is_taken"), [(-1, False), (0, False), (1, True), (2, True), (3, False), (4, False)]
)
def test_reduce_needs_less_than_what_remains_and_keeps_priority(quantity: int, is_taken: bool) -> None:
    flow = [*ASKS, reduce("2", quantity)]
    assert last(flow) == [("reduced" if is_taken else "rejected", "2")]
    first = trades([*flow, place("4", "d", "buy", 1, 100)])
    assert first == [("2", 100, 1)]
    left = quantity if is_taken else 3
    assert ("sell", 100, "2", left) in book(flow)


@pytest.mark.parametrize(
    ("price", "quantity", "keeps"), [(100, 3, True), (100, 1, True), (100, 4, False), (101, 3, False)]
)
def test_replace_keeps_priority_at_the_same_price_with_no_more(price: int, quantity: int, keeps: bool) -> None:
    flow = [*ASKS, replace("2", price, quantity)]
    assert last(flow) == [("replaced", "2")]
    assert ("sell", price, "2", quantity) in book(flow), "the new remaining quantity"
    assert (trades([*flow, place("4", "d", "buy", 1, 100)]) == [("2", 100, 1)]) is keeps


def test_a_replaced_order_re_enters_as_a_gtc_taker_with_the_same_id() -> None:
    flow = [*ASKS, place("4", "d", "buy", 9, 99, "POST_ONLY"), replace("4", 100, 9)]
    assert last(flow) == [("replaced", "4"), ("trade", "4", "2", 100, 3), ("trade", "4", "3", 100, 4)]
    assert ("buy", 100, "4", 2) in book(flow), "what is left rests, whatever it was before"
    own = [*ASKS, place("4", "b", "buy", 9, 99), replace("4", 100, 5, "CANCEL_MAKER")]
    assert last(own) == [("replaced", "4"), ("stp", "4", "2"), ("canceled", "2"), ("trade", "4", "3", 100, 4)]


def test_what_remains_counts_for_replace_and_not_what_was_placed() -> None:
    partly = [*ASKS, place("4", "d", "buy", 2, 100)]
    flow = [*partly, replace("2", 100, 2)]
    assert trades([*flow, place("5", "d", "buy", 1, 100)]) == [("3", 100, 1)], "two are more than the one that remained"


def test_an_accepted_id_is_used_up_and_a_rejected_one_is_not() -> None:
    for dead in ([cancel("2")], [place("4", "d", "buy", 3, 100)], []):
        assert last([*ASKS, *dead, place("2", "z", "buy", 1, 1)]) == [("rejected", "2")]
    refused = [*ASKS, place("4", "d", "buy", 0), place("4", "d", "buy", 1, 100, "POST_ONLY")]
    assert last([*refused, place("4", "d", "buy", 1, 50)]) == [("accepted", "4")]


@pytest.mark.parametrize("name", ["9", "2"])
def test_a_dead_or_unknown_id_is_rejected(name: str) -> None:
    flow = [*ASKS, cancel("2")]
    for command in (cancel(name), reduce(name, 1), replace(name, 100, 1)):
        assert last([*flow, command]) == [("rejected", name)]


@pytest.mark.parametrize("quantity", [0, -3])
def test_a_quantity_of_0_or_less_is_rejected(quantity: int) -> None:
    for command in (place("4", "d", "buy", quantity), reduce("2", quantity), replace("2", 100, quantity)):
        assert last([*ASKS, command])[0][0] == "rejected"
        assert book([*ASKS, command]) == book(ASKS)


OWN_FIRST = [place("1", "b", "sell", 3, 100), place("2", "a", "sell", 3, 100), place("3", "c", "sell", 3, 100)]


@pytest.mark.parametrize(
    ("stp", "events", "asks", "bids"),
    [
        (
            "NONE",
            [("trade", "4", "1", 100, 3), ("trade", "4", "2", 100, 3), ("trade", "4", "3", 100, 2)],
            [("3", 1)],
            [],
        ),
        ("CANCEL_TAKER", [("trade", "4", "1", 100, 3), ("stp", "4", "2"), ("canceled", "4")], [("2", 3), ("3", 3)], []),
        (
            "CANCEL_MAKER",
            [("trade", "4", "1", 100, 3), ("stp", "4", "2"), ("canceled", "2"), ("trade", "4", "3", 100, 3)],
            [],
            [("4", 2)],
        ),
        (
            "CANCEL_BOTH",
            [("trade", "4", "1", 100, 3), ("stp", "4", "2"), ("canceled", "2"), ("canceled", "4")],
            [("3", 3)],
            [],
        ),
        ("DECREMENT", [("trade", "4", "1", 100, 3), ("stp", "4", "2"), ("trade", "4", "3", 100, 2)], [("3", 1)], []),
    ],
)
def test_self_trade_prevention(stp: str, events: list, asks: list, bids: list) -> None:
    """Eight lots against three of a stranger, three of its own and three of another."""
    flow = [*OWN_FIRST, place("4", "a", "buy", 8, 100, "GTC", stp)]
    assert last(flow) == [("accepted", "4"), *events]
    resting = book(flow)
    assert [(name, left) for side, _, name, left in resting if side == "sell"] == asks
    assert [(name, left) for side, _, name, left in resting if side == "buy"] == bids


def test_decrement_lowers_both_by_the_smaller_remainder() -> None:
    flow = [place("1", "a", "sell", 5), place("2", "a", "buy", 2, 100, "GTC", "DECREMENT")]
    assert book(flow) == [("sell", 100, "1", 3)]
    assert show(match._print_events, flow)[-1]["quantity"] == 2
