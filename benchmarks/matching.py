"""How many order-book events one core matches in a second: our book, our whole engine, and peers from PyPI.

    python benchmarks/matching.py [--events 200000] [--rounds 3]

The flow, drawn once from a fixed seed and played to everyone: 70 % limit orders around a randomly walking middle,
20 % cancels of resting orders, 10 % orders that cross the spread. Everyone keeps its own index by order id and counts
its trades; count, lots and value must agree with a plain reference matcher, or the row says so. CPU time, best of the
rounds, which take turns so that a noisy machine is noisy for all.

Peers are optional and no requirement of this project. (matching-engine, the best pure one, wants Python 3.12, so it
cannot take part in a run on 3.11.) Into a directory of their own:

    python -m pip install --target .cache/peers liquibook cython-orderbook pyorderbook lightmatchingengine
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]
sys.path.append(str(ROOT / ".cache" / "peers"))

from cxdex.facts import Credited, MarketListed, MarketStatusChanged  # noqa: E402
from cxdex.nonce import pack_nonce  # noqa: E402
from cxdex.order import Order, OrderType, Side, TimeInForce  # noqa: E402
from relayer.engine.book import Book, BookOrder  # noqa: E402
from relayer.engine.commands import ApplyFact, Cancel, Place  # noqa: E402
from relayer.engine.core import Engine  # noqa: E402
from relayer.engine.events import Traded  # noqa: E402

SEED = 7
# (id, is_buy, price, quantity); a quantity of 0 cancels the id.
Event = tuple[int, bool, int, int]
Tally = tuple[int, int, int]  # trades, lots, lots times price


class Matcher(Protocol):
    tally: Tally

    def play(self, flow: list[Event]) -> None: ...


class Reference:
    """The rules as plainly as possible; draws the flow, because a cancel needs an order that still rests."""

    def __init__(self) -> None:
        self.levels: dict[bool, dict[int, deque[list[int]]]] = {True: {}, False: {}}
        self.live: dict[int, tuple[bool, int]] = {}
        self.tally: Tally = (0, 0, 0)

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
            trades, total, value = self.tally
            self.tally = (trades + 1, total + lots, value + lots * best)
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


def draw_flow(count: int) -> tuple[list[Event], Tally]:
    rng = random.Random(SEED)
    reference, flow, middle = Reference(), [], 100_000
    placed: list[int] = []
    for number in range(count):
        middle += rng.choice((-1, 0, 1))
        kind = rng.random()
        if kind < 0.2 and reference.live:
            while (victim := placed.pop(rng.randrange(len(placed)))) not in reference.live:
                pass
            flow.append((victim, False, 0, 0))
            reference.cancel(victim)
            continue
        is_buy = rng.random() < 0.5
        toward = 1 if is_buy else -1
        if kind < 0.9:
            price, quantity = middle - toward * rng.randint(1, 30), rng.randint(1, 10)
        else:
            price, quantity = middle + toward * 10, rng.randint(5, 60)
        flow.append((number, is_buy, price, quantity))
        reference.place(number, is_buy, price, quantity)
        placed.append(number)
    return flow, reference.tally


class OurBook:
    def __init__(self) -> None:
        self.tally: Tally = (0, 0, 0)

    def play(self, flow: list[Event]) -> None:
        book: Book[str] = Book()
        live: dict[int, BookOrder[str]] = {}
        trades = lots = value = 0
        for number, is_buy, price, quantity in flow:
            if not quantity:
                book.remove(live.pop(number))
                continue
            order = BookOrder(number, number, is_buy, price, quantity)  # type: ignore[type-var]
            for _, maker, traded in book.match(order, None):
                trades += 1
                lots += traded
                value += traded * maker.price
                if maker.level is None:
                    del live[maker.key]
            if order.remaining:
                book.rest(order)
                live[number] = order
        self.tally = (trades, lots, value)


class OurEngine:
    """The same flow as signed orders of two accounts: balances, reservations, fees, lanes and events included."""

    MARKET = "sBTC-USDC"

    def __init__(self) -> None:
        self.tally: Tally = (0, 0, 0)
        self.engine = Engine()
        facts = [MarketListed(self.MARKET, 1, 0, 2, "sBTC", 14, 1, 1, 25, 25), MarketStatusChanged(self.MARKET, 2, 1)]
        self.accounts = {True: b"buyer" + bytes(15), False: b"seller" + bytes(14)}
        facts += [Credited(account, asset, 10**30) for account in self.accounts.values() for asset in (0, 2)]
        for index, fact in enumerate(facts):
            self.engine.apply(ApplyFact(0, 1, index, index, False, fact))

    def commands(self, flow: list[Event]) -> list[Place | Cancel]:
        commands: list[Place | Cancel] = []
        sides: dict[int, bool] = {}
        for number, is_buy, price, quantity in flow:
            digest = number.to_bytes(32, "big")
            if not quantity:
                commands.append(Cancel(1, self.accounts[sides[number]], [digest]))
                continue
            sides[number] = is_buy
            side = Side.BUY if is_buy else Side.SELL
            terms = (quantity, price, 50, 10**9, pack_nonce(0, number, 1))
            order = Order(
                self.accounts[is_buy], self.MARKET, side, OrderType.LIMIT, TimeInForce.GTC, *terms
            )  # fmt: skip
            commands.append(Place(1, order, bytes(65), digest))
        return commands

    def play(self, flow: list[Event]) -> None:
        commands = self.commands(flow)
        apply = self.engine.apply
        trades = lots = value = 0
        self.started = time.process_time()  # decoding orders is the gateway's work, so it is not counted here
        for command in commands:
            for event in apply(command):
                if type(event) is Traded:
                    trades += 1
                    lots += event.quantity
                    value += event.quantity * event.price
        self.tally = (trades, lots, value)


class CythonOrderbook:
    def __init__(self) -> None:
        import cython_orderbook as peer

        self.peer = peer
        self.tally: Tally = (0, 0, 0)

    def play(self, flow: list[Event]) -> None:
        peer, book, ids = self.peer, self.peer.OrderBook(), {}
        bid, ask = peer.OrderSide.BID, peer.OrderSide.ASK
        trades = lots = value = 0
        for number, is_buy, price, quantity in flow:
            if not quantity:
                book.cancel_order(ids[number])
                continue
            order = peer.Order(side=bid if is_buy else ask, price=price, original_quantity=quantity)
            book.add_limit_order(order)
            ids[number] = order.order_id
        for trade in book.trade_log:
            trades += 1
            lots += trade.quantity_filled
            value += trade.quantity_filled * trade.price
        self.tally = (trades, lots, value)


class PyOrderbook:
    def __init__(self) -> None:
        import pyorderbook as peer

        logging.getLogger("pyorderbook").setLevel(logging.ERROR)
        self.peer = peer
        self.tally: Tally = (0, 0, 0)

    def play(self, flow: list[Event]) -> None:
        peer, book, orders = self.peer, self.peer.Book(), {}
        trades = lots = value = 0
        for number, is_buy, price, quantity in flow:
            if not quantity:
                book.cancel(orders.pop(number))
                continue
            order = peer.Order(peer.Side.BID if is_buy else peer.Side.ASK, "X", price, quantity)
            for trade in book.match(order).trades:
                trades += 1
                lots += trade.fill_quantity
                value += trade.fill_quantity * int(trade.fill_price)
            orders[number] = order
        self.tally = (trades, lots, value)


class LightMatchingEngine:
    def __init__(self) -> None:
        from lightmatchingengine import lightmatchingengine as peer

        self.peer = peer
        self.tally: Tally = (0, 0, 0)

    def play(self, flow: list[Event]) -> None:
        engine, ids = self.peer.LightMatchingEngine(), {}
        trades = lots = value = 0
        for number, is_buy, price, quantity in flow:
            if not quantity:
                engine.cancel_order(ids[number], "X")
                continue
            order, fills = engine.add_order("X", price, quantity, 1 if is_buy else 2)
            for fill in fills:
                if fill.order_id != order.order_id:  # it reports the taker's side of a level once more
                    trades += 1
                    lots += fill.trade_qty
                    value += fill.trade_qty * fill.trade_price
            ids[number] = order.order_id
        self.tally = (trades, lots, value)


class Liquibook:
    def __init__(self) -> None:
        import liquibook as peer

        self.peer = peer
        self.tally: Tally = (0, 0, 0)

    def play(self, flow: list[Event]) -> None:
        peer = self.peer
        counts = [0, 0, 0]

        class Listener(peer.OrderListener):  # type: ignore[misc, name-defined]
            def on_accept(self, order: object) -> None: ...

            def on_cancel(self, order: object) -> None: ...

            def on_fill(self, passive: object, aggressive: object, quantity: int, price: int) -> None:
                passive.fill(quantity, price, 0)  # type: ignore[attr-defined]
                aggressive.fill(quantity, price, 0)  # type: ignore[attr-defined]
                counts[0] += 1
                counts[1] += quantity
                counts[2] += quantity * price

        listener, book, orders = Listener(), peer.DepthOrderBook(), {}
        book.set_order_listener(listener)
        for number, is_buy, price, quantity in flow:
            if not quantity:
                book.cancel(orders.pop(number))
                continue
            order = orders[number] = peer.SimpleOrder(is_buy, price, quantity)
            book.add(order)
        self.tally = (counts[0], counts[1], counts[2])


ENGINE = "our engine, all included"
OURS: dict[str, Callable[[], Matcher]] = {"our book": OurBook, ENGINE: OurEngine}
PEERS: dict[str, Callable[[], Matcher]] = {
    "liquibook (C++)": Liquibook,
    "cython-orderbook": CythonOrderbook,
    "pyorderbook": PyOrderbook,
    "lightmatchingengine": LightMatchingEngine,
}


def seconds(make: Callable[[], Matcher], flow: list[Event]) -> tuple[float, Tally]:
    matcher = make()
    gc.collect()
    started = time.process_time()
    matcher.play(flow)
    ended = time.process_time()
    return ended - getattr(matcher, "started", started), matcher.tally


def main() -> int:
    parser = argparse.ArgumentParser(description="Order-book events per second: ours and peers, on one flow.")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    flow, expected = draw_flow(options.events)
    print(f"{len(flow):,} events, {expected[0]:,} trades, seed {SEED}, Python {sys.version.split()[0]}, CPU time")
    runners, missing = dict(OURS), []
    for name, make in PEERS.items():
        try:
            make()
        except ImportError:
            missing.append(name)
        else:
            runners[name] = make
    best: dict[str, float] = {}
    wrong: set[str] = set()
    for _ in range(options.rounds):
        for name, make in runners.items():
            taken, tally = seconds(make, flow)
            best[name] = min(taken, best.get(name, taken))
            if tally != expected:
                wrong.add(name)
    baseline = min((best[name] for name in runners if name in PEERS and name not in wrong), default=None)
    for name, taken in best.items():
        # No peer keeps balances, lanes and fees, so the whole engine is compared with none.
        ratio = f"{baseline / taken:8.2f} x the best peer" if baseline and name != ENGINE else ""
        print(f"{name:26}{len(flow) / taken:12,.0f} events/s{ratio}{'   other trades!' if name in wrong else ''}")
    if missing:
        print(f"not installed: {', '.join(missing)}. To compare with peers:")
        print("  " + (__doc__ or "").strip().splitlines()[-1].strip())
    return 1 if wrong & set(OURS) else 0


if __name__ == "__main__":
    sys.exit(main())
