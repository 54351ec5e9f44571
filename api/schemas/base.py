"""What all shapes share: camelCase on the wire, unknown fields refused, numbers never taken for strings."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Decimal = Annotated[str, Field(examples=["1.5"], description="decimal string")]
Integer = Annotated[str, Field(examples=["42"], description="whole number as a string")]
Hash = Annotated[str, Field(examples=["0x" + "ab" * 32], description="32 bytes, 0x and 64 hexadecimal digits")]
Address = Annotated[
    str,
    StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$"),
    Field(
        examples=["0x70997970C51812dc3A010C7d01b50e0d17dc79C8"], description="20 bytes, 0x and 40 hexadecimal digits"
    ),
]
Millis = Annotated[int, Field(examples=[1790000000123], description="unix milliseconds")]


class Shape(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True)


class AsOf(Shape):
    """The chain position of an indexed reply. What lies above `finalized` can still be rolled back by a reorg."""

    block: int
    block_hash: Hash
    finalized: int


Row = TypeVar("Row")


class Page(Shape, Generic[Row]):
    """One page; send `next` back as `cursor` for the page after it. null: this was the last one."""

    data: list[Row]
    next: str | None


class IndexedPage(Page[Row], Generic[Row]):
    as_of: AsOf | None


class ProblemShape(BaseModel):
    """RFC 9457. Act on `code`; `detail` is for people and may change."""

    type: Annotated[str, Field(examples=["/docs/errors#ORDER_TICK_INVALID"])]
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(examples=["ORDER_TICK_INVALID"])]
    retryable: bool
    field: str | None = None
    given: str | None = None
    allowed: str | None = None
    trace_id: Annotated[str, Field(alias="traceId")]
