"""Fee tier, session keys, balances, fills, withdrawals and nonces of an account."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.balances import balances_to_json
from api.context import Context
from api.reads.accounts import list_withdrawals, settled_balances
from api.reads.chain import as_of
from api.reads.settled_fills import list_settled_fills
from api.reads.trades import list_fills
from api.routes.inputs import LIMIT_DEFAULT, Account, Cursor, Limit, OwnAccount, Shared
from api.schemas.account import (
    AccountShape,
    BalanceList,
    FillPage,
    LimitsShape,
    NonceList,
    SessionList,
    SettledFillPage,
    WithdrawalPage,
)
from cxdex.eip712 import to_checksum
from cxdex.fees import DISCOUNT_PERCENT_A_TIER, TIER_THRESHOLDS
from cxdex.market import CXPT_ASSET
from cxdex.units import format_usdc
from relayer.wire import SessionState

router = APIRouter(prefix="/accounts/{account}", tags=["accounts"])
MAX_NONCES = 50


@router.get("", response_model=AccountShape)
async def get_account(context: Shared, account: Account) -> dict[str, Any]:
    """Epoch and fee tier. The tier follows from the CXPT that the account holds inside the exchange."""
    reply = await context.engine.account(account)
    cxpt = next((balance.total for balance in reply.balances if balance.asset == CXPT_ASSET), 0)
    missing = TIER_THRESHOLDS[reply.tier] - max(cxpt, 0) if reply.tier < len(TIER_THRESHOLDS) else None
    return {
        "account": to_checksum(account),
        "epoch": reply.epoch,
        "feeTier": reply.tier,
        "feeDiscountPercent": reply.tier * DISCOUNT_PERCENT_A_TIER,
        "cxptToNextTier": None if missing is None else format_usdc(missing),
    }


@router.get("/sessions", response_model=SessionList)
async def get_sessions(context: Shared, account: OwnAccount) -> dict[str, Any]:
    """Keys that may sign orders for the account, as the chain has them. Settlement.setSession makes one, and
    Settlement.revokeSession ends it at once, with its open orders."""
    reply = await context.engine.account(account)
    return {"data": [_session_json(session) for session in reply.sessions if session.expiry > time.time()]}


@router.get("/limits", response_model=LimitsShape)
async def get_limits(context: Shared, account: OwnAccount) -> dict[str, Any]:
    """What the account may trade, by its fee tier or agreed with it, and what it has traded today."""
    limits = (await context.engine.account(account)).limits
    return {
        "maxOrderNotional": _usdc(limits.order_notional),
        "maxOpenOrders": limits.open_orders,
        "maxDailyVolume": _usdc(limits.daily_volume),
        "priceBandBps": limits.band_bps,
        "maxOrdersPerSecond": limits.orders_per_second,
        "orderBurst": limits.order_burst,
        "volumeToday": format_usdc(limits.traded_today),
    }


@router.get("/balances", response_model=BalanceList)
async def get_balances(context: Shared, account: OwnAccount) -> dict[str, Any]:
    """The engine's count beside the contract's. They differ by the fills that have not settled yet."""
    reply = await context.engine.account(account)
    settled, stamp = await asyncio.to_thread(_settled, context, account)
    shown = balances_to_json(context.markets, reply.balances, settled, reply.set_asides)
    return {"data": shown, "asOf": stamp}


@router.get("/fills", response_model=FillPage)
def get_fills(context: Shared, account: Account, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> dict[str, Any]:
    """The account's matches, newest first, with settlement matched, submitted, mined, final or skipped."""
    with context.database.snapshot() as reader:
        rows, following = list_fills(reader, context.markets.terms_of, account, limit, cursor)
        return {"data": rows, "next": following, "asOf": as_of(reader)}


@router.get("/settled-fills", response_model=SettledFillPage)
def get_settled_fills(
    context: Shared, account: Account, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> dict[str, Any]:
    """What the chain has settled of the account's orders, newest first, whoever sent it: also orders that the exchange
    never saw, which anybody may settle while it is silent.

    A reorg while you turn pages moves fills: `tradeId` tells one that comes again, and another `asOf.blockHash` at the
    same height tells of the reorg. What is in a block up to `asOf.finalized` stays where it is."""
    with context.database.snapshot() as reader:
        rows, following = list_settled_fills(reader, context.markets.terms_of, account, limit, cursor)
        return {"data": rows, "next": following, "asOf": as_of(reader)}


@router.get("/withdrawals", response_model=WithdrawalPage)
def get_withdrawals(
    context: Shared, account: Account, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> dict[str, Any]:
    """Withdrawals, newest first, as the chain has them."""
    with context.database.snapshot() as reader:
        rows, following = list_withdrawals(reader, context.markets, account, limit, cursor)
        return {"data": rows, "next": following, "asOf": as_of(reader)}


@router.get("/nonce", response_model=NonceList)
async def get_nonces(
    context: Shared, account: Account, count: Annotated[int, Query(ge=1, le=MAX_NONCES)] = 1
) -> dict[str, Any]:
    """Free nonces, cheapest lanes first. Two devices that ask at once get different ones."""
    return {"nonces": [str(nonce) for nonce in await context.engine.next_nonces(account, count)]}


def _session_json(session: SessionState) -> dict[str, Any]:
    return {
        "key": to_checksum(session.key),
        "market": session.market,
        "notionalLeft": format_usdc(session.left),
        "notionalAvailable": format_usdc(max(session.available, 0)),
        "expiry": str(session.expiry),
    }


def _usdc(amount: int | None) -> str | None:
    return None if amount is None else format_usdc(amount)


def _settled(context: Context, account: bytes) -> tuple[dict[int, int], dict[str, Any] | None]:
    with context.database.snapshot() as reader:
        return settled_balances(reader, account), as_of(reader)
