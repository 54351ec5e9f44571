"""Whatever is sent to order entry gets its own code; nothing is lost, nothing becomes a fault of ours."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxdex.keccak import keccak
from cxdex.signature import sign_digest

Body = dict[str, Any]
Change = Callable[[Any, Any], Body]  # (exchange, person) -> body of POST /v1/orders


def order_with(**changes: Any) -> Change:
    return lambda _exchange, person: {**person.signed(person.order(1)), "order": person.order(1, **changes)}


def signed_with(**changes: Any) -> Change:
    """Rightly signed, but asking for something that is refused."""
    return lambda exchange, person: person.signed(person.order(exchange.nonce(person), **changes))


def order_without(name: str) -> Change:
    def change(_exchange: Any, person: Any) -> Body:
        body: Body = person.signed(person.order(1))
        del body["order"][name]
        return body

    return change


def body_with(**changes: Any) -> Change:
    return lambda _exchange, person: {**person.signed(person.order(1)), **changes}


def body_without(name: str) -> Change:
    return lambda _exchange, person: {k: v for k, v in person.signed(person.order(1)).items() if k != name}


def signed_by_another(_exchange: Any, person: Any) -> Body:
    order = person.order(1)
    return {**person.signed(order), "signature": "0x" + sign_digest(keccak(b"stranger"), person.digest(order)).hex()}


CASES: dict[str, tuple[Change, int, str, str | None]] = {
    "another key signed": (signed_by_another, 422, "SIGNATURE_MISMATCH", "signature"),
    "another order was signed": (order_with(quantity="0.02"), 422, "SIGNATURE_MISMATCH", "signature"),
    "short signature": (body_with(signature="0x1234"), 400, "SIGNATURE_MALFORMED", "signature"),
    "signature without 0x": (body_with(signature="11" * 65), 400, "SIGNATURE_MALFORMED", "signature"),
    "signature is a number": (body_with(signature=7), 400, "SIGNATURE_MALFORMED", "signature"),
    "signature of zeros": (body_with(signature="0x" + "00" * 64 + "1b"), 400, "SIGNATURE_MALFORMED", None),
    "signature with high s": (
        body_with(signature="0x" + "11" * 32 + "ff" * 32 + "1b"),
        400,
        "SIGNATURE_MALFORMED",
        None,
    ),
    "signature with odd v": (body_with(signature="0x" + "11" * 64 + "40"), 400, "SIGNATURE_MALFORMED", None),
    "wrong chain": (body_with(chainId=1), 422, "ORDER_WRONG_CHAIN", "chainId"),
    "wrong chain as text": (body_with(chainId="1"), 422, "ORDER_WRONG_CHAIN", "chainId"),
    "chain is nonsense": (body_with(chainId="main"), 400, "DECIMAL_INVALID", "chainId"),
    "chain is missing": (body_without("chainId"), 400, "FIELD_MISSING", "chainId"),
    "order is missing": (body_without("order"), 400, "FIELD_MISSING", "order"),
    "order is a list": (body_with(order=[]), 400, "BODY_MALFORMED", None),
    "unknown field": (body_with(leverage="10"), 400, "FIELD_UNKNOWN", "leverage"),
    "unknown order field": (order_with(leverage="10"), 400, "FIELD_UNKNOWN", "leverage"),
    "missing order field": (order_without("maxFeeBps"), 400, "FIELD_MISSING", "maxFeeBps"),
    "unknown market": (order_with(market="DOGE-USDC"), 404, "MARKET_UNKNOWN", "market"),
    "market is a number": (order_with(market=1), 400, "ORDER_FIELD_INVALID", "market"),
    "quantity is a number": (order_with(quantity=0.5), 400, "NUMBER_NOT_STRING", "quantity"),
    "price is a number": (order_with(limitPrice=60000), 400, "NUMBER_NOT_STRING", "limitPrice"),
    "nonce is a number": (order_with(nonce=1), 400, "NUMBER_NOT_STRING", "nonce"),
    "expiry is a number": (order_with(expiry=1790000000), 400, "NUMBER_NOT_STRING", "expiry"),
    "quantity is null": (order_with(quantity=None), 400, "NUMBER_NOT_STRING", "quantity"),
    "exponent": (order_with(quantity="1e3"), 400, "DECIMAL_INVALID", "quantity"),
    "negative": (order_with(quantity="-1"), 400, "DECIMAL_INVALID", "quantity"),
    "spaces": (order_with(limitPrice=" 60000"), 400, "DECIMAL_INVALID", "limitPrice"),
    "arabic digits": (order_with(quantity="\u0661"), 400, "DECIMAL_INVALID", "quantity"),
    "half a nonce": (order_with(nonce="1.5"), 400, "DECIMAL_INVALID", "nonce"),
    "half a lot": (order_with(quantity="0.01005"), 422, "ORDER_LOT_INVALID", "quantity"),
    "half a tick": (order_with(limitPrice="60000.05"), 422, "ORDER_TICK_INVALID", "limitPrice"),
    "too small": (order_with(quantity="0.0001"), 422, "ORDER_TOO_SMALL", "quantity"),
    "zero quantity": (order_with(quantity="0"), 422, "ORDER_TOO_SMALL", "quantity"),
    "zero price": (order_with(limitPrice="0"), 400, "ORDER_FIELD_INVALID", "limitPrice"),
    "astronomic quantity": (order_with(quantity="9" * 30), 400, "ORDER_FIELD_INVALID", "quantity"),
    "astronomic price": (order_with(limitPrice="9" * 30), 400, "ORDER_FIELD_INVALID", "limitPrice"),
    "nonce over 64 bits": (order_with(nonce=str(2**64)), 400, "ORDER_FIELD_INVALID", "nonce"),
    "fee over 100 %": (order_with(maxFeeBps="10001"), 400, "ORDER_FIELD_INVALID", "maxFeeBps"),
    "side in lower case": (order_with(side="buy"), 400, "ORDER_FIELD_INVALID", "side"),
    "unknown self-trade word": (order_with(selfTrade="NONE"), 400, "ORDER_FIELD_INVALID", "selfTrade"),
    "market order that rests": (order_with(orderType="MARKET"), 400, "ORDER_FIELD_INVALID", "timeInForce"),
    "reduceOnly is text": (order_with(reduceOnly="false"), 400, "ORDER_FIELD_INVALID", "reduceOnly"),
    "account is short": (order_with(account="0x12"), 400, "ORDER_FIELD_INVALID", "account"),
    "account is zero": (order_with(account="0x" + "00" * 20), 400, "ORDER_FIELD_INVALID", "account"),
    "long client id": (body_with(clientOrderId="x" * 65), 400, "FIELD_INVALID", "clientOrderId"),
    "expired": (signed_with(expiry=str(int(time.time()) - 10)), 422, "ORDER_EXPIRED", "expiry"),
    "too poor": (signed_with(quantity="9", limitPrice="60000"), 422, "BALANCE_INSUFFICIENT", None),
    "reduce only on spot": (signed_with(reduceOnly=True), 422, "ORDER_REDUCE_ONLY_UNSUPPORTED", "reduceOnly"),
    "stale epoch ahead": (signed_with(nonce=str(7 << 48)), 409, "ORDER_EPOCH_STALE", "nonce"),
    "fill or kill without a book": (
        signed_with(timeInForce="FOK", limitPrice="1"),
        422,
        "ORDER_FOK_UNFILLABLE",
        None,
    ),
}


@pytest.fixture(scope="module")
def person(exchange: Any) -> Any:
    return exchange.person()


@pytest.mark.parametrize("name", CASES)
def test_each_mistake_has_its_own_code(exchange: Any, person: Any, name: str) -> None:
    change, status, code, field = CASES[name]

    reply = exchange.post("/v1/orders", change(exchange, person))

    problem = reply.json()
    assert (reply.status_code, problem["code"]) == (status, code), problem
    assert reply.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"/docs/errors#{code}"
    assert problem["status"] == status
    assert problem["traceId"]
    if field is not None:
        assert problem["field"] == field


def test_refused_orders_leave_nothing_behind(exchange: Any) -> None:
    someone = exchange.person()
    token = exchange.login(someone)
    before = exchange.get(f"/v1/accounts/{someone.address}/balances", token).json()["data"]
    for change, _, _, _ in CASES.values():
        exchange.post("/v1/orders", change(exchange, someone))
    assert exchange.get("/v1/orders", token).json()["data"] == []
    assert exchange.get(f"/v1/accounts/{someone.address}/balances", token).json()["data"] == before


def test_a_mismatch_shows_what_we_hashed(exchange: Any, person: Any) -> None:
    body = signed_by_another(exchange, person)
    problem = exchange.post("/v1/orders", body).json()
    assert problem["digest"] == "0x" + person.digest(body["order"]).hex()
    assert problem["domain"]["chainId"] == 31337
    assert problem["message"]["quantity"] == "100"  # lots, as they were signed


def test_a_violation_names_the_nearest_values(exchange: Any, person: Any) -> None:
    problem = exchange.post("/v1/orders", order_with(limitPrice="60000.05")(exchange, person)).json()
    assert problem["allowed"] == "nearest: 60000 or 60000.1"
    assert problem["given"] == "60000.05"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"null",
        b"[]",
        b"7",
        b'"\\ud800"',
        b"\xff\xfe",
        b"[" * 200_000,
        b"1" * 5_000,
        b'{"a":1e999}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/batch", "/v1/orders/validate", "/v1/orders/cancel"])
def test_what_is_not_an_object_is_malformed(exchange: Any, path: str, body: bytes) -> None:
    reply = httpx.post(exchange.url + path, content=body)
    assert (reply.status_code, reply.json()["code"]) == (400, "BODY_MALFORMED")


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/auth/login", "/v1/vault/deposit"])
def test_an_oversized_body_is_refused(exchange: Any, path: str) -> None:
    reply = httpx.post(exchange.url + path, content=b" " * (256 * 1024 + 1))
    assert (reply.status_code, reply.json()["code"]) == (413, "BODY_TOO_LARGE")


def test_an_endless_body_is_refused_while_it_streams(exchange: Any) -> None:
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        answer = b""
        with contextlib.suppress(ConnectionError):  # it does not have to wait for the rest
            for _ in range(6):  # 384 KiB of a body that never ends
                connection.sendall(chunk)
            while part := connection.recv(65_536):
                answer += part
    assert b"413" in answer.split(b"\r\n")[0]
    assert b"BODY_TOO_LARGE" in answer


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense"])
def test_the_content_type_does_not_matter(exchange: Any, person: Any, kind: str) -> None:
    content = json.dumps(order_with(quantity="0.01005")(exchange, person)).encode()
    reply = httpx.post(exchange.url + "/v1/orders", content=content, headers={"content-type": kind})
    assert reply.json()["code"] == "ORDER_LOT_INVALID"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/nothing", "NOT_FOUND"),
        ("GET", "/%00", "NOT_FOUND"),
        ("PUT", "/v1/orders", "METHOD_NOT_ALLOWED"),
        ("PATCH", "/v1/orders/0x12", "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/orders/0x12", "FIELD_INVALID"),
        ("GET", "/v1/orders/0x" + "12" * 32, "ORDER_UNKNOWN"),
        ("GET", "/v1/markets/DOGE-USDC", "MARKET_UNKNOWN"),
        ("GET", "/v1/book/DOGE-USDC", "MARKET_UNKNOWN"),
        ("GET", "/v1/book/sBTC-USDC?depth=0", "FIELD_INVALID"),
        ("GET", "/v1/book/sBTC-USDC?depth=many", "FIELD_INVALID"),
        ("GET", "/v1/trades/sBTC-USDC?limit=501", "FIELD_INVALID"),
        ("GET", "/v1/trades/sBTC-USDC?cursor=%FF", "FIELD_INVALID"),
        ("GET", "/v1/trades/sBTC-USDC?cursor=b3JkZXJzOjE", "FIELD_INVALID"),
        ("GET", "/v1/candles/sBTC-USDC?interval=7m", "FIELD_INVALID"),
        ("GET", "/v1/candles/sBTC-USDC?from=-1", "FIELD_INVALID"),
        ("GET", "/v1/candles/sBTC-USDC?from=99999999999999999999999", "FIELD_INVALID"),
        ("GET", "/v1/settlements/x", "DECIMAL_INVALID"),
        ("GET", "/v1/settlements/99999999999999999999", "FIELD_INVALID"),
        ("GET", "/v1/accounts/me/fills", "FIELD_INVALID"),
        ("GET", "/v1/accounts/0x" + "11" * 20 + "/nonce?count=51", "FIELD_INVALID"),
        ("GET", "/v1/orders", "AUTH_REQUIRED"),
        ("DELETE", "/v1/orders", "AUTH_REQUIRED"),
        ("GET", "/v1/accounts/0x" + "11" * 20 + "/balances", "AUTH_REQUIRED"),
    ],
)
def test_reads_refuse_with_a_code(exchange: Any, method: str, path: str, code: str) -> None:
    reply = httpx.request(method, exchange.url + path)
    assert reply.json()["code"] == code
    assert reply.headers["content-type"] == "application/problem+json"
    if code == "FIELD_INVALID":
        assert {"field", "given", "allowed"} <= reply.json().keys(), reply.json()


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
_fields = st.sampled_from(
    ["order", "signature", "chainId", "orders", "nonces", "account", "deadline", "market", "quantity", "side", "nonce"]
)
_paths = st.sampled_from(
    [
        "/v1/orders",
        "/v1/orders/batch",
        "/v1/orders/validate",
        "/v1/orders/cancel",
        "/v1/auth/login",
        "/v1/vault/deposit",
        "/v1/vault/withdraw",
        "/v1/vault/claim",
    ]
)
_modest = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@_modest
@given(path=_paths, body=st.dictionaries(_fields, _json_values, max_size=5))
def test_no_json_becomes_a_fault(exchange: Any, path: str, body: Body) -> None:
    assert exchange.http.post(path, content=_encoded(body)).status_code < 500


@_modest
@given(
    name=st.sampled_from(sorted(["account", "market", "side", "quantity", "limitPrice", "nonce", "expiry"])),
    value=_json_values,
)
def test_no_value_of_a_field_becomes_a_fault(exchange: Any, person: Any, name: str, value: Any) -> None:
    body = body_with(order=person.order(1, **{name: value}))(exchange, person)
    for path in ("/v1/orders", "/v1/orders/validate"):
        assert exchange.http.post(path, content=_encoded(body)).status_code < 500


@_modest
@given(path=_paths, body=st.binary(max_size=200))
def test_no_bytes_become_a_fault(exchange: Any, path: str, body: bytes) -> None:
    assert exchange.http.post(path, content=body).status_code < 500


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("query", ["?marcket=sBTC-USDC", "?market=sBTC-USDC&sides=BUY", "?Market=sBTC-USDC"])
def test_a_misspelt_filter_cancels_nothing(exchange: Any, query: str) -> None:
    person = exchange.person()
    order = exchange.place(person, limitPrice="1000")
    reply = exchange.delete("/v1/orders" + query, exchange.login(person))
    assert (reply.status_code, reply.json()["code"]) == (400, "FIELD_UNKNOWN")
    assert reply.json()["allowed"] == "market, side"
    assert exchange.get(f"/v1/orders/{order['id']}").json()["status"] == "OPEN"


def test_a_filter_that_is_given_twice_is_refused(exchange: Any) -> None:
    reply = exchange.get("/v1/settlements?limit=1&limit=2")
    assert (reply.status_code, reply.json()["code"], reply.json()["field"]) == (400, "FIELD_INVALID", "limit")
    assert exchange.get("/v1/status?x=1").json()["allowed"] == "no query parameters"
