"""Cancels of many orders at once, and the countdown that cancels for a client that fell silent."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.cancelling import MAX_CANCELS
from api.schemas.account import CancelOutcome
from api.schemas.base import Millis, Shape
from relayer.engine.cancelling import LONGEST_COUNTDOWN_SECONDS


class CancelBatchRequest(Shape):
    """Ids, names that the client gave its orders, or both; together at most 200."""

    ids: Annotated[list[str], Field(default_factory=list, max_length=MAX_CANCELS)]
    client_order_ids: Annotated[list[str], Field(default_factory=list, max_length=MAX_CANCELS)]


class NamedCancelOutcome(CancelOutcome):
    """What was asked for, and what became of it. A name that several open orders have gives several entries."""

    id: str | None
    client_order_id: str | None


class CancelBatchReply(Shape):
    results: list[NamedCancelOutcome]


class CountdownRequest(Shape):
    seconds: Annotated[
        int, Field(ge=0, le=LONGEST_COUNTDOWN_SECONDS, strict=True, description="from now; 0 ends the countdown")
    ]


class CountdownShape(Shape):
    """firesAt: when the account's open orders are cancelled unless it renews; null: no countdown runs."""

    fires_at: Millis | None
