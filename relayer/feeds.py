"""From what the engine did to what subscribers read: sequenced feed messages, and books with checksums.

Owns:     the order book as subscribers see it, and the sequence number of every (channel, key).
Promises: a pure function of what was applied: the same commands after the same start give the same messages,
          except for `epoch`, the random name of this run. Within an epoch `seq` of a (channel, key) rises by
          one a message and `prev` is the one before; another epoch means: start from a snapshot.
Never:    does I/O or reads a clock.

Channels (`data` is JSON with decimal strings):
  book      key = market. snapshot and delta: {"bids": [[price, quantity], ...], "asks": [...]}, best price
            first; in a delta a quantity of "0" removes the level. A snapshot carries the seq of the last delta
            it contains (and prev = seq), so the next delta's prev is the snapshot's seq.
  trades    key = market. event: {"matchId", "tradeId", "price", "quantity", "takerSide", "time",
            "makerOrder", "takerOrder"}
  orders    key = account, 0x and lower case; private. event: the order's state, see `public_order`
  balances  key = account; private. event: {"asset", "total", "reserved", "available"}
  protection  key = account; private. event: market-maker protection in a market, see `public_guard`
  markets   key = market. event: {"symbol", "status"}

Checksum of a book (on every snapshot, and on every delta whose seq is a multiple of 100), after the message:
  CRC32 (unsigned, as zlib computes it) of the ASCII string  price:quantity|price:quantity|...  of the ten best
  bids, best first, and then the ten best asks, best first; strings as in the messages; empty book: CRC32 of "".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import nlargest, nsmallest
from typing import Any
from zlib import crc32

import msgspec

from cxdex.batch import trade_id
from cxdex.market import CXPT_ASSET, MarketStatus, MarketTerms
from cxdex.units import format_asset, format_price, format_quantity, format_usdc
from relayer.engine.events import AnyEvent, BalanceChanged, GuardChanged, LevelChanged, MarketChanged, Traded
from relayer.public_guard import guard_json
from relayer.public_order import order_state_json
from relayer.wire import Feed, GuardState, OrderState

CHECKSUM_LEVELS = 10
CHECKSUM_EVERY = 100

_encode = msgspec.json.Encoder().encode


class FeedBook:
    """Resting lots by price in ticks, for one market."""

    def __init__(self, terms: MarketTerms) -> None:
        self.terms = terms
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    def set_level(self, is_bid: bool, price: int, quantity: int) -> None:
        side = self.bids if is_bid else self.asks
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)

    def checksum(self) -> int:
        best = [(price, self.bids[price]) for price in nlargest(CHECKSUM_LEVELS, self.bids)]
        best += [(price, self.asks[price]) for price in nsmallest(CHECKSUM_LEVELS, self.asks)]
        return crc32("|".join(":".join(self.level(*pair)) for pair in best).encode())

    def level(self, price: int, quantity: int) -> tuple[str, str]:
        return format_price(self.terms, price), format_quantity(self.terms, quantity)

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

    def open_book(self, terms: MarketTerms, levels: Iterable[tuple[bool, int, int]] = ()) -> None:
        """Starts a market's book with (is_bid, price, lots). A book that is open keeps its levels."""
        book = self._books.get(terms.symbol)
        if book is not None:
            book.terms = terms  # a listing that a reorg took back may return with others, and an empty book
            return
        book = self._books[terms.symbol] = FeedBook(terms)
        for is_bid, price, quantity in levels:
            book.set_level(is_bid, price, quantity)

    def snapshots(self, time_ms: int) -> list[Feed]:
        """One book snapshot per market: what a new subscriber gets first."""
        messages = []
        for symbol, book in self._books.items():
            seq = self._sequences.get(("book", symbol), 0)
            data = book.sides(book.bids, book.asks)
            messages.append(Feed("book", symbol, self.epoch, seq, seq, time_ms, "snapshot", data, crc=book.checksum()))
        return messages

    def messages(self, time_ms: int, events: Iterable[AnyEvent], states: Iterable[OrderState]) -> Iterator[Feed]:
        """The messages of one command: its events, and the state after it of every order it touched.

        The book of a market that the events mention must be open.
        """
        changed: dict[str, tuple[dict[int, int], dict[int, int]]] = {}
        for event in events:
            if isinstance(event, LevelChanged):
                bids, asks = changed.setdefault(event.market, ({}, {}))
                (bids if event.is_bid else asks)[event.price] = event.quantity
                self._books[event.market].set_level(event.is_bid, event.price, event.quantity)
            elif isinstance(event, Traded):
                yield self._message("trades", event.market, time_ms, "event", self._trade(event))
            elif isinstance(event, BalanceChanged):
                yield self._message("balances", "0x" + event.account.hex(), time_ms, "event", _balance(event))
            elif isinstance(event, GuardChanged):
                yield self._message("protection", "0x" + event.account.hex(), time_ms, "event", self._guard(event))
            elif isinstance(event, MarketChanged):
                data = {"symbol": event.market, "status": MarketStatus(event.status).name}
                yield self._message("markets", event.market, time_ms, "event", _raw(data))
        for state in states:
            terms = self._books[state.order.market].terms
            key = "0x" + state.order.account.hex()
            yield self._message("orders", key, time_ms, "event", _raw(order_state_json(state, terms)))
        for symbol, (bids, asks) in changed.items():
            yield self._delta(symbol, time_ms, bids, asks)

    def _delta(self, symbol: str, time_ms: int, bids: dict[int, int], asks: dict[int, int]) -> Feed:
        book = self._books[symbol]
        message = self._message("book", symbol, time_ms, "delta", book.sides(bids, asks))
        if message.seq % CHECKSUM_EVERY == 0:
            return msgspec.structs.replace(message, crc=book.checksum())
        return message

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
        buy, sell = (taker, maker) if event.taker_is_buyer else (maker, taker)
        return _raw(
            {
                "matchId": str(event.match_id),
                "tradeId": "0x" + trade_id(event.market, buy, sell, event.sequence, event.price, event.quantity).hex(),
                "price": format_price(terms, event.price),
                "quantity": format_quantity(terms, event.quantity),
                "takerSide": "BUY" if event.taker_is_buyer else "SELL",
                "time": event.time_ms,
                "makerOrder": "0x" + maker.hex(),
                "takerOrder": "0x" + taker.hex(),
            }
        )


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
