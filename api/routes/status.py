"""Is the exchange well, what time is it, which errors are there."""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from api.context import Context, now_ms
from api.order_json import domain_to_json
from api.problems import CODES
from api.reads.chain import ChainPosition, chain_position
from api.reads.settler import settler_json, settler_row
from api.routes.inputs import Shared
from api.schemas.status import ErrorCodes, Status, Time
from cxdex.eip712 import DOMAIN_VERSION, to_checksum
from cxdex.nonce import CANCEL_DELAY_SECONDS
from cxdex.problem import Problem
from relayer.wire import StatusReply

router = APIRouter(tags=["status"])
API_VERSION = "v1"


@router.get("/status", response_model=Status)
async def get_status(context: Shared) -> dict[str, Any]:
    """Engine, indexer, settler, node; the contracts and the EIP-712 domain. Always answers, also when one is away."""
    engine, node_block, (position, settler) = await asyncio.gather(
        _engine_status(context),
        context.node.head(),
        asyncio.to_thread(_stored, context),
    )
    now = now_ms()
    lag = None
    if position is not None:
        lag = max(0, (position.head if node_block is None else node_block) - position.block)
    return {
        "mode": "normal" if engine else "halted",
        "chainId": context.deployment.chain_id,
        "engine": {
            "up": engine is not None,
            "epoch": engine.epoch if engine else None,
            "journalSequence": engine.journal_sequence if engine else None,
            "chainBlock": engine.chain_block if engine else None,
            "build": engine.build if engine else None,
        },
        "indexer": {
            "block": position.block if position else None,
            "lag": lag,
            "asOf": position.to_json() if position else None,
        },
        "settler": settler_json(settler, now),
        "node": {"up": node_block is not None, "block": node_block},
        "domain": domain_to_json(context.domain),
        "contracts": {name: to_checksum(address) for name, address in context.deployment.contracts.items()},
        "cancelDelaySeconds": CANCEL_DELAY_SECONDS,
        "versions": {"api": API_VERSION, "cxdex": _client_version(), "order": DOMAIN_VERSION},
        "time": now,
    }


@router.get("/time", response_model=Time)
async def get_time() -> dict[str, int]:
    """This server's clock. Expiries are checked against the engine's, which runs on the same machine or near it."""
    return {"time": now_ms()}


@router.get("/errors", response_model=ErrorCodes)
async def get_errors() -> dict[str, Any]:
    """Every code that a problem can carry."""
    return {"data": [{"code": code, **entry._asdict()} for code, entry in CODES.items()]}


async def _engine_status(context: Context) -> StatusReply | None:
    if not context.engine.is_connected:
        return None
    try:
        return await context.engine.status()
    except Problem:
        return None


def _stored(context: Context) -> tuple[ChainPosition | None, Row[Any] | None]:
    """What indexer and settler have written; nothing while the database cannot be read."""
    try:
        with context.database.snapshot() as reader:
            return chain_position(reader), settler_row(reader)
    except SQLAlchemyError:
        return None, None


def _client_version() -> str:
    """The installed client's version; "source" when the exchange runs from a clone."""
    try:
        return version("cxdex")
    except PackageNotFoundError:
        return "source"
