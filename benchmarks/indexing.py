"""How fast the indexer reads a chain of real fills: events per CPU-second, against a naive indexer in the same run.

    python benchmarks/indexing.py [--fills 40000] [--fills-per-batch 200] [--naive 2000]

A local node, the real contracts, 40 traders, real signatures, settleBatch transactions of 200 fills, one a block.
Measured, each from an empty SQLite file with synchronous=FULL, CPU time of this process (the node has its own):
  index       raw logs, projections, statement, candles, facts, and undo for every block
  naive       web3.py get_logs, event.process_log and one SQLModel Session row a fill: less work, written as one
              would write it first; run on a part of the chain
  rebuild     the projections again from the stored logs
  block       the slowest percent of single blocks of 200 fills
  revert      64 blocks back through undo
An audit must be clean at the end, or the benchmark fails.
"""

from __future__ import annotations

import argparse
import cProfile
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]
# Some installed packages ship a `tests` package of their own, which would hide this folder.
sys.modules["tests"] = tests = ModuleType("tests")
tests.__path__ = [str(ROOT / "tests")]

from eth_account import Account  # noqa: E402
from sqlalchemy import Column, LargeBinary, create_engine  # noqa: E402
from sqlmodel import Field, Session, SQLModel  # noqa: E402
from web3 import HTTPProvider, Web3  # noqa: E402

from cxdex.abi import load_abi  # noqa: E402
from cxdex.batch import MatchedFill, encode_settle_batch, unpack_fill  # noqa: E402
from cxdex.eip712 import order_digest, to_checksum  # noqa: E402
from cxdex.keccak import keccak  # noqa: E402
from cxdex.nonce import pack_nonce  # noqa: E402
from cxdex.order import Order, OrderType, Side, SignedOrder, TimeInForce  # noqa: E402
from cxdex.order_word import unpack_order_word  # noqa: E402
from cxdex.signature import address_of, sign_digest  # noqa: E402
from indexer import rebuild  # noqa: E402
from indexer.run import relax_collector  # noqa: E402
from indexer.source import Chunk, Source  # noqa: E402
from tests.indexer.indexing import Indexing  # noqa: E402
from tests.indexer.live_exchange import BTC, FAR_FUTURE, KEYS, PRICE, LiveExchange, local_node  # noqa: E402

MAKERS, TAKERS = 8, 32
TAKERS_PER_ORDER = 4
DEEP = 10**9  # finality depth: undo is kept for every block
REVERTED_BLOCKS = 64
USDC = 10**6


class NaiveFill(SQLModel, table=True):
    """What the naive indexer stores."""

    __tablename__ = "naive_fill"

    id: int | None = Field(default=None, primary_key=True)
    block: int
    maker: bytes = Field(sa_column=Column(LargeBinary(20)))
    taker: bytes = Field(sa_column=Column(LargeBinary(20)))
    sequence: int
    price: int
    quantity: int


def key(name: str) -> bytes:
    return keccak(f"benchmark {name}".encode())


def fund(exchange: LiveExchange) -> tuple[list[bytes], list[bytes]]:
    """Makers with synths and takers with cash; returns their keys."""
    makers = [key(f"maker {number}") for number in range(MAKERS)]
    takers = [key(f"taker {number}") for number in range(TAKERS)]
    for private in (*makers, *takers):
        hexed = "0x" + private.hex()
        account = address_of(private)
        exchange.chain.rpc("anvil_setBalance", to_checksum(account), hex(10**20))
        amount = 40_000_000 * USDC
        exchange.contracts["USDC"].send(KEYS["deployer"], "mint", account, amount)
        exchange.contracts["USDC"].send(hexed, "approve", exchange.contracts["Vault"].address, amount)
        if private in makers:  # collateral comes from the wallet
            exchange.contracts["SynthEngine"].send(hexed, "mint", 2, 10**18, 120_000 * USDC)
        else:
            exchange.contracts["Vault"].send(hexed, "deposit", amount)
    return makers, takers


def batches(exchange: LiveExchange, fills: int, per_batch: int) -> Iterator[bytes]:
    """Calldata of settleBatch: maker orders of four lots, each met by four takers."""
    makers, takers = fund(exchange)
    domain = exchange.deployment.domain
    used: dict[bytes, int] = {}
    sequence = exchange.sequence()

    def signed(private: bytes, side: Side, quantity: int) -> SignedOrder:
        number = used[private] = used.get(private, -1) + 1
        lane, seq = number % 16, number // 16 + 1
        order = Order(
            address_of(private),
            BTC,
            side,
            OrderType.LIMIT,
            TimeInForce.GTC,
            quantity,
            PRICE + number % 50 if side is Side.SELL else PRICE + 50,
            30,
            FAR_FUTURE,
            pack_nonce(0, lane, seq),
        )
        digest = order_digest(domain, order)
        return SignedOrder(order, sign_digest(private, digest), digest)

    for start in range(0, fills, per_batch):
        made: list[MatchedFill] = []
        while len(made) < min(per_batch, fills - start):
            maker = signed(makers[sequence // TAKERS_PER_ORDER % MAKERS], Side.SELL, TAKERS_PER_ORDER)
            for _ in range(TAKERS_PER_ORDER):
                made.append(MatchedFill(BTC, sequence, maker, signed(takers[sequence % TAKERS], Side.BUY, 1), 1))
                sequence += 1
        yield encode_settle_batch(made)


def settle(exchange: LiveExchange, fills: int, per_batch: int) -> None:
    core = Account.from_key(KEYS["core"])
    to = to_checksum(exchange.deployment.contracts["Settlement"])
    for data in batches(exchange, fills, per_batch):
        transaction = {
            "to": to,
            "data": data,
            "nonce": exchange.chain.nonce(address_of(bytes(core.key))),
            "gas": 29_000_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
            "chainId": exchange.chain.chain_id,
            "type": 2,
        }
        raw = bytes(core.sign_transaction(transaction).raw_transaction)
        receipt = exchange.chain._receipt(exchange.chain.rpc("eth_sendRawTransaction", "0x" + raw.hex()))
        assert receipt["status"] == "0x1"


def cpu_of(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU seconds of this process, and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def naive(exchange: LiveExchange, folder: Path, wanted: int) -> int:
    """Indexes at least `wanted` fills the obvious way; returns how many."""
    web3 = Web3(HTTPProvider(exchange.chain.rpc_url))
    address = to_checksum(exchange.deployment.contracts["Settlement"])
    event = web3.eth.contract(address=address, abi=load_abi("Settlement")).events.Fill()
    engine = create_engine(f"sqlite:///{folder / 'naive.db'}")
    SQLModel.metadata.create_all(engine, tables=[SQLModel.metadata.tables[str(NaiveFill.__tablename__)]])
    topic = "0x" + keccak(b"Fill(uint256,uint256,uint256)").hex()
    head, block, count = web3.eth.block_number, exchange.deployment.deployed_block, 0
    while count < wanted and block <= head:
        logs = web3.eth.get_logs({"address": address, "topics": [topic], "fromBlock": block, "toBlock": block + 9})
        with Session(engine) as session:
            for log in logs:
                found = event.process_log(log)
                terms = unpack_fill(found["args"]["terms"])
                session.add(
                    NaiveFill(
                        block=found["blockNumber"],
                        maker=unpack_order_word(found["args"]["maker"].to_bytes(32, "big")).account,
                        taker=unpack_order_word(found["args"]["taker"].to_bytes(32, "big")).account,
                        sequence=terms.sequence,
                        price=terms.price,
                        quantity=terms.quantity,
                    )
                )
            session.commit()
        count += len(logs)
        block += 10
    return count


def events_of(indexing: Indexing) -> int:
    with indexing.engine.connect() as connection:
        count: int = connection.exec_driver_sql("SELECT count(*) FROM raw_log").scalar_one()
        return count


def single_blocks(exchange: LiveExchange, folder: Path) -> list[float]:
    """CPU seconds of each block with fills, followed one at a time."""
    indexing = Indexing(exchange, folder / "blocks.db", finality_depth=DEEP)
    indexing.runner.attempt()
    source, head, times = Source(indexing.node), indexing.follower.head_number(), []
    while indexing.checkpoint.block < head:
        number = indexing.checkpoint.block + 1
        begun = time.process_time()
        chunk = source.recent(number, number)
        indexing.store.append(Chunk(chunk.blocks, chunk.end), head)
        if len(chunk.blocks[0].logs) > 100:
            times.append(time.process_time() - begun)
    return sorted(times)


def revert(indexing: Indexing) -> float:
    """CPU seconds to roll 64 blocks back."""
    target = indexing.checkpoint.block - REVERTED_BLOCKS
    header = indexing.store.headers(target, target)[0]
    return cpu_of(lambda: indexing.store.rollback(header))[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fills", type=int, default=40_000)
    parser.add_argument("--fills-per-batch", type=int, default=200)
    parser.add_argument("--naive", type=int, default=2_000, help="fills that the naive indexer reads")
    parser.add_argument("--profile", action="store_true", help="print where the indexer spends its time, and stop")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, local_node("--order", "fifo") as node:
        folder = Path(name)
        exchange = LiveExchange(node, folder)
        print(f"settling {given.fills} fills ...", flush=True)
        settle(exchange, given.fills, given.fills_per_batch)

        relax_collector()  # as the process does
        indexing = Indexing(exchange, folder / "index.db", finality_depth=DEEP)
        if given.profile:
            cProfile.runctx("indexing.catch_up()", {"indexing": indexing}, {}, sort="tottime")
            return 0
        cpu, wall = cpu_of(indexing.catch_up)
        events = events_of(indexing)
        rate = events / cpu
        print(f"index    {events} events, {cpu:.2f} CPU-s, {wall:.2f} s wall: {rate:,.0f} events per CPU-second")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"memory   {memory} MB at most (with the benchmark's own)")

        count = 0

        def run_naive() -> None:
            nonlocal count
            count = naive(exchange, folder, given.naive)

        naive_cpu, _ = cpu_of(run_naive)
        naive_rate = count / naive_cpu
        print(f"naive    {count} events, {naive_cpu:.2f} CPU-s: {naive_rate:,.0f} events per CPU-second")
        print(f"ratio    {rate / naive_rate:.1f} times the naive indexer (web3.py get_logs + process_log + Session)")

        before = indexing.digest()
        rebuilt, _ = cpu_of(lambda: rebuild.fold_stored_logs(indexing.store, exchange.deployment))
        assert indexing.digest() == before
        print(f"rebuild  {rebuilt:.2f} CPU-s: {events / rebuilt:,.0f} events per CPU-second")

        times = single_blocks(exchange, folder)
        if times:
            print(f"block    {len(times)} blocks of fills: p50 {times[len(times) // 2] * 1000:.0f} ms, "
                  f"p99 {times[len(times) * 99 // 100] * 1000:.0f} ms CPU")  # fmt: skip
        report = indexing.audit()
        print(f"revert   {REVERTED_BLOCKS} blocks in {revert(indexing):.2f} CPU-s")
        print(report.text().splitlines()[-1])
        return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main())
