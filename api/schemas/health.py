"""Replies of /v1/health."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.base import Shape


class Liveness(Shape):
    status: Literal["live"]


class Checks(Shape):
    """`ok`, or what is wrong."""

    engine: str
    database: str
    indexer: str


class Readiness(Shape):
    ready: bool
    checks: Checks
    lag: Annotated[int | None, Field(description="blocks that the indexer is behind; null: unknown")]
    max_lag: Annotated[int, Field(description="blocks behind at which this process stops being ready")]
