"""How far this account's fills are, as it happens: what the channel `fills` says, one change a fill.

Owns:     `FillChange`, and `FillProgress`: from messages of the channel to changes that the reader has not seen.
Promises: each change is told once and in order, also across reconnects: what a snapshot repeats is left out. When a
          fill ended while nothing was heard and nothing is kept, its last word has to be asked for (`settling` does).
Never:    does I/O.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from cxdex.client.replies import SETTLED, Fill, PlacedFill, Reply, Settlement
from cxdex.client.subscription import Envelope
from cxdex.problem import Problem

CHANNEL = "fills"


class FillChange(Reply, frozen=True):
    """A fill of this account and what has become of it. time: when it was noticed."""

    match_id: str
    market: str
    sequence: str
    order_id: str
    side: str
    role: str
    price: str
    quantity: str
    settlement: Settlement
    time: int

    @property
    def is_settled(self) -> bool:
        return self.settlement.status in SETTLED

    @property
    def is_over(self) -> bool:
        """Nothing more will be said of it, but for a reorg that takes a skip back."""
        return self.settlement.status in ("final", "skipped")


class _Word(Reply, frozen=True):
    market: str
    status: str
    time: int
    fills: list[_Side]
    transaction: str | None = None
    block: int | None = None
    batch: int | None = None
    reason: str | None = None


class _Side(Reply, frozen=True):
    match_id: str
    sequence: str
    order_id: str
    side: str
    role: str
    price: str
    quantity: str


class FillProgress:
    """What is known of each open fill: after a snapshot of every one, or of the newest when they are very many."""

    def __init__(self) -> None:
        self.words: dict[tuple[str, str], FillChange] = {}  # (match id, role): the last of each open fill

    def take(self, message: Envelope) -> list[FillChange]:
        """What is new in it."""
        if message.type == "reset":
            return []
        before = self.words
        if message.type == "snapshot":
            said = msgspec.convert(message.data, list[_Word])
            self.words = {}
        else:
            said = [msgspec.convert(message.data, _Word)]
        news: list[FillChange] = []
        for change in (change for word in said for change in _changes(word)):
            key = change.match_id, change.role
            known = before.get(key)
            self.words[key] = change
            if known is None or known.settlement != change.settlement:
                news.append(change)
            if change.settlement.status == "final":
                del self.words[key]
        return news


def _changes(word: _Word) -> list[FillChange]:
    settlement = Settlement(word.status, word.transaction, word.block, word.batch, word.reason)
    return [
        FillChange(
            *(fill.match_id, word.market, fill.sequence, fill.order_id, fill.side, fill.role, fill.price),
            quantity=fill.quantity,
            settlement=settlement,
            time=word.time,
        )
        for fill in word.fills
    ]


class Messages(Protocol):
    """A `Feed` that follows the channel."""

    def __aiter__(self) -> AsyncIterator[Envelope]: ...


async def changes(messages: Messages) -> AsyncIterator[FillChange]:
    progress = FillProgress()
    async for message in messages:
        if message.ch == CHANNEL:
            for change in progress.take(message):
                yield change


class Waiting:
    """Until one fill is settled. `news` from each message; None: not yet."""

    def __init__(self, fill: Fill | PlacedFill | FillChange, final: bool) -> None:
        self.fill = fill
        self._progress = FillProgress()
        self._enough = ("final",) if final else SETTLED
        self.seen = "nothing heard"

    def hear(self, message: Envelope) -> Settlement | None:
        """Raises Problem FILL_SKIPPED."""
        found = None
        for change in self._progress.take(message):
            if (change.match_id, change.role) == (self.fill.match_id, self.fill.role):
                found = self.judge(change.settlement)
        return found

    def is_absent(self, message: Envelope) -> bool:
        """A snapshot without the fill: it is over, or older than what a snapshot holds. REST knows."""
        return message.type == "snapshot" and (self.fill.match_id, self.fill.role) not in self._progress.words

    def judge(self, settlement: Settlement) -> Settlement | None:
        self.seen = settlement.status
        if settlement.status == "skipped":
            why = f"the chain passed over fill {self.fill.match_id}: {settlement.reason}"
            raise Problem("FILL_SKIPPED", why)
        return settlement if settlement.status in self._enough else None

    def timeout(self, within: float) -> Problem:
        return Problem("SETTLEMENT_TIMEOUT", f"not settled after {within:g} s ({self.seen}); it may still be")
