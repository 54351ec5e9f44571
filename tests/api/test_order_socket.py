"""Order entry over the WebSocket: the answers of HTTP, many requests at once, in order, and bounded."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.order_ops import MOST_ORDERS
from cxdex.eip712 import cancel_orders_digest
from cxdex.nonce import pack_nonce
from cxdex.signature import sign_digest
from tests.api.conftest import CHAIN_ID, SYMBOL, TERMS, Exchange, Person, list_market, market_status, wait_for
from tests.api.test_streams import Client

FAR = {"limitPrice": "1000"}


@pytest.fixture
def client(exchange: Any) -> Iterator[Client]:
    opened = Client(exchange)
    yield opened
    opened.socket.close()


def signed(person: Person, lane: int, **changes: Any) -> dict[str, Any]:
    """An order on a lane of its own that rests far below, unless it says otherwise."""
    envelope = {name: changes.pop(name) for name in ("clientOrderId", "rejectAfter") if name in changes}
    return person.signed(person.order(pack_nonce(0, lane, 1), **{**FAR, **changes}), **envelope)


def order_id(person: Person, entry: dict[str, Any]) -> str:
    return "0x" + person.digest(entry["order"]).hex()


def status_of(exchange: Any, digest: str) -> str:
    word: str = exchange.get(f"/v1/orders/{digest}").json().get("status", "UNKNOWN")
    return word


def test_an_order_is_placed_and_answered_as_over_http(exchange: Any, client: Client) -> None:
    alice = exchange.person()
    entry = signed(alice, 0, clientOrderId="mine", rejectAfter=time.time_ns() // 10**6 + 60_000)
    client.send(op="place", id="a-1", **entry)
    answer = client.next(id="a-1")
    assert set(answer) == {"op", "id", "data"}
    assert (answer["op"], answer["data"]["status"], answer["data"]["clientOrderId"]) == ("place", "OPEN", "mine")
    again = exchange.post("/v1/orders", entry)
    assert again.json() == answer["data"]


def test_a_fill_is_in_the_answer(exchange: Any, client: Client) -> None:
    exchange.place(exchange.person(), side="SELL", limitPrice="70000")
    client.send(op="place", id=1, **signed(exchange.person(), 0, limitPrice="70000", timeInForce="IOC"))
    data = client.next(id=1)["data"]
    assert (data["status"], [fill["role"] for fill in data["fills"]]) == ("FILLED", ["TAKER"])


def spoilt(person: Person) -> dict[str, dict[str, Any]]:
    """Orders that are refused, each for another reason, by this process or by the engine."""
    good = signed(person, 5)
    other = "0x" + sign_digest(b"\x01" * 32, person.digest(good["order"])).hex()
    return {
        "tick": {**good, "order": {**good["order"], "limitPrice": "1000.05"}},
        "number": {**good, "order": {**good["order"], "quantity": 1}},
        "word": {**good, "order": {**good["order"], "side": "BID"}},
        "market": {**good, "order": {**good["order"], "market": "sXYZ-USDC"}},
        "chain": {**good, "chainId": CHAIN_ID + 1},
        "signer": {**good, "signature": other},
        "signature": {**good, "signature": "0x12"},
        "unknown field": {**good, "foo": 1},
        "missing field": {"order": good["order"], "chainId": CHAIN_ID},
        "balance": signed(person, 6, quantity="1000"),
        "expired": signed(person, 7, expiry=str(int(time.time()) + 1)),
        "late": signed(person, 8, rejectAfter=1),
    }


def test_refusals_are_those_of_http(exchange: Any, client: Client) -> None:
    alice = exchange.person()
    for name, entry in spoilt(alice).items():
        client.send(op="place", id=name, **entry)
        refused = client.next(id=name)
        over_http = exchange.post("/v1/orders", entry).json()
        assert refused.pop("op") == "error"
        assert refused.pop("id") == name
        for document in (refused, over_http):
            document.pop("traceId")
            if name in ("expired", "late"):
                document.pop("allowed")  # names the time
        if name in ("unknown field", "missing field"):  # the object is the message, which has an op and an id
            assert (refused["code"], refused["field"]) == (over_http["code"], over_http["field"])
            continue
        assert refused == over_http, name


def test_many_at_once_are_all_answered_by_their_ids(exchange: Any, client: Client) -> None:
    alice = exchange.person()
    entries = {number: signed(alice, number, quantity="0.001") for number in range(60)}
    for number, entry in entries.items():
        client.send(op="place", id=number, **entry)
    answers = [client.next(op="place") for _ in entries]
    assert Counter(answer["id"] for answer in answers) == Counter(list(entries))
    assert all(answer["data"]["id"] == order_id(alice, entries[answer["id"]]) for answer in answers)
    times = [answer["data"]["createdAt"] for answer in sorted(answers, key=lambda answer: answer["id"])]
    assert times == sorted(times), "they reach the engine as they were sent"


def test_a_batch_is_answered_entry_by_entry(exchange: Any, client: Client) -> None:
    alice = exchange.person()
    wrong = spoilt(alice)
    orders = [signed(alice, 0), wrong["tick"], signed(alice, 1), wrong["signer"], wrong["balance"]]
    client.send(op="placeBatch", id=9, orders=orders)
    results = client.next(op="placeBatch", id=9)["data"]["results"]
    shown = [entry.get("order", {}).get("status") or entry["problem"]["code"] for entry in results]
    assert shown == ["OPEN", "ORDER_TICK_INVALID", "OPEN", "SIGNATURE_MISMATCH", "BALANCE_INSUFFICIENT"]


@pytest.mark.parametrize("orders", [[], "x", None, [{}] * 51])
def test_a_batch_that_is_no_batch_is_refused(client: Client, orders: Any) -> None:
    client.send(op="placeBatch", id=1, orders=orders)
    assert client.next(op="error", id=1)["field"] == "orders"


def test_a_cancel_behind_its_order_finds_it(exchange: Any, client: Client) -> None:
    """Checking the order's signature takes longer than reading the cancel; it must not overtake."""
    alice = exchange.person()
    client.sign_in(exchange, alice)
    entries = [signed(alice, lane) for lane in range(20)]
    for lane, entry in enumerate(entries):
        client.send(op="place", id=f"p{lane}", **entry)
        client.send(op="cancel", id=f"c{lane}", orderId=order_id(alice, entry))
    for lane, entry in enumerate(entries):
        assert client.next(id=f"p{lane}")["op"] == "place"
        gone = client.next(id=f"c{lane}")
        assert (gone["op"], gone["data"]["id"], gone["data"]["status"]) == (
            "cancel",
            order_id(alice, entry),
            "CANCELLED",
        )


def test_all_the_ways_to_cancel(exchange: Any, client: Client) -> None:
    alice = exchange.person()
    client.sign_in(exchange, alice)
    entries = [signed(alice, lane, clientOrderId=f"n{lane}") for lane in range(6)]
    client.send(op="placeBatch", id=0, orders=[*entries, signed(alice, 9, side="SELL", limitPrice="90000")])
    deadline = int(time.time()) + 60
    nonces = [int(entry["order"]["nonce"]) for entry in entries]
    digest = cancel_orders_digest(exchange.deployment.domain, alice.account, nonces[:2], deadline)
    client.send(
        op="cancelSigned",
        id=1,
        account=alice.address,
        nonces=[str(nonce) for nonce in nonces[:2]],
        deadline=str(deadline),
        signature="0x" + sign_digest(alice.key, digest).hex(),
    )
    client.send(op="cancelBatch", id=2, ids=[order_id(alice, entries[2])], clientOrderIds=["n3", "nobody"])
    client.send(op="cancelAll", id=3, market=SYMBOL, side="SELL")
    client.send(op="cancelAll", id=4)
    outcomes = {
        number: [
            entry["order"]["status"] if entry.get("order") else entry["problem"]["code"]
            for entry in client.next(id=number)["data"]["results"]
        ]
        for number in (1, 2, 3, 4)
    }
    assert outcomes == {
        1: ["CANCELLED", "CANCELLED"],
        2: ["CANCELLED", "CANCELLED", "ORDER_UNKNOWN"],
        3: ["CANCELLED"],
        4: ["CANCELLED", "CANCELLED"],
    }


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ({"op": "place"}, "FIELD_MISSING", "id"),
        ({"op": "place", "id": True}, "FIELD_INVALID", "id"),
        ({"op": "place", "id": [1]}, "FIELD_INVALID", "id"),
        ({"op": "cancel", "id": 1, "orderId": "0x" + "11" * 32}, "AUTH_REQUIRED", None),
        ({"op": "cancelAll", "id": 1}, "AUTH_REQUIRED", None),
        ({"op": "cancelBatch", "id": 1, "ids": []}, "AUTH_REQUIRED", None),
        ({"op": "cancelSigned", "id": 1}, "FIELD_MISSING", "account"),
    ],
)
def test_what_cannot_be_taken_is_refused(client: Client, message: Any, code: str, field: str | None) -> None:
    client.socket.send(json.dumps(message))
    error = client.next(op="error")
    assert (error["code"], error.get("field")) == (code, field)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"op": "cancel", "orderId": "0x12"}, "id"),
        ({"op": "cancel", "orderId": 7}, "orderId"),
        ({"op": "cancelAll", "side": "LEFT"}, "side"),
        ({"op": "cancelAll", "market": "sXYZ-USDC"}, "market"),
        ({"op": "cancelBatch"}, "ids"),
        ({"op": "cancelBatch", "ids": "x"}, "ids"),
        ({"op": "cancelBatch", "clientOrderIds": [""]}, "clientOrderId"),
    ],
)
def test_a_cancel_that_names_nothing_is_refused(exchange: Any, client: Client, message: Any, field: str) -> None:
    client.sign_in(exchange, exchange.person())
    client.send(id=1, **message)
    assert client.next(op="error", id=1)["field"] == field


def test_orders_that_are_refused_here_count_as_messages(client: Client) -> None:
    for number in range(150):
        client.send(op="place", id=number)
    codes = Counter(client.next(op="error", id=number)["code"] for number in range(150))
    assert set(codes) == {"FIELD_MISSING", "RATE_LIMITED"}
    assert codes["FIELD_MISSING"] >= 100


def test_nothing_is_placed_behind_a_cancel_on_disconnect(exchange: Any) -> None:
    alice = exchange.person()
    entries = [signed(alice, lane, quantity="0.001") for lane in range(80)]
    client = Client(exchange)
    client.sign_in(exchange, alice)
    client.send(op="cancelOnDisconnect", enabled=True)
    client.next(op="cancelOnDisconnect")
    for number, entry in enumerate(entries):
        client.send(op="place", id=number, **entry)
    client.next(id=0)
    client.socket.socket.close()  # no goodbye, and answers on their way
    first = order_id(alice, entries[0])
    wait_for("the cancel", lambda: status_of(exchange, first) == "CANCELLED")
    time.sleep(0.5)
    words = {status_of(exchange, order_id(alice, entry)) for entry in entries}
    assert "OPEN" not in words, words


@pytest.fixture
def own_exchange(tmp_path: Path, node_url: str) -> Iterator[Exchange]:
    running = Exchange(tmp_path, node_url)
    running.start_engine("--limits", "off")
    running.start_api()
    list_market(running, TERMS)
    wait_for("the market", lambda: market_status(running) == "ACTIVE")
    yield running
    assert running.engine is not None
    os.kill(running.engine.pid, signal.SIGCONT)
    running.stop()


def test_a_connection_may_have_so_much_on_its_way_and_feeds_go_on(own_exchange: Exchange) -> None:
    alice = own_exchange.person()
    entries = [signed(alice, lane, quantity="0.001") for lane in range(MOST_ORDERS + 50)]
    client, watcher = Client(own_exchange), Client(own_exchange)
    client.sign_in(own_exchange, alice)
    watcher.subscribe("book", SYMBOL)
    watcher.next(ch="book", type="snapshot")
    assert own_exchange.engine is not None
    os.kill(own_exchange.engine.pid, signal.SIGSTOP)  # it answers nothing; what comes piles up
    for number, entry in enumerate(entries):
        client.send(op="place", id=number, **entry)
    client.send(op="cancelAll", id="all")
    refused = [client.next(op="error") for _ in range(50)]
    assert {error["code"] for error in refused} == {"RATE_LIMITED"}
    assert {error["id"] for error in refused} == set(range(MOST_ORDERS, MOST_ORDERS + 50))
    watcher.send(op="ping", id=1)
    watcher.next(op="pong")
    os.kill(own_exchange.engine.pid, signal.SIGCONT)
    placed = [client.next(op="place")["id"] for _ in range(MOST_ORDERS)]
    assert sorted(placed) == list(range(MOST_ORDERS))
    assert len(client.next(op="cancelAll")["data"]["results"]) == MOST_ORDERS, "it has room of its own, and its place"
    assert watcher.next(ch="book", type="delta")["prev"] >= 0


def test_what_the_engine_did_not_answer_is_said_and_may_be_asked_again(own_exchange: Exchange) -> None:
    alice = own_exchange.person()
    entry = signed(alice, 0)
    client = Client(own_exchange)
    assert own_exchange.engine is not None
    own_exchange.engine.kill()
    own_exchange.engine.wait(10)
    client.send(op="place", id=1, **entry)
    refused = client.next(id=1)
    assert (refused["op"], refused["code"], refused["retryable"]) == ("error", "ENGINE_UNAVAILABLE", True)
    own_exchange.start_engine("--limits", "off")
    wait_for("the market", lambda: market_status(own_exchange) == "ACTIVE")
    client.send(op="place", id=2, **entry)
    assert client.next(id=2)["data"]["status"] == "OPEN"
