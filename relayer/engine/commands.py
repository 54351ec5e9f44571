"""Commands: everything that can ever change the engine's state, in the order the journal holds them.

A command carries its own time and its own chain position, so replaying the journal needs nothing else.
Amounts are 1e-6 USDC (assets 0 and 1) or 1e-18 synth units; quantities are lots, prices are ticks.
"""

from __future__ import annotations

import msgspec

from cxdex.facts import AnyFact
from cxdex.order import Order


class Command(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Base of all commands. `time_ms`: unix milliseconds at which the service accepted it."""

    time_ms: int


class Place(Command, frozen=True):
    """A signed order whose signature the gateway has checked."""

    order: Order
    signature: bytes
    digest: bytes
    client_order_id: str | None = None


class Cancel(Command, frozen=True):
    """Cancels these orders of the account; ids that are not open orders of the account are reported, not errors."""

    account: bytes
    digests: list[bytes]


class CancelAll(Command, frozen=True):
    """Cancels every open order of the account, in one market or (None) in all."""

    account: bytes
    market: str | None = None


class Expire(Command, frozen=True):
    """Closes every resting order that may no longer trade at `time_ms` (see `orders.matchable_until`)."""


class ApplyFact(Command, frozen=True):
    """Something the chain did. `outbox_seq` is where to go on reading after a restart."""

    block: int
    log_index: int
    outbox_seq: int
    reverted: bool
    fact: AnyFact


AnyCommand = Place | Cancel | CancelAll | Expire | ApplyFact
