"""Reading orders, and lowering and cancelling them with a bearer token. Placing is `api.order_entry`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from api.cancelling import cancel_all, cancel_one
from api.context import Context
from api.fields import read_address, read_digest
from api.order_json import read_client_order_id
from api.reads.orders import find_order, list_orders
from api.routes.inputs import (
    LIMIT_DEFAULT,
    Cursor,
    Limit,
    Shared,
    SignedIn,
    body_of,
    body_schema,
    require_own,
)
from api.schemas.account import CancelOutcomes, OrderPage, OrderShape
from api.schemas.orders import AmendRequest
from api.steps import one_json, read_amend, take
from cxdex.order import Side
from cxdex.problem import Problem
from relayer.public_order import order_state_json
from relayer.wire import OrderState

router = APIRouter(tags=["orders"])

Status = Literal["LIVE", "PENDING", "OPEN", "FILLED", "CANCELLED", "EXPIRED"]
_AMEND_EXAMPLE = {"quantity": "0.3"}

Amend = Annotated[AmendRequest, Depends(body_of(AmendRequest))]
Market = Annotated[str | None, Query(description="only this market")]


@router.get("/orders/{order_id}", response_model=OrderShape)
async def get_order(context: Shared, order_id: str) -> dict[str, Any]:
    """An order by its id, for ever. Who has the id has seen the order, so this needs no sign-in.

    ORDER_UNKNOWN: no such order was accepted. While that cannot be said: ENGINE_UNAVAILABLE, ask again."""
    state = await _find(context, read_digest(order_id))
    if state is None:
        raise Problem("ORDER_UNKNOWN", "no order with this id was accepted", field="id", given=order_id)
    return _json(context, state)


@router.get("/orders", response_model=OrderPage)
def get_orders(
    context: Shared,
    session: SignedIn,
    account: Annotated[str | None, Query(description="the signed-in account, which is also the default")] = None,
    market: Market = None,
    status: Annotated[Status | None, Query(description="LIVE: OPEN or PENDING")] = None,
    client_order_id: Annotated[
        str | None, Query(alias="clientOrderId", description="only those with this name, of which there may be several")
    ] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The account's orders in the order of acceptance, newest first."""
    if account is not None:
        require_own(read_address(account, "account"), session)
    symbol = context.markets.find(market).terms.symbol if market is not None else None
    name = read_client_order_id(client_order_id)
    with context.database.snapshot() as reader:
        states, following = list_orders(
            reader, session, market=symbol, status=status, client_order_id=name, limit=limit, cursor=cursor
        )
    return {"data": [_json(context, state) for state in states], "next": following}


@router.put("/orders/{order_id}", response_model=OrderShape, openapi_extra=body_schema(AmendRequest, _AMEND_EXAMPLE))
async def amend_order(context: Shared, session: SignedIn, order_id: str, body: Amend) -> dict[str, Any]:
    """Lowers what the order may fill in all, what it has filled included. It keeps its place in the book.

    When so much is filled already, the rest is cancelled (reason REDUCED). Saying it twice does no harm. The lower
    quantity is our word: the signature still says the larger one, and only a cancel on chain takes that back. For more
    quantity or another price, replace the order.
    """
    (answer,) = await take(context, [read_amend(order_id, body.quantity, session)])
    answer = one_json("amend", answer)
    if isinstance(answer, Problem):
        raise answer
    return answer


@router.delete("/orders/{order_id}", response_model=OrderShape)
async def cancel_order(context: Shared, session: SignedIn, order_id: str) -> dict[str, Any]:
    """Cancels one order. The answer is sent after the cancel is on disk."""
    return await cancel_one(context, session, order_id)


@router.delete("/orders", response_model=CancelOutcomes, response_model_exclude_none=False)
async def cancel_orders(
    context: Shared,
    session: SignedIn,
    market: Market = None,
    side: Annotated[Literal["BUY", "SELL"] | None, Query(description="only this side")] = None,
) -> dict[str, Any]:
    """Cancels every open order of the account, in one market or in all, of one side or of both."""
    return await cancel_all(context, session, market, Side[side] if side is not None else None)


async def _find(context: Context, digest: bytes) -> OrderState | None:
    """From the engine, which is newest, and looks into the tables for what it has forgotten; from the tables while it
    is away. They may lack what it has accepted, so then nothing is unknown. Raises ENGINE_UNAVAILABLE."""
    try:
        if not context.engine.is_connected:
            raise Problem(
                "ENGINE_UNAVAILABLE", "the matching engine is away, and the tables do not have this order yet"
            )
        return await context.engine.order(digest)
    except Problem:
        state = await asyncio.to_thread(_find_stored, context, digest)
        if state is None:
            raise
        return state


def _find_stored(context: Context, digest: bytes) -> OrderState | None:
    with context.database.snapshot() as reader:
        return find_order(reader, digest)


def _json(context: Context, state: OrderState) -> dict[str, Any]:
    return order_state_json(state, context.markets.terms_of(state.order.market))
