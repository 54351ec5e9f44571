"""Clients that cost next to nothing, for benchmarks that run on the machine that they measure.

One HTTP/1.1 connection with one request under way, and one WebSocket with many; both over asyncio, with just as much of
the protocols as our own server needs. Requests are made before the measurement begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

ANSWERED = (b'{"op":"place', b'{"op":"error"')  # the WebSocket's answers to orders; the rest is heartbeats
HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: cxdex\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
MASK = bytes(4)  # a client has to mask what it sends; this mask changes nothing


class _Client(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""
        self._waiting: asyncio.Future[Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError(f"the API closed the connection: {self._buffer[-200:]!r}"))

    def close(self) -> None:
        self._transport.close()

    def _wait(self) -> asyncio.Future[Any]:
        self._waiting = asyncio.get_running_loop().create_future()
        return self._waiting


class HttpConnection(_Client):
    async def ask(self, request: bytes) -> bytes:
        """The answer with its head."""
        reply = self._wait()
        self._transport.write(request)
        answer: bytes = await reply
        return answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0 or self._waiting is None:
            return
        length = self._buffer.lower().find(b"content-length:", 0, head)
        end = head + 4 + int(self._buffer[length + 15 : self._buffer.find(b"\r\n", length)])
        if len(self._buffer) >= end:
            answer, self._buffer = self._buffer[:end], self._buffer[end:]
            self._waiting.set_result(answer)


class SocketConnection(_Client):
    """Sends its share of the frames, `window` of them at first and then one for each answer."""

    async def open(self) -> None:
        ready = self._wait()
        self._transport.write(HANDSHAKE)
        self._frames: Iterator[bytes] | None = None
        await ready

    async def run(self, frames: Iterator[bytes], window: int) -> list[bytes]:
        self._frames, self._answers, self._open = frames, list[bytes](), 0
        done = self._wait()
        for _ in range(window):
            self._next()
        if self._open:
            await done
        return self._answers

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._frames is None:
            head = self._buffer.find(b"\r\n\r\n")
            if head >= 0 and self._waiting is not None and not self._waiting.done():
                self._buffer = self._buffer[head + 4 :]
                self._waiting.set_result(None)
            return
        end = 0
        for payload, behind in whole_messages(self._buffer):
            end = behind
            if payload.startswith(ANSWERED):
                self._answers.append(payload)
                self._open -= 1
                self._next()
        self._buffer = self._buffer[end:]
        if not self._open and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _next(self) -> None:
        frame = next(self._frames or iter(()), None)
        if frame is not None:
            self._open += 1
            self._transport.write(frame)


def http_request(path: str, body: bytes) -> bytes:
    head = (f"POST {path} HTTP/1.1", "Host: cxdex", "Content-Type: application/json", f"Content-Length: {len(body)}")
    return "\r\n".join((*head, "", "")).encode() + body


def socket_frame(payload: bytes) -> bytes:
    """One text message."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 1 << 16:
        length = bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((0x80 | 127,)) + size.to_bytes(8, "big")
    return b"\x81" + length + MASK + payload


def whole_messages(buffer: bytes) -> Iterator[tuple[bytes, int]]:
    """Whole messages of the server, each with the position behind it."""
    start = 0
    while len(buffer) - start >= 2:
        size, body = buffer[start + 1], start + 2
        if size == 126:
            size, body = int.from_bytes(buffer[body : body + 2], "big"), body + 2
        elif size == 127:
            size, body = int.from_bytes(buffer[body : body + 8], "big"), body + 8
        if body > len(buffer) or body + size > len(buffer):
            return
        start = body + size
        yield buffer[body:start], start
