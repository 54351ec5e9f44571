"""Market-maker protection over HTTP and the account's own stream."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.api.test_streams import Client

SYMBOL = "sBTC-USDC"
OFF = {"status": "OFF", "windowMs": 0, "maxQuantity": None, "maxNotional": None, "cooldownMs": 0, "until": None}


def send(exchange: Any, person: Any, method: str, path: str = "", body: Any = None, token: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {token or exchange.login(person)}"}
    url = f"{exchange.url}/v1/accounts/{person.address}/protection{path}"
    return httpx.request(method, url, json=body, headers=headers)


def protect(exchange: Any, person: Any, **body: Any) -> dict[str, Any]:
    reply = send(exchange, person, "PUT", f"/{SYMBOL}", {"windowMs": 60_000, **body})
    assert reply.status_code == 200, reply.text
    shown: dict[str, Any] = reply.json()
    return shown


def hit(exchange: Any, maker: Any, quantity: str = "0.02") -> tuple[Any, Any]:
    """A quote that is sold into, and another one below it."""
    near = exchange.place(maker, limitPrice="60000", quantity=quantity)
    far = exchange.place(maker, limitPrice="59000", quantity="0.01")
    exchange.place(exchange.person(), side="SELL", limitPrice="60000", quantity=quantity, timeInForce="IOC")
    return near, far


def test_quotes_are_cancelled_and_the_account_is_told(exchange: Any) -> None:
    maker = exchange.person()
    client = Client(exchange)
    client.sign_in(exchange, maker)
    client.subscribe("protection")
    assert client.next(ch="protection", type="snapshot")["data"] == []
    armed = protect(exchange, maker, maxQuantity="0.02", cooldownMs=60_000)
    assert armed == {
        "market": SYMBOL, "status": "ARMED", "windowMs": 60_000, "maxQuantity": "0.02", "maxNotional": None,
        "cooldownMs": 60_000, "until": None,
    }  # fmt: skip
    assert client.next(ch="protection", type="event")["data"] == armed

    _, far = hit(exchange, maker)
    told = client.next(ch="protection", type="event")["data"]
    assert told["status"] == "TRIPPED"
    assert 0 < told["until"] - time.time() * 1000 <= 60_000
    gone = exchange.get(f"/v1/orders/{far['id']}").json()
    assert (gone["status"], gone["reason"]) == ("CANCELLED", "PROTECTION")
    assert send(exchange, maker, "GET").json()["data"] == [told]

    refused = exchange.post("/v1/orders", maker.signed(maker.order(exchange.nonce(maker), limitPrice="59000")))
    assert (refused.status_code, refused.json()["code"]) == (422, "PROTECTION_TRIPPED")
    assert refused.json()["retryable"] is True
    reset = send(exchange, maker, "POST", f"/{SYMBOL}/reset").json()
    assert reset == armed
    assert client.next(ch="protection", type="event")["data"] == armed
    exchange.delete(
        f"/v1/orders/{exchange.place(maker, limitPrice='59000')['id']}", exchange.login(maker)
    ).raise_for_status()

    late = Client(exchange)
    late.sign_in(exchange, maker)
    late.subscribe("protection")
    assert late.next(ch="protection", type="snapshot")["data"] == [armed]
    for opened in (client, late):
        opened.socket.close()


def test_a_removed_protection_cancels_nothing(exchange: Any) -> None:
    maker = exchange.person()
    protect(exchange, maker, maxNotional="1200")
    for _ in range(2):
        assert send(exchange, maker, "DELETE", f"/{SYMBOL}").json() == {"market": SYMBOL, **OFF}
    _, far = hit(exchange, maker)
    assert exchange.get(f"/v1/orders/{far['id']}").json()["status"] == "OPEN"
    exchange.delete(f"/v1/orders/{far['id']}", exchange.login(maker)).raise_for_status()
    assert send(exchange, maker, "GET").json() == {"data": []}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"windowMs": 0, "maxNotional": "1"}, "FIELD_INVALID", "windowMs"),
        ({"windowMs": 3_600_001, "maxNotional": "1"}, "FIELD_INVALID", "windowMs"),
        ({"windowMs": "5", "maxNotional": "1"}, "FIELD_INVALID", "windowMs"),
        ({"windowMs": 5, "maxNotional": "1", "cooldownMs": -1}, "FIELD_INVALID", "cooldownMs"),
        ({"windowMs": 5}, "FIELD_INVALID", "maxNotional"),
        ({"windowMs": 5, "maxNotional": "0"}, "FIELD_INVALID", "maxNotional"),
        ({"windowMs": 5, "maxNotional": 7}, "NUMBER_NOT_STRING", "maxNotional"),
        ({"windowMs": 5, "maxQuantity": "0.00001"}, "ORDER_LOT_INVALID", "maxQuantity"),
        ({"windowMs": 5, "maxNotional": "1", "fast": True}, "FIELD_UNKNOWN", "fast"),
        ({"maxNotional": "1"}, "FIELD_MISSING", "windowMs"),
    ],
)
def test_what_cannot_be_meant_is_refused(exchange: Any, body: Any, code: str, field: str) -> None:
    person = exchange.person()
    reply = send(exchange, person, "PUT", f"/{SYMBOL}", body)
    assert (reply.json()["code"], reply.json()["field"]) == (code, field)
    assert send(exchange, person, "GET").json() == {"data": []}


def test_unknown_markets_and_protections(exchange: Any) -> None:
    person = exchange.person()
    body = {"windowMs": 5, "maxNotional": "1"}
    assert send(exchange, person, "PUT", "/sDOGE-USDC", body).json()["code"] == "MARKET_UNKNOWN"
    reply = send(exchange, person, "POST", f"/{SYMBOL}/reset")
    assert (reply.status_code, reply.json()["code"]) == (404, "PROTECTION_UNKNOWN")


def test_a_stranger_reads_and_changes_nothing(exchange: Any) -> None:
    maker, stranger = exchange.person(), exchange.person()
    protect(exchange, maker, maxNotional="1200")
    token = exchange.login(stranger)
    for method, path in (("GET", ""), ("PUT", f"/{SYMBOL}"), ("DELETE", f"/{SYMBOL}"), ("POST", f"/{SYMBOL}/reset")):
        reply = send(exchange, maker, method, path, {"windowMs": 5, "maxNotional": "1"}, token)
        assert (reply.status_code, reply.json()["code"]) == (401, "AUTH_INVALID")
    assert send(exchange, maker, "GET").json()["data"][0]["windowMs"] == 60_000
