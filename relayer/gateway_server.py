"""The engine's Unix socket: many gateways, each with its own pace.

Owns:     connections, framing, who is subscribed.
Promises: a gateway that reads too slowly loses its connection (with a line in the log), a gateway that asks too
          fast is read from more slowly; neither ever holds up the engine or another gateway.
          A malformed frame is answered with a Problem, and its neighbours are served.
Never:    interprets orders; `request_handler` does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import cast

import msgspec

from cxdex.problem import Problem
from relayer.framing import FrameReader, encode_frame, wire_problem
from relayer.request_handler import RequestHandler
from relayer.wire import AnyRequest, EndWatch, ErrorReply, Feed, Subscribe, WatchConnection

log = logging.getLogger("relayer.gateway")

MAX_UNREAD_BYTES = 32 * 1024 * 1024
MAX_REQUESTS_OPEN = 4_096

_decoder: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)


class _Numbered(msgspec.Struct):
    id: int = 0


class GatewayServer:
    """All connections. `book_snapshots` makes what a new subscriber gets first."""

    def __init__(
        self,
        handler: RequestHandler,
        book_snapshots: Callable[[], list[Feed]],
        max_unread_bytes: int = MAX_UNREAD_BYTES,
    ) -> None:
        self.max_unread_bytes = max_unread_bytes
        self.handler = handler
        self.book_snapshots = book_snapshots
        self._connections: set[GatewayConnection] = set()
        self.subscribers: set[GatewayConnection] = set()
        self.dropped = 0  # gateways that lost their connection because they did not read
        self._tasks: set[asyncio.Task[None]] = set()

    def connect(self) -> GatewayConnection:
        connection = GatewayConnection(self)
        self._connections.add(connection)
        return connection

    def lost(self, connection: GatewayConnection) -> None:
        self.forget(connection)
        self.handler.safety.gateway_lost(connection.watched)

    def forget(self, connection: GatewayConnection) -> None:
        self._connections.discard(connection)
        self.subscribers.discard(connection)

    def broadcast(self, messages: Iterable[Feed]) -> None:
        data = b"".join(encode_frame(message) for message in messages)
        if data:
            for subscriber in list(self.subscribers):
                subscriber.send(data)

    def serve(self, connection: GatewayConnection, request: AnyRequest) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(connection, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Waits for the replies under way, then closes every connection once it is flushed."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=5.0)
        for connection in list(self._connections):
            connection.close()

    async def _answer(self, connection: GatewayConnection, request: AnyRequest) -> None:
        try:
            frame = encode_frame(await self.handler.answer(request))
        except Problem as problem:
            frame = encode_frame(ErrorReply(request.id, wire_problem(problem)))
        except Exception:
            log.exception("request %s failed", type(request).__name__)
            failure = Problem("INTERNAL", "the engine process failed to answer; its log says why")
            frame = encode_frame(ErrorReply(request.id, wire_problem(failure)))
        connection.reply(frame)


class GatewayConnection(asyncio.Protocol):
    def __init__(self, server: GatewayServer) -> None:
        self.watched: set[tuple[bytes, bytes]] = set()  # (account, connection) of clients that want it known
        self._server = server
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._open_requests = 0
        self._is_choked = False
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's stream transports are not subclasses of it

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self._server.lost(self)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                self._take(body)
        except Problem as problem:
            log.warning("a gateway was disconnected: %s", problem)
            self.send(encode_frame(ErrorReply(0, wire_problem(problem))))
            self.close()

    def pause_writing(self) -> None:
        self._is_choked = True
        self._set_pace()

    def resume_writing(self) -> None:
        self._is_choked = False
        self._set_pace()

    def reply(self, frame: bytes) -> None:
        self._open_requests -= 1
        self.send(frame)
        self._set_pace()

    def send(self, data: bytes) -> None:
        """Never blocks. What is sent within one turn of the loop goes out in one write."""
        if self._transport is None:
            return
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(data)

    def close(self) -> None:
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _take(self, body: bytes) -> None:
        try:
            request = _decoder.decode(body)
        except (msgspec.MsgspecError, Problem) as error:
            problem = error if isinstance(error, Problem) else Problem("BODY_MALFORMED", str(error))
            self.send(encode_frame(ErrorReply(_request_id(body), wire_problem(problem))))
            return
        self._open_requests += 1
        if isinstance(request, Subscribe):
            self._subscribe()
        elif isinstance(request, WatchConnection):
            self.watched.add((request.account, request.connection))
        elif isinstance(request, EndWatch):
            self.watched.discard((request.account, request.connection))
        self._server.serve(self, request)
        self._set_pace()

    def _subscribe(self) -> None:
        for snapshot in self._server.book_snapshots():
            self.send(encode_frame(snapshot))
        self._server.subscribers.add(self)

    def _flush(self) -> None:
        transport, data = self._transport, b"".join(self._outgoing)
        self._outgoing.clear()
        if transport is None or not data:
            return
        transport.write(data)
        unread = transport.get_write_buffer_size()
        if unread > self._server.max_unread_bytes:
            log.warning("a gateway does not read: %d bytes are waiting for it; disconnected", unread)
            self._server.forget(self)
            self._server.dropped += 1
            transport.abort()

    def _set_pace(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        pause = self._is_choked or self._open_requests >= MAX_REQUESTS_OPEN
        if pause != self._is_paused:
            self._is_paused = pause
            (transport.pause_reading if pause else transport.resume_reading)()


def _request_id(body: bytes) -> int:
    try:
        return msgspec.json.decode(body, type=_Numbered).id
    except msgspec.MsgspecError:
        return 0
