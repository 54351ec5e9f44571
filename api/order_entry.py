"""Order entry: place one, place many, check without placing, cancel by signature. The hot path.

Owns:     the HTTP shape of placing and cancelling. Plain Starlette routes with msgspec, because validation by
          model costs more than the signature check; `openapi` documents them by hand.
Promises: every order of a batch is answered on its own, in order, also when its neighbours are refused. The
          answer to an accepted order is sent after the engine's journal is on disk.
Never:    decides what only the engine can know (balances, nonces, the book), or retries an order by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import Context
from api.fields import (
    decode_json,
    read_address,
    read_integer,
    read_object,
    read_signature,
    read_small_integer,
    type_name,
)
from api.order_json import (
    ORDER_FIELDS,
    check_order,
    order_to_json,
    read_chain_id,
    read_client_order_id,
    read_order,
    with_defaults,
)
from api.problems import DetailedProblem, problem_document
from api.signers import Recovered, recover_key
from cxdex.eip712 import (
    cancel_orders_digest,
    order_digest,
    order_message,
    order_typed_data,
    to_checksum,
)
from cxdex.fees import fee_cap
from cxdex.market import MarketTerms
from cxdex.order import NONCE_BITS, Order, SignatureKind
from cxdex.problem import Problem
from cxdex.units import format_price, format_quantity, format_usdc
from relayer.public_order import order_state_json
from relayer.wire import CancelResult, PlaceResult, WireFill, WireOrder

MAX_BATCH = 50
MAX_CANCEL_NONCES = 64
SIGNED_FIELDS = ("order", "signature", "chainId")
RECOVERY_THREADS = 2
RECOVERY_CHUNK = 10  # signatures a thread takes at once: below that, handing over costs more than it saves

_json = msgspec.json.Encoder()
_recovery = ThreadPoolExecutor(RECOVERY_THREADS, thread_name_prefix="recover")


async def place_order(request: Request) -> Response:
    """POST /v1/orders"""
    context: Context = request.app.state.context
    signed = read_signed_order(context, decode_json(await request.body()))
    signed = await check_signature(context, signed, recover_key(signed.digest, signed.signature))
    (result,) = await context.engine.place([signed])
    return _reply(place_result_json(context, result))


async def place_orders(request: Request) -> Response:
    """POST /v1/orders/batch"""
    context: Context = request.app.state.context
    body = read_object(decode_json(await request.body()), ("orders",), (), "the body")
    entries = _read_list(body["orders"], "orders", MAX_BATCH)
    outcomes: list[WireOrder | Problem] = []
    for entry in entries:
        try:
            outcomes.append(read_signed_order(context, entry))
        except Problem as problem:
            outcomes.append(problem)
    outcomes = await _check_signatures(context, outcomes)
    signed = [outcome for outcome in outcomes if isinstance(outcome, WireOrder)]
    results = iter(await context.engine.place(signed) if signed else [])
    return _reply({"results": [_batch_entry(context, outcome, results) for outcome in outcomes]})


async def validate_order(request: Request) -> Response:
    """POST /v1/orders/validate"""
    context: Context = request.app.state.context
    body = read_object(
        decode_json(await request.body()), ("order",), ("signature", "chainId", "clientOrderId"), "the body"
    )
    if "chainId" in body:
        read_chain_id(body["chainId"], context.deployment.chain_id)
    read_client_order_id(body.get("clientOrderId"))
    given = read_object(body["order"], (), ORDER_FIELDS, "the order")
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
    context: Context = request.app.state.context
    names = ("account", "nonces", "deadline", "signature")
    body = read_object(decode_json(await request.body()), names, (), "the body")
    account = read_address(body["account"], "account")
    entries = _read_list(body["nonces"], "nonces", MAX_CANCEL_NONCES)
    nonces = [read_integer(entry, "nonces", most=2**NONCE_BITS - 1) for entry in entries]
    deadline = read_small_integer(body["deadline"], "deadline")
    signature = read_signature(body["signature"])
    digest = cancel_orders_digest(context.domain, account, nonces, deadline)
    signer = await context.signers.judge(
        account,
        digest,
        signature,
        recover_key(digest, signature),
        lambda: _cancel_message(account, nonces, deadline),
    )
    if deadline <= time.time():
        raise Problem("FIELD_INVALID", "the deadline has passed", field="deadline", given=str(deadline))
    open_now = {
        state.order.nonce: state.digest
        for state in await context.engine.open_orders(account, None)
        if signer.kind is not SignatureKind.SESSION or state.signer == signer.session
    }
    found = [open_now[nonce] for nonce in nonces if nonce in open_now]
    results = {result.digest: result for result in await context.engine.cancel(account, found)} if found else {}
    return _reply(
        {"results": [_cancel_entry(context, nonce, results.get(open_now.get(nonce, b""))) for nonce in nonces]}
    )


ROUTES = [
    Route("/v1/orders", place_order, methods=["POST"]),
    Route("/v1/orders/batch", place_orders, methods=["POST"]),
    Route("/v1/orders/validate", validate_order, methods=["POST"]),
    Route("/v1/orders/cancel", cancel_by_signature, methods=["POST"]),
]


def read_signed_order(context: Context, value: Any) -> WireOrder:
    """{"order","signature","chainId","clientOrderId"?,"rejectAfter"?}, checked but for the signature itself."""
    entry = read_object(value, SIGNED_FIELDS, ("clientOrderId", "rejectAfter"), "the body")
    read_chain_id(entry["chainId"], context.deployment.chain_id)
    order, _ = read_order(entry["order"], context.markets.terms_of)
    signature = read_signature(entry["signature"])
    reject_after = entry.get("rejectAfter")
    return WireOrder(
        order,
        signature,
        order_digest(context.domain, order),
        read_client_order_id(entry.get("clientOrderId")),
        reject_after_ms=0 if reject_after is None else read_small_integer(reject_after, "rejectAfter", least=1),
    )


async def check_signature(context: Context, signed: WireOrder, found: Recovered) -> WireOrder:
    """The order with its kind of signature. Raises SIGNATURE_MISMATCH when nobody who may sign for the account did."""
    account = signed.order.account
    signer = await context.signers.judge(
        account, signed.digest, signed.signature, found, lambda: order_message(signed.order)
    )
    return msgspec.structs.replace(signed, signature=signer.signature, kind=signer.kind, signer=signer.session)


def place_result_json(context: Context, result: PlaceResult) -> dict[str, Any]:
    """The order's state with the fills of this placement. Raises the engine's problem."""
    if result.state is None:
        raise _engine_problem(result)
    terms = context.markets.terms_of(result.state.order.market)
    return {**order_state_json(result.state, terms), "fills": [_fill_json(fill, terms) for fill in result.fills]}


def cancel_result_json(context: Context, result: CancelResult) -> dict[str, Any]:
    """{"order"} or {"problem"}."""
    if result.problem is not None or result.state is None:
        return {"problem": problem_document(_engine_problem(result))}
    return {"order": order_state_json(result.state, context.markets.terms_of(result.state.order.market))}


def _fill_json(fill: WireFill, terms: MarketTerms) -> dict[str, Any]:
    return {
        "matchId": str(fill.match_id),
        "sequence": str(fill.sequence),
        "price": format_price(terms, fill.price),
        "quantity": format_quantity(terms, fill.quantity),
        "role": "MAKER" if fill.is_maker else "TAKER",
        "fee": format_usdc(fill.fee),
        "time": fill.time_ms,
    }


def _engine_problem(result: PlaceResult | CancelResult) -> DetailedProblem:
    problem = result.problem
    members = {"orderId": "0x" + result.digest.hex()} if result.digest else {}
    if problem is None:
        return DetailedProblem("INTERNAL", "the engine gave no answer for this order", members)
    return DetailedProblem(
        problem.code, problem.detail, members, field=problem.field, given=problem.given, allowed=problem.allowed
    )


def _batch_entry(context: Context, outcome: WireOrder | Problem, results: Iterator[PlaceResult]) -> dict[str, Any]:
    try:
        if isinstance(outcome, Problem):
            raise outcome
        return {"order": place_result_json(context, next(results))}
    except Problem as problem:
        return {"problem": problem_document(problem)}


def _cancel_entry(context: Context, nonce: int, result: CancelResult | None) -> dict[str, Any]:
    if result is None:
        unknown = Problem("ORDER_UNKNOWN", "no open order of the account has this nonce", given=str(nonce))
        return {"nonce": str(nonce), "problem": problem_document(unknown)}
    return {"nonce": str(nonce), **cancel_result_json(context, result)}


async def _check_signatures(context: Context, outcomes: list[WireOrder | Problem]) -> list[WireOrder | Problem]:
    """Recovers in threads: the curve arithmetic runs without the interpreter's lock."""
    loop = asyncio.get_running_loop()
    chunks = [outcomes[start : start + RECOVERY_CHUNK] for start in range(0, len(outcomes), RECOVERY_CHUNK)]
    recovered = await asyncio.gather(*(loop.run_in_executor(_recovery, _recover_chunk, chunk) for chunk in chunks))
    found = [one for chunk in recovered for one in chunk]
    return await asyncio.gather(*(_checked(context, *pair) for pair in zip(outcomes, found, strict=True)))


def _recover_chunk(chunk: list[WireOrder | Problem]) -> list[Recovered | None]:
    return [recover_key(o.digest, o.signature) if isinstance(o, WireOrder) else None for o in chunk]


async def _checked(context: Context, outcome: WireOrder | Problem, found: Recovered | None) -> WireOrder | Problem:
    if isinstance(outcome, Problem) or found is None:
        return outcome
    try:
        return await check_signature(context, outcome, found)
    except Problem as problem:
        return problem


def _cancel_message(account: bytes, nonces: list[int], deadline: int) -> dict[str, Any]:
    return {"account": to_checksum(account), "nonces": [str(nonce) for nonce in nonces], "deadline": str(deadline)}


def _validation_json(context: Context, signed: WireOrder, terms: MarketTerms) -> dict[str, Any]:
    order: Order = signed.order
    notional = terms.notional(order.quantity, order.limit_price)
    return {
        "order": order_to_json(order, terms),
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


def _read_list(value: Any, field: str, most: int) -> list[Any]:
    if isinstance(value, list) and 1 <= len(value) <= most:
        return value
    given = f"{len(value)} entries" if isinstance(value, list) else type_name(value)
    raise Problem("FIELD_INVALID", f"{field} must be a list", field=field, given=given, allowed=f"1 to {most} entries")


def _reply(value: Any) -> Response:
    return Response(_json.encode(value), media_type="application/json")
