"""The batches that carry matches to the chain: public."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from api.fields import read_integer
from api.reads.batches import find_batch, list_batches
from api.reads.chain import as_of
from api.reads.trades import trades_of_batch
from api.routes.inputs import Cursor, Limit, Shared
from api.schemas.market import BatchDetail, BatchPage
from cxdex.problem import Problem

router = APIRouter(prefix="/settlements", tags=["settlements"])
DEFAULT_BATCHES = 20
MAX_TRADES_SHOWN = 2_000


@router.get("", response_model=BatchPage)
def get_settlements(context: Shared, limit: Limit = DEFAULT_BATCHES, cursor: Cursor = None) -> dict[str, Any]:
    """settleBatch transactions, newest first."""
    with context.database.snapshot() as reader:
        rows, following = list_batches(reader, limit, cursor)
    return {"data": rows, "next": following}


@router.get("/{batch}", response_model=BatchDetail)
def get_settlement(context: Shared, batch: str) -> dict[str, Any]:
    """One batch with its matches."""
    number = read_integer(batch, "batch", most=2**62)
    with context.database.snapshot() as reader:
        found = find_batch(reader, number)
        if found is None:
            raise Problem("NOT_FOUND", "there is no such batch", field="batch", given=batch)
        trades = trades_of_batch(reader, context.markets.terms_of, number, MAX_TRADES_SHOWN)
        return {**found, "trades": trades, "asOf": as_of(reader)}
