"""Order to acknowledgement and order to fill, open loop, against a running exchange.

    python benchmarks/order_latency.py --api http://127.0.0.1:8000 --state .state --seconds 20

Open loop: order i is due at i / rate whatever happened to the ones before, and its time counts from when it was due,
so a stall is charged to every order that had to wait for it. Orders come in pairs: bob rests one inside the
spread, carol takes it half a period later; every second pair swaps their roles' sides, so neither runs out.

  ack   from due to the answer of POST /v1/orders, which comes after the journal is on disk (makers and takers)
  fill  from due to carol's order being reported filled on the private WebSocket feed

Signing is part of the client's work and is done before an order is due, as a bot would for a fixed price.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from cxdex.client import AsyncExchange, Feed, Ticket
from cxdex.client.replies import Market
from cxdex.client.transport import DEFAULT_API
from cxdex.order import SignedOrder
from cxdex.problem import Problem
from cxdex.units import format_price, format_quantity, parse_price
from cxdex.wallet import LocalWallet

SIGN_AHEAD = 8  # pairs: few enough that no leased nonce runs out, many enough that signing is never waited for
FEED_PATIENCE_SECONDS = 10.0


@dataclass
class Measured:
    """Milliseconds from when an order was due."""

    acks: list[float] = field(default_factory=list)
    fills: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    latest_start: float = 0.0

    def note_refusal(self, code: str) -> None:
        self.refused[code] = self.refused.get(code, 0) + 1


@dataclass(frozen=True)
class Pair:
    maker: SignedOrder
    taker: SignedOrder


class Run:
    def __init__(self, bob: AsyncExchange, carol: AsyncExchange, market: Market, rate: float) -> None:
        self._bob = bob
        self._carol = carol
        self._market = market
        self._rate = rate
        self._pairs: asyncio.Queue[Pair] = asyncio.Queue(SIGN_AHEAD)
        self.measured = Measured()

    async def go(self, seconds: float, price: int) -> None:
        feed = Feed(self._carol)
        await feed.subscribe("orders")
        joined = asyncio.Event()
        watcher = asyncio.create_task(self._watch(feed, joined))
        signer = asyncio.create_task(self._sign_ahead(price))
        try:
            async with asyncio.timeout(FEED_PATIENCE_SECONDS):
                await joined.wait()
            await self._open_loop(int(seconds * self._rate / 2))
            await self._last_fills()
        finally:
            for task in (watcher, signer):
                task.cancel()
            await asyncio.gather(watcher, signer, return_exceptions=True)

    async def _open_loop(self, pairs: int) -> None:
        period = 1 / self._rate
        start = time.perf_counter() + period
        sent = []
        for number in range(pairs):
            pair = await self._pairs.get()
            for half, (who, signed) in enumerate(((self._bob, pair.maker), (self._carol, pair.taker))):
                due = start + (2 * number + half) * period
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                late = time.perf_counter() - due
                self.measured.latest_start = max(self.measured.latest_start, late * 1_000)
                sent.append(asyncio.create_task(self._send(who, signed, due)))
        await asyncio.gather(*sent)

    async def _send(self, who: AsyncExchange, signed: SignedOrder, due: float) -> None:
        if who is self._carol:
            self.measured.due["0x" + signed.digest.hex()] = due
        try:
            await who.submit(signed)
        except Problem as problem:
            self.measured.note_refusal(problem.code)
        else:
            self.measured.acks.append((time.perf_counter() - due) * 1_000)

    async def _watch(self, feed: Feed, joined: asyncio.Event) -> None:
        async for message in feed:
            now = time.perf_counter()
            if message.type == "snapshot":
                joined.set()
            elif message.type == "event" and message.data["status"] == "FILLED":
                due = self.measured.due.pop(message.data["id"], None)
                if due is not None:
                    self.measured.fills.append((now - due) * 1_000)

    async def _sign_ahead(self, price: int) -> None:
        """Pairs that cross at one price, sides swapped every time."""
        terms = self._market.terms
        quantity, at = format_quantity(terms, terms.min_lots), format_price(terms, price)
        while True:
            for maker_side, taker_side in (("BUY", "SELL"), ("SELL", "BUY")):
                maker = Ticket(terms.symbol, maker_side, quantity, at, time_in_force="GTC", expires_in=3_600)
                taker = Ticket(terms.symbol, taker_side, quantity, at, time_in_force="IOC", expires_in=3_600)
                await self._pairs.put(Pair(await self._bob.sign(maker), await self._carol.sign(taker)))

    async def _last_fills(self) -> None:
        for _ in range(20):
            if not self.measured.due:
                return
            await asyncio.sleep(0.05)


def percentile(values: list[float], share: float) -> float:
    """Nearest rank: the least value that `share` of all are at or below."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1_000) * len(ordered) // 1_000) - 1)]


async def benchmark(arguments: argparse.Namespace) -> Measured:
    bob = AsyncExchange(arguments.api, key_of(arguments.state, "bob"))
    carol = AsyncExchange(arguments.api, key_of(arguments.state, "carol"))
    async with bob, carol:
        market = next((m for m in await bob.markets() if m.symbol == arguments.market), None)
        if market is None:
            raise Problem("MARKET_UNKNOWN", f"{arguments.market} is not listed here")
        await need_synth(bob, carol, market)
        run = Run(bob, carol, market, arguments.rate)
        await run.go(arguments.seconds, await inside_the_spread(bob, market))
        await bob.cancel_all()
        return run.measured


async def inside_the_spread(exchange: AsyncExchange, market: Market) -> int:
    """A price, in ticks, at which nobody else quotes. Raises Problem BOOK_EMPTY."""
    book = await exchange.book(market.symbol, depth=1)
    if not book.bids or not book.asks:
        raise Problem("BOOK_EMPTY", f"{market.symbol} has no quotes", allowed="run it beside the market maker")
    bid, ask = (parse_price(market.terms, levels[0][0]) for levels in (book.bids, book.asks))
    return (bid + ask) // 2


async def need_synth(bob: AsyncExchange, carol: AsyncExchange, market: Market) -> None:
    """Both can sell: who has no synth buys a little from the book first. Raises Problem."""
    terms = market.terms
    quantity = format_quantity(terms, 20 * terms.min_lots)
    for who in (bob, carol):
        held = {balance.asset: balance.available for balance in await who.balances()}
        if held.get(market.base_asset, "0") in ("0", ""):
            ask = parse_price(terms, (await who.book(market.symbol, depth=1)).asks[0][0])
            await who.market_buy(market.symbol, quantity, format_price(terms, ask + ask // 50))


def key_of(state: Path, name: str) -> LocalWallet:
    return LocalWallet.from_file(state / "keys" / f"{name}.key")


def show(measured: Measured, arguments: argparse.Namespace) -> None:
    print(f"{arguments.rate:g} orders/s for {arguments.seconds:g} s, open loop, {os.cpu_count()} cores")
    print(f"{'':6}{'count':>7}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for name, values in (("ack", measured.acks), ("fill", measured.fills)):
        if values:
            numbers = [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)]
            print(f"{name:6}{len(values):>7}" + "".join(f"{number:>9.1f}" for number in numbers))
    refused = ", ".join(f"{code} {count}" for code, count in sorted(measured.refused.items())) or "none"
    print(f"refused: {refused}; takers not filled: {len(measured.due)}; latest start {measured.latest_start:.1f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(prog="order_latency", description=__doc__.partition("\n")[0])
    parser.add_argument("--api", default=os.environ.get("CXDEX_API", DEFAULT_API))
    parser.add_argument("--state", type=Path, default=Path(".state"), help="folder with the demo keys")
    parser.add_argument("--market", default="sETH-USDC")
    parser.add_argument("--rate", type=float, default=50.0, help="orders a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    try:
        measured = asyncio.run(benchmark(arguments))
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 2
    except TimeoutError:
        print("the private feed did not answer in time", file=sys.stderr)
        return 2
    show(measured, arguments)
    return 0 if measured.acks and measured.fills else 1


if __name__ == "__main__":
    raise SystemExit(main())
