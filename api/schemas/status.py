"""The state of the exchange's own parts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.base import Address, AsOf, Hash, Millis, Shape


class EngineStatus(Shape):
    up: bool
    epoch: Annotated[str | None, Field(description="name of this run of the feeds; a new one means new snapshots")]
    journal_sequence: int | None
    chain_block: Annotated[int | None, Field(description="last block whose facts the engine has applied")]
    build: Annotated[str | None, Field(description="compiled, or python: its sources; both do the same")]


class IndexerStatus(Shape):
    """`lag`: blocks behind the node's head."""

    block: int | None
    lag: int | None
    as_of: AsOf | None


class SettlerStatus(Shape):
    """Who sends fills to the chain and tells how far they are. While it is away fills wait, `fills` and `settlements`
    of the WebSocket stand still, and after its promise new orders are refused (SETTLEMENT_BEHIND)."""

    up: bool
    as_of: Annotated[Millis | None, Field(description="when it last said so; it does each second")]
    waiting: Annotated[int | None, Field(description="fills matched and not settled")]
    oldest_match: Annotated[Millis | None, Field(description="of the fills that could settle and have not")]


class NodeStatus(Shape):
    up: bool
    block: int | None


class DomainShape(Shape):
    """The EIP-712 domain that every message is signed under."""

    name: str
    version: str
    chain_id: int
    verifying_contract: Address
    separator: Hash


class Status(Shape):
    """mode: normal, or halted while the engine is away (reading and withdrawing go on)."""

    mode: Literal["normal", "halted"]
    chain_id: int
    engine: EngineStatus
    indexer: IndexerStatus
    settler: SettlerStatus
    node: NodeStatus
    domain: DomainShape
    contracts: dict[str, Address]
    cancel_delay_seconds: Annotated[
        int,
        Field(
            description="after a cancel on chain: the order leaves the book at once, its matched fills settle this long"
        ),
    ]
    versions: dict[str, str]
    time: Millis


class Time(Shape):
    time: Millis


class ErrorCode(Shape):
    code: str
    status: int
    title: str
    retryable: bool
    meaning: str


class ErrorCodes(Shape):
    data: list[ErrorCode]
