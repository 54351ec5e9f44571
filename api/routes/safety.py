"""Cancelling many orders at once, and the dead man's switch. Bearer token; the wallet need not sign."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from api.cancelling import cancel_each
from api.routes.inputs import Shared, SignedIn, body_of, body_schema
from api.schemas.safety import CancelBatchReply, CancelBatchRequest, CountdownRequest, CountdownShape

router = APIRouter(tags=["orders"])

_CANCEL_EXAMPLE = {"ids": ["0x" + "ab" * 32], "clientOrderIds": ["mine-1"]}

CancelBatch = Annotated[CancelBatchRequest, Depends(body_of(CancelBatchRequest))]
Countdown = Annotated[CountdownRequest, Depends(body_of(CountdownRequest))]


@router.post(
    "/orders/cancel/batch",
    response_model=CancelBatchReply,
    openapi_extra=body_schema(CancelBatchRequest, _CANCEL_EXAMPLE),
)
async def cancel_batch(context: Shared, session: SignedIn, body: CancelBatch) -> dict[str, Any]:
    """Cancels orders by id and by client order id. Each is answered on its own, in order, ids first.

    An id that the exchange has not seen is refused should its order come within two minutes.
    """
    return await cancel_each(context, session, body.ids, body.client_order_ids)


@router.post("/deadman", response_model=CountdownShape, openapi_extra=body_schema(CountdownRequest, {"seconds": 30}))
async def set_deadman(context: Shared, session: SignedIn, body: Countdown) -> dict[str, Any]:
    """Cancels all open orders of the account in so many seconds, unless it is called again before; 0 ends that.

    The engine keeps the time: it fires within a second also when this process is down, and at the engine's start when
    the time passed while that was down.
    """
    return _countdown_json(await context.engine.set_countdown(session, body.seconds))


@router.get("/deadman", response_model=CountdownShape)
async def get_deadman(context: Shared, session: SignedIn) -> dict[str, Any]:
    """When the account's open orders are cancelled unless it renews."""
    return _countdown_json((await context.engine.account(session)).countdown_ms)


def _countdown_json(until_ms: int) -> dict[str, Any]:
    return {"firesAt": until_ms or None}
