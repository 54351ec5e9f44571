"""The feed hub by itself: what it keeps, when it says that something is missing, and what a slow reader gets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.websockets import WebSocket

from api.app import make_context
from api.context import Context, Settings
from api.feed import FeedHub, Stream
from api.streams import Connection
from cxdex.client.subscription import Envelope, Subscription
from cxdex.deployment import CONTRACTS, Deployment
from relayer.wire import Feed

MARKET = "sBTC-USDC"


class Listener:
    """A subscriber that writes down what happens to it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int | str]] = []

    def deliver(self, _stream: Stream, seq: int, _message: str) -> None:
        self.seen.append(("message", seq))

    def resync(self, _stream: Stream, reason: str) -> None:
        self.seen.append(("resync", reason))


class Texts:
    """A subscriber that keeps what it gets."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def deliver(self, _stream: Stream, _seq: int, message: str) -> None:
        self.texts.append(message)

    def resync(self, _stream: Stream, reason: str) -> None:
        raise AssertionError(reason)

    def read(self, text: str) -> Envelope:
        return msgspec.json.decode(text, type=Envelope)


def message(seq: int, *, kind: str = "delta", channel: str = "book", epoch: str = "e1", **data: Any) -> Feed:
    prev = seq if kind == "snapshot" else seq - 1
    return Feed(channel, MARKET, epoch, seq, prev, 1, kind, msgspec.Raw(json.dumps(data).encode()))


def joined_hub(**bounds: int) -> FeedHub:
    hub = FeedHub(**bounds)
    hub.meet_epoch("e1")
    hub.publish(message(0, kind="snapshot", bids=[], asks=[]))
    return hub


def test_the_book_follows_the_deltas() -> None:
    hub = joined_hub()
    hub.publish(message(1, bids=[["9.5", "1"], ["10", "2"]], asks=[["11", "1"]]))
    hub.publish(message(2, bids=[["9.5", "0"]], asks=[["10.9", "3"]]))
    found = hub.book(MARKET, 1)
    assert found is not None
    assert (found[0], found[1].bids, found[1].asks) == (2, [("10", "2")], [("10.9", "3")])


def test_prices_sort_as_numbers() -> None:
    hub = joined_hub()
    hub.publish(message(1, bids=[["9.5", "1"], ["10", "1"], ["100", "1"]], asks=[]))
    found = hub.book(MARKET)
    assert found is not None
    assert [price for price, _ in found[1].bids] == ["100", "10", "9.5"]


def test_messages_after_a_number_are_replayed_in_order() -> None:
    hub = joined_hub()
    for seq in range(1, 6):
        hub.publish(message(seq))
    stream = hub.stream("book", MARKET)
    missed = stream.since(2)
    assert missed is not None
    assert [json.loads(text)["seq"] for text in missed] == [3, 4, 5]
    assert stream.since(5) == []
    assert stream.since(6) is None


def test_a_ring_keeps_a_bounded_number_of_messages() -> None:
    hub = joined_hub(ring_messages=3)
    for seq in range(1, 6):
        hub.publish(message(seq))
    stream = hub.stream("book", MARKET)
    assert stream.since(1) is None
    assert len(stream.since(2) or []) == 3


def test_all_rings_together_are_bounded_and_idle_ones_go_first() -> None:
    hub = joined_hub(ring_bytes=2_000)
    hub.publish(message(1, channel="trades", text="x" * 500))
    for seq in range(1, 30):
        hub.publish(message(seq))
    assert hub.stream("trades", MARKET).since(0) is None
    assert sum(hub.stream(channel, MARKET).ring_bytes for channel in ("book", "trades")) <= 2_000


def test_a_gap_in_a_book_asks_for_a_new_start() -> None:
    hub = joined_hub()
    assert hub.publish(message(1)) is True
    assert hub.publish(message(3)) is False


def test_a_gap_elsewhere_resyncs_the_subscribers() -> None:
    hub, listener = joined_hub(), Listener()
    hub.stream("trades", MARKET).subscribers.add(listener)
    for seq in (1, 3, 4):
        hub.publish(message(seq, channel="trades"))
    assert listener.seen == [("message", 1), ("resync", "gap in the feed"), ("message", 4)]


def test_a_new_epoch_resyncs_everybody_once() -> None:
    hub, book, trades = joined_hub(), Listener(), Listener()
    hub.stream("book", MARKET).subscribers.add(book)
    hub.stream("trades", MARKET).subscribers.add(trades)
    hub.publish(message(1))
    hub.publish(message(0, kind="snapshot", epoch="e2", bids=[], asks=[]))
    hub.publish(message(1, epoch="e2"))
    assert [kind for kind, _ in book.seen] == ["message", "resync", "message"]
    assert "resync" in [kind for kind, _ in trades.seen]
    assert hub.stream("book", MARKET).since(0) is not None


@pytest.mark.parametrize("channel", ["orders", "balances", "protection", "trades", "markets"])
def test_the_first_messages_of_a_new_run_of_the_engine_are_news_to_the_client(channel: str) -> None:
    """The engine counts from 1 again: a snapshot made now must not carry the number that the last run had reached."""
    hub, client, told = joined_hub(), Subscription(channel, None), Texts()
    stream = hub.stream(channel, MARKET)
    for seq in (1, 2, 3):
        hub.publish(message(seq, kind="event", channel=channel))
    hub.publish(message(0, kind="snapshot", epoch="e2", bids=[], asks=[]))
    assert client.accept(told.read(hub.envelope(stream, "snapshot", msgspec.Raw(b"[]"))))
    stream.subscribers.add(told)
    for seq in (1, 2, 3, 4):
        hub.publish(message(seq, kind="event", channel=channel, epoch="e2"))
    assert [client.accept(told.read(text)) for text in told.texts] == [True] * 4


def test_a_market_listed_later_has_an_empty_book_at_once() -> None:
    hub = FeedHub()
    hub.meet_epoch("e1")
    assert hub.book(MARKET) is None
    hub.publish(message(1, channel="markets", kind="event", symbol=MARKET, status="ACTIVE"))
    found = hub.book(MARKET)
    assert found is not None
    assert (found[0], found[1].bids) == (0, [])
    assert hub.publish(message(1, bids=[["1", "1"]], asks=[])) is True


@pytest.fixture
def context(tmp_path: Path) -> Context:
    deployment = Deployment(1, 1, {name: bytes([index + 1]) * 20 for index, name in enumerate(CONTRACTS)})
    return make_context(Settings(tmp_path, f"sqlite:///{tmp_path / 'x.db'}", "http://127.0.0.1:1", deployment))


async def test_a_client_that_does_not_read_is_closed_by_name(context: Context) -> None:
    sent: list[dict[str, Any]] = []
    choked = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not sent:
            return {"type": "websocket.connect"}
        return await asyncio.Future()

    async def send(frame: Any) -> None:
        sent.append(frame)
        if frame["type"] == "websocket.send" and len(sent) > 3:
            choked.set()
            await asyncio.Future()  # the peer's window is full, for ever

    connection = Connection(WebSocket({"type": "websocket"}, receive, send), context)
    running = asyncio.create_task(connection.run())
    hub = context.hub
    hub.publish(message(0, kind="snapshot", bids=[], asks=[]))
    stream = hub.stream("book", MARKET)
    stream.subscribers.add(connection)
    for seq in range(1, 4):
        hub.publish(message(seq))
    await asyncio.wait_for(choked.wait(), 5)
    for seq in range(4, 5_000):
        hub.publish(message(seq))
    await asyncio.wait_for(running, 5)

    assert sent[-1]["type"] == "websocket.close"
    assert sent[-1]["code"] == 4008
    assert sent[-1]["reason"] == f"too slow; last sent book {MARKET} seq 2"
    assert connection not in context.connections


def test_a_stream_that_nobody_follows_and_the_engine_never_named_is_forgotten() -> None:
    """Anybody may sign in with a new key, as often as they like."""
    hub = joined_hub()
    for number in range(100):
        stream = hub.stream("orders", f"0x{number:040x}")
        subscriber = Listener()
        stream.subscribers.add(subscriber)
        hub.release(stream)
        assert hub.stream("orders", stream.key) is stream
        stream.subscribers.discard(subscriber)
        hub.release(stream)
        assert hub.stream("orders", stream.key) is not stream
        hub.release(hub.stream("orders", stream.key))
    book = hub.stream("book", MARKET)
    hub.release(book)
    assert hub.stream("book", MARKET) is book
