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
        assert httpx.request(method, exchange.url + path, content=b"{}").status_code in (307, 404, 405)


def without_traces(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_traces(inner) for name, inner in value.items() if name != "traceId"}
    return [without_traces(inner) for inner in value] if isinstance(value, list) else value
