"""What one WebSocket connection follows: its streams, how each begins, and how far it was sent.

Owns:     the subscriptions of a connection, and what is held back while a snapshot is made.
Promises: a snapshot (or what was missed) comes before the messages that follow it. When continuity is lost: `reset`,
          and a new snapshot. Of a stream that the settlement log counts, each number is sent once.
Never:    asks whether the client may see a stream; waits for the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from api.context import Context
from api.feed import DURABLE_CHANNELS, Stream, Subscriber
from api.snapshots import snapshot_data
from cxdex.problem import Problem

MAX_HELD_MESSAGES = 4_096
SNAPSHOT_PAUSE_SECONDS = 0.5  # while the engine, or the settlement log, is away
AWAY = ("ENGINE_UNAVAILABLE", "SETTLEMENT_UNKNOWN")

Send = Callable[[str, Stream, int], None]
Resume = tuple[str, int]
"""(epoch, the last seq that came)"""


class Following:
    """`send` puts a message into the client's queue; `too_slow` ends the connection; `refuse` tells of a problem."""

    def __init__(
        self, owner: Subscriber, context: Context, send: Send, refuse: Callable[..., None], too_slow: Callable[[], None]
    ) -> None:
        self._owner = owner
        self._context = context
        self._send = send
        self._refuse = refuse
        self._too_slow = too_slow
        self._streams: set[Stream] = set()
        self._held: dict[Stream, list[tuple[int, str]]] = {}  # waiting for the stream's snapshot
        self._reached: dict[Stream, int] = {}  # of streams that the settlement log counts
        self._tasks: set[asyncio.Task[None]] = set()

    def __contains__(self, stream: Stream) -> bool:
        return stream in self._streams

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._streams))

    def __len__(self) -> int:
        return len(self._streams)

    def enter(self, stream: Stream) -> None:
        """From now on messages are delivered. To be followed by `begin`."""
        self._streams.add(stream)
        stream.subscribers.add(self._owner)

    def begin(self, stream: Stream, resume: Resume | None) -> None:
        """A snapshot, or what has been missed since `resume`."""
        if stream.channel in DURABLE_CHANNELS:
            self._sync(stream, resume)
            return
        missed = stream.since(resume[1]) if resume and resume[0] == self._context.hub.epoch else None
        if missed is not None:
            for text in missed:
                self._send(text, stream, stream.seq)
        elif resume:
            self.resync(stream, "the messages after this seq are not kept")
        else:
            self._sync(stream)

    def leave(self, stream: Stream) -> None:
        self._streams.discard(stream)
        self._held.pop(stream, None)
        self._reached.pop(stream, None)
        stream.subscribers.discard(self._owner)
        self._context.feed_of(stream).release(stream)

    def deliver(self, stream: Stream, seq: int, message: str) -> None:
        if not self._held and not self._reached:  # as nearly always, and this runs for every message to everybody
            self._send(message, stream, seq)
            return
        held = self._held.get(stream)
        if held is None:
            self._pass_on(stream, seq, message)
        elif len(held) < MAX_HELD_MESSAGES:
            held.append((seq, message))
        else:
            self._too_slow()

    def resync(self, stream: Stream, reason: str) -> None:
        """Continuity is lost: `reset`, then a snapshot."""
        self._reset(stream, reason)
        self._sync(stream)

    def places(self) -> list[dict[str, Any]]:
        """How far each stream is, for the heartbeat. One with an epoch of its own says so."""
        epoch = self._context.settlements.epoch
        return [
            {"ch": stream.channel, "key": stream.key, "seq": self._reached[stream], "epoch": epoch}
            if stream in self._reached
            else {"ch": stream.channel, "key": stream.key, "seq": stream.seq}
            for stream in self._streams
            if stream not in self._held
        ]

    async def close(self) -> None:
        for stream in tuple(self._streams):
            self.leave(stream)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _pass_on(self, stream: Stream, seq: int, message: str) -> None:
        reached = self._reached.get(stream)
        if reached is not None:
            if seq <= reached:
                return
            self._reached[stream] = seq
        self._send(message, stream, seq)

    def _reset(self, stream: Stream, reason: str) -> None:
        feed = self._context.feed_of(stream)
        if feed.epoch is not None:
            data = msgspec.Raw(msgspec.json.encode({"reason": reason}))
            self._send(feed.envelope(stream, "reset", data, stream.seq), stream, stream.seq)

    def _sync(self, stream: Stream, resume: Resume | None = None) -> None:
        held: list[tuple[int, str]] = []
        self._held[stream] = held
        self._reached.pop(stream, None)
        task = asyncio.create_task(self._start(stream, held, resume))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, stream: Stream, held: list[tuple[int, str]], resume: Resume | None) -> None:
        """Sends the snapshot, then what arrived while it was made. A newer sync of the stream takes over."""
        made = await self._made(stream, held, resume)
        if made is None or self._held.get(stream) is not held or stream not in self._streams:
            return
        messages, seq = made
        del self._held[stream]
        for number, message in messages:
            self._send(message, stream, number)
        if stream.channel in DURABLE_CHANNELS:
            self._reached[stream] = seq
        for held_seq, message in held:
            if held_seq > seq:
                self._pass_on(stream, held_seq, message)

    async def _made(
        self, stream: Stream, held: list[tuple[int, str]], resume: Resume | None
    ) -> tuple[list[tuple[int, str]], int] | None:
        """Who does not answer is asked until it does; the client is told once. None: no longer wanted."""
        told = False
        while self._held.get(stream) is held:
            try:
                return await self._ask(stream, resume)
            except Problem as problem:
                if self._held.get(stream) is not held:
                    return None
                if not told:
                    self._refuse(problem, None, ch=stream.channel, key=stream.key)
                if problem.code not in AWAY:
                    del self._held[stream]
            told = True
            await asyncio.sleep(SNAPSHOT_PAUSE_SECONDS)
        return None

    async def _ask(self, stream: Stream, resume: Resume | None) -> tuple[list[tuple[int, str]], int]:
        if stream.channel not in DURABLE_CHANNELS:
            seq, data = await snapshot_data(self._context, stream)
            return [(seq, self._context.hub.envelope(stream, "snapshot", data, seq=seq))], seq
        start = await self._context.settlements.start(stream, resume)
        if start.is_reset:
            self._reset(stream, "the messages after this seq are not kept")
        return list(start.messages), start.seq
