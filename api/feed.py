"""The feeds inside one API process: what the engine publishes, kept long enough for a client to resume.

Owns:     one `Stream` per (channel, key): last sequence number, the messages a client may ask for again, the
          subscribers; the book copies and the latest trades that snapshots are made of.
Promises: a subscriber sees every message once, in order, or a `reset` and a snapshot. Sequence numbers are the
          engine's: they survive reconnects of the client and restarts of this process.
Never:    waits for a subscriber (each has its own bounded queue) or grows without bound.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import Protocol

import msgspec

from api.book import Book, BookChange
from relayer.feeds import SNAPSHOT_LEVELS
from relayer.wire import Feed

RING_MESSAGES = 10_000
RING_BYTES_OF_ALL = 256 * 1024 * 1024
ROUND_IT = 400  # bytes of a kept message beside its data: its frame of the engine's, and the object
RECENT_TRADES = 50
PRIVATE_CHANNELS = ("orders", "balances", "protection", "fills")
PUBLIC_CHANNELS = ("book", "bbo", "ticker", "trades", "markets", "settlements")
DURABLE_CHANNELS = ("fills", "settlements")  # counted by the settlement log, not by a run of the engine
LATEST_CHANNELS = ("bbo", "ticker")  # a message is the whole state, so the newest one is the snapshot

_json = msgspec.json.Encoder()


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every feed message that a client receives."""

    ch: str
    key: str
    epoch: str
    seq: int
    prev: int
    ts: int
    type: str
    data: msgspec.Raw
    crc: int | None = None

    def encode(self) -> str:
        return _json.encode(self).decode()


class Subscriber(Protocol):
    """One WebSocket connection, as the feeds see it."""

    def deliver(self, stream: Stream, seq: int, message: str) -> None: ...

    def resync(self, stream: Stream, reason: str) -> None: ...


class Stream:
    """One (channel, key) of the feed.

    `known` is False until the engine's number for this stream has been seen in this epoch.
    """

    __slots__ = ("channel", "key", "known", "ring", "ring_bytes", "seq", "subscribers")

    def __init__(self, channel: str, key: str) -> None:
        self.channel = channel
        self.key = key
        self.seq = 0
        self.known = False
        self.ring: deque[Feed] = deque()
        self.ring_bytes = 0
        self.subscribers: set[Subscriber] = set()

    def since(self, seq: int) -> list[str] | None:
        """The messages after `seq`, or None when they are not all here any more."""
        if not self.known or seq > self.seq:
            return None
        if seq == self.seq:
            return []
        if not self.ring or self.ring[0].prev > seq:
            return None
        return [_envelope(feed) for feed in self.ring if feed.prev >= seq]

    def forget(self) -> int:
        """Drops the kept messages; returns how many bytes that freed."""
        freed, self.ring_bytes = self.ring_bytes, 0
        self.ring.clear()
        return freed


class FeedHub:
    """All streams of this process. Used from one event loop only."""

    def __init__(self, *, ring_messages: int = RING_MESSAGES, ring_bytes: int = RING_BYTES_OF_ALL) -> None:
        self.epoch: str | None = None  # None until the engine has been met
        self._joining: set[str] | None = None  # the books of the row of snapshots that is coming in
        self._ring_messages = ring_messages
        self._ring_bytes = ring_bytes
        self._kept_bytes = 0
        self._streams: OrderedDict[tuple[str, str], Stream] = OrderedDict()  # least recently active first
        self._books: dict[str, Book] = {}
        self._trades: dict[str, deque[msgspec.Raw]] = {}
        self._latest: dict[tuple[str, str], msgspec.Raw] = {}

    def stream(self, channel: str, key: str) -> Stream:
        stream = self._streams.get((channel, key))
        if stream is None:
            stream = self._streams[channel, key] = Stream(channel, key)
        return stream

    def release(self, stream: Stream) -> None:
        """Nobody here follows it. One that the engine has said nothing of is forgotten: anybody may sign in."""
        if not stream.subscribers and not stream.known and not stream.ring:
            self._streams.pop((stream.channel, stream.key), None)

    def book(self, market: str, depth: int | None = None) -> tuple[int, BookChange] | None:
        """(seq, best levels), or None when this process has no true copy right now."""
        stream = self._streams.get(("book", market))
        if stream is None or not stream.known or market not in self._books:
            return None
        return stream.seq, self._books[market].top(depth)

    def latest(self, channel: str, market: str) -> tuple[int, msgspec.Raw] | None:
        """(seq, data) of the market's bbo or ticker, or None when this process has not been told."""
        data = self._latest.get((channel, market))
        return None if data is None else (self.stream(channel, market).seq, data)

    def recent_trades(self, market: str) -> list[msgspec.Raw]:
        """Newest last; those seen since this process joined the feed."""
        return list(self._trades.get(market, ()))

    def meet_epoch(self, epoch: str) -> None:
        """The engine's run is named `epoch`. A new name means that every stream starts afresh."""
        if epoch != self.epoch:
            self._start_afresh(epoch)

    def publish(self, feed: Feed) -> bool:
        """Takes one message of the engine's feed. False: a book has a gap, so the feed must start again.

        The engine sends snapshots, those of the books first, after each subscription and at no other time. So the
        first of a row of them says: what came before was on another connection, and something may be missing.
        """
        self.meet_epoch(feed.epoch)
        if feed.type == "snapshot" and feed.channel in LATEST_CHANNELS:
            return self._begin(feed)
        if feed.type == "snapshot":
            if self._joining is None or feed.key in self._joining:
                self._start_afresh(feed.epoch)
                self._joining = set()
            self._joining.add(feed.key)
            return self._begin(feed)
        self._joining = None
        stream = self.stream(feed.channel, feed.key)
        unbroken = feed.prev == (stream.seq if stream.known else 0)
        if feed.channel == "book" and not unbroken:
            return False
        stream.seq, stream.known = feed.seq, True
        self._remember(feed)
        if not unbroken:
            self._kept_bytes -= stream.forget()
            self._resync(stream, "gap in the feed")
            return True
        self._keep(stream, feed)
        if stream.subscribers:
            message = _envelope(feed)
            for subscriber in tuple(stream.subscribers):
                subscriber.deliver(stream, feed.seq, message)
        return True

    def snapshot_of_public(self, stream: Stream) -> msgspec.Raw | None:
        """Data of a snapshot of a public stream as of `stream.seq`; None when there is no true copy."""
        if stream.channel == "trades":
            return msgspec.Raw(_json.encode(self.recent_trades(stream.key)))
        if stream.channel in LATEST_CHANNELS:
            return self._latest.get((stream.channel, stream.key))
        found = self.book(stream.key, SNAPSHOT_LEVELS)
        return msgspec.Raw(_json.encode(found[1])) if found else None

    def envelope(self, stream: Stream, kind: str, data: msgspec.Raw, seq: int | None = None) -> str:
        """A snapshot or reset made by this process: the state after message `seq` (default: the last one).

        `prev` equals `seq`, as in the engine's own snapshots: the message that follows has this prev.
        """
        number = stream.seq if seq is None else seq
        crc = None
        if kind == "snapshot" and stream.channel == "book":
            crc = self._books[stream.key].checksum()
        now = time.time_ns() // 1_000_000
        return Envelope(stream.channel, stream.key, self.epoch or "", number, number, now, kind, data, crc).encode()

    def _start_afresh(self, epoch: str) -> None:
        self.epoch = epoch
        self._joining = None
        self._books.clear()
        self._trades.clear()
        self._latest.clear()
        self._kept_bytes = 0
        for stream in self._streams.values():
            stream.seq, stream.known = (
                0,
                False,
            )  # a new run counts from 1; in the same run the next message shows the gap
            stream.forget()
        for stream in tuple(self._streams.values()):
            if stream.channel != "book" and stream.channel not in LATEST_CHANNELS:  # their snapshots follow in the feed
                self._resync(stream, "the connection to the engine is new")

    def _begin(self, feed: Feed) -> bool:
        stream = self.stream(feed.channel, feed.key)
        stream.seq, stream.known = feed.seq, True
        if feed.channel == "book":
            self._books[feed.key] = Book()
        self._remember(feed)
        self._resync(stream, "the connection to the engine is new")
        return True

    def _remember(self, feed: Feed) -> None:
        if feed.channel == "book":
            self._books.setdefault(feed.key, Book()).apply(feed.data)
        elif feed.channel in LATEST_CHANNELS:
            self._latest[feed.channel, feed.key] = feed.data
        elif feed.channel == "trades":
            self._trades.setdefault(feed.key, deque(maxlen=RECENT_TRADES)).append(feed.data)
        elif feed.channel == "markets":
            book = self.stream("book", feed.key)
            if not book.known:  # listed after we joined: its book starts empty, at 0
                book.seq, book.known = 0, True
                self._books[feed.key] = Book()
                self._latest["bbo", feed.key] = msgspec.Raw(b'{"bid":null,"ask":null}')

    def _keep(self, stream: Stream, feed: Feed) -> None:
        """As it came: most messages of private channels are never asked for by anybody here."""
        stream.ring.append(feed)
        size = _kept_size(feed)
        stream.ring_bytes += size
        self._kept_bytes += size
        self._streams.move_to_end((stream.channel, stream.key))
        if len(stream.ring) > self._ring_messages:
            dropped = _kept_size(stream.ring.popleft())
            stream.ring_bytes -= dropped
            self._kept_bytes -= dropped
        while self._kept_bytes > self._ring_bytes:
            idle = next(s for s in self._streams.values() if s.ring)
            self._kept_bytes -= idle.forget()

    def _resync(self, stream: Stream, reason: str) -> None:
        for subscriber in tuple(stream.subscribers):
            subscriber.resync(stream, reason)


def _envelope(feed: Feed) -> str:
    """As a client receives it; made once for all of them."""
    return Envelope(
        feed.channel, feed.key, feed.epoch, feed.seq, feed.prev, feed.ts, feed.type, feed.data, feed.crc
    ).encode()


def _kept_size(feed: Feed) -> int:
    """Bytes that it holds in memory: its data, and about as much again as names and numbers take."""
    return len(memoryview(feed.data)) + ROUND_IT
