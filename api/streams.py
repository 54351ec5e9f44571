"""The WebSocket `/v1/ws`: one `Connection` per client, between the feed hub and the socket.

Rule 1  A subscriber gets an acknowledgement, then a snapshot (or the messages it missed), then every message.
Rule 2  When continuity is lost it gets `reset` and a new snapshot on the same subscription (see `api.following`).
Rule 3  A mistake of the client is answered by {"op":"error"}; the connection stays open.
Rule 4  The queue is bounded. A client that does not read is closed with 4008, naming the last message sent.

Never: shows an account's channels to a connection that has not proved control of that account.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api.context import Context
from api.feed import DURABLE_CHANNELS, PRIVATE_CHANNELS, PUBLIC_CHANNELS, Stream
from api.fields import decode_json, read_address, read_object, read_signature, read_small_integer, read_text
from api.following import Following, Resume
from api.frame_socket import CLOSE_TOO_MANY_MESSAGES
from api.message_budget import MessageBudget
from api.order_ops import OPS as ORDER_OPS
from api.order_ops import Answered, OrderOps
from api.outbox import Outbox
from api.problems import new_trace_id, problem_document
from api.safety_ops import SafetyOps
from cxdex.problem import Problem

MAX_MESSAGE_BYTES = 256 * 1024
MAX_SUBSCRIPTIONS = 200
MESSAGES_A_TURN = 32  # then the other connections, and the heartbeat, have their turn
CLOSE_SLOW_CONSUMER = 4008
CLOSE_SECONDS = 2.0
MAX_CLOSE_REASON = 120  # a close frame holds 123 bytes
HEARTBEAT_SECONDS = 5.0
HEARTBEATS_A_TURN = 64  # then orders have their turn

log = logging.getLogger("api")

_json = msgspec.json.Encoder()


class Connection:
    """One client. Everything runs in the event loop; `run` returns when the client is gone."""

    def __init__(self, socket: WebSocket, context: Context, answered: Answered | None = None) -> None:
        self._socket = socket
        self._context = context
        self._outbox = Outbox(socket, context.rounds, lambda why: self._give_up(CLOSE_SLOW_CONSUMER, why))
        self._gave_up = asyncio.Event()
        self._closing = (1001, "the exchange is stopping")
        self._following = Following(
            self, context, self._outbox.put, self._refuse, lambda: self._give_up(CLOSE_SLOW_CONSUMER, "too slow")
        )
        self._session: tuple[bytes, int] | None = None  # account, expiry in unix seconds
        self._budget = MessageBudget(lambda: self._give_up(CLOSE_TOO_MANY_MESSAGES, "too many messages"))
        self._safety = SafetyOps(context.engine, self._reply, self._refuse)
        self._orders = OrderOps(context, self._reply, self._refuse, self._budget.charge, answered)
        self._operations: dict[str, Callable[[dict[str, Any]], None]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "auth": self._authenticate,
            "ping": self._ping,
            "cancelOnDisconnect": self._cancel_on_disconnect,
            "deadman": self._deadman,
            **dict.fromkeys(ORDER_OPS, self._order),
        }

    async def run(self) -> None:
        await self._socket.accept()
        self._context.connections.add(self)
        works = (self._read(), self._outbox.run(), self._gave_up.wait())
        tasks = {asyncio.ensure_future(work) for work in works}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._context.connections.discard(self)
            self._outbox.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(self._following.close(), *tasks, return_exceptions=True)
            await self._orders.close()  # before the cancel on disconnect: nothing may be placed behind it
            await self._safety.disconnected()
            await self._close()

    # Subscriber: called by the hub ------------------------------------------------------------------------

    def deliver(self, stream: Stream, seq: int, message: str) -> None:
        self._following.deliver(stream, seq, message)

    def resync(self, stream: Stream, reason: str) -> None:
        self._following.resync(stream, reason)

    def heartbeat(self, now_ms: int) -> None:
        """The last sequence number of every subscription, so that a silent stall is visible."""
        self._expire_session(now_ms // 1_000)
        self._reply(
            {
                "op": "heartbeat",
                "ts": now_ms,
                "epoch": self._context.hub.epoch,
                "live": self._context.engine.is_connected,
                "settler": self._context.settlements.settler_ms,
                "channels": self._following.places(),
            }
        )

    # Reading ----------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        taken = 0
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                text = message.get("text")
                body = text.encode("utf-8", "replace") if text is not None else message.get("bytes") or b""
                self._handle(body)
                taken += 1
                if taken % MESSAGES_A_TURN == 0:
                    await asyncio.sleep(0)

    def _handle(self, body: bytes) -> None:
        request_id: Any = None
        is_order = False
        try:
            message = self._decode(body)
            if isinstance(message.get("id"), str | int) and not isinstance(message["id"], bool):
                request_id = message["id"]
            is_order = message.get("op") in ORDER_OPS
            self._budget.take(0 if is_order else 1)  # an order pays only when it is refused before the engine
            self._dispatch(message)
        except Problem as problem:
            if is_order:
                self._budget.charge()
            self._refuse(problem, request_id)
        except Exception:
            trace_id = new_trace_id()
            log.exception("traceId %s: WebSocket message failed", trace_id)
            self._refuse(Problem("INTERNAL", "something went wrong on our side"), request_id, trace_id)

    def _decode(self, body: bytes) -> dict[str, Any]:
        try:
            if len(body) > MAX_MESSAGE_BYTES:
                raise Problem(
                    "BODY_TOO_LARGE",
                    "the message is too large",
                    given=f"{len(body)} bytes",
                    allowed=f"at most {MAX_MESSAGE_BYTES} bytes",
                )
            message = decode_json(body)
            if not isinstance(message, dict):
                raise Problem("BODY_MALFORMED", "a message is a JSON object", allowed='{"op":"subscribe",...}')
            return message
        except Problem:
            self._budget.take()
            raise

    def _dispatch(self, message: dict[str, Any]) -> None:
        known = ", ".join(self._operations)
        if "op" not in message:
            raise Problem("FIELD_MISSING", "the message lacks the field op", field="op", allowed=known)
        operation = read_text(message["op"], "op")
        if operation not in self._operations:
            raise Problem("FIELD_INVALID", "unknown op", field="op", given=operation, allowed=known)
        self._operations[operation](message)

    def _order(self, message: dict[str, Any]) -> None:
        self._orders.take(message["op"], message, self._own_account)

    def _ping(self, message: dict[str, Any]) -> None:
        read_object(message, ("op",), ("id",), "ping")
        self._reply({"op": "pong", "ts": time.time_ns() // 1_000_000}, message.get("id"))

    def _cancel_on_disconnect(self, message: dict[str, Any]) -> None:
        self._safety.cancel_on_disconnect(message, self._own_account())

    def _deadman(self, message: dict[str, Any]) -> None:
        self._safety.deadman(message, self._own_account())

    def _authenticate(self, message: dict[str, Any]) -> None:
        """{"op":"auth","token"}, or the fields of POST /v1/auth/login."""
        authenticator = self._context.authenticator
        if "token" in message:
            read_object(message, ("op", "token"), ("id",), "auth")
            token = read_text(message["token"], "token")
        else:
            read_object(message, ("op", "account", "expiresAt", "signature"), ("id",), "auth")
            token = authenticator.login(
                read_address(message["account"], "account"),
                read_small_integer(message["expiresAt"], "expiresAt"),
                read_signature(message["signature"]),
            )
        session = authenticator.session_of(token)
        if self._session is not None and self._session[0] != session[0]:
            self._drop_private()
        self._session = session
        account = "0x" + session[0].hex()
        self._reply({"op": "authenticated", "account": account, "expiresAt": str(session[1])}, message.get("id"))

    def _subscribe(self, message: dict[str, Any]) -> None:
        read_object(message, ("op", "ch"), ("key", "resume", "id"), "subscribe")
        stream = self._stream_of(message)
        resume = self._read_resume(message.get("resume"))
        if stream not in self._following and len(self._following) >= MAX_SUBSCRIPTIONS:
            raise Problem("RATE_LIMITED", "too many subscriptions", allowed=f"{MAX_SUBSCRIPTIONS} a connection")
        self._following.enter(stream)
        acknowledgement = {"op": "subscribed", "ch": stream.channel, "key": stream.key}
        epoch = self._context.feed_of(stream).epoch
        self._reply({**acknowledgement, "epoch": epoch, "seq": stream.seq}, message.get("id"))
        self._following.begin(stream, resume)

    def _unsubscribe(self, message: dict[str, Any]) -> None:
        read_object(message, ("op", "ch"), ("key", "id"), "unsubscribe")
        stream = self._stream_of(message)
        self._following.leave(stream)
        self._reply({"op": "unsubscribed", "ch": stream.channel, "key": stream.key}, message.get("id"))

    def _stream_of(self, message: dict[str, Any]) -> Stream:
        channel = read_text(message["ch"], "ch")
        streams = self._context.settlements.stream if channel in DURABLE_CHANNELS else self._context.hub.stream
        if channel in PRIVATE_CHANNELS:
            return streams(channel, self._own_key(message.get("key")))
        if channel not in PUBLIC_CHANNELS:
            known = ", ".join((*PUBLIC_CHANNELS, *PRIVATE_CHANNELS))
            raise Problem("FIELD_INVALID", "unknown channel", field="ch", given=channel, allowed=known)
        if "key" not in message:
            raise Problem("FIELD_MISSING", "name the market", field="key", allowed="a market's symbol")
        market = read_text(message["key"], "key")
        return streams(channel, self._context.markets.find(market).terms.symbol)

    def _own_account(self) -> bytes:
        self._expire_session(int(time.time()))
        if self._session is None:
            raise Problem("AUTH_REQUIRED", "sign in first", allowed='{"op":"auth","token":"..."}')
        return self._session[0]

    def _own_key(self, key: Any) -> str:
        account = self._own_account()
        if key is not None and read_address(key, "key") != account:
            raise Problem("AUTH_INVALID", "this connection is signed in as another account", field="key", given=key)
        return "0x" + account.hex()

    @staticmethod
    def _read_resume(value: Any) -> Resume | None:
        if value is None:
            return None
        fields = read_object(value, ("epoch", "seq"), (), "resume")
        return read_text(fields["epoch"], "epoch"), read_small_integer(fields["seq"], "seq")

    def _expire_session(self, now: int) -> None:
        if self._session is not None and self._session[1] <= now:
            self._session = None
            self._drop_private()
            self._refuse(Problem("AUTH_INVALID", "the sign-in has expired; private channels are closed"), None)

    def _drop_private(self) -> None:
        for stream in self._following:
            if stream.channel in PRIVATE_CHANNELS:
                self._following.leave(stream)

    # Writing ----------------------------------------------------------------------------------------------

    def _reply(self, message: dict[str, Any], request_id: Any = None) -> None:
        if request_id is not None:
            message["id"] = request_id
        self._outbox.put(_json.encode(message).decode(), None, 0)

    def _refuse(self, problem: Problem, request_id: Any, trace_id: str | None = None, **about: str) -> None:
        self._reply({"op": "error", **about, **problem_document(problem, trace_id)}, request_id)

    def _give_up(self, code: int, reason: str) -> None:
        self._closing = (code, reason[:MAX_CLOSE_REASON])
        self._outbox.close()
        self._gave_up.set()

    async def _close(self) -> None:
        if self._socket.client_state is not WebSocketState.CONNECTED:
            return
        code, reason = self._closing
        with contextlib.suppress(RuntimeError, TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code, reason)


async def serve_socket(socket: WebSocket) -> None:
    """The endpoint of `/v1/ws`."""
    measures = socket.app.state.measures
    answered = measures.answered_op if measures is not None else None
    await Connection(socket, socket.app.state.context, answered).run()


async def beat(connections: set[Connection]) -> None:
    """Sends every connection its heartbeat, for ever."""
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        now_ms = time.time_ns() // 1_000_000
        for number, connection in enumerate(tuple(connections), start=1):
            if number % HEARTBEATS_A_TURN == 0:
                await asyncio.sleep(0)
            try:
                connection.heartbeat(now_ms)
            except Exception:
                log.exception("a heartbeat failed")  # the other connections still get theirs
