"""One subscription's view of its stream: is this the next message, a repeat, or is something missing?

Rule 1  A snapshot starts the state; it may come at any time.
Rule 2  A message is applied only if its `prev` is the last one's `seq`, in the same epoch.
Rule 3  What is at or before the last `seq` is a repeat and dropped.
Rule 4  Anything else is a gap. So is a heartbeat that names a later `seq`, and a book with a wrong checksum.
        After a gap nothing is shown until a new snapshot.

Never: does I/O.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cxdex.client.local_book import LocalBook


class Envelope(msgspec.Struct, frozen=True):
    """A feed message as it travels."""

    ch: str
    key: str
    epoch: str
    seq: int
    prev: int
    ts: int
    type: str
    data: Any = None
    crc: int | None = None


class Gap(Exception):
    """Messages are missing, or the state is provably wrong: ask for a snapshot."""


class Subscription:
    """`synced` is False until a snapshot has come, and again from a gap to the next snapshot."""

    def __init__(self, channel: str, key: str | None) -> None:
        self.channel = channel
        self.key = key
        self.epoch: str | None = None
        self.seq = 0
        self.synced = False
        self.book = LocalBook() if channel == "book" else None

    @property
    def resume(self) -> dict[str, Any] | None:
        """Where to go on after a reconnect, or None to start from a snapshot."""
        return {"epoch": self.epoch, "seq": self.seq} if self.synced else None

    def accept(self, message: Envelope) -> bool:
        """True when the message is news for the reader. Raises Gap."""
        if message.type == "reset":
            self.synced = False
            return True
        if message.type == "snapshot":
            self._start(message)
        elif not self.synced or (message.epoch == self.epoch and message.seq <= self.seq):
            return False
        elif message.epoch != self.epoch or message.prev != self.seq:
            self._lose(f"{self.channel} {self.key}: after seq {self.seq} came {message.seq} (prev {message.prev})")
        else:
            self._advance(message)
        self._verify(message)
        return True

    def hear(self, epoch: str | None, seq: int) -> None:
        """A heartbeat says how far the stream is. Raises Gap when that is further than what has come."""
        if self.synced and epoch is not None and (epoch != self.epoch or seq > self.seq):
            self._lose(f"{self.channel} {self.key}: the exchange is at seq {seq}, only {self.seq} has come")

    def _start(self, message: Envelope) -> None:
        self.epoch, self.seq, self.synced = message.epoch, message.seq, True
        if self.book is not None:
            self.book.replace(message.data["bids"], message.data["asks"])

    def _advance(self, message: Envelope) -> None:
        self.seq = message.seq
        if self.book is not None:
            self.book.apply(message.data["bids"], message.data["asks"])

    def _verify(self, message: Envelope) -> None:
        if self.book is not None and message.crc is not None and message.crc != self.book.checksum():
            self._lose(f"book {self.key}: checksum {self.book.checksum()} is not {message.crc} at seq {self.seq}")

    def _lose(self, why: str) -> None:
        self.synced = False
        raise Gap(why)
