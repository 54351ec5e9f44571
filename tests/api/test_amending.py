"""Lowering, replacing, cancelling with placing, and many steps at once, as a wallet does it."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from api.schemas.account import OrderShape, OrderStateWithFills
from api.schemas.orders import BatchReply, BatchRequest, CancelAndPlaceReply, CancelAndPlaceRequest
from cxdex import ApiProblem, Cancel, CancelAndPlace, Exchange, SessionWallet, Ticket
from cxdex.eip712 import cancel_orders_digest
from cxdex.facts import SessionSet
from cxdex.signature import sign_digest
from tests.api.conftest import SYMBOL, bearer, wait_for

FAR_BELOW = "1000"


def ask(exchange: Any, method: str, path: str, body: Any, token: str | None = None) -> httpx.Response:
    return httpx.request(method, exchange.url + path, json=body, headers=bearer(token), timeout=30)


def newer(person: Any, old: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A replacement, signed."""
    fields = {name: old[name] for name in person.order(0)}
    return person.signed({**fields, "expiry": str(int(old["expiry"]) + 1), **changes})


def rest_alone(exchange: Any, person: Any, expected: dict[str, str]) -> None:
    """These are the account's open orders, by id, with what is left of them, once the tables say so."""
    token = exchange.login(person)

    def told() -> bool:
        reply = exchange.get("/v1/orders?status=OPEN", token).json()
        return {order["id"]: order["remaining"] for order in reply["data"]} == expected

    wait_for("the tables", told)


def test_lowering_an_order_needs_a_token_and_says_twice_the_same(exchange: Any) -> None:
    alice, bob = exchange.person(), exchange.person()
    token = exchange.login(alice)
    order = exchange.place(alice, limitPrice=FAR_BELOW, quantity="0.05")
    path = f"/v1/orders/{order['id']}"
    assert ask(exchange, "PUT", path, {"quantity": "0.02"}).json()["code"] == "AUTH_REQUIRED"
    foreign = ask(exchange, "PUT", path, {"quantity": "0.02"}, exchange.login(bob))
    assert (foreign.status_code, foreign.json()["code"]) == (404, "ORDER_UNKNOWN")
    replies = [ask(exchange, "PUT", path, {"quantity": "0.02"}, token).json() for _ in range(2)]
    assert replies[0] == replies[1]
    OrderShape.model_validate(replies[0])
    assert (replies[0]["quantity"], replies[0]["remaining"]) == ("0.05", "0.02")
    for quantity, code in (("0.03", "ORDER_AMEND_RAISES"), ("0.00001", "ORDER_LOT_INVALID"), (0.02, None), ("x", None)):
        reply = ask(exchange, "PUT", path, {"quantity": quantity}, token)
        assert reply.status_code in (400, 422), reply.text
        assert code in (None, reply.json()["code"])
    assert ask(exchange, "PUT", "/v1/orders/0x" + "ab" * 32, {"quantity": "1"}, token).status_code == 404
    exchange.delete(path, token)
    assert ask(exchange, "PUT", path, {"quantity": "0.01"}, token).json()["code"] == "ORDER_NOT_OPEN"


def test_a_replacement_sent_twice_answers_the_same_and_links_both(exchange: Any) -> None:
    alice = exchange.person()
    old = exchange.place(alice, limitPrice=FAR_BELOW, quantity="0.05")
    path, body = f"/v1/orders/{old['id']}/replace", newer(alice, old, limitPrice="1001", quantity="0.04")
    replies = [exchange.post(path, {**body, "clientOrderId": "b"}).json() for _ in range(2)]
    assert replies[0] == replies[1]
    OrderStateWithFills.model_validate(replies[0])
    new = replies[0]
    assert (new["replaces"], new["filledBefore"], new["status"]) == (old["id"], "0", "OPEN")
    gone = exchange.get(f"/v1/orders/{old['id']}").json()
    assert (gone["status"], gone["reason"], gone["replacedBy"]) == ("CANCELLED", "REPLACED", new["id"])
    rest_alone(exchange, alice, {new["id"]: "0.04"})
    wait_for("the row", lambda: any(row.replaces.hex() == old["id"][2:] for row in exchange.rows("order")))


def test_a_replacement_that_trades_tells_its_fills_and_carries_over_what_was_filled(exchange: Any) -> None:
    maker, alice = exchange.person(), exchange.person()
    old = exchange.place(alice, side="SELL", limitPrice="70000", quantity="0.05")
    exchange.place(maker, limitPrice="70000", quantity="0.02", timeInForce="IOC")
    exchange.place(maker, limitPrice="69000", quantity="0.01")
    new = exchange.post(f"/v1/orders/{old['id']}/replace", newer(alice, old, limitPrice="69000")).json()
    assert [(fill["quantity"], fill["role"]) for fill in new["fills"]] == [("0.01", "TAKER")]
    assert (new["filled"], new["filledBefore"], new["remaining"]) == ("0.01", "0.02", "0.02")
    few = exchange.post(f"/v1/orders/{new['id']}/replace", newer(alice, new, quantity="0.03"))
    assert (few.status_code, few.json()["code"], few.json()["allowed"]) == (
        409,
        "ORDER_FILLED_BEFORE",
        "more than 0.03",
    )
    exchange.delete(f"/v1/orders/{new['id']}", exchange.login(alice))


def test_only_the_account_replaces_and_only_with_the_same_nonce(exchange: Any) -> None:
    alice, bob = exchange.person(), exchange.person()
    old = exchange.place(alice, limitPrice=FAR_BELOW)
    path = f"/v1/orders/{old['id']}/replace"
    assert exchange.post(path, bob.signed(newer(alice, old)["order"])).json()["code"] == "SIGNATURE_MISMATCH"
    assert exchange.post(path, newer(bob, old, account=bob.address)).json()["code"] == "ORDER_UNKNOWN"
    other = exchange.post(path, newer(alice, old, nonce=str(exchange.nonce(alice)))).json()
    assert (other["code"], other["field"]) == ("ORDER_REPLACE_DIFFERS", "nonce")
    rest_alone(exchange, alice, {old["id"]: old["remaining"]})


def test_a_session_key_replaces_what_it_signed(exchange: Any) -> None:
    alice, key = exchange.person(), exchange.person()
    exchange.chain.say(SessionSet(alice.account, key.account, None, 10**12, int(time.time()) + 100_000))
    own = alice.order(exchange.nonce(alice), limitPrice=FAR_BELOW)

    def placed() -> dict[str, Any] | None:
        reply = exchange.post("/v1/orders", key.signed(own))
        return reply.json() if reply.status_code == 200 else None

    mine = wait_for("the session", placed)
    foreign = exchange.place(alice, limitPrice=FAR_BELOW)
    body = key.signed(newer(alice, foreign)["order"])
    assert exchange.post(f"/v1/orders/{foreign['id']}/replace", body).json()["code"] == "SESSION_ORDER_FOREIGN"
    body = key.signed(newer(alice, mine)["order"])
    new = exchange.post(f"/v1/orders/{mine['id']}/replace", body).json()
    assert new["replaces"] == mine["id"]

    with Exchange(exchange.url, SessionWallet(key.key, alice.address)) as client:
        ticket = Ticket(SYMBOL, "BUY", "0.05", FAR_BELOW, expires_in=3_600)
        with pytest.raises(ApiProblem, match="ORDER_UNKNOWN"):
            client.cancel_and_place(foreign["id"], ticket)
        moved = client.cancel_and_place(new["id"], ticket)
        assert [order.id for order in moved.cancelled] == [new["id"]]
        (outcome,) = client.batch([CancelAndPlace(Cancel(moved.order), ticket)])
        assert [order.id for order in outcome.cancelled] == [moved.order.id]
        assert outcome.order is not None
        assert client.amend(outcome.order, "0.01").replaces == outcome.order.id, "a new signature stands for the token"
    assert exchange.get(f"/v1/orders/{foreign['id']}").json()["status"] == "OPEN"


def test_a_signed_cancel_moves_one_order_and_a_strangers_none(exchange: Any) -> None:
    alice, bob = exchange.person(), exchange.person()
    old = exchange.place(alice, limitPrice=FAR_BELOW)
    deadline = int(time.time()) + 60
    digest = cancel_orders_digest(exchange.deployment.domain, alice.account, [int(old["nonce"])], deadline)
    fresh = alice.signed(alice.order(exchange.nonce(alice), limitPrice=FAR_BELOW))
    for person, when, code in ((bob, deadline, "SIGNATURE_MISMATCH"), (alice, deadline + 1, "SIGNATURE_MISMATCH")):
        signature = "0x" + sign_digest(person.key, digest).hex()
        cancel = {"nonce": old["nonce"], "deadline": when, "signature": signature}
        assert exchange.post("/v1/orders/cancel-and-place", {**fresh, "cancel": cancel}).json()["code"] == code
    cancel = {"nonce": old["nonce"], "deadline": deadline, "signature": "0x" + sign_digest(alice.key, digest).hex()}
    body = {**fresh, "cancel": cancel}
    CancelAndPlaceRequest.model_validate(body)
    moved = exchange.post("/v1/orders/cancel-and-place", body).json()
    assert [order["id"] for order in moved["cancelled"]] == [old["id"]]


def test_cancel_and_place_is_one_step_in_every_mode(exchange: Any) -> None:
    alice, bob = exchange.person(cash=1_010_000_000), exchange.person()
    token = exchange.login(alice)
    old = exchange.place(alice, limitPrice=FAR_BELOW, quantity="1")
    fresh = alice.signed(alice.order(exchange.nonce(alice), limitPrice="500", quantity="2"), clientOrderId="fresh")
    assert exchange.post("/v1/orders", fresh).json()["code"] == "BALANCE_INSUFFICIENT"
    path = "/v1/orders/cancel-and-place"
    body = {**fresh, "cancel": {"id": old["id"]}}
    CancelAndPlaceRequest.model_validate(body)
    assert ask(exchange, "POST", path, body).json()["code"] == "AUTH_REQUIRED"
    assert ask(exchange, "POST", path, body, exchange.login(bob)).json()["field"] == "order.account"
    replies = [ask(exchange, "POST", path, body, token).json() for _ in range(2)]
    assert replies[0] == replies[1]
    CancelAndPlaceReply.model_validate(replies[0])
    assert [order["id"] for order in replies[0]["cancelled"]] == [old["id"]]
    placed = replies[0]["order"]["id"]

    dear = alice.signed(alice.order(exchange.nonce(alice), limitPrice="500", quantity="20"))
    named = {**dear, "cancel": {"clientOrderId": "fresh"}}
    kept = ask(exchange, "POST", path, named, token).json()
    assert (kept["code"], "cancelled" in kept) == ("BALANCE_INSUFFICIENT", False)
    gone = ask(exchange, "POST", path, {**named, "ifRefused": "CANCEL"}, token).json()
    assert (gone["code"], [order["id"] for order in gone["cancelled"]]) == ("BALANCE_INSUFFICIENT", [placed])

    small = alice.signed(alice.order(exchange.nonce(alice), limitPrice="500"))
    again = {**small, "cancel": {"id": placed}}
    stopped = ask(exchange, "POST", path, again, token)
    assert (stopped.status_code, stopped.json()["code"]) == (409, "ORDER_NOT_OPEN")
    through = ask(exchange, "POST", path, {**again, "ifNotCancelled": "PLACE"}, token).json()
    assert (through["order"]["status"], through["cancelled"]) == ("OPEN", [])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cancel": {}}, "cancel"),
        ({"cancel": {"id": "0x" + "ab" * 32, "clientOrderId": "x"}}, "cancel"),
        ({"cancel": {"id": "0x12"}}, "id"),
        ({"cancel": {"clientOrderId": None}}, "clientOrderId"),
        ({"ifRefused": "STOP"}, "ifRefused"),
        ({"ifNotCancelled": 1}, "ifNotCancelled"),
        ({"more": 1}, "more"),
    ],
)
def test_cancel_and_place_names_what_is_wrong(exchange: Any, changes: dict[str, Any], field: str) -> None:
    alice = exchange.person()
    body = {**alice.signed(alice.order(1)), "cancel": {"clientOrderId": "x"}, **changes}
    reply = ask(exchange, "POST", "/v1/orders/cancel-and-place", body, exchange.login(alice))
    assert (reply.status_code, reply.json()["field"]) == (400, field), reply.text


def test_steps_are_taken_in_order_and_answered_one_by_one(exchange: Any) -> None:
    alice = exchange.person()
    token = exchange.login(alice)
    nonces = exchange.get(f"/v1/accounts/{alice.address}/nonce?count=9").json()["nonces"]
    first, second, third = (
        alice.signed(alice.order(int(nonce), limitPrice=FAR_BELOW, quantity="0.05")) for nonce in nonces[:3]
    )
    ids = ["0x" + alice.digest(body["order"]).hex() for body in (first, second, third)]
    steps = [
        {"op": "place", **first, "clientOrderId": "one"},
        {"op": "place", **second},
        {"op": "amend", "id": ids[1], "quantity": "0.02"},
        {"op": "replace", "id": ids[1], **newer(alice, second["order"], quantity="0.01")},
        {"op": "cancelAndPlace", **third, "cancel": {"clientOrderId": "one"}},
        {"op": "cancel", "id": ids[2]},
        {"op": "cancel", "clientOrderId": "nobody"},
        {"op": "amend", "id": ids[0], "quantity": "0.01"},
        {"op": "place", **first, "signature": second["signature"]},
        {"op": "dance"},
        "nonsense",
        {"op": "amend", "id": ids[0], "quantity": "0.00001"},
    ]
    BatchRequest.model_validate({"steps": steps[:7]})
    refused = ask(exchange, "POST", "/v1/orders/batch", {"steps": steps})
    assert (refused.status_code, refused.json()["code"]) == (401, "AUTH_REQUIRED")
    reply = ask(exchange, "POST", "/v1/orders/batch", {"steps": steps}, token).json()
    BatchReply.model_validate(reply)
    results = reply["results"]
    codes = [result["problem"]["code"] if "problem" in result else None for result in results]
    assert codes == [None] * 6 + [
        "ORDER_UNKNOWN", "ORDER_NOT_OPEN", "SIGNATURE_MISMATCH", "FIELD_INVALID", "FIELD_INVALID", "ORDER_LOT_INVALID"
    ]  # fmt: skip
    assert results[2]["order"]["remaining"] == "0.02"
    assert [order["replacedBy"] for order in results[3]["cancelled"]] == [results[3]["order"]["id"]]
    assert [order["id"] for order in results[4]["cancelled"]] == [ids[0]]
    assert [order["status"] for order in results[5]["cancelled"]] == ["CANCELLED"]
    rest_alone(exchange, alice, {results[3]["order"]["id"]: "0.01"})
    again = ask(exchange, "POST", "/v1/orders/batch", {"steps": steps}, token).json()["results"]
    rest_alone(exchange, alice, {results[3]["order"]["id"]: "0.01"})
    assert [result["order"]["id"] for result in again[:5] if "order" in result] == [
        ids[0], ids[1], results[3]["order"]["id"], ids[2]
    ]  # fmt: skip


def test_placing_alone_needs_no_token_as_steps_either(exchange: Any) -> None:
    alice = exchange.person()
    body = alice.signed(alice.order(exchange.nonce(alice), limitPrice=FAR_BELOW))
    placed = exchange.post("/v1/orders/batch", {"steps": [{"op": "place", **body}]}).json()["results"]
    assert placed[0]["order"]["status"] == "OPEN"
    for wrong in ({}, {"orders": [], "steps": []}, {"steps": []}, {"steps": [{}] * 51}):
        assert exchange.post("/v1/orders/batch", wrong).status_code == 400
