"""The server's side of a WebSocket, with a way out for frames that are ready.

Owns:     what uvicorn's protocol lacks for feeds: one message for a thousand subscribers is framed once, and all that
          waits for a client goes out in one write. The application finds it in the scope under EXTENSION. And what it
          lacks against strangers: frames that are no message (pings, pongs, parts of one) are counted, as messages are.
Promises: frames never overtake what the application sent before through ASGI, and none follows a close. A connection
          that has not become a WebSocket in time, or does not take its close, is ended.
Never:    compresses (`python -m api` turns that off), or splits a message.
"""

from __future__ import annotations

from asyncio.transports import BaseTransport
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

EXTENSION = "cxdex.frames"
SHARED_LETTERS = 16 * 1024  # longer ones are snapshots: one client's each
SHARED_MESSAGES = 512
PARTING_SECONDS = 10.0
LINGER_SECONDS = 2.0
HANDSHAKE_SECONDS = 10.0
CLOSE_TOO_MANY_MESSAGES = 4029
FRAMES_A_SECOND = 20  # that are no message; a client sends one such in twenty seconds
FRAME_BURST = 2_000  # a large message in parts
_FINAL_TEXT = 0x81
_SHORT, _MEDIUM = 126, 127


class FrameSocket(WebSocketsSansIOProtocol):
    """`on_writable` is called whenever the client has read enough for more to be written."""

    on_writable: Callable[[], None] | None = None
    _frames_left = float(FRAME_BURST)
    _refilled = 0.0

    @property
    def is_writable(self) -> bool:
        return self.writable.is_set()

    def write_frames(self, frames: bytes) -> None:
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.transport.write(frames)

    def part(self) -> None:
        """The client is given up: a close goes behind what it has not read yet, and it gets a while for both."""
        if not self.is_writable:
            self.writable.set()
            self.loop.call_later(PARTING_SECONDS, self.transport.abort)

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.loop.call_later(HANDSHAKE_SECONDS, self._require_handshake)

    def handle_ping(self) -> None:
        if self._may_send_frame():
            super().handle_ping()

    def handle_pong(self, event: Any) -> None:
        if self._may_send_frame():
            super().handle_pong(event)

    def handle_cont(self, event: Any) -> None:
        if self._may_send_frame():
            super().handle_cont(event)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(PARTING_SECONDS, self.transport.abort)  # who does not answer does not read either

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # the application starts in the loop's next turn
            cast(dict[str, Any], self.scope["extensions"])[EXTENSION] = self

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()

    def _may_send_frame(self) -> bool:
        """Ends the connection when the client has sent too many frames that are no message."""
        if self.close_sent:
            return False
        now = self.loop.time()
        self._frames_left = min(FRAME_BURST, self._frames_left + (now - self._refilled) * FRAMES_A_SECOND) - 1
        self._refilled = now
        if self._frames_left < 0:
            self._end(CLOSE_TOO_MANY_MESSAGES, "too many frames")
        return self._frames_left >= 0

    def _end(self, code: int, reason: str) -> None:
        """What still comes is read and thrown away for a while: closed at once, the reason would not arrive."""
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.fail(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.close_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _require_handshake(self) -> None:
        if not self.handshake_complete:
            self.transport.abort()


def frame_of(text: str, is_shared: bool) -> bytes:
    """One whole text message. `is_shared`: others may be sent the same one."""
    return _shared_frame(text) if is_shared and len(text) < SHARED_LETTERS else _frame(text)


def _frame(text: str) -> bytes:
    payload = text.encode()
    size = len(payload)
    if size < _SHORT:
        return bytes((_FINAL_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_FINAL_TEXT, _SHORT)) + size.to_bytes(2, "big") + payload
    return bytes((_FINAL_TEXT, _MEDIUM)) + size.to_bytes(8, "big") + payload


_shared_frame = lru_cache(maxsize=SHARED_MESSAGES)(_frame)
