"""Placing, finding, listing and cancelling orders, as a wallet does it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from cxdex.eip712 import cancel_orders_digest
from cxdex.signature import sign_digest
from tests.api.conftest import wait_for

SYMBOL = "sBTC-USDC"
FAR_BELOW = "1000"
CAST = Path(__file__).parents[2] / "node_modules/@foundry-rs/cast-linux-amd64/bin/cast"


def test_the_same_order_twice_is_one_order(exchange: Any) -> None:
    alice = exchange.person()
    body = alice.signed(alice.order(exchange.nonce(alice), limitPrice=FAR_BELOW), clientOrderId="mine")
    first = exchange.post("/v1/orders", body).json()
    second = exchange.post("/v1/orders", body).json()
    assert first == second
    assert first["id"] == "0x" + alice.digest(body["order"]).hex()
    assert (first["status"], first["clientOrderId"]) == ("OPEN", "mine")
    when_listed(exchange, alice, "/v1/orders", [first["id"]])


def test_orders_are_found_by_the_clients_own_name_whatever_became_of_them(exchange: Any) -> None:
    alice, bob = exchange.person(), exchange.person()
    ids = []
    for person, name, price in ((alice, "a", "1001"), (alice, "b", "1002"), (alice, "a", "1003"), (bob, "a", "1004")):
        body = person.signed(person.order(exchange.nonce(person), limitPrice=price), clientOrderId=name)
        ids.append(exchange.post("/v1/orders", body).json()["id"])
    exchange.delete(f"/v1/orders/{ids[0]}", exchange.login(alice))
    when_listed(exchange, alice, "/v1/orders?clientOrderId=a", [ids[2], ids[0]])
    when_listed(exchange, alice, "/v1/orders?clientOrderId=a&status=CANCELLED", [ids[0]])
    when_listed(exchange, bob, "/v1/orders?clientOrderId=a", [ids[3]])
    when_listed(exchange, alice, "/v1/orders?clientOrderId=nobody", [])
    refused = exchange.get("/v1/orders?clientOrderId=" + "x" * 65, exchange.login(alice))
    assert (refused.status_code, refused.json()["field"]) == (400, "clientOrderId")


def test_the_same_order_from_many_threads_is_one_order(exchange: Any) -> None:
    alice = exchange.person()
    body = alice.signed(alice.order(exchange.nonce(alice), limitPrice=FAR_BELOW))
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: exchange.post("/v1/orders", body).json(), range(16)))
    assert {reply["id"] for reply in replies} == {"0x" + alice.digest(body["order"]).hex()}
    assert {reply["version"] for reply in replies} == {1}


def test_a_fill_is_reported_to_both_sides(exchange: Any) -> None:
    maker, taker = exchange.person(), exchange.person()
    resting = exchange.place(maker, limitPrice="61000.1")
    taken = exchange.place(taker, side="SELL", limitPrice="61000.1", timeInForce="IOC")
    assert (taken["status"], taken["remaining"]) == ("FILLED", "0")
    (fill,) = taken["fills"]
    assert (fill["price"], fill["quantity"], fill["role"], fill["fee"]) == ("61000.1", "0.01", "TAKER", "1.525003")
    assert exchange.get(f"/v1/orders/{resting['id']}").json()["status"] == "FILLED"


def test_a_batch_is_answered_one_by_one(exchange: Any) -> None:
    alice = exchange.person()
    nonces = exchange.get(f"/v1/accounts/{alice.address}/nonce?count=30").json()["nonces"]
    bodies = [alice.signed(alice.order(int(nonce), limitPrice=FAR_BELOW)) for nonce in nonces]
    bodies[3]["order"]["quantity"] = "0.02"  # no longer what was signed
    bodies[7]["order"]["quantity"] = "0.00005"
    bodies[11] = "nonsense"
    results = exchange.post("/v1/orders/batch", {"orders": bodies}).json()["results"]
    assert len(results) == 30
    refused = {index: result["problem"]["code"] for index, result in enumerate(results) if "problem" in result}
    assert refused == {3: "SIGNATURE_MISMATCH", 7: "ORDER_LOT_INVALID", 11: "BODY_MALFORMED"}
    accepted = [result["order"] for result in results if "order" in result]
    assert [order["nonce"] for order in accepted] == [n for i, n in enumerate(nonces) if i not in refused]


@pytest.mark.parametrize("count", [0, 51])
def test_a_batch_has_bounds(exchange: Any, count: int) -> None:
    reply = exchange.post("/v1/orders/batch", {"orders": [{}] * count})
    assert (reply.status_code, reply.json()["code"], reply.json()["field"]) == (400, "FIELD_INVALID", "orders")


def signed_by_eth_account(key: bytes, typed_data: dict[str, Any]) -> str:
    signature: str = Account.sign_message(encode_typed_data(full_message=typed_data), key).signature.hex()
    return "0x" + signature.removeprefix("0x")


def signed_by_cast(key: bytes, typed_data: dict[str, Any]) -> str:
    command = [str(CAST), "wallet", "sign", "--private-key", "0x" + key.hex(), "--data", json.dumps(typed_data)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("sign", [signed_by_eth_account, signed_by_cast])
def test_validate_fills_in_and_any_signer_can_sign_its_typed_data(
    exchange: Any, sign: Callable[[bytes, dict[str, Any]], str]
) -> None:
    alice = exchange.person()
    draft = {"account": alice.address, "market": SYMBOL, "side": "BUY", "quantity": "0.50", "limitPrice": "1000.10"}
    checked = exchange.post("/v1/orders/validate", {"order": draft}).json()
    assert checked["integers"]["quantity"] == "5000"
    assert checked["integers"]["limitPrice"] == "10001"
    assert (checked["order"]["quantity"], checked["order"]["limitPrice"]) == ("0.5", "1000.1")
    assert (checked["order"]["maxFeeBps"], checked["order"]["selfTrade"]) == ("50", "CANCEL_TAKER")
    assert int(checked["order"]["expiry"]) > time.time() + 27 * 86_400
    assert (checked["notional"], checked["maxFee"]) == ("500.05", "2.50025")

    signature = sign(alice.key, checked["typedData"])  # a signer that knows nothing of ours
    body = {"order": checked["order"], "signature": signature, "chainId": checked["chainId"]}
    placed = exchange.post("/v1/orders", body)
    assert placed.status_code == 200, placed.text
    assert placed.json()["id"] == checked["digest"]


def test_validate_checks_a_signature_when_there_is_one(exchange: Any) -> None:
    alice, bob = exchange.person(), exchange.person()
    body = alice.signed(alice.order(exchange.nonce(alice), limitPrice=FAR_BELOW))
    assert exchange.post("/v1/orders/validate", body).status_code == 200
    stolen = {**body, "order": {**body["order"], "account": bob.address}}
    assert exchange.post("/v1/orders/validate", stolen).json()["code"] == "SIGNATURE_MISMATCH"
    assert exchange.get("/v1/orders", exchange.login(alice)).json()["data"] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"expiry": "1"}, "ORDER_EXPIRED"),
        ({"maxCollateral": "1"}, "ORDER_MINT_UNSUPPORTED"),
        ({"reduceOnly": True}, "ORDER_REDUCE_ONLY_UNSUPPORTED"),
        ({"quantity": None}, "NUMBER_NOT_STRING"),
        ({"side": "HOLD"}, "ORDER_FIELD_INVALID"),
    ],
)
def test_validate_refuses_what_placing_would(exchange: Any, change: dict[str, Any], code: str) -> None:
    alice = exchange.person()
    assert exchange.post("/v1/orders/validate", {"order": alice.order(1, **change)}).json()["code"] == code


def test_cancel_with_a_token(exchange: Any) -> None:
    alice, bob = exchange.person(), exchange.person()
    order = exchange.place(alice, limitPrice=FAR_BELOW)
    path = f"/v1/orders/{order['id']}"
    assert exchange.delete(path).json()["code"] == "AUTH_REQUIRED"
    assert exchange.delete(path, exchange.login(bob)).json()["code"] == "ORDER_UNKNOWN"
    cancelled = exchange.delete(path, exchange.login(alice)).json()
    assert (cancelled["status"], cancelled["reason"]) == ("CANCELLED", "USER")
    again = exchange.delete(path, exchange.login(alice))
    assert (again.status_code, again.json()["code"]) == (409, "ORDER_NOT_OPEN")


def test_cancel_all_of_a_market(exchange: Any) -> None:
    alice = exchange.person()
    placed = {exchange.place(alice, limitPrice=FAR_BELOW)["id"] for _ in range(3)}
    results = exchange.delete(f"/v1/orders?market={SYMBOL}", exchange.login(alice)).json()["results"]
    assert {result["order"]["id"] for result in results} == placed
    assert {result["order"]["status"] for result in results} == {"CANCELLED"}


def test_cancel_by_signature_needs_no_token(exchange: Any) -> None:
    alice, bob = exchange.person(), exchange.person()
    nonce = int(exchange.place(alice, limitPrice=FAR_BELOW)["nonce"])
    deadline = int(time.time()) + 60
    digest = cancel_orders_digest(exchange.deployment.domain, alice.account, [nonce, 99], deadline)
    body = {"account": alice.address, "nonces": [str(nonce), "99"], "deadline": str(deadline)}

    stolen = {**body, "signature": "0x" + sign_digest(bob.key, digest).hex()}
    assert exchange.post("/v1/orders/cancel", stolen).json()["code"] == "SIGNATURE_MISMATCH"
    signed = {**body, "signature": "0x" + sign_digest(alice.key, digest).hex()}
    first, second = exchange.post("/v1/orders/cancel", signed).json()["results"]
    assert (first["nonce"], first["order"]["status"]) == (str(nonce), "CANCELLED")
    assert second["problem"]["code"] == "ORDER_UNKNOWN"


def test_a_late_signed_cancel_is_refused(exchange: Any) -> None:
    alice = exchange.person()
    digest = cancel_orders_digest(exchange.deployment.domain, alice.account, [1], 1000)
    body = {"account": alice.address, "nonces": ["1"], "deadline": "1000"}
    reply = exchange.post("/v1/orders/cancel", {**body, "signature": "0x" + sign_digest(alice.key, digest).hex()})
    assert (reply.json()["code"], reply.json()["field"]) == ("FIELD_INVALID", "deadline")


def test_pages_stay_stable_while_orders_arrive(exchange: Any) -> None:
    alice = exchange.person()
    token = exchange.login(alice)
    placed = [exchange.place(alice, limitPrice=FAR_BELOW)["id"] for _ in range(5)]
    when_listed(exchange, alice, "/v1/orders", placed[::-1])
    first = exchange.get("/v1/orders?limit=2", token).json()
    exchange.place(alice, limitPrice=FAR_BELOW)
    second = exchange.get(f"/v1/orders?limit=2&cursor={first['next']}", token).json()
    third = exchange.get(f"/v1/orders?limit=2&cursor={second['next']}", token).json()
    seen = [order["id"] for page in (first, second, third) for order in page["data"]]
    assert seen == placed[::-1]
    assert third["next"] is None


def test_lists_filter_by_status_and_market(exchange: Any) -> None:
    alice = exchange.person()
    token = exchange.login(alice)
    kept, dropped = (exchange.place(alice, limitPrice=FAR_BELOW)["id"] for _ in range(2))
    exchange.delete(f"/v1/orders/{dropped}", token)
    path = f"/v1/orders?market={SYMBOL}&account={alice.address}&status="
    when_listed(exchange, alice, path + "OPEN", [kept])
    when_listed(exchange, alice, path + "CANCELLED", [dropped])
    assert exchange.get("/v1/orders?status=open", token).json()["code"] == "FIELD_INVALID"
    assert exchange.get("/v1/orders?market=DOGE-USDC", token).json()["code"] == "MARKET_UNKNOWN"


def when_listed(exchange: Any, person: Any, path: str, ids: list[str]) -> None:
    """Lists are read from the tables, which follow the engine a moment later."""
    token = exchange.login(person)
    wait_for("the tables", lambda: [order["id"] for order in exchange.get(path, token).json()["data"]] == ids)
