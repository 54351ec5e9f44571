"""Order entry over HTTP: place one, place many, replace, check without placing, cancel by signature. The hot path.

Owns:     the HTTP shape of it. Plain Starlette routes with msgspec, because validation by model costs more than the
          signature check; `openapi` documents them by hand. What is done is in `placing` and `cancelling`, which the
          WebSocket shares.
Never:    places what is only to be validated.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.cancelling import cancel_signed
from api.context import Context
from api.fields import decode_json, read_list, read_object, read_signature
from api.order_json import (
    ORDER_FIELDS,
    check_order,
    read_chain_id,
    read_client_order_id,
    read_order,
    with_defaults,
)
from api.placing import (
    MAX_BATCH,
    batch_entry,
    check_signature,
    check_signatures,
    place,
    read_entries,
    read_signed_order,
)
from api.signers import recover_key
from api.steps import Draft, entry_json, one_json, read_cancel_and_place, read_replace, read_steps, take
from cxdex.eip712 import order_digest, order_message, order_typed_data
from cxdex.fees import fee_cap
from cxdex.market import MarketTerms
from cxdex.order import Order
from cxdex.problem import Problem
from cxdex.units import format_usdc
from relayer.public_order import signed_fields_json
from relayer.wire import WireOrder

JSON = "application/json"

_json = msgspec.json.Encoder()


async def place_order(request: Request) -> Response:
    """POST /v1/orders"""
    return Response(await answer_order(request.app.state.context, await request.body()), media_type=JSON)


async def answer_order(context: Context, body: bytes) -> bytes:
    """The same without the forms of the framework. Raises Problem."""
    signed = read_signed_order(context, decode_json(body))
    (answer,) = await place(context, await check_signatures(context, [signed]))
    if isinstance(answer, Problem):
        raise answer
    return _json.encode(answer)


async def place_orders(request: Request) -> Response:
    """POST /v1/orders/batch"""
    context: Context = request.app.state.context
    body = read_object(decode_json(await request.body()), (), ("orders", "steps"), "the body")
    if "steps" in body and "orders" not in body:
        drafts = read_steps(context, read_list(body["steps"], "steps", MAX_BATCH), lambda: _signed_in(request))
        return _reply({"results": [entry_json(answer) for answer in await take(context, drafts)]})
    body = read_object(body, ("orders",), (), "the body")
    outcomes = read_entries(context, read_list(body["orders"], "orders", MAX_BATCH))
    answers = await place(context, await check_signatures(context, outcomes))
    return _reply({"results": [batch_entry(answer) for answer in answers]})


async def replace_order(request: Request) -> Response:
    """POST /v1/orders/{id}/replace"""
    context: Context = request.app.state.context
    draft = read_replace(context, request.path_params["order_id"], decode_json(await request.body()))
    return _reply(await _take_one(context, "replace", draft))


async def cancel_and_place(request: Request) -> Response:
    """POST /v1/orders/cancel-and-place"""
    context: Context = request.app.state.context
    draft = read_cancel_and_place(context, decode_json(await request.body()), lambda: _signed_in(request))
    return _reply(await _take_one(context, "cancelAndPlace", draft))


async def validate_order(request: Request) -> Response:
    """POST /v1/orders/validate"""
    context: Context = request.app.state.context
    body = read_object(
        decode_json(await request.body()), ("order",), ("signature", "chainId", "clientOrderId"), "the body"
    )
    if "chainId" in body:
        read_chain_id(body["chainId"], context.deployment.chain_id)
    read_client_order_id(body.get("clientOrderId"))
    given = read_object(body["order"], (), (*ORDER_FIELDS, "condition"), "the order")
    fields = with_defaults(given, int(time.time()))
    if "nonce" not in fields:
        fields["nonce"] = await _next_nonce(context, fields)
    order, terms = read_order(fields, context.markets.terms_of)
    check_order(order, context.markets.find(order.market).status, int(time.time()))
    signed = WireOrder(order, b"", order_digest(context.domain, order))
    if "signature" in body:
        signed = msgspec.structs.replace(signed, signature=read_signature(body["signature"]))
        await check_signature(context, signed, recover_key(signed.digest, signed.signature))
    return _reply(_validation_json(context, signed, terms))


async def cancel_by_signature(request: Request) -> Response:
    """POST /v1/orders/cancel"""
    return _reply(await cancel_signed(request.app.state.context, decode_json(await request.body())))


ROUTES = [
    Route("/v1/orders", place_order, methods=["POST"]),
    Route("/v1/orders/batch", place_orders, methods=["POST"]),
    Route("/v1/orders/cancel-and-place", cancel_and_place, methods=["POST"]),
    Route("/v1/orders/{order_id}/replace", replace_order, methods=["POST"]),
    Route("/v1/orders/validate", validate_order, methods=["POST"]),
    Route("/v1/orders/cancel", cancel_by_signature, methods=["POST"]),
]


PLAIN = {"/v1/orders": answer_order}  # what `order_lane` answers from the body alone: where a microsecond counts


async def _take_one(context: Context, op: str, draft: Draft) -> dict[str, Any]:
    (answer,) = await take(context, [draft])
    answer = one_json(op, answer)
    if isinstance(answer, Problem):
        raise answer
    return answer


def _signed_in(request: Request) -> bytes:
    """Raises AUTH_REQUIRED or AUTH_INVALID."""
    context: Context = request.app.state.context
    return context.authenticator.account_of_header(request.headers.get("authorization"))


def _validation_json(context: Context, signed: WireOrder, terms: MarketTerms) -> dict[str, Any]:
    order: Order = signed.order
    notional = terms.notional(order.quantity, order.limit_price)
    return {
        "order": signed_fields_json(order, terms),
        "chainId": context.deployment.chain_id,
        "digest": "0x" + signed.digest.hex(),
        "integers": order_message(order),
        "notional": format_usdc(notional),
        "maxFee": format_usdc(fee_cap(notional, order.max_fee_bps)),
        "typedData": order_typed_data(context.domain, order),
    }


async def _next_nonce(context: Context, fields: Mapping[str, Any]) -> str:
    """A nonce for an order that names none. Everything else is read first, so that no lane is leased for nothing."""
    order, _ = read_order({**fields, "nonce": "0"}, context.markets.terms_of)
    return str((await context.engine.next_nonces(order.account, 1))[0])


def _reply(value: Any) -> Response:
    return Response(_json.encode(value), media_type=JSON)
