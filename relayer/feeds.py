"""From what the engine did to what subscribers read: sequenced feed messages, and books with checksums.

Owns:     the order book as subscribers see it, and the sequence number of every (channel, key).
Promises: a pure function of what was applied: the same commands, in the same groups, after the same start give the
          same messages, except for `epoch`, the random name of this run. Within an epoch `seq` of a (channel, key)
          rises by one a message and `prev` is the one before; another epoch means: start from a snapshot.
          Every match and every state of an order is told; of a level and of a balance what it is after the group.
Never:    does I/O or reads a clock.

Channels (`data` is JSON with decimal strings):
  book      key = market. snapshot and delta: {"bids": [[price, quantity], ...], "asks": [...]}, best price
            first; in a delta a quantity of "0" removes the level. A snapshot carries the seq of the last delta
            it contains (and prev = seq), so the next delta's prev is the snapshot's seq; it has the best 5,000 levels
            of each side, and what lies behind them comes with the deltas that change it.
  bbo       key = market. event, when the best price of a side or its quantity changed: {"bid", "ask"}, each
            [price, quantity] or null
  ticker    key = market. event, at most once a second, when something in it changed; see `ticker_json`
  trades    key = market. event: {"matchId", "tradeId", "sequence", "price", "quantity", "takerSide", "time",
            "makerOrder", "takerOrder"}; how far it is on its way to the chain: channel settlements of the API
  orders    key = account, 0x and lower case; private. event: the order's state, see `public_order`
  balances  key = account; private. event: {"asset", "total", "reserved", "available"}
  protection  key = account; private. event: market-maker protection in a market, see `public_guard`
  markets   key = market. event: {"symbol", "status"}

A subscriber starts from snapshots of every market's book, bbo and ticker. bbo and ticker messages carry the whole
state, so the newest one is all there is to know.

Checksum of a book (on every snapshot, and on every delta whose seq is a multiple of 100), after the message:
  CRC32 (unsigned, as zlib computes it) of the ASCII string  price:quantity|price:quantity|...  of the ten best
  bids, best first, and then the ten best asks, best first; strings as in the messages; empty book: CRC32 of "".
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import msgspec

from cxdex.batch import trade_id
from cxdex.market import CXPT_ASSET, MarketStatus, MarketTerms
from cxdex.units import format_asset, format_price, format_quantity, format_usdc
from relayer.engine.events import AnyEvent, BalanceChanged, GuardChanged, LevelChanged, MarketChanged, Traded
from relayer.public_guard import guard_json
from relayer.public_order import order_state_json
from relayer.ticker import Minute, Tape
from relayer.wire import Feed, GuardState, OrderState

CHECKSUM_LEVELS = 10
CHECKSUM_EVERY = 100
SNAPSHOT_LEVELS = 5_000  # of each side: dust at a hundred thousand prices must not make a book too large to send

Best = tuple[tuple[int, int] | None, tuple[int, int] | None]
Index = tuple[int, int]
"""(1e-6 USDC a whole unit, when it was published in unix seconds)"""
IndexOf = Callable[[str], Index | None]
"""Of a market, by symbol."""

_encode = msgspec.json.Encoder().encode


Commanded = tuple[int, Sequence[AnyEvent], Sequence[OrderState]]
"""Of one command: its time, its events, and the state after it of every order that it touched."""


@dataclass(slots=True)
class _Newest:
    """Of commands that were applied together: (bids, asks) that changed and the best before them, by market; balances
    by account and asset."""

    levels: dict[str, tuple[dict[int, int], dict[int, int]]] = field(default_factory=dict)
    best: dict[str, Best] = field(default_factory=dict)
    balances: dict[tuple[bytes, int], BalanceChanged] = field(default_factory=dict)


class FeedBook:
    """Resting lots by price in ticks, for one market."""

    def __init__(self, terms: MarketTerms) -> None:
        self.terms = terms
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._bid_prices: list[int] = []  # ascending
        self._ask_prices: list[int] = []

    def set_level(self, is_bid: bool, price: int, quantity: int) -> None:
        side, prices = (self.bids, self._bid_prices) if is_bid else (self.asks, self._ask_prices)
        if quantity:
            if price not in side:
                insort(prices, price)
            side[price] = quantity
        elif side.pop(price, None) is not None:
            del prices[bisect_left(prices, price)]

    def best(self) -> Best:
        """(price, lots) of the best bid and of the best ask."""
        bid, ask = self._bid_prices[-1:], self._ask_prices[:1]
        return (bid[0], self.bids[bid[0]]) if bid else None, (ask[0], self.asks[ask[0]]) if ask else None

    def checksum(self) -> int:
        best = [(price, self.bids[price]) for price in self._bid_prices[: -CHECKSUM_LEVELS - 1 : -1]]
        best += [(price, self.asks[price]) for price in self._ask_prices[:CHECKSUM_LEVELS]]
        return crc32("|".join(":".join(self.level(*pair)) for pair in best).encode())

    def shown_best(self) -> list[tuple[str, str] | None]:
        return [None if level is None else self.level(*level) for level in self.best()]

    def level(self, price: int, quantity: int) -> tuple[str, str]:
        return format_price(self.terms, price), format_quantity(self.terms, quantity)

    def snapshot(self) -> msgspec.Raw:
        """The best levels of each side."""
        bids, asks = self._bid_prices[-SNAPSHOT_LEVELS:], self._ask_prices[:SNAPSHOT_LEVELS]
        return self.sides({price: self.bids[price] for price in bids}, {price: self.asks[price] for price in asks})

    def sides(self, bids: Mapping[int, int], asks: Mapping[int, int]) -> msgspec.Raw:
        """The `data` of a book message with these levels."""
        return _raw(
            {
                "bids": [self.level(price, bids[price]) for price in sorted(bids, reverse=True)],
                "asks": [self.level(price, asks[price]) for price in sorted(asks)],
            }
        )


class Feeds:
    """All public and private streams of one run of the engine process."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self._books: dict[str, FeedBook] = {}
        self._sequences: dict[tuple[str, str], int] = {}
        self._tapes: dict[str, Tape] = {}
        self._tickers: dict[str, bytes] = {}  # as they were last sent
        self._index_of: IndexOf = lambda _symbol: None

    def open_book(self, terms: MarketTerms, levels: Iterable[tuple[bool, int, int]] = ()) -> None:
        """Starts a market's book with (is_bid, price, lots). A book that is open keeps its levels."""
        book = self._books.get(terms.symbol)
        if book is not None:
            book.terms = terms  # a listing that a reorg took back may return with others, and an empty book
            return
        book = self._books[terms.symbol] = FeedBook(terms)
        for is_bid, price, quantity in levels:
            book.set_level(is_bid, price, quantity)

    def show_index(self, index_of: IndexOf) -> None:
        """Where tickers read the index from."""
        self._index_of = index_of

    def load_tapes(self, minutes: Iterable[tuple[str, int, Minute]]) -> None:
        """(market, number of the minute, its matches) from before this run, oldest first."""
        for symbol, number, minute in minutes:
            self._tape(symbol).add(number, minute)

    def snapshots(self, time_ms: int) -> list[Feed]:
        """What a new subscriber gets first: the books of all markets, then their bbos and tickers."""
        messages = []
        for symbol, book in self._books.items():
            messages.append(self._snapshot("book", symbol, time_ms, book.snapshot(), book.checksum()))
        for symbol, book in self._books.items():
            messages.append(self._snapshot("bbo", symbol, time_ms, _bbo(book)))
            messages.append(self._snapshot("ticker", symbol, time_ms, self._ticker(symbol, time_ms)))
        return messages

    def tickers(self, time_ms: int) -> Iterator[Feed]:
        """The tickers that are not as they were last sent. To be called once a second."""
        for symbol in self._books:
            yield from self._send_ticker(symbol, time_ms)

    def messages(self, commands: Iterable[Commanded]) -> Iterator[Feed]:
        """The messages of commands that were applied together, without those of books and balances that the next of
        them replaces.

        The books of the markets that the events mention must be open.
        """
        told = _Newest()
        time_ms = 0
        for time_ms, events, states in commands:
            yield from self._happened(time_ms, events, told)
            for state in states:
                data = _raw(order_state_json(state, self._books[state.order.market].terms))
                yield self._message("orders", "0x" + state.order.account.hex(), time_ms, "event", data)
        for balance in told.balances.values():
            yield self._message("balances", "0x" + balance.account.hex(), time_ms, "event", _balance(balance))
        for symbol, (bids, asks) in told.levels.items():
            yield self._delta(symbol, time_ms, bids, asks)
            if self._books[symbol].best() != told.best[symbol]:
                yield self._message("bbo", symbol, time_ms, "event", _bbo(self._books[symbol]))

    def _happened(self, time_ms: int, events: Iterable[AnyEvent], told: _Newest) -> Iterator[Feed]:
        """What is told of each event, and in `told` what will be told once for all."""
        for event in events:
            if isinstance(event, LevelChanged):
                book = self._books[event.market]
                if event.market not in told.levels:
                    told.levels[event.market], told.best[event.market] = ({}, {}), book.best()
                told.levels[event.market][0 if event.is_bid else 1][event.price] = event.quantity
                book.set_level(event.is_bid, event.price, event.quantity)
            elif isinstance(event, BalanceChanged):
                told.balances[event.account, event.asset] = event
            elif isinstance(event, Traded):
                self._tape(event.market).match(event.price, event.quantity, event.time_ms)
                yield self._message("trades", event.market, time_ms, "event", self._trade(event))
            elif isinstance(event, GuardChanged):
                yield self._message("protection", "0x" + event.account.hex(), time_ms, "event", self._guard(event))
            elif isinstance(event, MarketChanged):
                data = {"symbol": event.market, "status": MarketStatus(event.status).name}
                yield self._message("markets", event.market, time_ms, "event", _raw(data))
                if event.market not in self._tickers:  # listed now: who subscribes has something to start from
                    yield from self._send_ticker(event.market, time_ms)

    def _delta(self, symbol: str, time_ms: int, bids: dict[int, int], asks: dict[int, int]) -> Feed:
        book = self._books[symbol]
        message = self._message("book", symbol, time_ms, "delta", book.sides(bids, asks))
        if message.seq % CHECKSUM_EVERY == 0:
            return msgspec.structs.replace(message, crc=book.checksum())
        return message

    def _snapshot(self, channel: str, key: str, time_ms: int, data: msgspec.Raw, crc: int | None = None) -> Feed:
        seq = self._sequences.get((channel, key), 0)
        return Feed(channel, key, self.epoch, seq, seq, time_ms, "snapshot", data, crc)

    def _tape(self, symbol: str) -> Tape:
        return self._tapes.setdefault(symbol, Tape())

    def _send_ticker(self, symbol: str, time_ms: int) -> Iterator[Feed]:
        data = self._ticker(symbol, time_ms)
        if self._tickers.get(symbol) != bytes(data):
            self._tickers[symbol] = bytes(data)
            yield self._message("ticker", symbol, time_ms, "event", data)

    def _ticker(self, symbol: str, time_ms: int) -> msgspec.Raw:
        return _raw(ticker_json(self._books[symbol], self._tape(symbol), self._index_of(symbol), time_ms))

    def _message(self, channel: str, key: str, time_ms: int, kind: str, data: msgspec.Raw) -> Feed:
        prev = self._sequences.get((channel, key), 0)
        self._sequences[channel, key] = prev + 1
        return Feed(channel, key, self.epoch, prev + 1, prev, time_ms, kind, data)

    def _guard(self, event: GuardChanged) -> msgspec.Raw:
        state = GuardState(event.market, event.window_ms, event.lots, event.notional, event.cooldown_ms, event.until_ms)
        return _raw(guard_json(state, self._books[event.market].terms, event.time_ms))

    def _trade(self, event: Traded) -> msgspec.Raw:
        terms = self._books[event.market].terms
        maker, taker = event.maker_digest, event.taker_digest
        orders = event.maker_order, event.taker_order
        buy, sell = orders[::-1] if event.taker_is_buyer else orders
        return _raw(
            {
                "matchId": str(event.match_id),
                "tradeId": "0x" + trade_id(event.market, buy, sell, event.sequence, event.price, event.quantity).hex(),
                "sequence": str(event.sequence),
                "price": format_price(terms, event.price),
                "quantity": format_quantity(terms, event.quantity),
                "takerSide": "BUY" if event.taker_is_buyer else "SELL",
                "time": event.time_ms,
                "makerOrder": "0x" + maker.hex(),
                "takerOrder": "0x" + taker.hex(),
            }
        )


def ticker_json(book: FeedBook, tape: Tape, index: Index | None, time_ms: int) -> dict[str, Any]:
    """The last price, the day (see `relayer.ticker` for which), the best bid and ask, and the index.

    Null: there was no match (in that day), no order on that side, no index price. index: USDC a whole unit.
    """
    terms = book.terms
    bid, ask = book.shown_best()
    day = tape.day(time_ms)
    return {
        "market": terms.symbol,
        "last": None if tape.last is None else format_price(terms, tape.last),
        "lastTime": tape.last_ms or None,
        "open24h": day and format_price(terms, day.open),
        "high24h": day and format_price(terms, day.high),
        "low24h": day and format_price(terms, day.low),
        "change24h": day and format_price(terms, day.close - day.open),
        "volume24h": format_quantity(terms, day.lots if day else 0),
        "notional24h": format_usdc(day.lot_ticks * terms.quote_per_lot_tick if day else 0),
        "trades24h": day.trades if day else 0,
        "bid": bid,
        "ask": ask,
        "index": index and format_usdc(index[0]),
        "indexTime": index and index[1] * 1_000,
    }


def _bbo(book: FeedBook) -> msgspec.Raw:
    bid, ask = book.shown_best()
    return _raw({"bid": bid, "ask": ask})


def _balance(event: BalanceChanged) -> msgspec.Raw:
    show = format_usdc if event.asset <= CXPT_ASSET else format_asset
    return _raw(
        {
            "asset": event.asset,
            "total": show(event.total),
            "reserved": show(event.reserved),
            "available": show(event.total - event.reserved),
        }
    )


def _raw(value: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
