"""What a flow may ask its driver to do, and nothing else: one HTTP request, one node call, or a pause.

A flow is a generator that yields steps and is sent their results; a driver (blocking or async) carries them out.
So every decision is in plain code that runs without a network, and both clients behave alike.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API; `path` starts behind /v1. `needs_login`: send a bearer token.

    op: the WebSocket's word for it, when it has one; op_body: its fields there, when they are not `body`.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    needs_login: bool = False
    token: str | None = None
    op: str | None = None
    op_body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, undecoded."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class NodeCall:
    """One JSON-RPC request to the Ethereum node; the result is the decoded answer object."""

    method: str
    params: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """why: for a person who waits; empty for a pause that is nothing out of the ordinary."""

    seconds: float
    why: str = ""


Step = Call | NodeCall | Pause
Flow = Generator[Step, Any, T]
