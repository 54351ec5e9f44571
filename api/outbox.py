"""What waits to be sent to one WebSocket client, and when it goes.

Owns:     the client's bounded queue, and the rounds in which the feeds go out to everybody.
Promises: messages leave in the order in which they were put. An answer leaves in the next turn of the loop, with all
          that was before it. Feed messages leave in rounds: the first at once; after a round that took a millisecond
          a millisecond passes, so that half of the process is left for orders however many follow the feeds, and what
          gathers meanwhile goes out in one write a client. A client that does not read holds up nobody: its own
          queue fills, and then it is given up.
Never:    drops a message in the middle.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from api.feed import Stream
from api.frame_socket import EXTENSION, FrameSocket, frame_of

MAX_QUEUE_MESSAGES = 4_096
MAX_QUEUE_BYTES = 4 * 1024 * 1024
CLIENTS_A_TURN = 32  # of a round; then orders have their turn
MOST_A_WRITE = 256 * 1024
LONGEST_REST_SECONDS = 0.05


class Rounds:
    """Lets the outboxes of one process send their feeds, one round after the other."""

    def __init__(self) -> None:
        self._next: dict[Outbox, None] = {}
        self._now: list[Outbox] = []
        self._is_running = False
        self._spent = 0.0
        self._not_before = 0.0

    def join(self, outbox: Outbox) -> None:
        """It has something to send. It is asked to once, however often it says so."""
        self._next[outbox] = None
        if not self._is_running:
            self._is_running = True
            asyncio.get_running_loop().call_later(max(0.0, self._not_before - time.monotonic()), self._begin)

    def _begin(self) -> None:
        self._now, self._next = list(self._next), {}
        self._spent = 0.0
        self._go_on()

    def _go_on(self) -> None:
        began = time.thread_time()  # what others do with the machine meanwhile is no reason to rest
        for outbox in self._now[:CLIENTS_A_TURN]:
            outbox.flush()
        del self._now[:CLIENTS_A_TURN]
        self._spent += time.thread_time() - began
        loop = asyncio.get_running_loop()
        if self._now:
            loop.call_soon(self._go_on)
            return
        rest = min(self._spent, LONGEST_REST_SECONDS)
        self._not_before = time.monotonic() + rest
        self._is_running = bool(self._next)
        if self._is_running:
            loop.call_later(rest, self._begin)


class Outbox:
    """`give_up` is called, with the reason, when the client has not read for too long."""

    def __init__(self, socket: WebSocket, rounds: Rounds, give_up: Callable[[str], None]) -> None:
        self._socket = socket
        self._rounds = rounds
        self._give_up = give_up
        self._queue: deque[tuple[str, Stream | None, int]] = deque()
        self._bytes = 0
        self._last: tuple[Stream, int] | None = None
        self._wake = asyncio.Event()
        self._is_closed = False
        self._is_hurried = False
        self._frames: FrameSocket | None = socket.scope.get("extensions", {}).get(EXTENSION)

    def put(self, message: str, stream: Stream | None, seq: int) -> None:
        """`stream` and `seq`: which message of a feed it is; None for an answer."""
        if self._is_closed:
            return
        if len(self._queue) >= MAX_QUEUE_MESSAGES or self._bytes + len(message) > MAX_QUEUE_BYTES:
            self._give_up(f"too slow; last sent {self._last_sent()}")
            return
        self._queue.append((message, stream, seq))
        self._bytes += len(message)
        if self._frames is None:
            self._wake.set()
        elif stream is not None:
            self._rounds.join(self)
        elif not self._is_hurried:
            self._is_hurried = True
            asyncio.get_running_loop().call_soon(self._hurry)

    def flush(self) -> None:
        """Writes what waits, as far as the client reads."""
        writer = self._frames
        while writer is not None and self._queue and writer.is_writable:
            frames: list[bytes] = []
            size = 0
            while self._queue and size < MOST_A_WRITE:
                message, stream, seq = self._queue.popleft()
                self._bytes -= len(message)
                frames.append(frame := frame_of(message, is_shared=stream is not None))
                size += len(frame)
                if stream is not None:
                    self._last = stream, seq
            writer.write_frames(frames[0] if len(frames) == 1 else b"".join(frames))

    async def run(self) -> None:
        """To be run once the socket is accepted; ends when the client is gone."""
        if self._frames is not None:
            self._frames.on_writable = self.flush
            self.flush()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the client went away while we wrote
            while True:  # under another server, or none: message by message
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    message, stream, seq = self._queue.popleft()
                    self._bytes -= len(message)
                    await self._socket.send_text(message)
                    if stream is not None:
                        self._last = stream, seq

    def close(self) -> None:
        """What waits is dropped, and nothing more is taken."""
        self._is_closed = True
        self._queue.clear()
        if self._frames is not None:
            self._frames.on_writable = None
            self._frames.part()

    def _hurry(self) -> None:
        self._is_hurried = False
        self.flush()

    def _last_sent(self) -> str:
        return "nothing" if self._last is None else f"{self._last[0].channel} {self._last[0].key} seq {self._last[1]}"
