"""Programs' orders go a shorter way through the API than a browser's: the answers are the same."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api.middleware import MAX_BODY_BYTES

BROWSER = {"Origin": "https://wallet.example"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/orders", b'{"order":{}}'),
        ("/v1/orders", b"not JSON"),
        ("/v1/orders", b""),
        ("/v1/orders", b"[" * (MAX_BODY_BYTES + 1)),
        ("/v1/orders/batch", b'{"orders":[]}'),
        ("/v1/orders/batch", b'{"orders":[{},1]}'),
        ("/v1/orders/validate", b'{"order":{"market":"none"}}'),
        ("/v1/orders/cancel", b'{"nonces":[]}'),
    ],
)
def test_refusals_are_the_same_both_ways(exchange: Any, path: str, body: bytes) -> None:
    short, long = (httpx.post(exchange.url + path, content=body, headers=headers) for headers in ({}, BROWSER))
    assert "access-control-allow-origin" in long.headers, "the long way is for browsers"
    assert "access-control-allow-origin" not in short.headers
    assert short.status_code == long.status_code
    assert short.headers["content-type"] == long.headers["content-type"]
    assert without_traces(short.json()) == without_traces(long.json())


def test_an_accepted_order_is_answered_the_same_both_ways(exchange: Any) -> None:
    alice = exchange.person()
    signed = alice.signed(alice.order(exchange.nonce(alice), limitPrice="1000"))
    short = httpx.post(exchange.url + "/v1/orders", json=signed)
    long = httpx.post(exchange.url + "/v1/orders", json=signed, headers=BROWSER)  # known by now: the same state
    assert short.status_code == long.status_code == 200
    assert short.json() == long.json()


def test_other_methods_and_addresses_are_answered_as_ever(exchange: Any) -> None:
    for method, path in (("PATCH", "/v1/orders"), ("POST", "/v1/orders/none"), ("POST", "/v1/orders/batch/")):
        assert httpx.request(method, exchange.url + path, content=b"{}").status_code in (404, 405)


def test_an_address_that_is_spelt_like_our_own_pattern_is_one_like_any_other(exchange: Any) -> None:
    alice = exchange.person()
    signed = alice.signed(alice.order(exchange.nonce(alice), limitPrice="1000"))
    reply = httpx.post(exchange.url + "/v1/orders/%7Border_id%7D/replace", json=signed)
    assert (reply.status_code, reply.json()["code"]) == (400, "FIELD_INVALID")


def test_nobody_is_sent_to_a_host_that_the_request_names(exchange: Any) -> None:
    reply = httpx.get(exchange.url + "/v1/status/", headers={"Host": "elsewhere.example"})
    assert (reply.status_code, reply.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/v1/orders/x", "/v1/accounts/x/protection/y"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_page_in_a_browser_may_amend_and_cancel(exchange: Any, method: str, path: str) -> None:
    asks = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,content-type"}
    reply = httpx.options(exchange.url + path, headers={**BROWSER, **asks})
    assert reply.status_code == 200, reply.text
    assert method in reply.headers["access-control-allow-methods"].split(", ")


def without_traces(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_traces(inner) for name, inner in value.items() if name != "traceId"}
    return [without_traces(inner) for inner in value] if isinstance(value, list) else value
