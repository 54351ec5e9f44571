"""Feed messages as a pure function of what was applied."""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

from cxdex.batch import trade_id
from cxdex.market import MarketKind, MarketStatus, MarketTerms
from cxdex.order import Side
from cxdex.order_word import order_word
from relayer.engine.events import AnyEvent, BalanceChanged, LevelChanged, MarketChanged, Traded
from relayer.feeds import Feeds
from relayer.framing import encode_frame
from relayer.public_order import order_state_json
from relayer.wire import Feed, OrderState
from tests.relayer.service.running_engine import MARKET, account, signed

TERMS = MarketTerms(MARKET, 1, MarketKind.SPOT, 2, "sBTC", 14, 100, 1, 25, 25)  # lot 0.0001, tick 1
MAKER, TAKER = b"\x01" * 32, b"\x02" * 32


def feeds() -> Feeds:
    streams = Feeds("e1")
    streams.open_book(TERMS, [(True, 990, 5), (False, 1010, 7)])
    return streams


def sent(streams: Feeds, *events: AnyEvent, states: tuple[OrderState, ...] = ()) -> list[Feed]:
    return list(streams.messages([(77, events, states)]))


def data(message: Feed) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(bytes(message.data))
    return shown


def test_a_snapshot_shows_the_book_and_its_checksum() -> None:
    snapshot, bbo, ticker = feeds().snapshots(5)
    assert (snapshot.type, snapshot.seq, snapshot.prev, snapshot.epoch, snapshot.ts) == ("snapshot", 0, 0, "e1", 5)
    assert data(snapshot) == {"bids": [["990", "0.0005"]], "asks": [["1010", "0.0007"]]}
    assert snapshot.crc == crc32(b"990:0.0005|1010:0.0007")
    assert (bbo.channel, data(bbo)) == ("bbo", {"bid": ["990", "0.0005"], "ask": ["1010", "0.0007"]})
    assert (ticker.channel, ticker.type, data(ticker)["last"], data(ticker)["bid"]) == (
        "ticker",
        "snapshot",
        None,
        ["990", "0.0005"],
    )


def test_one_delta_a_command_and_market_with_zero_for_what_is_gone() -> None:
    streams = feeds()
    delta, _bbo = sent(streams, LevelChanged(1, MARKET, True, 990, 0), LevelChanged(1, MARKET, True, 995, 3))
    assert (delta.type, delta.seq, delta.prev, delta.crc) == ("delta", 1, 0, None)
    assert data(delta) == {"bids": [["995", "0.0003"], ["990", "0"]], "asks": []}
    snapshot, *_ = streams.snapshots(6)
    assert (snapshot.seq, data(snapshot)["bids"]) == (1, [["995", "0.0003"]])


def test_commands_of_a_group_share_a_delta_and_the_newest_of_a_balance_is_told() -> None:
    streams, alice = feeds(), account(1)
    group: list[tuple[int, list[AnyEvent], list[OrderState]]] = [
        (77, [LevelChanged(77, MARKET, True, 995, 3), BalanceChanged(77, alice, 0, 9_000_000, 1_000_000)], []),
        (78, [Traded(78, 4, MARKET, 2, MAKER, TAKER, alice, account(2), True, 1010, 3, 1, 1, 4, 0, 7, 8)], []),
        (79, [LevelChanged(79, MARKET, True, 995, 0), BalanceChanged(79, alice, 0, 8_000_000, 0)], []),
        (79, [LevelChanged(79, MARKET, False, 1010, 4), BalanceChanged(79, alice, 2, 5, 0)], []),
    ]
    trade, usdc, asset, delta, bbo = streams.messages(group)
    assert (trade.channel, trade.ts) == ("trades", 78)
    assert [(one.channel, one.key, one.seq, data(one)["asset"]) for one in (usdc, asset)] == [
        ("balances", "0x" + alice.hex(), 1, 0),
        ("balances", "0x" + alice.hex(), 2, 2),
    ]
    assert data(usdc) == {"asset": 0, "total": "8", "reserved": "0", "available": "8"}
    assert (delta.seq, delta.ts, data(delta)) == (1, 79, {"bids": [["995", "0"]], "asks": [["1010", "0.0004"]]})
    assert data(bbo) == {"bid": ["990", "0.0005"], "ask": ["1010", "0.0004"]}
    nothing_new = [
        (80, [LevelChanged(80, MARKET, True, 990, 9)], []),
        (80, [LevelChanged(80, MARKET, True, 990, 5)], []),
    ]
    assert [message.channel for message in streams.messages(nothing_new)] == ["book"]


def test_the_best_of_a_side_is_told_when_it_changes_and_only_then() -> None:
    streams = feeds()
    assert [message.channel for message in sent(streams, LevelChanged(1, MARKET, True, 980, 4))] == ["book"]
    more = sent(streams, LevelChanged(1, MARKET, True, 990, 6))[1]
    gone = sent(streams, LevelChanged(1, MARKET, True, 990, 0))[1]
    empty = sent(streams, LevelChanged(1, MARKET, False, 1010, 0))[1]
    assert [data(message)["bid"] for message in (more, gone)] == [["990", "0.0006"], ["980", "0.0004"]]
    assert data(empty) == {"bid": ["980", "0.0004"], "ask": None}
    assert [(message.channel, message.seq, message.prev) for message in (more, gone, empty)] == [
        ("bbo", 1, 0),
        ("bbo", 2, 1),
        ("bbo", 3, 2),
    ]


def test_a_ticker_is_sent_when_something_in_it_changed() -> None:
    streams = feeds()
    prices: dict[str, tuple[int, int] | None] = {MARKET: None}
    streams.show_index(lambda symbol: prices[symbol])
    (first,) = streams.tickers(60_000)
    assert list(streams.tickers(61_000)) == []
    sent(streams, Traded(61_500, 4, MARKET, 2, MAKER, TAKER, account(1), account(2), True, 1010, 3, 1, 1, 4, 0, 7, 8))
    sent(streams, Traded(61_600, 5, MARKET, 3, MAKER, TAKER, account(1), account(2), True, 1005, 2, 1, 1, 4, 0, 7, 8))
    (second,) = streams.tickers(62_000)
    prices[MARKET] = (1_007_500_000, 59)
    (third,) = streams.tickers(63_000)
    assert [(message.seq, message.prev, message.type) for message in (first, second, third)] == [
        (1, 0, "event"),
        (2, 1, "event"),
        (3, 2, "event"),
    ]
    assert data(third) == {
        "market": MARKET,
        "last": "1005",
        "lastTime": 61_600,
        "open24h": "1010",
        "high24h": "1010",
        "low24h": "1005",
        "change24h": "-5",
        "volume24h": "0.0005",
        "notional24h": "0.504",  # 0.0003 at 1010 and 0.0002 at 1005
        "trades24h": 2,
        "bid": ["990", "0.0005"],
        "ask": ["1010", "0.0007"],
        "index": "1007.5",
        "indexTime": 59_000,
    }
    (later,) = streams.tickers(61_600 + 86_400_000)
    assert data(later)["volume24h"] == "0"
    assert (data(later)["last"], data(later)["open24h"]) == ("1005", None)


def test_a_market_that_is_listed_has_a_ticker_at_once() -> None:
    told = sent(feeds(), MarketChanged(1, MARKET, MarketStatus.ACTIVE))
    assert [message.channel for message in told] == ["markets", "ticker"]


def test_every_hundredth_delta_carries_a_checksum_of_the_ten_best() -> None:
    streams = feeds()
    messages = [message for n in range(100) for message in sent(streams, LevelChanged(1, MARKET, True, 800 + n, 1))]
    assert [message.seq for message in messages if message.crc is not None] == [100]
    best = ["990:0.0005", *(f"{899 - n}:0.0001" for n in range(9)), "1010:0.0007"]
    assert messages[-1].crc == crc32("|".join(best).encode())


def test_a_trade_names_both_orders_and_an_id_anyone_can_compute() -> None:
    event = Traded(9, 4, MARKET, 2, MAKER, TAKER, account(1), account(2), True, 1010, 3, 1, 1, 4, 0, 7, 8)
    (message,) = sent(feeds(), event)
    buy, sell = order_word(account(2), 8, TAKER), order_word(account(1), 7, MAKER)  # as the Fill event has them
    assert (message.channel, message.key, message.type) == ("trades", MARKET, "event")
    assert data(message) == {
        "matchId": "4",
        "tradeId": "0x" + trade_id(MARKET, buy, sell, 2, 1010, 3).hex(),
        "price": "1010",
        "quantity": "0.0003",
        "takerSide": "BUY",
        "time": 9,
        "sequence": "2",
        "makerOrder": "0x" + MAKER.hex(),
        "takerOrder": "0x" + TAKER.hex(),
    }


def test_private_messages_are_keyed_by_account() -> None:
    order = signed(account(1), 3, Side.BUY, 1000, 25)
    state = OrderState(order.order, order.digest, "mine", "OPEN", None, 5, 20, 2, 10, 11)
    message, balance = sent(feeds(), BalanceChanged(1, account(1), 0, 2_500_000, 500_000), states=(state,))
    key = "0x" + account(1).hex()
    assert (balance.channel, balance.key) == ("balances", key)
    assert data(balance) == {"asset": 0, "total": "2.5", "reserved": "0.5", "available": "2"}
    assert (message.channel, message.key) == ("orders", key)
    shown = data(message)
    assert shown == order_state_json(state, TERMS)
    assert shown["id"] == "0x" + order.digest.hex()
    assert (shown["quantity"], shown["filled"], shown["remaining"]) == ("0.0025", "0.0005", "0.002")
    assert shown["nonce"] == str(order.order.nonce)


def test_a_market_tells_its_status() -> None:
    message, _ticker = sent(feeds(), MarketChanged(1, MARKET, MarketStatus.PAUSED))
    assert (message.channel, data(message)) == ("markets", {"symbol": MARKET, "status": "PAUSED"})


def test_sequences_count_each_channel_and_key_apart() -> None:
    streams = feeds()
    first, second = account(1), account(2)
    messages = [
        message for owner in (first, second, first) for message in sent(streams, BalanceChanged(1, owner, 0, 1, 0))
    ]
    assert [(message.seq, message.prev) for message in messages] == [(1, 0), (1, 0), (2, 1)]


def test_a_book_of_dust_at_every_price_still_fits_into_a_frame() -> None:
    streams = Feeds("e1")
    levels = [
        (is_bid, 10**12 + price * (-1 if is_bid else 1), 1) for price in range(1, 120_000) for is_bid in (True, False)
    ]
    streams.open_book(TERMS, levels)
    snapshot, *_ = streams.snapshots(5)
    assert len(encode_frame(snapshot)) < 10**6
    shown = data(snapshot)
    assert len(shown["bids"]) == len(shown["asks"]) == 5_000
    assert (shown["bids"][0][0], shown["asks"][0][0]) == (str(10**12 - 1), str(10**12 + 1))
