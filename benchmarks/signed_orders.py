"""Signed orders a second, end to end, through the real API and engine processes.

    python benchmarks/signed_orders.py [--orders 40000] [--rate 1000] [--seconds 10] [--connections 64]

Each order is signed in advance by one of 64 keys. What is counted is accepted orders: JSON decoded, EIP-712 digest
computed, signer recovered, risk checked, command written to the journal and synced, matched, answered; and beside it
the tables and the feeds are kept up, as always. Half the orders rest and half trade with them.

  floor        digest and recovery alone in this process, on one core: what no server in this design can beat
  eth-account  the same with the library's own functions, as one would write it first
  single       POST /v1/orders, closed loop: every connection sends its next order when the last is answered
  batches      POST /v1/orders/batch with 50 orders each, closed loop
  WebSocket    the same two over /v1/ws: four connections, 512 orders on their way
  open loop    single orders, one every 1/rate s however slow the answers are; latency from the moment an order was
               due, so that waiting behind others counts

The client runs on the same machine: its CPU time is shown, as is each process's, in microseconds an order. The
process that used nearly a whole core is what limits; when none did, and all cores are not used up, the disk does.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from eth_account import Account  # noqa: E402
from eth_account.messages import encode_typed_data  # noqa: E402
from load_client import HttpConnection, SocketConnection, http_request, socket_frame  # noqa: E402
from sqlalchemy import Engine as Database  # noqa: E402
from sqlalchemy import insert  # noqa: E402
from sqlmodel import SQLModel  # noqa: E402

import indexer.tables  # noqa: E402, F401 - registers its tables
import relayer.tables  # noqa: E402, F401
from cxdex.deployment import CONTRACTS, Deployment, load_deployment  # noqa: E402
from cxdex.eip712 import order_digest, order_message, order_typed_data, to_checksum  # noqa: E402
from cxdex.facts import AnyFact, Credited, MarketListed, MarketStatusChanged, encode_fact  # noqa: E402
from cxdex.keccak import keccak  # noqa: E402
from cxdex.market import MarketKind, MarketStatus, MarketTerms  # noqa: E402
from cxdex.nonce import pack_nonce  # noqa: E402
from cxdex.order import Order, OrderType, Side, TimeInForce  # noqa: E402
from cxdex.signature import address_of, recover, sign_digest  # noqa: E402
from cxdex.storage import open_database  # noqa: E402
from cxdex.units import format_price, format_quantity  # noqa: E402
from relayer import build  # noqa: E402

C = TypeVar("C", HttpConnection, SocketConnection)

CHAIN_ID = 31337
TERMS = MarketTerms("sBTC-USDC", 1, MarketKind.SPOT, 2, "sBTC", 14, 10, 10, 25, 25)
TRADERS = 64
BATCH = 50
ORDERS_OF_ETH_ACCOUNT = 200
READY_SECONDS = 30.0
FAR_FUTURE = 4_000_000_000
MIDDLE, SPREAD = 60_000_000, 50  # ticks
NEARLY_A_CORE = 0.9
WARMING = 2_000
SOCKETS, WINDOW = 4, 512  # WebSocket connections, and orders on their way on all of them together
PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Signed:
    order: Order
    signature: bytes
    body: bytes


class Traders:
    """Signs pairs of orders: a sell that rests, then a buy of another account that takes it."""

    def __init__(self, deployment: Deployment, markets: Sequence[MarketTerms] = (TERMS,)) -> None:
        self._domain = deployment.domain
        self._markets = markets
        self._keys = [keccak(f"benchmark {number}".encode()) for number in range(TRADERS)]
        self.accounts = [address_of(key) for key in self._keys]
        self._drawn = 0
        self._dice = random.Random(7)

    def sign(self, count: int) -> list[Signed]:
        return [self._next() for _ in range(count)]

    def _next(self) -> Signed:
        number, self._drawn = self._drawn, self._drawn + 1
        pair, is_buy = divmod(number, 2)
        if not is_buy:
            self._terms = 10 * self._dice.randint(1, 5), MIDDLE + self._dice.randint(-SPREAD, SPREAD)
        quantity, price = self._terms
        terms = self._markets[pair % len(self._markets)]
        who = (pair + is_buy * TRADERS // 2) % TRADERS
        order = Order(
            self.accounts[who],
            terms.symbol,
            Side.BUY if is_buy else Side.SELL,
            OrderType.LIMIT,
            TimeInForce.GTC,
            quantity,
            price,
            50,
            FAR_FUTURE,
            pack_nonce(0, number, 1),
        )
        signature = sign_digest(self._keys[who], order_digest(self._domain, order))
        fields = order_message(order)
        fields.update(quantity=format_quantity(terms, quantity), limitPrice=format_price(terms, price))
        shown = {"order": fields, "signature": "0x" + signature.hex(), "chainId": CHAIN_ID}
        return Signed(order, signature, msgspec.json.encode(shown))


class Exchange:
    """The engine and the API on a folder of their own, with a market and funded accounts, and no chain behind them."""

    def __init__(self, state: Path) -> None:
        self.state = state
        names = {name: to_checksum(keccak(name.encode())[12:]) for name in CONTRACTS}
        described = {"chainId": CHAIN_ID, "deployedBlock": 1, "contracts": names, "roles": {}}
        (state / "deployment.json").write_text(json.dumps(described))
        self.deployment = load_deployment(state / "deployment.json")
        self.port = free_port()
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def start(self, accounts: list[bytes], markets: Sequence[MarketTerms] = (TERMS,)) -> None:
        url = f"sqlite:///{self.state / 'exchange.db'}"
        database = open_database(url)
        SQLModel.metadata.create_all(database)
        tell(database, accounts, markets)
        database.dispose()
        place = ("--state", str(self.state), "--database", url)
        self._spawn("engine", "relayer", "engine", *place, "--limits", "off")
        # No node listens there, and none is asked: every order is signed by its account's own key.
        self._spawn("api", "api", *place, "--port", str(self.port), "--rpc", "http://127.0.0.1:9")
        self._await_market(accounts[-1])

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            process.wait(READY_SECONDS)

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU that each process has used so far, this one included."""
        used = {"client": time.process_time()}
        for name, process in self.processes.items():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            used[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return used

    def _spawn(self, name: str, *command: str) -> None:
        with (self.state / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.processes[name] = process
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"the {name} did not start:\n{(self.state / f'{name}.log').read_text()}")

    def _await_market(self, last: bytes) -> None:
        """Until the engine has read the facts, the last of which funds this account."""
        until = time.monotonic() + READY_SECONDS
        address = f"http://127.0.0.1:{self.port}/v1/accounts/{to_checksum(last)}/nonce"
        while time.monotonic() < until:
            if httpx.get(address).status_code == 200:
                return
            time.sleep(0.1)
        raise SystemExit("the engine has not read the market's facts")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tell(database: Database, accounts: list[bytes], markets: Sequence[MarketTerms]) -> None:
    """Writes the outbox as the indexer does: the markets, and riches for everyone."""
    said: list[AnyFact] = []
    for t in markets:
        size = (t.lot_exponent, t.quote_per_lot_tick, t.min_lots)
        said += [
            MarketListed(t.symbol, t.index, 0, t.base_asset, t.base_symbol, *size, t.maker_fee_bps, t.taker_fee_bps),
            MarketStatusChanged(t.symbol, MarketStatus.ACTIVE, MarketStatus.PAUSED),
        ]
    assets = (0, *(terms.base_asset for terms in markets))
    said += [Credited(account, asset, 10**27) for account in accounts for asset in assets]
    outbox = SQLModel.metadata.tables["outbox"]
    with database.begin() as connection:
        for number, fact in enumerate(said, 1):
            place = {"block": number, "log_index": 0, "block_hash": number.to_bytes(32, "big")}
            connection.execute(insert(outbox).values(seq=number, **place, reverted=False, payload=encode_fact(fact)))


def single(signed: Signed) -> bytes:
    return http_request("/v1/orders", signed.body)


def grouped(stock: list[Signed]) -> list[bytes]:
    groups = [stock[start : start + BATCH] for start in range(0, len(stock), BATCH)]
    return [b'"orders":[%s]' % b",".join(one.body for one in some) for some in groups]


def batch(orders: bytes) -> bytes:
    return http_request("/v1/orders/batch", b"{%s}" % orders)


def accepted(reply: bytes) -> int:
    """Orders that the engine took: each answer about one has its id, which a problem calls by another name."""
    return reply.count(b'"id":"0x')


class Load:
    """Prints what each way of sending took. All orders must have been accepted."""

    def __init__(self, exchange: Exchange, connections: int) -> None:
        self._exchange = exchange
        self._count = connections

    async def http(self, title: str, count: int, requests: list[bytes]) -> float:
        """Closed loop; returns orders a second."""
        async with self._open(HttpConnection) as connections:
            replies: list[bytes] = []
            feed = iter(requests)

            async def work(connection: HttpConnection) -> None:
                for one in feed:
                    replies.append(await connection.ask(one))

            with self._measured(title, count, replies):
                await asyncio.gather(*map(work, connections))
        return self.rate

    async def socket(self, title: str, count: int, messages: list[bytes], window: int) -> float:
        """Closed loop over few connections, with many requests on their way on each."""
        async with self._open(SocketConnection, SOCKETS) as connections:
            for connection in connections:
                await connection.open()
            replies: list[bytes] = []
            frames = iter(list(map(socket_frame, messages)))
            with self._measured(title, count, replies):
                for some in await asyncio.gather(*(one.run(frames, window // SOCKETS) for one in connections)):
                    replies += some
        return self.rate

    async def open_loop(self, title: str, requests: list[bytes], rate: float) -> list[float]:
        """Milliseconds from due to answered, sorted. An order that finds no free connection waits for one."""
        latencies: list[float] = []
        replies: list[bytes] = []
        async with self._open(HttpConnection) as connections:
            free: asyncio.Queue[HttpConnection] = asyncio.Queue()
            for connection in connections:
                free.put_nowait(connection)

            async def one(what: bytes, due: float) -> None:
                connection = await free.get()
                replies.append(await connection.ask(what))
                latencies.append((time.perf_counter() - due) * 1000)
                free.put_nowait(connection)

            with self._measured(title, len(requests), replies):
                started = time.perf_counter()
                async with asyncio.TaskGroup() as group:
                    for number, what in enumerate(requests):
                        due = started + number / rate
                        if (wait := due - time.perf_counter()) > 0:
                            await asyncio.sleep(wait)
                        group.create_task(one(what, due))
        return sorted(latencies)

    @asynccontextmanager
    async def _open(self, kind: type[C], count: int = 0) -> AsyncIterator[list[C]]:
        loop = asyncio.get_running_loop()
        opened = [
            (await loop.create_connection(kind, "127.0.0.1", self._exchange.port))[1]
            for _ in range(count or self._count)
        ]
        await asyncio.sleep(PAUSE_SECONDS)  # what the last load left to be stored is not this one's
        yield opened
        for connection in opened:
            connection.close()

    @contextmanager
    def _measured(self, title: str, count: int, replies: list[bytes]) -> Iterator[None]:
        before, began = self._exchange.cpu(), time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        used = {name: after - before[name] for name, after in self._exchange.cpu().items()}
        taken = sum(map(accepted, replies))
        if taken != count:
            sample = next((reply for reply in replies if not accepted(reply) or b'"problem":' in reply), b"")
            raise SystemExit(f"{title}: only {taken} of {count} orders were accepted; one answer:\n{sample[-600:]!r}")
        self.rate = count / seconds
        shares = ", ".join(f"{name} {cpu / count * 1e6:.0f}" for name, cpu in used.items())
        total = sum(used.values()) / count * 1e6
        print(f"{title:32}{self.rate:8,.0f} orders/s   us of CPU an order: {shares}, together {total:.0f}")
        print(f"{'':32}{limit(used, seconds)}", flush=True)


def limit(used: dict[str, float], seconds: float) -> str:
    cores = os.cpu_count() or 1
    name, most = max(used.items(), key=lambda pair: pair[1])
    shares = " + ".join(f"{who} {cpu / seconds:.0%}" for who, cpu in used.items())
    if sum(used.values()) / seconds > NEARLY_A_CORE * cores:
        return f"limited by the machine's {cores} cores: {shares}"
    if most / seconds > NEARLY_A_CORE:
        return f"limited by the {name} process, which is one thread: {shares}"
    return f"no process is at its limit: {shares}; the rest is waiting, for the disk or for the other programs here"


def floors(stock: list[Signed], deployment: Deployment) -> tuple[float, float]:
    """Orders a second of CPU: our digest and recovery; eth-account's."""
    domain = deployment.domain
    began = time.process_time()
    for signed in stock:
        assert recover(order_digest(domain, signed.order), signed.signature) == signed.order.account
    ours = len(stock) / (time.process_time() - began)
    some = stock[:ORDERS_OF_ETH_ACCOUNT]
    began = time.process_time()
    for signed in some:
        typed = order_typed_data(domain, signed.order)
        found = Account.recover_message(encode_typed_data(full_message=typed), signature=signed.signature)
        assert found == to_checksum(signed.order.account)
    return ours, len(some) / (time.process_time() - began)


async def measure(exchange: Exchange, traders: Traders, options: argparse.Namespace) -> None:
    print(f"{options.orders:,} orders a row, half as many one by one; the engine is {build.describe()}")
    stock = traders.sign(WARMING)
    ours, library = floors(stock, exchange.deployment)
    print(f"{'floor (one core)':32}{ours:8,.0f} orders/s   digest and recovery, nothing else")
    print(f"{'eth-account (one core)':32}{library:8,.0f} orders/s   the same, by the library", flush=True)
    load = Load(exchange, options.connections)
    half, count = options.orders // 2, int(options.rate * options.seconds)
    flows = [traders.sign(number) for number in (half, options.orders, half, options.orders, count)]
    gc.freeze()
    await load.http("warming up", WARMING, list(map(single, stock)))
    alone = await load.http(f"single, {options.connections} connections", half, list(map(single, flows[0])))
    together = await load.http(f"batches of {BATCH}", options.orders, list(map(batch, grouped(flows[1]))))
    messages = [b'{"op":"place","id":%d,%s' % (number, one.body[1:]) for number, one in enumerate(flows[2])]
    await load.socket("WebSocket, single", half, messages, WINDOW)
    messages = [b'{"op":"placeBatch","id":%d,%s}' % pair for pair in enumerate(grouped(flows[3]))]
    await load.socket(f"WebSocket, batches of {BATCH}", options.orders, messages, WINDOW // BATCH)
    title = f"open loop, single, {options.rate:,.0f}/s"
    latencies = await load.open_loop(title, list(map(single, flows[4])), options.rate)
    shares = [(share, latencies[min(int(share * count), count - 1)]) for share in (0.5, 0.95, 0.99, 0.999)]
    parts = "  ".join(f"p{share * 100:g} {found:.1f}" for share, found in shares)
    print(f"{'':32}ms: {parts}  max {latencies[-1]:.1f}")
    ratios = (together / alone, together / ours, together / library)
    print("batches are {:.2f} x single, {:.2f} x the floor, {:.1f} x eth-account".format(*ratios))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=40_000, help="in batches; half as many one by one")
    parser.add_argument("--rate", type=float, default=1_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    options.orders -= options.orders % (2 * BATCH)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        exchange = Exchange(Path(folder))
        traders = Traders(exchange.deployment)
        try:
            exchange.start(traders.accounts)
            uvloop.run(measure(exchange, traders, options))
        finally:
            exchange.stop()


if __name__ == "__main__":
    main()
