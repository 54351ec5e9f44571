"""The WebSocket: snapshots, sequence numbers, resume, private channels, bounds."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import time
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.api.conftest import wait_for
from tests.api.described_messages import Described

SYMBOL = "sBTC-USDC"
WAIT_SECONDS = 60.0
FAR_BELOW = "1000"


class Client:
    """One connection that keeps what it has not been asked for. Each message must be as /asyncapi.json describes it."""

    described: Described | None = None  # of the first exchange: it is the same for all

    def __init__(self, exchange: Any) -> None:
        if Client.described is None:
            Client.described = Described(exchange.get("/asyncapi.json").json())
        self.socket: ClientConnection = connect(f"ws://127.0.0.1:{exchange.port}/v1/ws", max_size=None, max_queue=None)
        self._kept: list[dict[str, Any]] = []

    def send(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def next(self, **wanted: Any) -> dict[str, Any]:
        """The next message with these members; others stay for later."""
        for index, message in enumerate(self._kept):
            if wanted.items() <= message.items():
                return self._kept.pop(index)
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            message = json.loads(self.socket.recv(timeout=max(0.01, deadline - time.monotonic())))
            assert self.described is not None
            self.described.require(message)
            if wanted.items() <= message.items():
                return message
            self._kept.append(message)

    def subscribe(self, channel: str, key: str | None = None, **rest: Any) -> dict[str, Any]:
        self.send(op="subscribe", ch=channel, **({"key": key} if key else {}), **rest)
        return self.next(op="subscribed", ch=channel)

    def sign_in(self, exchange: Any, person: Any) -> None:
        self.send(op="auth", token=exchange.login(person))
        self.next(op="authenticated")


@pytest.fixture
def client(exchange: Any) -> Iterator[Client]:
    opened = Client(exchange)
    yield opened
    opened.socket.close()


def test_book_snapshot_and_deltas_are_one_sequence(exchange: Any, client: Client) -> None:
    alice = exchange.person()
    client.subscribe("book", SYMBOL)
    snapshot = client.next(ch="book", type="snapshot")
    placed = exchange.place(alice, limitPrice="1234.5")
    first = client.next(ch="book", type="delta")
    exchange.delete(f"/v1/orders/{placed['id']}", exchange.login(alice))
    second = client.next(ch="book", type="delta")

    assert first["data"] == {"bids": [["1234.5", "0.01"]], "asks": []}
    assert second["data"] == {"bids": [["1234.5", "0"]], "asks": []}
    assert [first["prev"], second["prev"]] == [snapshot["seq"], first["seq"]]
    assert {message["epoch"] for message in (snapshot, first, second)} == {snapshot["epoch"]}
    assert set(first) == {"ch", "key", "epoch", "seq", "prev", "ts", "type", "data"}


def test_rest_book_has_the_position_of_the_feed(exchange: Any, client: Client) -> None:
    exchange.place(exchange.person(), limitPrice="1111.1")
    book = exchange.get(f"/v1/book/{SYMBOL}?depth=1000").json()
    client.subscribe("book", SYMBOL, resume={"epoch": book["epoch"], "seq": book["seq"]})
    exchange.place(exchange.person(), limitPrice="1111.1")
    delta = client.next(ch="book")
    assert (delta["type"], delta["prev"]) == ("delta", book["seq"])


def test_a_snapshot_checks_out(exchange: Any, client: Client) -> None:
    exchange.place(exchange.person(), limitPrice="1111.2")
    client.subscribe("book", SYMBOL)
    snapshot = client.next(ch="book", type="snapshot")
    best = [*snapshot["data"]["bids"][:10], *snapshot["data"]["asks"][:10]]
    assert snapshot["crc"] == crc32("|".join(f"{price}:{quantity}" for price, quantity in best).encode())


def test_resume_replays_what_was_missed(exchange: Any, client: Client) -> None:
    alice = exchange.person()
    client.subscribe("book", SYMBOL)
    seen = client.next(ch="book", type="snapshot")
    client.socket.close()
    for price in ("1001", "1002", "1003"):
        exchange.place(alice, limitPrice=price)

    again = Client(exchange)
    again.subscribe("book", SYMBOL, resume={"epoch": seen["epoch"], "seq": seen["seq"]})
    missed = [again.next(ch="book") for _ in range(3)]
    again.socket.close()

    assert [message["type"] for message in missed] == ["delta"] * 3
    assert [message["prev"] for message in missed] == [seen["seq"], seen["seq"] + 1, seen["seq"] + 2]
    assert [message["data"]["bids"][0][0] for message in missed] == ["1001", "1002", "1003"]


@pytest.mark.parametrize("resume", [{"epoch": "0000", "seq": 1}, {"epoch": None, "seq": 2**40}])
def test_an_impossible_resume_gets_reset_and_snapshot(exchange: Any, client: Client, resume: dict[str, Any]) -> None:
    epoch = exchange.get(f"/v1/book/{SYMBOL}").json()["epoch"]
    client.subscribe("book", SYMBOL, resume={**resume, "epoch": resume["epoch"] or epoch})
    assert [client.next(ch="book")["type"], client.next(ch="book")["type"]] == ["reset", "snapshot"]


def test_trades_arrive_with_their_orders(exchange: Any, client: Client) -> None:
    client.subscribe("trades", SYMBOL)
    client.next(ch="trades", type="snapshot")
    made = exchange.place(exchange.person(), limitPrice="62000")
    taken = exchange.place(exchange.person(), side="SELL", limitPrice="62000", timeInForce="IOC")
    trade = client.next(ch="trades", type="event")["data"]
    assert (trade["makerOrder"], trade["takerOrder"]) == (made["id"], taken["id"])
    assert (trade["price"], trade["quantity"], trade["takerSide"]) == ("62000", "0.01", "SELL")

    def newest() -> list[str]:
        return [told["tradeId"] for told in exchange.get(f"/v1/trades/{SYMBOL}?limit=1").json()["data"]]

    wait_for("the tables", lambda: newest() == [trade["tradeId"]])


def test_private_channels_need_the_accounts_own_token(exchange: Any, client: Client) -> None:
    alice, bob = exchange.person(), exchange.person()
    client.send(op="subscribe", ch="orders")
    assert client.next(op="error")["code"] == "AUTH_REQUIRED"
    client.send(op="auth", token="nonsense")
    assert client.next(op="error")["code"] == "AUTH_INVALID"
    client.sign_in(exchange, alice)
    client.send(op="subscribe", ch="orders", key=bob.address)
    assert client.next(op="error")["code"] == "AUTH_INVALID"
    client.subscribe("orders")
    assert client.next(ch="orders", type="snapshot")["data"] == []


def test_private_feeds_show_the_own_orders_and_nobody_elses(exchange: Any, client: Client) -> None:
    alice, bob = exchange.person(), exchange.person()
    resting = exchange.place(alice, limitPrice=FAR_BELOW)
    client.send(op="auth", **alice.login_body(int(time.time()) + 60))
    assert client.next(op="authenticated")["account"] == "0x" + alice.account.hex()
    client.subscribe("orders")
    client.subscribe("balances")
    assert [order["id"] for order in client.next(ch="orders", type="snapshot")["data"]] == [resting["id"]]
    balances = client.next(ch="balances", type="snapshot")["data"]
    assert (balances[0]["symbol"], balances[0]["reserved"]) == ("USDC", "10.05")

    exchange.place(bob, limitPrice=FAR_BELOW)
    exchange.delete(f"/v1/orders/{resting['id']}", exchange.login(alice))
    event = client.next(ch="orders", type="event")
    assert (event["data"]["id"], event["data"]["status"]) == (resting["id"], "CANCELLED")
    assert event["key"] == "0x" + alice.account.hex()
    assert client.next(ch="balances", type="event")["data"]["reserved"] == "0"


def test_a_snapshot_that_the_engine_was_too_busy_for_comes_later(exchange: Any, client: Client) -> None:
    alice = exchange.person()
    client.sign_in(exchange, alice)
    exchange.engine.send_signal(signal.SIGSTOP)
    try:
        client.subscribe("balances")
        said = client.next(op="error", ch="balances")
    finally:
        exchange.engine.send_signal(signal.SIGCONT)
    assert (said["code"], said["retryable"]) == ("ENGINE_UNAVAILABLE", True)
    assert client.next(ch="balances", type="snapshot")["key"] == "0x" + alice.account.hex()


def test_markets_channel_starts_with_the_terms(exchange: Any, client: Client) -> None:
    client.subscribe("markets", SYMBOL)
    market = client.next(ch="markets", type="snapshot")["data"]
    assert (market["symbol"], market["status"], market["tickSize"]) == (SYMBOL, "ACTIVE", "0.1")


def test_heartbeats_carry_the_last_numbers(exchange: Any, client: Client) -> None:
    client.subscribe("book", SYMBOL)
    snapshot = client.next(ch="book", type="snapshot")
    beat = client.next(op="heartbeat")
    assert beat["channels"] == [{"ch": "book", "key": SYMBOL, "seq": snapshot["seq"]}]
    assert (beat["epoch"], beat["live"]) == (snapshot["epoch"], True)


def test_unsubscribe_ends_the_messages(exchange: Any, client: Client) -> None:
    client.subscribe("book", SYMBOL)
    client.next(ch="book", type="snapshot")
    client.send(op="unsubscribe", ch="book", key=SYMBOL)
    client.next(op="unsubscribed")
    exchange.place(exchange.person(), limitPrice="1005")
    client.send(op="ping", id=5)
    assert client.next(op="pong")["id"] == 5
    assert all(message.get("ch") != "book" for message in client._kept)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", "BODY_MALFORMED"),
        ("[]", "BODY_MALFORMED"),
        ("{}", "FIELD_MISSING"),
        ('{"op":"dance"}', "FIELD_INVALID"),
        ('{"op":7}', "FIELD_INVALID"),
        ('{"op":"subscribe"}', "FIELD_MISSING"),
        ('{"op":"subscribe","ch":"gossip","key":"x"}', "FIELD_INVALID"),
        ('{"op":"subscribe","ch":"book"}', "FIELD_MISSING"),
        ('{"op":"subscribe","ch":"book","key":"DOGE-USDC"}', "MARKET_UNKNOWN"),
        ('{"op":"subscribe","ch":"book","key":7}', "FIELD_INVALID"),
        ('{"op":"subscribe","ch":"book","key":"sBTC-USDC","resume":{"seq":1}}', "FIELD_MISSING"),
        ('{"op":"subscribe","ch":"book","key":"sBTC-USDC","depth":5}', "FIELD_UNKNOWN"),
        ('{"op":"ping","id":1,"x":' + '"x"' * 1 + "}", "FIELD_UNKNOWN"),
        ('{"op":"ping","id":"' + "x" * 300_000 + '"}', "BODY_TOO_LARGE"),
    ],
)
def test_a_mistake_is_answered_and_the_connection_stays(client: Client, text: str, code: str) -> None:
    client.socket.send(text)
    error = client.next(op="error")
    assert (error["code"], error["type"]) == (code, f"/docs/errors#{code}")
    client.send(op="ping")
    client.next(op="pong")


def test_a_sign_in_ends_with_its_time_and_goes_on_with_a_new_one(exchange: Any, client: Client) -> None:
    person = exchange.person()
    order = exchange.place(person, limitPrice=FAR_BELOW)
    body = person.login_body(int(time.time()) + 4)
    client.send(op="auth", **body)
    client.next(op="authenticated")
    client.subscribe("orders")
    time.sleep(max(0.0, int(body["expiresAt"]) - time.time()))
    client.send(op="cancel", id=1, orderId=order["id"])
    assert client.next(id=1)["code"] == "AUTH_REQUIRED"
    assert client.next(op="error")["code"] == "AUTH_INVALID", "the private channels are closed, which is told"
    client.sign_in(exchange, person)
    client.subscribe("orders")
    client.sign_in(exchange, person)  # again: nothing is lost by it
    client.send(op="cancel", id=2, orderId=order["id"])
    assert client.next(id=2)["data"]["status"] == "CANCELLED"
    assert client.next(ch="orders", type="event")["data"]["status"] == "CANCELLED"


def test_too_many_messages_are_refused_not_served(client: Client) -> None:
    for _ in range(150):
        client.send(op="ping")
    assert client.next(op="error")["code"] == "RATE_LIMITED"


def test_a_flood_ends_the_connection(client: Client) -> None:
    with contextlib.suppress(ConnectionClosed):
        for _ in range(20_000):
            client.send(op="ping")
    with pytest.raises(ConnectionClosed):
        receive_for_ever(client)
    assert client.socket.close_code == 4029


@pytest.mark.parametrize("flood", ["pings", "pongs", "parts"])
def test_frames_that_are_no_message_are_counted_too(client: Client, flood: str) -> None:
    send = {"pings": client.socket.ping, "pongs": client.socket.pong}.get(flood)
    with contextlib.suppress(ConnectionClosed):
        if send is None:
            client.socket.send(itertools.repeat("", 20_000))
        else:
            for number in range(20_000):
                send(str(number))
    with pytest.raises(ConnectionClosed):
        receive_for_ever(client)
    assert client.socket.close_code == 4029


def test_a_large_message_may_come_in_parts(client: Client) -> None:
    client.send(op="ping")
    client.next(op="pong")
    text = json.dumps({"op": "ping", "id": "x" * 200_000})
    client.socket.send(text[start : start + 256] for start in range(0, len(text), 256))
    assert client.next(op="pong")["id"] == "x" * 200_000


def receive_for_ever(client: Client) -> None:
    while True:
        client.socket.recv(timeout=WAIT_SECONDS)
