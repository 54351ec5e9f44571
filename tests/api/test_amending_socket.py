"""Orders are changed over the WebSocket: the answers of HTTP, in the order in which they were asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cxdex.nonce import pack_nonce
from tests.api.conftest import Person
from tests.api.test_amending import ask, newer
from tests.api.test_streams import Client


@pytest.fixture
def client(exchange: Any) -> Iterator[Client]:
    opened = Client(exchange)
    yield opened
    opened.socket.close()


def resting(person: Person, lane: int, **changes: Any) -> dict[str, Any]:
    fields = {"limitPrice": "1000", "quantity": "0.05", **changes}
    return person.signed(person.order(pack_nonce(0, lane, 1), **fields))


def order_id(person: Person, entry: dict[str, Any]) -> str:
    return "0x" + person.digest(entry["order"]).hex()


def test_what_is_sent_at_once_is_done_in_order(exchange: Any, client: Client) -> None:
    alice = exchange.person()
    client.sign_in(exchange, alice)
    first, other, third = (resting(alice, lane) for lane in range(3))
    ids = [order_id(alice, entry) for entry in (first, other, third)]
    changed = newer(alice, first["order"], limitPrice="1001")
    last = newer(alice, changed["order"], limitPrice="1002")
    client.send(op="place", id=1, **first)
    client.send(op="amend", id=2, orderId=ids[0], quantity="0.02")
    client.send(op="replace", id=3, orderId=ids[0], **changed)
    client.send(op="replace", id=4, orderId=order_id(alice, changed), **last)
    client.send(op="cancelAndPlace", id=5, cancel={"id": order_id(alice, last)}, **other)
    client.send(op="steps", id=6, steps=[{"op": "cancel", "id": ids[1]}, {"op": "place", **third}, {"op": "dance"}])
    client.send(op="cancel", id=7, orderId=ids[2])
    answers = {}
    for number in range(1, 8):
        answers[number] = client.next(id=number)["data"]
    assert (answers[2]["remaining"], "fills" in answers[2]) == ("0.02", False)
    assert (answers[3]["replaces"], answers[4]["replaces"]) == (ids[0], answers[3]["id"])
    assert [order["id"] for order in answers[5]["cancelled"]] == [answers[4]["id"]]
    assert answers[5]["order"]["id"] == ids[1]
    assert [order["id"] for order in answers[6]["results"][0]["cancelled"]] == [ids[1]]
    assert answers[6]["results"][2]["problem"]["code"] == "FIELD_INVALID"
    assert answers[7]["status"] == "CANCELLED"
    again = exchange.post(f"/v1/orders/{answers[3]['id']}/replace", last)
    assert again.json()["id"] == answers[4]["id"]


def test_refusals_are_those_of_http(exchange: Any, client: Client) -> None:
    alice = exchange.person()
    token = exchange.login(alice)
    entry = resting(alice, 0)
    cancelled = {"cancel": {"clientOrderId": "nobody"}, **entry}
    replacement = newer(alice, entry["order"])
    unknown = "0x" + "ab" * 32
    client.send(op="amend", id=1, orderId=unknown, quantity="1")
    assert client.next(id=1)["code"] == "AUTH_REQUIRED"
    client.send(op="steps", id=2, steps=[{"op": "cancel", "id": unknown}])
    assert client.next(id=2)["code"] == "AUTH_REQUIRED"
    client.sign_in(exchange, alice)
    for message, reply in (
        (
            {"op": "amend", "orderId": unknown, "quantity": "1"},
            ask(exchange, "PUT", f"/v1/orders/{unknown}", {"quantity": "1"}, token),
        ),
        (
            {"op": "replace", "orderId": unknown, **replacement},
            exchange.post(f"/v1/orders/{unknown}/replace", replacement),
        ),
        ({"op": "cancelAndPlace", **cancelled}, ask(exchange, "POST", "/v1/orders/cancel-and-place", cancelled, token)),
        ({"op": "steps", "steps": []}, ask(exchange, "POST", "/v1/orders/batch", {"steps": []}, token)),
        ({"op": "replace", "orderId": "0x12", **replacement}, exchange.post("/v1/orders/0x12/replace", replacement)),
    ):
        client.send(id="x", **message)
        answer, problem = client.next(id="x"), reply.json()
        assert answer["op"] == "error"
        assert [answer[name] for name in ("code", "detail")] == [problem[name] for name in ("code", "detail")]
