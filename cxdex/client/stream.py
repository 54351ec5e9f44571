"""`Feed`: the WebSocket, kept alive. Reconnects, resumes where it stopped, and notices what is missing.

    async with AsyncExchange(url) as exchange:
        feed = Feed(exchange)
        await feed.subscribe("book", "sBTC-USDC")
        async for message in feed:
            print(feed.book("sBTC-USDC").bids[:5])

Promises: every message once and in order, or a `reset` and a snapshot. A book that is shown has no gap and its
          last checksum was right. Silence longer than three heartbeats is a broken connection. A sign-in is renewed
          before it expires.
Never:    shows a book between a gap and the snapshot that heals it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from cxdex.client.errors import ApiProblem, Unreachable
from cxdex.client.local_book import LocalBook
from cxdex.client.subscription import Envelope, Gap, Subscription

PRIVATE_CHANNELS = ("orders", "balances", "protection", "fills")
SETTLEMENT_CHANNELS = ("fills", "settlements")
SILENCE_SECONDS = 15.0
OLD_NEWS_SECONDS = 20
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

log = logging.getLogger("cxdex.feed")


class FeedSource(Protocol):
    """Where a feed connects to, and how it signs in: an `AsyncExchange`."""

    @property
    def feed_url(self) -> str: ...

    async def login(self) -> str: ...


class Feed:
    """One connection, any number of subscriptions. For one reader: iterate it in one task.

    cancel_on_disconnect: the exchange cancels all open orders of the account whenever this connection ends.
    `guarded` is set while it has said that it will.
    """

    def __init__(
        self,
        exchange: FeedSource,
        *,
        silence_seconds: float = SILENCE_SECONDS,
        cancel_on_disconnect: bool = False,
    ) -> None:
        self._exchange = exchange
        self._cancel_on_disconnect = cancel_on_disconnect
        self.guarded = asyncio.Event()
        self._silence = silence_seconds
        self._subscriptions: dict[tuple[str, str | None], Subscription] = {}
        self._socket: ClientConnection | None = None
        self._token: str | None = None  # what this connection was last told
        self._is_signed_in = False
        self._taken: set[Subscription] = set()  # that this connection follows
        self._must_ask = False  # a request was refused for now: it may have been a subscription
        self._is_old = False
        self.reconnects = 0
        self.gaps = 0

    async def subscribe(self, channel: str, key: str | None = None) -> None:
        """channel: book, bbo, ticker, trades, markets, settlements (key: the market), orders, balances, protection,
        fills (the wallet's own; no key)."""
        subscription = Subscription(channel, key)
        self._subscriptions[channel, key] = subscription
        if self._socket is not None:
            await self._introduce(self._socket, [subscription])

    def book(self, market: str) -> LocalBook | None:
        """The book as of the last message, or None while it is not known to be right."""
        subscription = self._subscriptions.get(("book", market))
        return subscription.book if subscription is not None and subscription.synced else None

    async def __aiter__(self) -> AsyncIterator[Envelope]:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with connect(self._exchange.feed_url, max_size=MAX_MESSAGE_BYTES) as socket:
                    self._socket = socket
                    await self._introduce(socket, list(self._subscriptions.values()))
                    if self._cancel_on_disconnect:
                        await self._guard(socket)
                    while True:
                        async with asyncio.timeout(self._silence):
                            text = await socket.recv()
                        pause = FIRST_PAUSE_SECONDS
                        message = await self._take(socket, text)
                        if message is not None:
                            yield message
            except (OSError, TimeoutError, WebSocketException, Unreachable, ApiProblem) as error:
                if isinstance(error, ApiProblem) and not error.retryable:
                    raise
                log.warning("feed lost (%s); again in %.1f s", str(error) or type(error).__name__, pause)
            finally:
                self._socket, self._token, self._is_signed_in = None, None, False
                self._must_ask = False
                self._taken.clear()
                self.guarded.clear()
            self.reconnects += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _introduce(self, socket: ClientConnection, subscriptions: list[Subscription]) -> None:
        if any(subscription.channel in PRIVATE_CHANNELS for subscription in subscriptions):
            await self._sign_in(socket)
        for subscription in subscriptions:
            await self._ask(socket, subscription)

    async def _sign_in(self, socket: ClientConnection) -> None:
        """Also again: a token that is about to expire is another one by now."""
        token = await self._exchange.login()
        if token != self._token:
            self._token = token
            await _send(socket, {"op": "auth", "token": token})

    async def _guard(self, socket: ClientConnection) -> None:
        await self._sign_in(socket)
        await _send(socket, {"op": "cancelOnDisconnect", "enabled": True})

    async def _ask(self, socket: ClientConnection, subscription: Subscription) -> None:
        request: dict[str, Any] = {"op": "subscribe", "ch": subscription.channel}
        if subscription.key is not None:
            request["key"] = subscription.key
        if subscription.resume is not None:
            request["resume"] = subscription.resume
        await _send(socket, request)

    async def _take(self, socket: ClientConnection, text: str | bytes) -> Envelope | None:
        """The message when it is news for the reader. Raises ApiProblem for a refusal, e.g. of a subscription."""
        decoded = msgspec.json.decode(text)
        if "ch" in decoded and "op" not in decoded:
            message = msgspec.convert(decoded, Envelope)
            subscription = self._find(message.ch, message.key)
            if subscription is None:
                return None
            try:
                return message if subscription.accept(message) else None
            except Gap as gap:
                await self._heal(socket, subscription, gap)
            return None
        if decoded.get("op") == "heartbeat":
            await self._hear(socket, decoded)
        elif decoded.get("op") == "cancelOnDisconnect":
            self.guarded.set()
        elif decoded.get("op") == "subscribed":
            followed = self._find(decoded["ch"], decoded["key"])
            if followed is not None:
                self._taken.add(followed)
        elif decoded.get("op") == "authenticated":
            self._is_signed_in = True
        elif decoded.get("op") == "error":
            self._refused(ApiProblem(int(decoded.get("status", 400)), decoded))
        return None

    def _refused(self, problem: ApiProblem) -> None:
        """Raises it, unless the exchange goes on by itself or the connection only has to be made anew."""
        if problem.code == "AUTH_INVALID" and self._is_signed_in:
            raise Unreachable(problem.detail)
        if not problem.retryable:
            raise problem
        log.warning("%s: %s", problem.code, problem.detail)
        self._must_ask = True

    async def _hear(self, socket: ClientConnection, heartbeat: dict[str, Any]) -> None:
        if self._token is not None:
            await self._sign_in(socket)
        self._say_how_old(heartbeat)
        for channel in heartbeat["channels"]:
            subscription = self._find(channel["ch"], channel["key"])
            try:
                if subscription is not None:
                    subscription.hear(channel.get("epoch", heartbeat.get("epoch")), channel["seq"])
            except Gap as gap:
                await self._heal(socket, subscription, gap)
        if self._must_ask:
            self._must_ask = False
            for refused in [one for one in self._subscriptions.values() if one not in self._taken]:
                await self._ask(socket, refused)

    def _say_how_old(self, heartbeat: dict[str, Any]) -> None:
        """How far fills are is only told while the exchange's settler works."""
        if not any(subscription.channel in SETTLEMENT_CHANNELS for subscription in self._subscriptions.values()):
            return
        told, now = heartbeat.get("settler"), heartbeat["ts"]
        is_old = told is not None and now - told > OLD_NEWS_SECONDS * 1_000
        if is_old and not self._is_old:
            log.warning("the exchange's settler has been silent for %d s: fills may be further", (now - told) // 1_000)
        elif self._is_old and not is_old:
            log.warning("the exchange's settler goes on")
        self._is_old = is_old

    async def _heal(self, socket: ClientConnection, subscription: Subscription | None, gap: Gap) -> None:
        self.gaps += 1
        log.warning("%s; asking for a snapshot", gap)
        if subscription is not None:
            await self._ask(socket, subscription)

    def _find(self, channel: str, key: str) -> Subscription | None:
        own = self._subscriptions.get((channel, None)) if channel in PRIVATE_CHANNELS else None
        return self._subscriptions.get((channel, key)) or own


async def _send(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(msgspec.json.encode(message).decode())
