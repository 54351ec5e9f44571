"""What the engine has heard from the chain: recent facts with what they overwrote, and the row to go on reading behind.

Never: applies a fact; `chain` does. Apart from `state` because messages are not compiled (see `relayer.build`).
"""

from __future__ import annotations

import msgspec

from cxdex.facts import AnyFact
from relayer.engine.limit_terms import IndexPrice
from relayer.engine.peaks import Reached
from relayer.engine.sessions import SessionTerms
from relayer.engine.withdrawals import SetAside

UNDO_BLOCKS = 256  # the deepest reorg that facts can be taken back through


class AppliedFact(msgspec.Struct, array_like=True):
    """A chain fact and its place. number, session, set_aside, price, reached: what it overwrote, for the facts that do.

    reached: by market, in the order of their listing.
    """

    block: int
    log_index: int
    block_hash: bytes
    fact: AnyFact
    number: int = 0
    session: SessionTerms | None = None
    set_aside: SetAside | None = None
    price: IndexPrice | None = None
    reached: list[tuple[str, Reached]] = []

    @property
    def place(self) -> tuple[int, int, bytes]:
        return self.block, self.log_index, self.block_hash


class OutboxRow(msgspec.Struct, array_like=True, frozen=True):
    """The last row of the outbox that was read; seq 0: none yet."""

    seq: int = 0
    block: int = 0
    log_index: int = -1
    block_hash: bytes = b""
    reverted: bool = False
