"""The feed notices what is missing: rules on plain values first, then a real WebSocket that breaks and comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import Server, ServerConnection, serve

from cxdex.client import AsyncExchange, Feed
from cxdex.client.local_book import LocalBook
from cxdex.client.subscription import Envelope, Gap, Subscription

KEY = "sBTC-USDC"


def message(kind: str, seq: int, *, epoch: str = "e1", prev: int | None = None, **data: Any) -> Envelope:
    crc = data.pop("crc", None)
    sides = {"bids": [], "asks": []} | data
    return Envelope("book", KEY, epoch, seq, seq - 1 if prev is None else prev, 0, kind, sides, crc)


@pytest.fixture
def book() -> Subscription:
    """At seq 5 with one bid."""
    subscription = Subscription("book", KEY)
    subscription.accept(message("snapshot", 5, bids=[["10", "1"]]))
    return subscription


def levels(subscription: Subscription) -> list[tuple[str, str]]:
    assert subscription.book is not None
    return subscription.book.bids


def test_the_next_message_is_applied(book: Subscription) -> None:
    assert book.accept(message("delta", 6, bids=[["11", "2"], ["10", "0"]]))
    assert (levels(book), book.seq) == ([("11", "2")], 6)


def test_a_repeat_is_dropped(book: Subscription) -> None:
    assert not book.accept(message("delta", 5, bids=[["10", "9"]]))
    assert levels(book) == [("10", "1")]


@pytest.mark.parametrize("missing", [message("delta", 7), message("delta", 8, prev=7), message("delta", 6, epoch="e2")])
def test_a_gap_stops_everything_until_a_snapshot(book: Subscription, missing: Envelope) -> None:
    with pytest.raises(Gap):
        book.accept(missing)
    assert not book.accept(message("delta", 6, bids=[["11", "2"]]))
    assert book.resume is None
    assert book.accept(message("snapshot", 9, epoch="e2", bids=[["12", "1"]]))
    assert levels(book) == [("12", "1")]
    assert book.resume == {"epoch": "e2", "seq": 9}


def test_a_wrong_checksum_is_a_gap(book: Subscription) -> None:
    with pytest.raises(Gap, match="checksum"):
        book.accept(message("delta", 6, crc=1))
    assert not book.synced


def test_a_right_checksum_is_not(book: Subscription) -> None:
    assert book.accept(message("delta", 6, asks=[["11", "2"]], crc=crc32(b"10:1|11:2")))


@pytest.mark.parametrize(("epoch", "seq"), [("e1", 6), ("e2", 5)])
def test_a_heartbeat_that_is_ahead_is_a_gap(book: Subscription, epoch: str, seq: int) -> None:
    with pytest.raises(Gap):
        book.hear(epoch, seq)


def test_a_heartbeat_that_agrees_is_quiet(book: Subscription) -> None:
    book.hear("e1", 5)
    book.hear(None, 0)  # the engine is away
    assert book.synced


prices = st.integers(1, 60).map(str)
changes = st.lists(st.tuples(st.booleans(), prices, st.sampled_from(["0", "1", "2.5"])), max_size=60)


@settings(max_examples=40)
@given(changes)
def test_the_book_and_its_checksum_follow_the_definition(done: list[tuple[bool, str, str]]) -> None:
    book = LocalBook()
    sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for is_bid, price, quantity in done:
        book.apply([(price, quantity)] if is_bid else [], [] if is_bid else [(price, quantity)])
        sides[0 if is_bid else 1][price] = quantity
    bids = sorted(((p, q) for p, q in sides[0].items() if q != "0"), key=lambda level: -int(level[0]))
    asks = sorted(((p, q) for p, q in sides[1].items() if q != "0"), key=lambda level: int(level[0]))
    assert (book.bids, book.asks) == (bids, asks)
    text = "|".join(f"{p}:{q}" for p, q in bids[:10] + asks[:10])
    assert book.checksum() == crc32(text.encode())


# A real socket -------------------------------------------------------------------------------------------------


class Exchange:
    """A WebSocket server that says what `talk` says to each connection, and keeps what it was asked."""

    def __init__(self, *talks: Callable[[Exchange, ServerConnection], Any]) -> None:
        self._talks = list(talks)
        self.asked: list[dict[str, Any]] = []
        self.server: Server | None = None

    async def handle(self, socket: ServerConnection) -> None:
        await self._talks.pop(0)(self, socket)

    async def hear(self, socket: ServerConnection) -> None:
        self.asked.append(json.loads(await socket.recv()))

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{next(iter(self.server.sockets)).getsockname()[1]}"


def text(envelope: Envelope) -> str:
    fields = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


async def read(exchange: Exchange, count: int) -> tuple[list[Envelope], Feed]:
    """The first `count` messages that a reader sees, and the feed after them."""
    async with serve(exchange.handle, "127.0.0.1", 0) as server:
        exchange.server = server
        seen: list[Envelope] = []
        async with AsyncExchange(exchange.url) as client:
            feed = Feed(client, silence_seconds=1.0)
            await feed.subscribe("book", KEY)
            messages: AsyncIterator[Envelope] = feed.__aiter__()
            async with asyncio.timeout(5):
                while len(seen) < count:
                    seen.append(await anext(messages))
        await messages.aclose()  # type: ignore[attr-defined]
        return seen, feed


async def test_a_broken_connection_resumes_where_it_stopped() -> None:
    async def first(exchange: Exchange, socket: ServerConnection) -> None:
        await exchange.hear(socket)
        await socket.send(text(message("snapshot", 5, bids=[["10", "1"]])))
        await socket.send(text(message("delta", 6, bids=[["11", "1"]])))
        await socket.close()

    async def second(exchange: Exchange, socket: ServerConnection) -> None:
        await exchange.hear(socket)
        await socket.send(text(message("delta", 7, bids=[["12", "1"]])))
        await socket.wait_closed()

    exchange = Exchange(first, second)
    seen, feed = await read(exchange, 3)
    assert [m.seq for m in seen] == [5, 6, 7]
    assert exchange.asked[1]["resume"] == {"epoch": "e1", "seq": 6}
    assert (feed.gaps, feed.reconnects) == (0, 1)
    book = feed.book(KEY)
    assert book is not None
    assert [price for price, _ in book.bids] == ["12", "11", "10"]


async def test_a_gap_asks_for_a_snapshot_on_the_same_connection() -> None:
    async def talk(exchange: Exchange, socket: ServerConnection) -> None:
        await exchange.hear(socket)
        await socket.send(text(message("snapshot", 5)))
        await socket.send(text(message("delta", 8)))
        await exchange.hear(socket)
        await socket.send(text(message("delta", 9)))  # not shown: the book is not known to be right
        await socket.send(text(message("snapshot", 9, bids=[["10", "1"]])))
        await socket.wait_closed()

    exchange = Exchange(talk)
    seen, feed = await read(exchange, 2)
    assert [(m.type, m.seq) for m in seen] == [("snapshot", 5), ("snapshot", 9)]
    assert "resume" not in exchange.asked[1]
    assert feed.gaps == 1


async def test_a_silent_stall_shows_in_the_heartbeat() -> None:
    async def talk(exchange: Exchange, socket: ServerConnection) -> None:
        await exchange.hear(socket)
        await socket.send(text(message("snapshot", 5)))
        channels = [{"ch": "book", "key": KEY, "seq": 6}]
        await socket.send(json.dumps({"op": "heartbeat", "ts": 1, "epoch": "e1", "channels": channels}))
        await exchange.hear(socket)
        await socket.send(text(message("snapshot", 6)))
        await socket.wait_closed()

    seen, feed = await read(Exchange(talk), 2)
    assert [m.seq for m in seen] == [5, 6]
    assert feed.gaps == 1


async def test_a_refused_subscription_is_told() -> None:
    from cxdex import ApiProblem

    async def talk(exchange: Exchange, socket: ServerConnection) -> None:
        await exchange.hear(socket)
        await socket.send(json.dumps({"op": "error", "code": "MARKET_UNKNOWN", "status": 404, "detail": "no"}))
        await socket.wait_closed()

    with pytest.raises(ApiProblem, match="MARKET_UNKNOWN"):
        await read(Exchange(talk), 1)


async def test_a_subscription_that_is_refused_for_now_is_asked_for_again() -> None:
    """An exchange that has just started may not know its markets yet."""

    async def talk(exchange: Exchange, socket: ServerConnection) -> None:
        await exchange.hear(socket)
        away = {"op": "error", "code": "ENGINE_UNAVAILABLE", "status": 503, "detail": "away", "retryable": True}
        await socket.send(json.dumps(away))
        await socket.send(HEARTBEAT)
        await exchange.hear(socket)
        await socket.send(json.dumps({"op": "subscribed", "ch": "book", "key": KEY, "epoch": "e1", "seq": 5}))
        await socket.send(json.dumps(away))  # of something else: what is followed is not asked for again
        await socket.send(HEARTBEAT)
        await socket.send(text(message("snapshot", 5)))
        await socket.wait_closed()

    exchange = Exchange(talk)
    seen, feed = await read(exchange, 1)
    assert [m.seq for m in seen] == [5]
    assert exchange.asked == [{"op": "subscribe", "ch": "book", "key": KEY}] * 2
    assert (feed.gaps, feed.reconnects) == (0, 0)


# Signed in ----------------------------------------------------------------------------------------------------------

HEARTBEAT = json.dumps({"op": "heartbeat", "ts": 1, "epoch": "e1", "channels": []})
EXPIRED = json.dumps({"op": "error", "code": "AUTH_INVALID", "status": 401, "detail": "expired", "retryable": False})


class Wallet:
    """Where the feed connects to, with one sign-in after the other."""

    def __init__(self, url: str, tokens: list[str]) -> None:
        self.feed_url = url.replace("http", "ws") + "/v1/ws"
        self._tokens = tokens

    async def login(self) -> str:
        return self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]


async def follow(exchange: Exchange, tokens: list[str], count: int) -> list[int]:
    """The numbers of the first messages of a private channel."""
    async with serve(exchange.handle, "127.0.0.1", 0) as server:
        exchange.server = server
        feed = Feed(Wallet(exchange.url, tokens), silence_seconds=5.0)
        await feed.subscribe("fills")
        messages: AsyncIterator[Envelope] = feed.__aiter__()
        async with asyncio.timeout(20):
            seen = [(await anext(messages)).seq for _ in range(count)]
        await messages.aclose()  # type: ignore[attr-defined]
        return seen


def about_fills(kind: str, seq: int) -> str:
    return text(Envelope("fills", "0xaa", "e1", seq, seq - 1, 0, kind, []))


async def signed_in(exchange: Exchange, socket: ServerConnection) -> None:
    await exchange.hear(socket)
    await socket.send(json.dumps({"op": "authenticated", "account": "0xaa", "expiresAt": "1"}))
    await exchange.hear(socket)


async def test_a_sign_in_is_renewed_on_the_connection_that_needs_it() -> None:
    async def talk(exchange: Exchange, socket: ServerConnection) -> None:
        await signed_in(exchange, socket)
        await socket.send(about_fills("snapshot", 5))
        await socket.send(HEARTBEAT)  # the same token: nothing is said
        await socket.send(HEARTBEAT)
        await exchange.hear(socket)
        await socket.send(about_fills("event", 6))
        await socket.wait_closed()

    exchange = Exchange(talk)
    assert await follow(exchange, ["first", "first", "second"], 2) == [5, 6]
    assert [asked.get("token") for asked in exchange.asked] == ["first", None, "second"]


async def test_a_sign_in_that_has_expired_all_the_same_is_a_lost_connection() -> None:
    async def first(exchange: Exchange, socket: ServerConnection) -> None:
        await signed_in(exchange, socket)
        await socket.send(about_fills("snapshot", 5))
        await socket.send(EXPIRED)
        await socket.wait_closed()

    async def second(exchange: Exchange, socket: ServerConnection) -> None:
        await signed_in(exchange, socket)
        await socket.send(about_fills("event", 6))
        await socket.wait_closed()

    exchange = Exchange(first, second)
    assert await follow(exchange, ["first", "second"], 2) == [5, 6]
    assert exchange.asked[3]["resume"] == {"epoch": "e1", "seq": 5}


async def test_a_sign_in_that_is_refused_is_told() -> None:
    from cxdex import ApiProblem

    async def talk(exchange: Exchange, socket: ServerConnection) -> None:
        await exchange.hear(socket)
        await socket.send(EXPIRED)
        await socket.wait_closed()

    with pytest.raises(ApiProblem, match="AUTH_INVALID"):
        await follow(Exchange(talk), ["wrong"], 1)


async def test_a_settler_that_is_silent_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    def beat(settler: int | None) -> str:
        return json.dumps({"op": "heartbeat", "ts": 100_000, "epoch": "e1", "settler": settler, "channels": []})

    async def talk(exchange: Exchange, socket: ServerConnection) -> None:
        await signed_in(exchange, socket)
        for settler in (None, 99_000, 70_000, 70_000, 99_500):
            await socket.send(beat(settler))
        await socket.send(about_fills("snapshot", 5))
        await socket.wait_closed()

    assert await follow(Exchange(talk), ["token"], 1) == [5]
    told = [message for message in caplog.messages if "settler" in message]
    assert told == ["the exchange's settler has been silent for 30 s: fills may be further", *told[1:]]
    assert [message.endswith("goes on") for message in told] == [False, True]
