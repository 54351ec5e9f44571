"""What comes over a connection before it is a request: bounded in size and in time, whatever is sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api import frame_socket, request_socket
from api.frame_socket import FrameSocket
from api.middleware import read_limited
from api.request_socket import RequestSocket

PATIENCE_SECONDS = 30.0
LARGE = 50_000_000


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        yield connection


def heard(connection: socket.socket) -> bytes:
    """Until the server closes."""
    said = b""
    try:
        while part := connection.recv(65_536):
            said += part
    except ConnectionResetError:  # it closed while more was on its way
        pass
    return said


def pour(connection: socket.socket, unit: bytes, size: int) -> int:
    """How much was taken before the server closed."""
    block, sent = unit * (65_536 // len(unit)), 0
    try:
        while sent < size:
            sent += connection.send(block)
    except (ConnectionResetError, BrokenPipeError):
        pass
    return sent


@pytest.mark.parametrize(
    ("begin", "unit"),
    {
        "an address": (b"GET /", b"a"),
        "a header": (b"GET / HTTP/1.1\r\nX: ", b"a"),
        "headers": (b"GET / HTTP/1.1\r\n", b"a:b\r\n"),
        "what follows a body": (b"POST /v1/orders HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a:b\r\n"),
        "what is said of a chunk": (b"POST /v1/orders HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a"),
        "a body that nobody reads": (b"GET /v1/time HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", b"a"),
    }.values(),
)
def test_nothing_that_has_no_end_is_kept(exchange: Any, begin: bytes, unit: bytes) -> None:
    with connected(exchange.port) as connection:
        connection.sendall(begin)
        assert pour(connection, unit, 64 * 1024 * 1024) < 32 * 1024 * 1024, "most of it lies in the kernel's buffers"


def told_of_a_large_head(port: int) -> bytes:
    """What is said to it; nothing when it was read in one piece, which is let pass and waited with."""
    with connected(port) as connection:
        for part in (b"GET / HTTP/1.1\r\n", b"X: " + b"a" * 60_000, b"b" * 6_000):
            connection.sendall(part)
            time.sleep(0.2)
        connection.settimeout(5.0)
        with contextlib.suppress(TimeoutError):
            return heard(connection)
    return b""


def test_who_sends_a_head_too_large_is_told(exchange: Any) -> None:
    said = next(filter(None, (told_of_a_large_head(exchange.port) for _ in range(5))))
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert json.loads(body)["code"] == "HEAD_TOO_LARGE"


def test_a_request_may_come_letter_by_letter_and_many_behind_each_other(exchange: Any) -> None:
    request = b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    with connected(exchange.port) as connection:
        for letter in request:
            connection.sendall(bytes((letter,)))
        connection.sendall(request * 3)
        connection.sendall(request.replace(b"Host: x", b"Connection: close"))
        assert heard(connection).count(b'"code":"FIELD_MISSING"') == 5


def test_who_trades_now_and_then_keeps_the_connection(exchange: Any) -> None:
    with connected(exchange.port) as connection:
        for _ in range(2):
            connection.sendall(b"GET /v1/time HTTP/1.1\r\n\r\n")
            said = b""
            while not said.endswith(b"}"):
                part = connection.recv(65_536)
                assert part, "it was closed"
                said += part
            assert said.startswith(b"HTTP/1.1 200 OK")
            time.sleep(6.0)  # longer than servers usually wait


UPGRADE = (
    b" /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
gone = asyncio.Event()  # the application has been told that its WebSocket is


# With less patience ------------------------------------------------------------------------------------------------


async def slow_answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body. Answers at once, /slow after a while, /large with much. A WebSocket: much, until it is gone."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        with contextlib.suppress(OSError):  # as uvicorn calls a client that is gone
            while True:
                await send({"type": "websocket.send", "text": "x" * 100_000})
        gone.set()
        return
    await read_limited(scope, receive)
    if scope["path"] == "/slow":
        await asyncio.sleep(1.0)
    body = b"x" * (LARGE if scope["path"] == "/large" else 2)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]},
    )
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server of this process whose patience is short."""
    monkeypatch.setattr(request_socket, "REQUEST_SECONDS", 0.4)
    monkeypatch.setattr(request_socket, "UNREAD_SECONDS", 0.4)
    monkeypatch.setattr(frame_socket, "HANDSHAKE_SECONDS", 0.4)
    monkeypatch.setattr(frame_socket, "PARTING_SECONDS", 0.4)
    gone.clear()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    protocols: dict[str, Any] = {"http": RequestSocket, "ws": FrameSocket, "ws_ping_interval": 0.2}
    config = uvicorn.Config(slow_answer, **protocols, ws_ping_timeout=0.2, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving


async def said_to(port: int, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    async with asyncio.timeout(PATIENCE_SECONDS):
        said = await reader.read()
    writer.close()
    return said


@pytest.mark.parametrize("begun", [b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n{}"])
async def test_a_request_that_does_not_end_is_given_up(port: int, begun: bytes) -> None:
    head, _, body = (await said_to(port, begun)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["code"] == "REQUEST_TIMEOUT"


async def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    assert await said_to(port) == b""


async def test_an_answer_that_takes_long_is_waited_for(port: int) -> None:
    slow, next_one = b"GET /slow HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
    assert (await said_to(port, slow, next_one[:20])).count(b"200 OK") == 1, "and then what has begun is given up"
    assert (await said_to(port, slow + next_one)).count(b"200 OK") == 2


async def test_who_does_not_read_an_answer_is_given_up(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(b"GET /large HTTP/1.1\r\n\r\n")
    await asyncio.sleep(1.5)
    said = 0
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while part := await reader.read(1 << 20):
                said += len(part)
    assert said < LARGE
    writer.close()


async def test_what_never_becomes_a_websocket_is_closed(port: int) -> None:
    assert await said_to(port, b"POST" + UPGRADE) == b""


async def test_a_websocket_whose_client_has_gone_silent_is_let_go(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(b"GET" + UPGRADE)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await gone.wait()
    writer.close()
