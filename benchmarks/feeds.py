"""How late a thousand subscribers hear of what the engine did, through the real API and engine processes.

    python benchmarks/feeds.py [--subscribers 1000] [--rate 100] [--seconds 10]

Every subscriber is a WebSocket of its own that follows the book and the trades of one of two markets. Meanwhile single
orders are placed at a steady rate, however late the answers are: half of them rest, half trade with them, so every
order changes a book and every second one is a trade. Latency is from the engine's time in a message (its milliseconds
are whole ones, so up to one too many) to the receipt of the message; each message to each subscriber counts. Two more
subscribers never read, and nobody may notice.

  relay   one subscriber of the API hands the same messages on to as many clients, each with the `broadcast` of the
          `websockets` library, as one would write a feed server first: the baseline, in the same run
  API     the subscribers follow the API itself

The clients run on the same machine, in one process: its CPU is shown, and is part of what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import uvloop
import websockets.asyncio.client
import websockets.asyncio.server

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from load_client import HANDSHAKE, socket_frame, whole_messages  # noqa: E402
from signed_orders import TERMS, Exchange, Load, Traders, free_port, single  # noqa: E402

MARKETS = (TERMS, replace(TERMS, symbol="sETH-USDC", index=2, base_asset=3, base_symbol="sETH"))
CHANNELS = ("book", "trades")
SILENT = 2
ORDER_CONNECTIONS = 16
READY_SECONDS = 30.0
QUIET_SECONDS = 1.0
TARGET_MS = 100
FILES = 8_192
OF_A_FEED = b'{"ch":'
NEWS = (b'"type":"delta"', b'"type":"event"')
SEQ, PREV = b'"seq":', b',"prev":'
TIME, DIGITS = b'"ts":', 13  # of milliseconds, until the year 2286


class Subscriber(asyncio.Protocol):
    """Follows one market. `heard`: how many messages came how many milliseconds late, while the test runs."""

    def __init__(self, market: str, heard: Counter[int]) -> None:
        self._market = market
        self._heard = heard
        self._buffer = b""
        self._is_open = False
        self.snapshots = 0
        self.reached: dict[bytes, int] = {}  # the last sequence number, by channel
        self.lost: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(HANDSHAKE)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost = f"disconnected after {self._buffer[-200:]!r}"

    def data_received(self, data: bytes) -> None:
        now = time.time_ns() // 1_000_000
        self._buffer += data
        if not self._is_open:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            self._is_open, self._buffer = True, self._buffer[head + 4 :]
            for number, channel in enumerate(CHANNELS):
                asked = {"op": "subscribe", "ch": channel, "key": self._market, "id": number}
                self.transport.write(socket_frame(json.dumps(asked).encode()))
        end = 0
        for payload, behind in whole_messages(self._buffer):
            end = behind
            if not payload.startswith(OF_A_FEED):
                continue
            at = payload.index(TIME) + len(TIME)
            if payload.startswith(NEWS, at + DIGITS + 1):
                self._heard[now - int(payload[at : at + DIGITS])] += 1
                self._reach(payload[:at])
            else:
                self.snapshots += 1
        self._buffer = self._buffer[end:]

    def _reach(self, head: bytes) -> None:
        """{"ch":"book","key":"...","epoch":"...","seq":12,"prev":11,"ts": has come."""
        number = head.index(SEQ) + len(SEQ)
        behind = head.index(PREV, number)
        channel, prev = head[len(OF_A_FEED) : head.index(b",")], int(head[behind + len(PREV) : -len(TIME) - 1])
        if self.reached.get(channel, prev) != prev:
            self.lost = f"{channel!r} went on at {prev} behind {self.reached[channel]}"
        self.reached[channel] = int(head[number:behind])


async def follow(port: int, count: int, heard: Counter[int]) -> list[Subscriber]:
    """Subscribers that have their snapshots; behind them those that will not read on."""
    loop = asyncio.get_running_loop()
    made = []
    for number in range(count + SILENT):
        market = MARKETS[number % len(MARKETS)].symbol
        _, subscriber = await loop.create_connection(lambda market=market: Subscriber(market, heard), "127.0.0.1", port)
        made.append(subscriber)
    until = time.monotonic() + READY_SECONDS
    while any(one.snapshots < len(CHANNELS) for one in made):
        if time.monotonic() > until:
            raise SystemExit("not every subscriber has got its snapshots")
        await asyncio.sleep(0.05)
    for silent in made[count:]:
        silent.transport.pause_reading()
    return made


async def measure(name: str, port: int, exchange: Exchange, traders: Traders, options: argparse.Namespace) -> int:
    """Prints the row; returns the 95th percentile in milliseconds."""
    heard: Counter[int] = Counter()
    subscribers = await follow(port, options.subscribers, heard)
    orders = list(map(single, traders.sign(int(options.rate * options.seconds))))
    gc.collect()
    gc.freeze()
    load = Load(exchange, ORDER_CONNECTIONS)
    before = exchange.cpu()
    latencies = await load.open_loop(f"{name}: orders at {options.rate:,.0f}/s", orders, options.rate)
    p99 = latencies[min(int(0.99 * len(latencies)), len(latencies) - 1)]
    await hear_all(name, heard, subscribers[: options.subscribers])
    for one in subscribers:
        one.transport.close()
    used = {process: after - before[process] for process, after in exchange.cpu().items()}
    total = heard.total()
    found = {share: percentile(heard, share) for share in (0.5, 0.95, 0.99)}
    shares = ", ".join(f"{process} {cpu / total * 1e6:.1f}" for process, cpu in used.items())
    print(f"{name:8}{total:12,} messages   us of CPU a message: {shares}")
    print(f"{'':8}ms late: " + "  ".join(f"p{share * 100:g} {late}" for share, late in found.items()), end="")
    print(f"  max {max(heard)}; the orders' own answers: p99 {p99:.1f}", flush=True)
    return found[0.95]


async def hear_all(name: str, heard: Counter[int], subscribers: list[Subscriber]) -> None:
    """Until nothing more comes. Nobody may have missed anything: orders that came together may share a message."""
    seen = -1
    while heard.total() != seen:
        seen = heard.total()
        await asyncio.sleep(QUIET_SECONDS)
    for first, one in zip(itertools.cycle(subscribers[: len(MARKETS)]), subscribers, strict=False):
        if one.lost is not None or len(one.reached) < len(CHANNELS) or one.reached != first.reached:
            raise SystemExit(f"{name}: a subscriber missed something: {one.lost or (one.reached, first.reached)}")


def percentile(heard: Counter[int], share: float) -> int:
    left = share * heard.total()
    for late in sorted(heard):
        left -= heard[late]
        if left <= 0:
            return late
    raise ValueError("nothing was heard")


async def relay(api_port: int, port: int) -> None:
    """The baseline: a server of the library's, and its own way to send one message to many."""
    followers: defaultdict[tuple[str, str], set[Any]] = defaultdict(set)

    async def serve(client: Any) -> None:
        async for text in client:
            asked = json.loads(text)
            await client.send(b'{"ch":"","ts":0000000000000,"type":"snapshot"}')
            followers[asked["ch"], asked["key"]].add(client)

    url = f"ws://127.0.0.1:{api_port}/v1/ws"
    async with (
        websockets.asyncio.client.connect(url, compression=None, max_size=None) as source,
        websockets.asyncio.server.serve(serve, "127.0.0.1", port, compression=None),
    ):
        for terms in MARKETS:
            for channel in CHANNELS:
                await source.send(json.dumps({"op": "subscribe", "ch": channel, "key": terms.symbol}))
        print("ready", flush=True)
        async for text in source:
            message = json.loads(text)
            if message.get("type") in ("delta", "event"):
                to = followers[message["ch"], message["key"]]
                to.difference_update([one for one in to if one.state != websockets.State.OPEN])
                websockets.asyncio.server.broadcast(to, text)


def start_relay(exchange: Exchange) -> int:
    """Its port."""
    port = free_port()
    command = [sys.executable, __file__, "--relay", str(exchange.port), str(port)]
    process = exchange.processes["relay"] = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise SystemExit("the relay did not start")
    return port


async def compare(exchange: Exchange, traders: Traders, options: argparse.Namespace) -> None:
    port = start_relay(exchange)
    baseline = await measure("relay", port, exchange, traders, options)
    relaying = exchange.processes.pop("relay")
    relaying.terminate()
    relaying.wait(READY_SECONDS)
    ours = await measure("API", exchange.port, exchange, traders, options)
    verdict = f"the target, less than {TARGET_MS} ms, is {'met' if ours < TARGET_MS else 'missed'}"
    print(f"p95 {ours} ms, {ours / max(baseline, 1):.2f} x the relay's; {verdict}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=100, help="orders a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--relay", type=int, nargs=2, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if options.relay:
        uvloop.run(relay(*options.relay))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        exchange = Exchange(Path(folder))
        traders = Traders(exchange.deployment, MARKETS)
        try:
            exchange.start(traders.accounts, MARKETS)
            uvloop.run(compare(exchange, traders, options))
        finally:
            exchange.stop()


if __name__ == "__main__":
    main()
