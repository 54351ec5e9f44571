"""The description of the WebSocket is complete, and true of what is really sent."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from jsonschema import Draft7Validator

from api.feed import PRIVATE_CHANNELS, PUBLIC_CHANNELS
from api.order_ops import OPS
from tests.api.conftest import SYMBOL
from tests.api.described_messages import Described
from tests.api.test_streams import Client

PLAIN_OPS = ("subscribe", "unsubscribe", "auth", "ping", "cancelOnDisconnect", "deadman")


@pytest.fixture(scope="module")
def document(exchange: Any) -> dict[str, Any]:
    described: dict[str, Any] = exchange.get("/asyncapi.json").json()
    return described


def test_every_channel_and_every_op_is_described(document: dict[str, Any]) -> None:
    messages = set(document["components"]["messages"])
    for channel in (*PUBLIC_CHANNELS, *PRIVATE_CHANNELS):
        assert {f"{channel}.snapshot", f"{channel}.reset"} < messages
        assert {f"{channel}.event", f"{channel}.delta"} & messages
        assert channel in document["operations"]
    for op in (*PLAIN_OPS, *OPS):
        assert f"request.{op}" in messages
    assert {f"answer.{op}" for op in OPS} < messages
    assert document["asyncapi"] == "3.0.0"


def test_every_reference_leads_somewhere_and_every_schema_is_one(document: dict[str, Any]) -> None:
    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    for name, schema in document["components"]["schemas"].items():
        Draft7Validator.check_schema(schema)
        assert "prefixItems" not in json.dumps(schema), name


def test_an_unknown_op_is_refused_with_the_ones_that_are_described(exchange: Any, document: dict[str, Any]) -> None:
    client = Client(exchange)
    client.send(op="dance")
    known = client.next(op="error")["allowed"].split(", ")
    assert {f"request.{op}" for op in known} == {
        name for name in document["components"]["messages"] if name.startswith("request.")
    }


def test_what_is_sent_and_taken_is_as_described(exchange: Any, document: dict[str, Any]) -> None:
    """A session that uses every op and follows every channel. `Client` judges each message that comes."""
    client, described = Client(exchange), Described(document)
    assert Client.described is not None
    Client.described.seen.clear()
    alice, bob = exchange.person(), exchange.person()

    def ask(**message: Any) -> dict[str, Any]:
        described.require_request(message)
        client.send(**message)
        answer = client.next(id=message["id"])
        assert answer["op"] != "error", answer
        return answer

    ask(op="ping", id=1)
    ask(op="auth", id=2, **alice.login_body(int(time.time()) + 600))
    ask(op="auth", id=3, token=exchange.login(alice))
    for number, channel in enumerate((*PUBLIC_CHANNELS, *PRIVATE_CHANNELS), start=10):
        key = {"key": SYMBOL} if channel in PUBLIC_CHANNELS else {}
        ask(op="subscribe", ch=channel, id=number, **key, resume={"epoch": "another", "seq": 1})
        if channel not in ("fills", "settlements"):  # no settler works on this exchange
            client.next(ch=channel, type="reset")
            client.next(ch=channel, type="snapshot")
    signed = [alice.signed(alice.order(exchange.nonce(alice), limitPrice="1000")) for _ in range(4)]
    placed = ask(op="place", id="a", **signed[0])["data"]
    ask(op="amend", id="b", orderId=placed["id"], quantity="0.005")
    again = {**signed[0]["order"], "limitPrice": "1001", "quantity": "0.009"}
    replaced = ask(op="replace", id="c", orderId=placed["id"], **alice.signed(again))["data"]
    swap = {**signed[1], "cancel": {"id": replaced["id"]}, "ifNotCancelled": "PLACE", "ifRefused": "KEEP"}
    ask(op="cancelAndPlace", id="d", **swap)
    ask(op="steps", id="e", steps=[{"op": "place", **signed[2]}])
    ask(op="placeBatch", id="f", orders=[signed[3], signed[3]])
    ask(op="cancel", id="g", orderId="0x" + alice.digest(signed[1]["order"]).hex())
    ask(op="cancelBatch", id="h", ids=["0x" + alice.digest(signed[2]["order"]).hex()], clientOrderIds=[])
    ask(op="cancelAll", id="i", market=SYMBOL, side="BUY")
    exchange.place(bob, side="SELL", limitPrice="60000")
    ask(op="place", id="j", **alice.signed(alice.order(exchange.nonce(alice), limitPrice="60000")))
    ask(op="cancelOnDisconnect", id="k", enabled=True)
    ask(op="deadman", id="l", seconds=30)
    ask(op="deadman", id="m", seconds=0)
    client.next(op="heartbeat")
    for channel in ("book", "bbo", "trades", "orders", "balances"):
        client.next(ch=channel, type="delta" if channel == "book" else "event")
    ask(op="unsubscribe", id="n", ch="book", key=SYMBOL)
    client.send(op="cancel", id="o", orderId="0x" + "ab" * 32)
    client.next(op="error", id="o")
    channels = [channel for channel in (*PUBLIC_CHANNELS, *PRIVATE_CHANNELS) if channel not in ("fills", "settlements")]
    assert {f"{channel}.{kind}" for channel in channels for kind in ("reset", "snapshot")} < Client.described.seen
    assert {f"answer.{op}" for op in OPS if op != "cancelSigned"} < Client.described.seen


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for inner in value.values() for found in references(inner)]
    return [found for inner in value for found in references(inner)] if isinstance(value, list) else []
