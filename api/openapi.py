"""The OpenAPI document: what FastAPI derives, the order-entry routes by hand, and the problem replies of all.

Promises: every operation shows an example of its body and the shape of its refusals.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.problems import CODES, MEDIA_TYPE
from api.schemas.account import OrderStateWithFills
from api.schemas.base import ProblemShape
from api.schemas.orders import (
    BatchReply,
    BatchRequest,
    CancelAndPlaceReply,
    CancelAndPlaceRequest,
    CancelReply,
    CancelRequest,
    PlaceRequest,
    ValidateReply,
    ValidateRequest,
)

DESCRIPTION = """
A hybrid order-book exchange: orders are signed in the wallet, matched here, and settled and checked on chain.

Amounts and prices are decimal strings, times unix milliseconds. An order's id is its EIP-712 digest, so the client
knows it before sending, and sending twice returns the same order. Errors are `application/problem+json` with a stable
`code`: see [/docs/errors](/docs/errors).

A signature is by the account's own key, by a session key that the account has set on chain (`Settlement.setSession`:
one market or all, a notional and an expiry), or a contract wallet's (ERC-1271). An order that is cancelled on chain
leaves the book at once; fills that it has matched still settle for 300 seconds, so that nobody can undo a trade by
cancelling.

An order with a `condition` (a stop, a take profit, a trailing stop) is signed as EIP-712 `ConditionalOrder` and waits,
PENDING and hidden, until a price meets it; POST /v1/orders/validate shows what to sign. Two orders of one nonce, market
and side, at least one of them conditional, are a pair: one cancels the other.

## WebSocket `/v1/ws`

Send `{"op":"subscribe","ch":"book","key":"sBTC-USDC"}`. Channels: `book`, `bbo` (best bid and ask), `ticker` (as
GET /v1/tickers/{market}, at most once a second), `trades`, `settlements` (how far the market's fills are), `markets`
(key: the market), and after `{"op":"auth","token":"..."}` (or the fields of POST /v1/auth/login) `orders`, `balances`,
`protection` (market-maker protection) and `fills` of the signed-in account. Other ops: `unsubscribe`, `ping`, and
signed in:

* `{"op":"cancelOnDisconnect","enabled":true}`: from its answer on, all open orders of the account are cancelled
  (reason `DISCONNECTED`) when this connection ends, in whatever way, also when a process of ours ends it.
* `{"op":"deadman","seconds":30}`: as POST /v1/deadman.

Orders travel on the same connection. `data` of an answer is the body that HTTP would answer with; an error is
`{"op":"error","id":...}` and the same problem. The `id`, a string or number of yours, is required:

* `{"op":"place","id":1,"order":{...},"signature":"0x...","chainId":31337}` as POST /v1/orders, answered by
  `{"op":"place","id":1,"data":{...}}`; `{"op":"placeBatch","id":2,"orders":[...]}` as POST /v1/orders/batch
* signed in: `{"op":"cancel","id":3,"orderId":"0x..."}`, `{"op":"cancelBatch","id":4,"ids":[...],
  "clientOrderIds":[...]}` and `{"op":"cancelAll","id":5,"market":...,"side":...}` (both may be left out)
* `{"op":"replace","id":7,"orderId":"0x...",...}` with the fields of POST /v1/orders; signed in `{"op":"amend","id":8,
  "orderId":"0x...","quantity":"0.3"}` and `{"op":"cancelAndPlace","id":9,"cancel":{...},...}`; `{"op":"steps","id":10,
  "steps":[...]}` as in POST /v1/orders/batch
* `{"op":"cancelSigned","id":6,...}` with the fields of POST /v1/orders/cancel, without a sign-in

Send as many as you like without waiting: they reach the engine in the order in which you sent them, and answers come
as they are ready. Up to 2000 orders and 200 cancels of a connection may wait for their answers; more is RATE_LIMITED.

A mistake is answered by `{"op":"error","code":...}`; the connection stays.

Every message is `{"ch","key","epoch","seq","prev","ts","type","data","crc"?}`. A subscription starts with a `snapshot`;
then each message has `prev` equal to the `seq` before it. In a book a quantity of `"0"` removes the level; `crc` is the
CRC32 of `price:quantity|...` over the ten best bids and asks. What the exchange took at once shares one message of a
book, and one of each balance; each match and each state of an order has its own. After a lost connection subscribe with
`"resume":{"epoch":...,"seq":...}`: what was missed is sent again, or a `reset` and a snapshot. The REST book carries
the same `epoch` and `seq`. A heartbeat every 5 seconds lists the last `seq` of each subscription. A client that does
not read is closed with code 4008, naming the last message that it was sent.

`fills` tells each change of your fills' settlement once and in order: `matched`, `submitted` (with the `transaction`),
`mined` (with the `block`), `final`, or `skipped` (with the `reason`), or `reverted` until a later transaction carries
the fill. A reorg takes `mined` back to `submitted`. Its snapshot holds the fills that are not final yet. `fills` and
`settlements` have an `epoch` of their own, which outlives restarts of all our processes; a heartbeat names it with
them. Every message of this connection is described in [/asyncapi.json](/asyncapi.json).
"""

EXAMPLE_ORDER = {
    "account": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "market": "sBTC-USDC",
    "side": "BUY",
    "orderType": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.5",
    "limitPrice": "60000.1",
    "maxFeeBps": "50",
    "maxCollateral": "0",
    "selfTrade": "CANCEL_TAKER",
    "reduceOnly": False,
    "expiry": "1790000000",
    "nonce": "1",
}
EXAMPLE_SIGNED = {
    "order": EXAMPLE_ORDER,
    "signature": "0x" + "11" * 64 + "1b",
    "chainId": 31337,
    "clientOrderId": "mine-1",
}
_EXAMPLE_CANCEL_AND_PLACE = {
    **EXAMPLE_SIGNED,
    "cancel": {"clientOrderId": "mine-0"},
    "ifNotCancelled": "STOP",
    "ifRefused": "KEEP",
}
_EXAMPLE_STEPS = [
    {"op": "cancel", "id": "0x" + "ab" * 32},
    {"op": "amend", "id": "0x" + "cd" * 32, "quantity": "0.3"},
    {"op": "place", **EXAMPLE_SIGNED},
]
_EXAMPLE_DRAFT = {name: EXAMPLE_ORDER[name] for name in ("account", "market", "side", "quantity", "limitPrice")}
_EXAMPLE_CANCEL = {
    "account": EXAMPLE_ORDER["account"],
    "nonces": ["1"],
    "deadline": "1790000000",
    "signature": EXAMPLE_SIGNED["signature"],
}

_ORDER_ENTRY: dict[str, tuple[str, str, str, type[BaseModel], Any, type[BaseModel]]] = {
    "/v1/orders": (
        "place_order",
        "Place an order",
        "Answered after the order is on disk. Sending it again returns its present state.",
        PlaceRequest,
        EXAMPLE_SIGNED,
        OrderStateWithFills,
    ),
    "/v1/orders/batch": (
        "place_orders",
        "Place up to 50 orders, or take up to 50 steps",
        "Each is answered on its own, in order: `order` or `problem`. With `steps` instead of `orders` one may also "
        "cancel, amend, replace and cancelAndPlace: they are taken one after the other, with nobody's in between, and "
        "say what they have `cancelled`. Sent again, what is known is not placed again.",
        BatchRequest,
        {"steps": _EXAMPLE_STEPS},
        BatchReply,
    ),
    "/v1/orders/{order_id}/replace": (
        "replace_order",
        "Replace an open order",
        "The new order is signed with the nonce of the old one: here and on chain both share one fill count, so they "
        "can never fill twice. At the same price and with no more left it keeps its place in the book; otherwise it "
        "comes again as a taker. Refused, the old order stays as it is. Fills of the old one settle as it was signed.",
        PlaceRequest,
        EXAMPLE_SIGNED,
        OrderStateWithFills,
    ),
    "/v1/orders/cancel-and-place": (
        "cancel_and_place",
        "Cancel one order and place another, in one step",
        "Bearer token, or `cancel` as the nonce, deadline and signature of a CancelOrders for that one order. What the "
        "cancel frees, the new order may use. When there is nothing to cancel, nothing is placed (`ifNotCancelled`: "
        "STOP) or it is all the same (PLACE); when the new order is refused, the old one stays (`ifRefused`: KEEP) or "
        "goes all the same (CANCEL; the problem then has `cancelled`).",
        CancelAndPlaceRequest,
        _EXAMPLE_CANCEL_AND_PLACE,
        CancelAndPlaceReply,
    ),
    "/v1/orders/validate": (
        "validate_order",
        "Check an order without placing it",
        "Fills in what is left out, and returns the digest and the EIP-712 JSON to sign (`cast wallet sign --data`, "
        "eth_signTypedData_v4). With a `signature` that is checked too. Balance and book are checked when placing.",
        ValidateRequest,
        {"order": _EXAMPLE_DRAFT},
        ValidateReply,
    ),
    "/v1/orders/cancel": (
        "cancel_by_signature",
        "Cancel orders by signature",
        "A signed EIP-712 CancelOrders(account, nonces, deadline), by the account, or a session key for what it "
        "signed itself; no sign-in is needed. It ends the orders here at once; what they have matched settles. "
        "Settlement.cancelOrders does the same without us.",
        CancelRequest,
        _EXAMPLE_CANCEL,
        CancelReply,
    ),
}

_SIGNED_IN: dict[str, list[dict[str, list[str]]]] = {
    "/v1/orders/cancel-and-place": [{"bearer": []}],
    "/v1/orders/batch": [{}, {"bearer": []}],  # for the steps that cancel or amend
}


def install_openapi(app: FastAPI) -> None:
    """Makes `/openapi.json` complete."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    models: list[type[BaseModel]] = [ProblemShape]
    for _, _, _, request, _, reply in _ORDER_ENTRY.values():
        models += [request, reply]
    _, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    schemas.update(definitions["$defs"])
    for path, entry in _ORDER_ENTRY.items():
        document["paths"].setdefault(path, {})["post"] = operation = _operation(*entry)
        if "{order_id}" in path:
            operation["parameters"] = [
                {"name": "order_id", "in": "path", "required": True, "schema": {"type": "string"}}
            ]
        if path in _SIGNED_IN:
            operation["security"] = _SIGNED_IN[path]
    for operations in document["paths"].values():
        for operation in operations.values():
            _add_problems(operation)
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    _add_security(document)
    return document


def _operation(name: str, summary: str, text: str, request: Any, example: Any, reply: Any) -> dict[str, Any]:
    return {
        "tags": ["orders"],
        "operationId": name,
        "summary": summary,
        "description": text,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref(request), "example": example}},
        },
        "responses": {"200": {"description": "Done", "content": {"application/json": {"schema": _ref(reply)}}}},
    }


def _add_problems(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    content = {MEDIA_TYPE: {"schema": _ref(ProblemShape), "example": _example_problem("ORDER_TICK_INVALID")}}
    responses["4XX"] = {"description": "Refused; `code` says why", "content": content}
    away = {MEDIA_TYPE: {"schema": _ref(ProblemShape), "example": _example_problem("ENGINE_UNAVAILABLE")}}
    responses["5XX"] = {"description": "A part of the exchange is away; try again", "content": away}


def _add_security(document: dict[str, Any]) -> None:
    """The Authorization header of FastAPI's view becomes a bearer scheme, which tools know."""
    document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    for operations in document["paths"].values():
        for operation in operations.values():
            parameters = operation.get("parameters", [])
            kept = [parameter for parameter in parameters if parameter["name"] != "authorization"]
            if len(kept) != len(parameters):
                operation["parameters"] = kept
                operation["security"] = [{"bearer": []}]


def _example_problem(code: str) -> dict[str, Any]:
    entry = CODES[code]
    return {
        "type": f"/docs/errors#{code}",
        "title": entry.title,
        "status": entry.status,
        "detail": entry.meaning,
        "code": code,
        "retryable": entry.retryable,
        "traceId": "5f0c9e8a7b6d4c3e",
    }


def _ref(model: Any) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
