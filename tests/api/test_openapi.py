"""The OpenAPI document is complete: every route, every refusal, examples that are true."""

from __future__ import annotations

from typing import Any, get_args

import httpx
import pytest
from pydantic import BaseModel

from api.problems import CODES
from api.schemas.account import (
    BalanceList,
    ConditionShape,
    FillPage,
    OrderPage,
    OrderShape,
    OrderStateWithFills,
    WithdrawalPage,
)
from api.schemas.market import BookShape, MarketList, TradePage
from api.schemas.orders import BatchReply, DraftFields, OrderFields, ValidateReply
from cxdex.condition import Trigger
from cxdex.order import OrderType, SelfTrade, Side, TimeInForce, Word

SYMBOL = "sBTC-USDC"


@pytest.fixture(scope="module")
def document(exchange: Any) -> dict[str, Any]:
    described: dict[str, Any] = exchange.get("/openapi.json").json()
    return described


def test_every_route_is_described(document: dict[str, Any]) -> None:
    described = {(method, path) for path, operations in document["paths"].items() for method in operations}
    expected = {
        ("get", "/v1/status"),
        ("get", "/v1/health/live"),
        ("get", "/v1/health/ready"),
        ("get", "/v1/time"),
        ("get", "/v1/errors"),
        ("get", "/v1/markets"),
        ("get", "/v1/markets/{market}"),
        ("get", "/v1/book/{market}"),
        ("get", "/v1/trades/{market}"),
        ("get", "/v1/candles/{market}"),
        ("post", "/v1/orders"),
        ("post", "/v1/orders/batch"),
        ("post", "/v1/orders/validate"),
        ("post", "/v1/orders/{order_id}/replace"),
        ("post", "/v1/orders/cancel-and-place"),
        ("put", "/v1/orders/{order_id}"),
        ("post", "/v1/orders/cancel/batch"),
        ("post", "/v1/deadman"),
        ("get", "/v1/deadman"),
        ("post", "/v1/orders/cancel"),
        ("get", "/v1/orders"),
        ("get", "/v1/orders/{order_id}"),
        ("delete", "/v1/orders"),
        ("delete", "/v1/orders/{order_id}"),
        ("get", "/v1/accounts/{account}"),
        ("get", "/v1/accounts/{account}/balances"),
        ("get", "/v1/accounts/{account}/limits"),
        ("get", "/v1/accounts/{account}/protection"),
        ("put", "/v1/accounts/{account}/protection/{market}"),
        ("delete", "/v1/accounts/{account}/protection/{market}"),
        ("post", "/v1/accounts/{account}/protection/{market}/reset"),
        ("get", "/v1/accounts/{account}/sessions"),
        ("get", "/v1/accounts/{account}/fills"),
        ("get", "/v1/accounts/{account}/settled-fills"),
        ("get", "/v1/accounts/{account}/withdrawals"),
        ("get", "/v1/accounts/{account}/nonce"),
        ("get", "/v1/tickers"),
        ("get", "/v1/tickers/{market}"),
        ("get", "/v1/settlements"),
        ("get", "/v1/settlements/{batch}"),
        ("post", "/v1/vault/deposit"),
        ("post", "/v1/vault/withdraw"),
        ("post", "/v1/vault/claim"),
        ("post", "/v1/withdrawals/instant"),
        ("post", "/v1/auth/login"),
    }
    assert described == expected


def test_every_operation_shows_its_refusals_and_an_example_body(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            assert {"200", "4XX", "5XX"} <= set(responses), (method, path)
            assert "application/problem+json" in responses["4XX"]["content"]
            assert "422" not in responses
            if method == "post" and not path.endswith("/reset"):  # which says it all by its address
                assert "example" in operation["requestBody"]["content"]["application/json"], path


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = document["components"]["schemas"]
    for reference in references(document):
        prefix, _, name = reference.rpartition("/")
        assert prefix == "#/components/schemas"
        assert name in known


def test_private_routes_say_that_they_need_a_token(document: dict[str, Any]) -> None:
    private = {
        (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("security") == [{"bearer": []}]
    }
    assert private == {
        ("post", "/v1/orders/cancel/batch"),
        ("post", "/v1/deadman"),
        ("get", "/v1/deadman"),
        ("get", "/v1/orders"),
        ("delete", "/v1/orders"),
        ("delete", "/v1/orders/{order_id}"),
        ("put", "/v1/orders/{order_id}"),
        ("post", "/v1/orders/cancel-and-place"),
        ("get", "/v1/accounts/{account}/balances"),
        ("get", "/v1/accounts/{account}/limits"),
        ("get", "/v1/accounts/{account}/protection"),
        ("put", "/v1/accounts/{account}/protection/{market}"),
        ("delete", "/v1/accounts/{account}/protection/{market}"),
        ("post", "/v1/accounts/{account}/protection/{market}/reset"),
        ("get", "/v1/accounts/{account}/sessions"),
        ("post", "/v1/withdrawals/instant"),
    }


@pytest.mark.parametrize("shape", [OrderFields, DraftFields, OrderShape])
def test_the_words_of_an_order_are_those_that_the_exchange_takes(shape: type[BaseModel]) -> None:
    """A word that is left out makes INTERNAL of every answer that shows such an order."""
    words: dict[str, type[Word]] = {
        "side": Side, "order_type": OrderType, "time_in_force": TimeInForce, "self_trade": SelfTrade,
    }  # fmt: skip
    for field, known in words.items():
        assert set(get_args(shape.model_fields[field].annotation)) == {word.name for word in known}, field
    assert set(get_args(ConditionShape.model_fields["trigger"].annotation)) == {trigger.name for trigger in Trigger}


def test_replies_have_the_described_shape(exchange: Any) -> None:
    alice, bob = exchange.person(), exchange.person()
    token = exchange.login(alice)
    draft = {"account": alice.address, "market": SYMBOL, "side": "BUY", "quantity": "0.01", "limitPrice": "65000"}
    placed = exchange.place(alice, limitPrice="65000")
    exchange.place(bob, side="SELL", limitPrice="65000", timeInForce="IOC")
    batch = {"orders": [alice.signed(alice.order(exchange.nonce(alice), limitPrice="1000")), {}]}
    replies: list[tuple[type[BaseModel], Any]] = [
        (MarketList, exchange.get("/v1/markets")),
        (BookShape, exchange.get(f"/v1/book/{SYMBOL}")),
        (TradePage, exchange.get(f"/v1/trades/{SYMBOL}")),
        (OrderShape, exchange.get(f"/v1/orders/{placed['id']}")),
        (OrderPage, exchange.get("/v1/orders", token)),
        (BalanceList, exchange.get(f"/v1/accounts/{alice.address}/balances", token)),
        (FillPage, exchange.get(f"/v1/accounts/{alice.address}/fills")),
        (WithdrawalPage, exchange.get(f"/v1/accounts/{alice.address}/withdrawals")),
        (ValidateReply, exchange.post("/v1/orders/validate", {"order": draft})),
        (BatchReply, exchange.post("/v1/orders/batch", batch)),
    ]
    for shape, reply in replies:
        shape.model_validate_json(reply.content)
    OrderStateWithFills.model_validate(placed)


def test_the_error_list_and_its_page_are_one(exchange: Any) -> None:
    listed = exchange.get("/v1/errors").json()["data"]
    page = exchange.get("/docs/errors").text
    assert [entry["code"] for entry in listed] == list(CODES)
    assert all(f'id="{code}"' in page for code in CODES)


def test_wallet_pages_of_any_origin_may_call(exchange: Any) -> None:

    asked = {"Origin": "https://wallet.example", "Access-Control-Request-Method": "POST"}
    reply = httpx.options(
        exchange.url + "/v1/orders", headers={**asked, "Access-Control-Request-Headers": "content-type,authorization"}
    )
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in reply.headers


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for inner in value.values() for found in references(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in references(inner)]
    return []
