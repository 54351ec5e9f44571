"""Cancelling many orders at once, the dead man's switch, cancel on disconnect, and the late-order guard."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from cxdex import ApiProblem, AsyncExchange, Feed, LocalWallet
from cxdex.nonce import pack_nonce
from tests.api.conftest import SYMBOL, TERMS, Exchange, bearer, list_market, market_status, wait_for
from tests.api.test_streams import Client


def post(exchange: Any, path: str, body: Any, token: str | None = None) -> httpx.Response:
    return httpx.post(exchange.url + path, json=body, headers=bearer(token))


def place(exchange: Any, person: Any, **changes: Any) -> dict[str, Any]:
    """An order that rests, with members of its envelope (clientOrderId, rejectAfter) and of itself changed."""
    envelope = {name: changes.pop(name) for name in ("clientOrderId", "rejectAfter") if name in changes}
    order = person.order(exchange.nonce(person), **{"limitPrice": "1000", **changes})
    reply = post(exchange, "/v1/orders", person.signed(order, **envelope))
    assert reply.status_code == 200, reply.text
    placed: dict[str, Any] = reply.json()
    return placed


def state(exchange: Any, placed: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = exchange.get(f"/v1/orders/{placed['id']}").json()
    return shown


def closed(exchange: Any, placed: dict[str, Any]) -> dict[str, Any]:
    done: dict[str, Any] = wait_for("the cancel", lambda: (now := state(exchange, placed))["status"] != "OPEN" and now)
    return done


def test_a_batch_of_cancels_is_answered_entry_by_entry(exchange: Any) -> None:
    alice = exchange.person()
    token = exchange.login(alice)
    orders = [place(exchange, alice, clientOrderId=f"mine-{number}") for number in range(3)]
    foreign = place(exchange, exchange.person(), clientOrderId="mine-2")
    body = {"ids": [orders[0]["id"], foreign["id"]], "clientOrderIds": ["mine-1", "nobody"]}
    reply = post(exchange, "/v1/orders/cancel/batch", body, token)
    assert reply.status_code == 200, reply.text
    shown = [
        (r["id"], r["clientOrderId"], (r["order"] or {}).get("status"), (r["problem"] or {}).get("code"))
        for r in reply.json()["results"]
    ]
    assert shown == [
        (orders[0]["id"], None, "CANCELLED", None),
        (foreign["id"], None, None, "ORDER_UNKNOWN"),
        (orders[1]["id"], "mine-1", "CANCELLED", None),
        (None, "nobody", None, "ORDER_UNKNOWN"),
    ]
    assert [state(exchange, order)["status"] for order in (orders[2], foreign)] == ["OPEN", "OPEN"]


@pytest.mark.parametrize(
    "body", [{}, {"ids": []}, {"ids": ["0x12"]}, {"clientOrderIds": [""]}, {"ids": "x"}, {"clientOrderIds": ["é"]}]
)
def test_a_batch_of_cancels_that_names_nothing_is_refused(exchange: Any, body: Any) -> None:
    reply = post(exchange, "/v1/orders/cancel/batch", body, exchange.login(exchange.person()))
    assert (reply.status_code, reply.json()["code"]) == (400, "FIELD_INVALID")


def test_one_side_is_cancelled_and_the_other_stays(exchange: Any) -> None:
    alice = exchange.person()
    bid, ask = place(exchange, alice), place(exchange, alice, side="SELL", limitPrice="90000")
    reply = exchange.delete(f"/v1/orders?side=SELL&market={SYMBOL}", exchange.login(alice))
    assert [entry["order"]["id"] for entry in reply.json()["results"]] == [ask["id"]]
    assert state(exchange, bid)["status"] == "OPEN"


def test_a_dead_mans_switch_fires_unless_it_is_renewed(exchange: Any) -> None:
    alice = exchange.person()
    token = exchange.login(alice)
    order = place(exchange, alice)
    before = time.time() * 1000
    far = post(exchange, "/v1/deadman", {"seconds": 600}, token).json()["firesAt"]
    assert 599_000 < far - before < 620_000
    assert exchange.get("/v1/deadman", token).json() == {"firesAt": far}
    assert post(exchange, "/v1/deadman", {"seconds": 0}, token).json() == {"firesAt": None}
    assert post(exchange, "/v1/deadman", {"seconds": 1}, token).json()["firesAt"] < far
    assert closed(exchange, order)["reason"] == "DEADMAN"
    assert exchange.get("/v1/deadman", token).json() == {"firesAt": None}


@pytest.mark.parametrize("seconds", [-1, 86_401, "30", 1.5, None, True])
def test_a_countdown_that_cannot_be_is_refused(exchange: Any, seconds: Any) -> None:
    reply = post(exchange, "/v1/deadman", {"seconds": seconds}, exchange.login(exchange.person()))
    assert (reply.status_code, reply.json()["field"]) == (400, "seconds")


def test_cancelling_for_somebody_else_needs_their_token(exchange: Any) -> None:
    for path, body in (("/v1/orders/cancel/batch", {"clientOrderIds": ["x"]}), ("/v1/deadman", {"seconds": 1})):
        assert post(exchange, path, body).json()["code"] == "AUTH_REQUIRED"


def test_an_order_that_reaches_the_engine_too_late_is_refused(exchange: Any) -> None:
    alice = exchange.person()
    order = alice.order(exchange.nonce(alice), limitPrice="1000")
    late = post(exchange, "/v1/orders", alice.signed(order, rejectAfter=1))
    assert (late.status_code, late.json()["code"]) == (422, "ORDER_TOO_LATE")
    in_time = post(exchange, "/v1/orders", alice.signed(order, rejectAfter=str(time.time_ns() // 1_000_000 + 60_000)))
    assert in_time.json()["status"] == "OPEN"
    again = post(exchange, "/v1/orders", alice.signed(order, rejectAfter=1))
    assert again.json()["status"] == "OPEN", "it was accepted in time"


@pytest.mark.parametrize("limit", [0, -1, "soon", 1.5])
def test_a_time_limit_that_cannot_be_is_refused(exchange: Any, limit: Any) -> None:
    alice = exchange.person()
    reply = post(exchange, "/v1/orders", alice.signed(alice.order(pack_nonce(0, 0, 1)), rejectAfter=limit))
    assert (reply.status_code, reply.json()["field"]) == (400, "rejectAfter")


def test_a_cancel_that_comes_before_its_order_blocks_it(exchange: Any) -> None:
    alice = exchange.person()
    order = alice.order(exchange.nonce(alice), limitPrice="1000")
    reply = exchange.delete("/v1/orders/0x" + alice.digest(order).hex(), exchange.login(alice))
    assert reply.json()["code"] == "ORDER_UNKNOWN"
    refused = post(exchange, "/v1/orders", alice.signed(order))
    assert (refused.status_code, refused.json()["code"]) == (409, "ORDER_CANCELLED_BEFORE")


def test_orders_go_with_the_connection_that_asked_for_it(exchange: Any) -> None:
    alice, bob = exchange.person(), exchange.person()
    order, other = place(exchange, alice), place(exchange, bob)
    client, plain = Client(exchange), Client(exchange)
    client.sign_in(exchange, alice)
    plain.sign_in(exchange, bob)
    client.send(op="cancelOnDisconnect", enabled=True, id=7)
    said = client.next(op="cancelOnDisconnect")
    assert said == {"op": "cancelOnDisconnect", "enabled": True, "account": alice.address, "id": 7}
    plain.socket.close()
    client.socket.socket.close()  # no goodbye
    assert closed(exchange, order)["reason"] == "DISCONNECTED"
    assert state(exchange, other)["status"] == "OPEN"


def test_cancel_on_disconnect_can_be_taken_back_and_needs_a_sign_in(exchange: Any) -> None:
    alice = exchange.person()
    order = place(exchange, alice)
    client = Client(exchange)
    client.send(op="cancelOnDisconnect", enabled=True)
    assert client.next(op="error")["code"] == "AUTH_REQUIRED"
    client.sign_in(exchange, alice)
    client.send(op="cancelOnDisconnect", enabled="yes")
    assert client.next(op="error")["field"] == "enabled"
    for enabled in (True, False):
        client.send(op="cancelOnDisconnect", enabled=enabled)
        assert client.next(op="cancelOnDisconnect")["enabled"] is enabled
    client.send(op="deadman", seconds=600)
    assert client.next(op="deadman")["firesAt"] == exchange.get("/v1/deadman", exchange.login(alice)).json()["firesAt"]
    client.send(op="deadman", seconds=0)
    assert client.next(op="deadman")["firesAt"] is None
    client.socket.close()
    time.sleep(1.0)
    assert state(exchange, order)["status"] == "OPEN"


async def test_the_client_and_the_command_line_do_all_of_it(exchange: Any) -> None:
    alice = exchange.person()
    wallet = LocalWallet(alice.key)
    command = partial(cxdex_command, exchange, alice)
    async with AsyncExchange(exchange.url, wallet) as client:
        first = await client.buy(SYMBOL, "0.01", "1000", client_order_id="a", reject_in_ms=60_000)
        with pytest.raises(ApiProblem, match="ORDER_TOO_LATE"):
            await client.buy(SYMBOL, "0.01", "1000", reject_in_ms=-60_000)
        gone, unknown = await client.cancel_each([first], client_order_ids=["b"])
        assert gone.order is not None
        assert gone.order.status == "CANCELLED"
        assert (unknown.client_order_id, unknown.problem and unknown.problem["code"]) == ("b", "ORDER_UNKNOWN")
        command("order", SYMBOL, "buy", "0.01", "--price", "1000", "--client-id", "c", "--reject-in-ms", "60000")
        await client.sell(SYMBOL, "0.01", "90000")
        assert command("cancel", "--client-id", "c") == {"cancelled": 1}
        assert command("cancel", "--all", "--side", "buy") == {"cancelled": 0}
        assert await client.cancel_all(side="sell") == 1
        assert command("deadman", "600")["firesAt"] < await client.cancel_all_after(700)
        assert command("deadman", "0") == {"firesAt": None}
        last = await client.buy(SYMBOL, "0.01", "1000")
        feed = Feed(client, cancel_on_disconnect=True)
        reading = asyncio.create_task(anext(aiter(feed)))
        await asyncio.wait_for(feed.guarded.wait(), 60)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert not feed.guarded.is_set()
    assert closed(exchange, {"id": last.id})["reason"] == "DISCONNECTED"


def cxdex_command(exchange: Any, person: Any, *arguments: str) -> Any:
    environment = {**os.environ, "CXDEX_API": exchange.url, "CXDEX_PRIVATE_KEY": "0x" + person.key.hex()}
    command = [sys.executable, "-m", "cxdex", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def own_exchange(tmp_path: Path, node_url: str) -> Iterator[Exchange]:
    running = Exchange(tmp_path, node_url)
    running.start_engine()
    running.start_api()
    list_market(running, TERMS)
    wait_for("the market", lambda: market_status(running) == "ACTIVE")
    yield running
    running.stop()


def test_a_crash_of_the_api_process_counts_as_a_disconnect(own_exchange: Exchange) -> None:
    exchange = own_exchange
    alice = exchange.person()
    order = place(exchange, alice)
    client = Client(exchange)
    client.sign_in(exchange, alice)
    client.send(op="cancelOnDisconnect", enabled=True)
    client.next(op="cancelOnDisconnect")
    assert exchange.api is not None
    exchange.api.send_signal(signal.SIGKILL)
    exchange.api.wait(10)
    exchange.start_api()
    assert closed(exchange, order)["reason"] == "DISCONNECTED"
