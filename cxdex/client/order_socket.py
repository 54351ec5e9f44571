"""Order entry over one WebSocket: many requests on their way at once, each answered by its id.

Owns:     one connection to `/v1/ws`, opened with the first request and again when it was lost.
Promises: a request gives its answer, the same as over HTTP, or Unreachable: then its outcome is open and the caller
          decides. When `guard` is given, no request is sent before the exchange has said that it will cancel the
          account's orders should this connection end.
Never:    sends a request twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from cxdex.client import endpoints
from cxdex.client.errors import Unreachable
from cxdex.client.steps import Answer, Call

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
SILENCE_SECONDS = 15.0  # three heartbeats


class _Said(msgspec.Struct):
    """What answers have in common. `data`: the body; an error is its own body and has a status."""

    op: str = ""
    id: int | str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    status: int = 200


_decoder = msgspec.json.Decoder(_Said)


class OrderSocket:
    """url: ws://.../v1/ws. guard: gives a bearer token; makes the exchange cancel all when the connection is lost."""

    def __init__(self, url: str, timeout: float, guard: Callable[[], Awaitable[str]] | None = None) -> None:
        self._url = url
        self._timeout = timeout
        self._guard = guard
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, call: Call) -> Answer:
        """`call` must have an `op`. Raises Unreachable."""
        assert call.op is not None
        connection = await self._connected()
        if call.token is not None:
            connection.sign_in(call.token)
        return await connection.ask(call.op, call.op_body if call.op_body is not None else call.body or b"{}")

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _connected(self) -> _Connection:
        if self._connection is not None and self._connection.is_open:
            return self._connection
        async with self._connecting:
            if self._connection is None or not self._connection.is_open:
                self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> _Connection:
        try:
            socket = await connect(
                self._url, max_size=MAX_MESSAGE_BYTES, max_queue=None, compression=None, open_timeout=self._timeout
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            raise Unreachable(f"{self._url} does not answer: {str(error) or type(error).__name__}") from None
        connection = _Connection(socket, self._timeout)
        if self._guard is not None:
            try:
                connection.sign_in(await self._guard())
                endpoints.read(await connection.ask("cancelOnDisconnect", b'{"enabled":true}'), dict[str, Any])
            except BaseException:
                await connection.close()
                raise
        return connection


class _Connection:
    def __init__(self, socket: ClientConnection, timeout: float) -> None:
        self._socket = socket
        self._timeout = timeout
        self._numbers = 0
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._outgoing: list[str] = []
        self._token: str | None = None
        self._wake = asyncio.Event()
        self._tasks = {asyncio.create_task(work) for work in (self._read(), self._write())}
        self.is_open = True

    def sign_in(self, token: str) -> None:
        """What is asked behind it is asked by the account of the token. A refusal shows in that answer."""
        if token != self._token:
            self._token = token
            self._send(f'{{"op":"auth","token":"{token}"}}')

    async def ask(self, op: str, body: bytes) -> Answer:
        """`body`: a JSON object without op and id."""
        self._numbers += 1
        number = self._numbers
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        head = f'{{"op":"{op}","id":{number}'
        try:
            self._send(head + "}" if body == b"{}" else f"{head},{body[1:].decode()}")
            async with asyncio.timeout(self._timeout):
                return await answer
        except TimeoutError:
            raise Unreachable(f"no answer within {self._timeout:g} s") from None
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        self._lose("the client closed it")
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(WebSocketException, OSError):
            await self._socket.close()

    def _send(self, text: str) -> None:
        if not self.is_open:
            raise Unreachable("the connection is closed")
        self._outgoing.append(text)
        self._wake.set()

    async def _write(self) -> None:
        """One task sends, so that messages leave in the order in which they were asked."""
        with contextlib.suppress(WebSocketException, OSError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                texts, self._outgoing = self._outgoing, []
                for text in texts:
                    await self._socket.send(text)
        self._lose("the connection was lost")

    async def _read(self) -> None:
        try:
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    text = await self._socket.recv()
                said = _decoder.decode(text)
                answer = self._waiting.get(said.id) if isinstance(said.id, int) else None
                if answer is not None and not answer.done():
                    is_error = said.op == "error"
                    raw = text if isinstance(text, bytes) else text.encode()
                    body = raw if is_error else bytes(said.data) or raw
                    answer.set_result(Answer(said.status if is_error else 200, body))
        except (WebSocketException, OSError, msgspec.MsgspecError) as error:
            self._lose(f"the connection was lost: {str(error) or type(error).__name__}")
        except TimeoutError:
            self._lose(f"the exchange has been silent for {SILENCE_SECONDS:g} s")

    def _lose(self, why: str) -> None:
        if not self.is_open:
            return
        self.is_open = False
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Unreachable(why))
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self._socket.transport.abort()
