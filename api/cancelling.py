"""Cancelling: by id, by name, all, and by a signature. One code path for HTTP and for the WebSocket.

Promises: each order is answered on its own. The answer is made after the cancel is on the engine's disk.
Never:    asks who is signed in (the caller has), or cancels for an account that did not sign.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from api.context import Context
from api.fields import (
    read_address,
    read_digest,
    read_integer,
    read_list,
    read_object,
    read_signature,
    read_small_integer,
)
from api.order_json import read_client_order_id
from api.problems import DetailedProblem, engine_problem, problem_document
from api.signers import recover_key
from cxdex.eip712 import cancel_orders_digest, to_checksum
from cxdex.order import NONCE_BITS, Side, SignatureKind
from cxdex.problem import Problem
from relayer.public_order import order_state_json
from relayer.wire import CancelResult

MAX_CANCEL_NONCES = 64
MAX_CANCELS = 200
SIGNED_CANCEL_FIELDS = ("account", "nonces", "deadline", "signature")


async def cancel_one(context: Context, account: bytes, order_id: str) -> dict[str, Any]:
    """The order's state. Raises ORDER_UNKNOWN or ORDER_NOT_OPEN."""
    digest = read_digest(order_id)
    (result,) = await context.engine.cancel(account, [digest])
    if result.problem is not None or result.state is None:
        problem = result.problem
        raise DetailedProblem(
            problem.code if problem else "ORDER_UNKNOWN",
            problem.detail if problem else "the account has no such order",
            {"orderId": order_id},
            field="id",
            given=order_id,
        )
    return order_state_json(result.state, context.markets.terms_of(result.state.order.market))


async def cancel_each(context: Context, account: bytes, ids: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """By id and by client order id; ids first."""
    asked = len(ids) + len(names)
    if not 1 <= asked <= MAX_CANCELS:
        raise Problem(
            "FIELD_INVALID", "name the orders", field="ids", given=f"{asked} entries", allowed=f"1 to {MAX_CANCELS}"
        )
    digests = [read_digest(order_id, "ids") for order_id in ids]
    read = [name for text in names if (name := read_client_order_id(text)) is not None]
    results = await context.engine.cancel(account, digests, read)
    return {"results": [_named_entry(context, result) for result in results]}


async def cancel_all(context: Context, account: bytes, market: str | None, side: Side | None) -> dict[str, Any]:
    """Every open order of the account: in one market or in all, of one side or of both."""
    symbol = context.markets.find(market).terms.symbol if market is not None else None
    results = await context.engine.cancel_all(account, symbol, side)
    return {"results": [cancel_result_json(context, result) for result in results]}


async def cancel_signed(context: Context, body: Any) -> dict[str, Any]:
    """{"account","nonces","deadline","signature"}: a signed EIP-712 CancelOrders."""
    fields = read_object(body, SIGNED_CANCEL_FIELDS, (), "the body")
    account = read_address(fields["account"], "account")
    entries = read_list(fields["nonces"], "nonces", MAX_CANCEL_NONCES)
    nonces = [read_integer(entry, "nonces", most=2**NONCE_BITS - 1) for entry in entries]
    deadline = read_small_integer(fields["deadline"], "deadline")
    open_now = await signed_targets(context, account, nonces, deadline, read_signature(fields["signature"]))
    found = [open_now[nonce] for nonce in nonces if nonce in open_now]
    results = {result.digest: result for result in await context.engine.cancel(account, found)} if found else {}
    return {"results": [_nonce_entry(context, nonce, results.get(open_now.get(nonce, b""))) for nonce in nonces]}


async def signed_targets(
    context: Context, account: bytes, nonces: list[int], deadline: int, signature: bytes
) -> dict[int, bytes]:
    """The open orders, by nonce, that whoever signed this CancelOrders may cancel. Raises SIGNATURE_MISMATCH."""
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
    return {
        state.order.nonce: state.digest
        for state in await context.engine.open_orders(account, None)
        if signer.kind is not SignatureKind.SESSION or state.signer == signer.session
    }


def cancel_result_json(context: Context, result: CancelResult) -> dict[str, Any]:
    """{"order"} or {"problem"}."""
    if result.problem is not None or result.state is None:
        return {"problem": problem_document(engine_problem(result.digest, result.problem))}
    return {"order": order_state_json(result.state, context.markets.terms_of(result.state.order.market))}


def _named_entry(context: Context, result: CancelResult) -> dict[str, Any]:
    asked = "0x" + result.digest.hex() if result.digest else None
    return {"id": asked, "clientOrderId": result.client_order_id, **cancel_result_json(context, result)}


def _nonce_entry(context: Context, nonce: int, result: CancelResult | None) -> dict[str, Any]:
    if result is None:
        unknown = Problem("ORDER_UNKNOWN", "no open order of the account has this nonce", given=str(nonce))
        return {"nonce": str(nonce), "problem": problem_document(unknown)}
    return {"nonce": str(nonce), **cancel_result_json(context, result)}


def _cancel_message(account: bytes, nonces: list[int], deadline: int) -> dict[str, Any]:
    return {"account": to_checksum(account), "nonces": [str(nonce) for nonce in nonces], "deadline": str(deadline)}
