"""Market-maker protection: an account's quotes in a market are cancelled when they are filled too much too fast."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from api.context import Context
from api.routes.inputs import OwnAccount, Shared, body_of, body_schema
from api.schemas.protection import ProtectionList, ProtectionRequest, ProtectionShape
from cxdex.market import MarketTerms
from cxdex.problem import Problem
from cxdex.units import parse_quantity, parse_usdc
from relayer.public_guard import guard_json
from relayer.wire import GuardState

router = APIRouter(prefix="/accounts/{account}/protection", tags=["protection"])

MOST_WINDOW_MS = 3_600_000
MOST_COOLDOWN_MS = 86_400_000
_EXAMPLE = {"windowMs": 1000, "maxNotional": "50000", "cooldownMs": 5000}


@router.get("", response_model=ProtectionList)
async def get_protections(context: Shared, account: OwnAccount) -> dict[str, Any]:
    """The account's protections, one a market. The private channel `protection` tells every change."""
    states = await context.engine.guards(account)
    return {"data": [_json(context, state) for state in states]}


@router.put("/{market}", response_model=ProtectionShape, openapi_extra=body_schema(ProtectionRequest, _EXAMPLE))
async def set_protection(
    context: Shared,
    account: OwnAccount,
    market: str,
    body: Annotated[ProtectionRequest, Depends(body_of(ProtectionRequest))],
) -> dict[str, Any]:
    """Cancels the account's resting orders in the market as soon as its fills as maker within `windowMs` reach
    `maxQuantity` or `maxNotional`, and then refuses what could rest: for `cooldownMs`, or with 0 until it is reset.

    The order that reaches the limit is filled whole; what is left of the quotes is gone before the next order. Setting
    it again counts from zero and arms it.
    """
    terms = context.markets.find(market).terms
    window = _span(body.window_ms, "windowMs", 1, MOST_WINDOW_MS)
    cooldown = _span(body.cooldown_ms, "cooldownMs", 0, MOST_COOLDOWN_MS)
    lots = None if body.max_quantity is None else parse_quantity(terms, body.max_quantity, "maxQuantity")
    notional = None if body.max_notional is None else parse_usdc(body.max_notional, "maxNotional")
    if not lots and not notional:
        raise Problem(
            "FIELD_INVALID", "without a limit there is nothing to protect", field="maxNotional", allowed="above 0"
        )
    state = GuardState(terms.symbol, window, lots or None, notional or None, cooldown)
    return _found(context, await context.engine.set_guard(account, state), terms)


@router.post("/{market}/reset", response_model=ProtectionShape)
async def reset_protection(context: Shared, account: OwnAccount, market: str) -> dict[str, Any]:
    """Arms it again at once, counting from zero."""
    terms = context.markets.find(market).terms
    return _found(context, await context.engine.reset_guard(account, terms.symbol), terms)


@router.delete("/{market}", response_model=ProtectionShape)
async def remove_protection(context: Shared, account: OwnAccount, market: str) -> dict[str, Any]:
    """Takes it away, tripped or not. Removing what is not there changes nothing."""
    terms = context.markets.find(market).terms
    await context.engine.set_guard(account, GuardState(terms.symbol, 0))
    return guard_json(GuardState(terms.symbol, 0), terms, 0)


def _span(given: int, field: str, least: int, most: int) -> int:
    if not least <= given <= most:
        raise Problem(
            "FIELD_INVALID", f"{field} is out of range", field=field, given=str(given), allowed=f"{least} to {most}"
        )
    return given


def _found(context: Context, states: list[GuardState], terms: MarketTerms) -> dict[str, Any]:
    return next(_json(context, state) for state in states if state.market == terms.symbol)


def _json(context: Context, state: GuardState) -> dict[str, Any]:
    return guard_json(state, context.markets.terms_of(state.market), time.time_ns() // 10**6)
