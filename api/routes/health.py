"""For whoever starts, stops and balances this process: does it live, and should it be sent traffic."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError

from api.context import Context
from api.reads.chain import ChainPosition, chain_position
from api.routes.inputs import Shared
from api.schemas.health import Liveness, Readiness
from cxdex.problem import Problem

router = APIRouter(tags=["status"])

ENGINE_SECONDS = 2.0


@router.get("/health/live", response_model=Liveness)
async def get_liveness() -> dict[str, str]:
    """200 as long as this process answers at all. It asks nobody else: an engine that is away is no reason to
    restart the API."""
    return {"status": "live"}


@router.get("/health/ready", response_model=Readiness, responses={503: {"model": Readiness}})
async def get_readiness(context: Shared, response: Response) -> dict[str, Any]:
    """200 when orders can be placed and balances are fresh: engine reachable, database readable, and the indexer at
    most `maxLag` blocks behind the chain. Otherwise 503, with the same body: each check says what is wrong."""
    engine, node_block, (database, position) = await asyncio.gather(
        _engine(context), context.node.head(), asyncio.to_thread(_database, context)
    )
    indexer, lag = _indexer(position, node_block, context.max_lag_blocks)
    if database is not None:
        indexer = "unknown: the database is not readable"
    checks = {"engine": engine or "ok", "database": database or "ok", "indexer": indexer or "ok"}
    ready = all(word == "ok" for word in checks.values())
    response.status_code = 200 if ready else 503
    response.headers["cache-control"] = "no-store"
    return {"ready": ready, "checks": checks, "lag": lag, "maxLag": context.max_lag_blocks}


async def _engine(context: Context) -> str | None:
    """What is wrong with it."""
    if not context.engine.is_connected:
        return "not connected"
    try:
        async with asyncio.timeout(ENGINE_SECONDS):
            await context.engine.status()
    except (Problem, TimeoutError):
        return "does not answer"
    return None


def _database(context: Context) -> tuple[str | None, ChainPosition | None]:
    try:
        with context.database.snapshot() as reader:
            return None, chain_position(reader)
    except SQLAlchemyError:
        return "not readable", None


def _indexer(position: ChainPosition | None, node_block: int | None, most: int) -> tuple[str | None, int | None]:
    """What is wrong with it, and its lag in blocks. Without a node the head counts that the indexer saw last."""
    if position is None:
        return "has stored nothing yet", None
    lag = max(0, (position.head if node_block is None else node_block) - position.block)
    return (f"{lag} blocks behind" if lag > most else None), lag
