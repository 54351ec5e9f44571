"""Everyone who takes part in `matching.py`, behind the same two calls: place and cancel.

Each keeps what it needs to find an order again, and appends (lots, price) of every trade to `trades`, in order.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

Trades = list[tuple[int, int]]


class Matcher(Protocol):
    trades: Trades

    def place(self, number: int, is_buy: bool, price: int, quantity: int) -> None: ...

    def cancel(self, number: int) -> None: ...


class Reference:
    """The rules as plainly as possible. It draws the flow, because a cancel needs an order that still rests."""

    def __init__(self) -> None:
        self.levels: dict[bool, dict[int, deque[list[int]]]] = {True: {}, False: {}}
        self.live: dict[int, tuple[bool, int]] = {}
        self.trades: Trades = []

    def place(self, number: int, is_buy: bool, price: int, quantity: int) -> None:
        against = self.levels[not is_buy]
        while quantity and against:
            best = min(against) if is_buy else max(against)
            if (best > price) if is_buy else (best < price):
                break
            queue = against[best]
            maker = queue[0]
            lots = min(quantity, maker[1])
            quantity -= lots
            maker[1] -= lots
            self.trades.append((lots, best))
            if not maker[1]:
                queue.popleft()
                del self.live[maker[0]]
                if not queue:
                    del against[best]
        if quantity:
            self.levels[is_buy].setdefault(price, deque()).append([number, quantity])
            self.live[number] = (is_buy, price)

    def cancel(self, number: int) -> None:
        is_buy, price = self.live.pop(number)
        queue = self.levels[is_buy][price]
        queue.remove(next(entry for entry in queue if entry[0] == number))
        if not queue:
            del self.levels[is_buy][price]


class OurBook:
    def __init__(self) -> None:
        from relayer.engine.book import Book, BookOrder

        self.trades: Trades = []
        self._traded = self.trades.append
        self._order = BookOrder
        self._book: Any = Book()
        self._live: dict[int, Any] = {}

    def place(self, number: int, is_buy: bool, price: int, quantity: int) -> None:
        order = self._order(number, number, is_buy, price, quantity)  # type: ignore[type-var]
        for _, maker, lots, _ in self._book.match(order, None):
            self._traded((lots, maker.price))
            if maker.level is None:
                del self._live[maker.key]
        if order.remaining:
            self._book.rest(order)
            self._live[number] = order

    def cancel(self, number: int) -> None:
        self._book.remove(self._live.pop(number))


class OurEngine:
    """The same flow as signed orders of two accounts: balances, reservations, fees, lanes and events included."""

    MARKET = "sBTC-USDC"

    def __init__(self) -> None:
        from cxdex.facts import Credited, MarketListed, MarketStatusChanged
        from relayer.engine.commands import ApplyFact, Cancel
        from relayer.engine.core import Engine
        from relayer.engine.events import Traded

        self.trades: Trades = []
        self._cancel, self._traded = Cancel, Traded
        self._engine = Engine()
        self._accounts = {True: b"buyer" + bytes(15), False: b"seller" + bytes(14)}
        self._sides: dict[int, bool] = {}
        self._prepared: dict[int, Any] = {}
        listed = MarketListed(self.MARKET, 1, 0, 2, "sBTC", 14, 1, 1, 25, 25)
        credited = [Credited(account, asset, 10**30) for account in self._accounts.values() for asset in (0, 2)]
        for index, fact in enumerate([listed, MarketStatusChanged(self.MARKET, 2, 1), *credited]):
            self._engine.apply(ApplyFact(0, 1, index, index, False, fact))

    def prepare(self, flow: list[tuple[int, bool, int, int]]) -> None:
        """Decoding orders is the gateway's work, so it is not measured."""
        from cxdex.nonce import pack_nonce
        from cxdex.order import Order, OrderType, Side, TimeInForce
        from relayer.engine.commands import Place

        for number, is_buy, price, quantity in flow:
            if quantity:
                side, nonce = Side.BUY if is_buy else Side.SELL, pack_nonce(0, number, 1)
                owner, kind, how = self._accounts[is_buy], OrderType.LIMIT, TimeInForce.GTC
                order = Order(owner, self.MARKET, side, kind, how, quantity, price, 50, 10**9, nonce)
                self._prepared[number] = Place(1, order, bytes(65), number.to_bytes(32, "big"))
                self._sides[number] = is_buy

    def place(self, number: int, *_: object) -> None:
        self._tell(self._engine.apply(self._prepared.pop(number)))

    def cancel(self, number: int) -> None:
        account = self._accounts[self._sides[number]]
        self._tell(self._engine.apply(self._cancel(1, account, [number.to_bytes(32, "big")])))

    def _tell(self, events: list[Any]) -> None:
        for event in events:
            if type(event) is self._traded:
                self.trades.append((event.quantity, event.price))


class CythonOrderbook:
    """It keeps its trades by itself; they are read at the end."""

    def __init__(self) -> None:
        import cython_orderbook as peer

        self._order, self._sides = peer.Order, (peer.OrderSide.ASK, peer.OrderSide.BID)
        self._book: Any = peer.OrderBook()
        self._ids: dict[int, Any] = {}

    def place(self, number: int, is_buy: bool, price: int, quantity: int) -> None:
        order = self._order(side=self._sides[is_buy], price=price, original_quantity=quantity)
        self._book.add_limit_order(order)
        self._ids[number] = order.order_id

    def cancel(self, number: int) -> None:
        self._book.cancel_order(self._ids[number])

    @property
    def trades(self) -> Trades:
        return [(trade.quantity_filled, trade.price) for trade in self._book.trade_log]


class PyOrderbook:
    def __init__(self) -> None:
        import pyorderbook as peer

        logging.getLogger("pyorderbook").setLevel(logging.ERROR)
        self.trades: Trades = []
        self._traded = self.trades.append
        self._order, self._sides = peer.Order, (peer.Side.ASK, peer.Side.BID)
        self._book: Any = peer.Book()
        self._orders: dict[int, Any] = {}

    def place(self, number: int, is_buy: bool, price: int, quantity: int) -> None:
        order = self._orders[number] = self._order(self._sides[is_buy], "X", price, quantity)
        for trade in self._book.match(order).trades:
            self._traded((trade.fill_quantity, int(trade.fill_price)))

    def cancel(self, number: int) -> None:
        self._book.cancel(self._orders.pop(number))


class LightMatchingEngine:
    def __init__(self) -> None:
        from lightmatchingengine import lightmatchingengine as peer

        self.trades: Trades = []
        self._traded = self.trades.append
        self._engine: Any = peer.LightMatchingEngine()
        self._ids: dict[int, int] = {}

    def place(self, number: int, is_buy: bool, price: int, quantity: int) -> None:
        order, fills = self._engine.add_order("X", price, quantity, 1 if is_buy else 2)
        for fill in fills:
            if fill.order_id != order.order_id:  # it reports the taker's side of a level once more
                self._traded((fill.trade_qty, fill.trade_price))
        self._ids[number] = order.order_id

    def cancel(self, number: int) -> None:
        self._engine.cancel_order(self._ids[number], "X")


class Liquibook:
    def __init__(self) -> None:
        import liquibook as peer

        trades: Trades = []
        self.trades, traded = trades, trades.append

        class Listener(peer.OrderListener):  # type: ignore[misc, name-defined]
            def on_accept(self, order: object) -> None: ...

            def on_cancel(self, order: object) -> None: ...

            def on_fill(self, passive: Any, aggressive: Any, quantity: int, price: int) -> None:
                passive.fill(quantity, price, 0)
                aggressive.fill(quantity, price, 0)
                traded((quantity, price))

        self._listener, self._order, self._book = Listener(), peer.SimpleOrder, peer.DepthOrderBook()
        self._book.set_order_listener(self._listener)
        self._orders: dict[int, Any] = {}

    def place(self, number: int, is_buy: bool, price: int, quantity: int) -> None:
        order = self._orders[number] = self._order(is_buy, price, quantity)
        self._book.add(order)

    def cancel(self, number: int) -> None:
        self._book.cancel(self._orders.pop(number))


class OrderlyChaos:
    def __init__(self) -> None:
        import orderly_chaos as peer

        self.trades: Trades = []
        self._sides = (peer.Side.SELL, peer.Side.BUY)
        self._book: Any = peer.LimitOrderBook(on_trade=self._traded)

    def place(self, number: int, is_buy: bool, price: int, quantity: int) -> None:
        self._book.limit(self._sides[is_buy], number, quantity, price)

    def cancel(self, number: int) -> None:
        self._book.cancel(number)

    def _traded(self, trade: Any) -> None:
        self.trades.append((trade.quantity, trade.price))


class Obook:
    def __init__(self) -> None:
        import obook as peer

        self.trades: Trades = []
        self._traded = self.trades.append
        self._sides, self._trade = (peer.SELL, peer.BUY), peer.EventKind.TRADE
        self._book: Any = peer.Book(max_orders=1_000_000)
        self._ids: dict[int, int] = {}

    def place(self, number: int, is_buy: bool, price: int, quantity: int) -> None:
        self._ids[number] = self._book.submit(number, self._sides[is_buy], price, quantity).order_id
        for event in self._book.events():
            if event.kind is self._trade:
                self._traded((event.qty, event.price))

    def cancel(self, number: int) -> None:
        self._book.cancel(self._ids.pop(number), number)


OURS: dict[str, Callable[[], Matcher]] = {"our book": OurBook, "our engine, all included": OurEngine}
PEERS: dict[str, Callable[[], Matcher]] = {
    "liquibook (C++)": Liquibook,
    "orderly-chaos (C++)": OrderlyChaos,
    "obook (C ABI)": Obook,
    "cython-orderbook": CythonOrderbook,
    "pyorderbook": PyOrderbook,
    "lightmatchingengine": LightMatchingEngine,
}
