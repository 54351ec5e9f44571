"""How fast the engine process acknowledges orders over its socket: journal synced, matched, answered.

    python benchmarks/engine_ack.py [--seconds 5] [--clients 4] [--rate 1000]

Three measurements on a fresh engine process and database in a temporary folder:
  closed loop   one client, then several, each with 64 single-order requests in flight: acknowledgements per second
  batches       the same with 50 orders a request
  open loop     single orders at a fixed rate, however slow the answers are: p50 and p99 from the moment an order
                was due, so that waiting behind others counts
Half the orders rest and half trade. The client's own CPU time is part of the result: it runs on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "relayer" / "service")]

from running_engine import ChainFacts, RunningEngine, account, signed, wait_for_market  # noqa: E402

from cxdex.order import Side  # noqa: E402
from relayer.client import EngineClient  # noqa: E402
from relayer.wire import WireOrder  # noqa: E402

IN_FLIGHT = 64
TRADERS = [account(number) for number in range(8)]


def orders() -> Iterator[WireOrder]:
    """A resting sell, then a buy that takes it; each on a fresh lane."""
    for lane in count():
        owner = TRADERS[lane % len(TRADERS)]
        yield signed(owner, lane, Side.SELL, 1000 + lane % 50, 5)
        yield signed(TRADERS[(lane + 1) % len(TRADERS)], lane + 8_000_000, Side.BUY, 1000 + lane % 50, 5)


async def closed_loop(clients: list[EngineClient], stock: list[WireOrder], batch: int) -> float:
    """Acknowledged orders per second."""
    feed = iter([stock[start : start + batch] for start in range(0, len(stock), batch)])

    async def work(client: EngineClient) -> int:
        done = 0
        for some in feed:
            done += sum(result.state is not None for result in await client.place(some))
        return done

    started = time.perf_counter()
    workers = [work(client) for client in clients for _ in range(IN_FLIGHT // (4 if batch > 1 else 1))]
    accepted = sum(await asyncio.gather(*workers))
    if accepted != len(stock):
        raise SystemExit(f"only {accepted} of {len(stock)} orders were accepted")
    return accepted / (time.perf_counter() - started)


def cpu_seconds(engine: RunningEngine) -> float:
    """What the engine process, with its projector, has used so far."""
    if engine.process is None:
        return 0.0
    fields = Path(f"/proc/{engine.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def open_loop(client: EngineClient, stock: list[WireOrder], rate: int) -> list[float]:
    """Milliseconds from due to acknowledged, sorted."""
    latencies: list[float] = []
    started = time.perf_counter()

    async def one(order: WireOrder, due: float) -> None:
        await client.place([order])
        latencies.append((time.perf_counter() - due) * 1000)

    async with asyncio.TaskGroup() as group:
        for number, order in enumerate(stock):
            due = started + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(one(order, due))
    return sorted(latencies)


async def measure(engine: RunningEngine, options: argparse.Namespace) -> None:
    clients = [engine.client(timeout=60) for _ in range(options.clients)]
    for client in clients:
        client.start()
    await wait_for_market(clients[0], TRADERS)
    source = orders()

    def take(number: int) -> list[WireOrder]:
        return [next(source) for _ in range(number)]

    await closed_loop(clients[:1], take(1_000), 1)  # warm
    size = int(options.seconds * 2_500)
    for used, batch in ((1, 1), (options.clients, 1), (1, 50)):
        stock, before = take(size), cpu_seconds(engine)
        rate = await closed_loop(clients[:used], stock, batch)
        cpu = (cpu_seconds(engine) - before) / size * 1e6
        shown = f"clients: {used}, orders a request: {batch}"
        print(f"closed loop  {shown:34} {rate:6,.0f} acks/s, {cpu:.0f} us of the engine process's CPU each")
    latencies = await open_loop(clients[0], take(int(options.rate * options.seconds)), options.rate)
    p50, p99 = statistics.median(latencies), latencies[int(len(latencies) * 0.99)]
    print(f"open loop    {options.rate:,} single orders/s               p50 {p50:.1f} ms  p99 {p99:.1f} ms")
    for client in clients:
        await client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rate", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        ChainFacts(state / "exchange.db").open_market(TRADERS)
        engine = RunningEngine(state)
        engine.start()
        try:
            uvloop.run(measure(engine, options))
            stopped = time.perf_counter()
            engine.stop()
            print(f"stop, with everything stored           {time.perf_counter() - stopped:.1f} s")
        finally:
            engine.close()


if __name__ == "__main__":
    main()
