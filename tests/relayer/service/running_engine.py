"""A real engine process on a folder of its own, the chain facts it reads, and an independent audit of what it left."""

from __future__ import annotations

import asyncio
import hashlib
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from cxdex.eip712 import Domain, order_digest
from cxdex.facts import AnyFact, Credited, MarketListed, MarketStatusChanged, encode_fact
from cxdex.market import MarketStatus
from cxdex.nonce import pack_nonce
from cxdex.order import Order, OrderType, Side, TimeInForce
from relayer.client import EngineClient
from relayer.engine.core import Engine
from relayer.engine.events import (
    AnyEvent,
    FillRestored,
    FillVoided,
    OrderAccepted,
    OrderClosed,
    OrderProven,
    OrderRearmed,
    OrderReduced,
    OrderTriggered,
    Traded,
)
from relayer.journal.journal import Journal
from relayer.journal.record import decode_command
from relayer.journal.snapshot import snapshots
from relayer.wire import SOCKET_NAME, WireOrder

ROOT = Path(__file__).resolve().parents[3]
DOMAIN = Domain(31337, b"\x5e" * 20)
MARKET = "sBTC-USDC"
BASE = 2
LISTED = MarketListed(MARKET, 1, 0, BASE, "sBTC", 14, 100, 1, 25, 25)
READY_SECONDS = 60.0
PATIENCE_SECONDS = 60.0

T = TypeVar("T")


def account(number: int) -> bytes:
    return bytes([0xA0, number]) * 10


class RunningEngine:
    """`python -m relayer engine` as a child. Start it as often as needed; it keeps its folder."""

    def __init__(self, state: Path, *options: str) -> None:
        self.state = state
        self.database = state / "exchange.db"
        self.options = options
        self.process: subprocess.Popen[str] | None = None
        self.log = state / "engine.log"

    def start(self, preexec: Callable[[], None] | None = None) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "relayer", "engine", "--state", str(self.state),
                    "--database", f"sqlite:///{self.database}", "--limits", "off", *self.options,
                ],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=preexec,
            )  # fmt: skip
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], READY_SECONDS)
        line = self.process.stdout.readline() if readable else ""
        assert line == "ready\n", f"the engine did not start:\n{self.log.read_text()[-4000:]}"

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def client(self, timeout: float = PATIENCE_SECONDS) -> EngineClient:
        return EngineClient(self.state / SOCKET_NAME, timeout)

    def _reap(self) -> int:
        assert self.process is not None
        code = self.process.wait(READY_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


def block_hash(number: int, fork: int = 0) -> bytes:
    return bytes([fork]) * 24 + number.to_bytes(8, "big")


class ChainFacts:
    """Writes the outbox table as the indexer does."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._blocks = count(1)

    def create(self) -> None:
        with closing(self._open()) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY, block INTEGER, log_index INTEGER,"
                " block_hash BLOB, reverted BOOLEAN, payload TEXT)"
            )
            connection.execute(
                "CREATE TABLE IF NOT EXISTS checkpoint (id INTEGER PRIMARY KEY, block INTEGER, timestamp INTEGER,"
                " emitted_block INTEGER)"
            )
            connection.execute("CREATE TABLE IF NOT EXISTS chain_block (number INTEGER PRIMARY KEY, timestamp INTEGER)")

    def append(self, *facts: AnyFact) -> int:
        """Each in a block of its own; returns the last one's number."""
        block = 0
        for fact in facts:
            block = next(self._blocks)
            self.say(block, fact)
        return block

    def say(self, block: int, fact: AnyFact, fork: int = 0, reverted: bool = False) -> None:
        self.create()
        with closing(self._open()) as connection:
            connection.execute(
                "INSERT INTO outbox (block, log_index, block_hash, reverted, payload) VALUES (?, 0, ?, ?, ?)",
                (block, block_hash(block, fork), reverted, encode_fact(fact)),
            )

    def reach(self, block: int, timestamp: int) -> None:
        """The indexer has told everything up to this block, which has this time."""
        self.create()
        with closing(self._open()) as connection:
            connection.execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?, ?, ?)", (block, timestamp, block))

    def forget(self) -> None:
        """The database is made anew."""
        self.create()
        with closing(self._open()) as connection:
            connection.execute("DELETE FROM outbox")
            connection.execute("DELETE FROM checkpoint")

    def open_market(self, accounts: Sequence[bytes]) -> None:
        """The market, active, and riches for everyone."""
        self.append(LISTED, MarketStatusChanged(MARKET, MarketStatus.ACTIVE, MarketStatus.PAUSED))
        for owner in accounts:
            self.append(Credited(owner, 0, 10**15), Credited(owner, BASE, 10**24))

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._database, timeout=15, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        return connection


def signed(
    owner: bytes,
    lane: int,
    side: Side,
    price: int,
    quantity: int,
    tif: TimeInForce = TimeInForce.GTC,
    seq: int = 1,
    expiry: int = 4_000_000_000,
) -> WireOrder:
    """An order as a gateway sends it. The engine leaves signatures to the gateway and the chain."""
    nonce = pack_nonce(0, lane, seq)
    return as_sent(Order(owner, MARKET, side, OrderType.LIMIT, tif, quantity, price, 50, expiry, nonce), f"c{lane}")


def as_sent(order: Order, name: str | None = None) -> WireOrder:
    digest = order_digest(DOMAIN, order)
    return WireOrder(order, digest + digest + b"\x1b", digest, name)


async def until(what: str, holds: Callable[[], Awaitable[T]]) -> T:
    """What it answers as soon as it is true: for what the engine does a moment later."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        if answer := await holds():
            return answer
        assert time.monotonic() < deadline, f"{what} did not come"
        await asyncio.sleep(0.02)


async def wait_for_market(client: EngineClient, accounts: Sequence[bytes]) -> None:
    """Until the engine has read the facts (it polls the outbox)."""

    async def are_read() -> bool:
        replies = [await client.account(owner) for owner in accounts]
        return all(len(reply.balances) == 2 for reply in replies)

    await until("the facts", are_read)


class Audit:
    """What a replay of the whole journal says, written independently of the projector."""

    def __init__(self, engine: RunningEngine) -> None:
        self._running = engine
        self.engine = Engine()
        self.orders: dict[bytes, dict[str, Any]] = {}
        self.trades: dict[int, dict[str, Any]] = {}
        self.triggered = 0
        for event in self._replay():
            self._fold(event)

    def check(self) -> None:
        """Everything that must hold whenever the process is down and the tables are caught up."""
        assert list(self.trades) == list(range(1, len(self.trades) + 1)), "match ids have no gaps"
        with closing(sqlite3.connect(self._running.database)) as connection:
            connection.row_factory = sqlite3.Row
            trades = {row["match_id"]: dict(row) for row in connection.execute("SELECT * FROM trade")}
            orders = {row["digest"]: dict(row) for row in connection.execute('SELECT * FROM "order"')}
            cursor = connection.execute("SELECT journal_sequence FROM projector_cursor").fetchall()
        assert [row[0] for row in cursor] == [self.sequence]
        assert sorted(row["accepted"] for row in orders.values()) == list(range(1, len(orders) + 1))
        assert {key: {name: row[name] for name in self.trades[key]} for key, row in trades.items()} == self.trades
        assert {key: {name: row[name] for name in self.orders[key]} for key, row in orders.items()} == self.orders
        self._check_views()

    def check_snapshot(self) -> None:
        """After a clean stop: the state the process had is the state of an independent replay from zero."""
        path, newest = next(snapshots(self._running.state / "journal"))
        assert newest is not None, path
        assert newest.sequence == self.sequence
        assert hashlib.sha256(newest.state).digest() == self.engine.state_hash()

    def _check_views(self) -> None:
        for digest, row in self.orders.items():
            view = self.engine.order_state(digest)
            if view is not None:
                of_columns = {"proof_first": view.proof[0], "proof_second": view.proof[1]}
                shown = {name: of_columns[name] if name in of_columns else getattr(view, name) for name in row}
                assert shown == row

    def _replay(self) -> Iterator[AnyEvent]:
        journal = Journal(self._running.state / "journal")
        for record in journal.recover():
            yield from self.engine.apply(decode_command(record.payload))
        self.sequence = journal.sequence
        journal.close()

    def _fold(self, event: AnyEvent) -> None:
        if isinstance(event, OrderAccepted):
            assert event.digest not in self.orders
            self.orders[event.digest] = {
                "status": "OPEN" if event.order.condition is None else "PENDING", "reason": None, "filled": 0,
                "version": 1,
                "remaining": event.order.quantity - event.filled_before, "filled_before": event.filled_before,
                "display_quantity": event.display_quantity, "replaces": event.replaces, "replaced_by": b"",
                "created_ms": event.time_ms, "updated_ms": event.time_ms, "client_order_id": event.client_order_id,
                "proof_first": 0, "proof_second": 0,
            }  # fmt: skip
        elif isinstance(event, Traded):
            assert event.match_id not in self.trades, "a fill is repeated"
            self.trades[event.match_id] = {
                "market": event.market, "sequence": event.sequence, "quantity": event.quantity, "voided": 0,
                "maker_digest": event.maker_digest, "taker_digest": event.taker_digest, "time_ms": event.time_ms,
            }  # fmt: skip
            for digest, left in (
                (event.maker_digest, event.maker_remaining),
                (event.taker_digest, event.taker_remaining),
            ):
                self._touch(digest, event.time_ms, remaining=left)["filled"] += event.quantity
        elif isinstance(event, OrderReduced):
            row = self._touch(event.digest, event.time_ms, remaining=event.remaining)
            row["filled_before"] += event.filled_elsewhere
        elif isinstance(event, OrderTriggered):
            self._touch(
                event.digest, event.time_ms, remaining=event.remaining, status="OPEN",
                proof_first=event.proof_first, proof_second=event.proof_second,
            )  # fmt: skip
            self.triggered += 1
        elif isinstance(event, OrderRearmed):
            self._touch(event.digest, event.time_ms, remaining=event.remaining, status="PENDING")
        elif isinstance(event, OrderProven):
            self._touch(event.digest, event.time_ms, proof_first=event.proof_first, proof_second=event.proof_second)
        elif isinstance(event, OrderClosed):
            self._touch(
                event.digest, event.time_ms, remaining=event.remaining, status=event.status, reason=event.reason,
                replaced_by=event.replaced_by,
            )  # fmt: skip
        elif isinstance(event, FillVoided | FillRestored):
            self.trades[event.match_id]["voided"] = int(isinstance(event, FillVoided))

    def _touch(self, digest: bytes, time_ms: int, **changes: Any) -> dict[str, Any]:
        row = self.orders[digest]
        row.update(changes, updated_ms=time_ms, version=row["version"] + 1)
        return row


def backup(database: Path, copy: Path) -> None:
    """A consistent copy of a database that is in use."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def restore(copy: Path, database: Path) -> None:
    remove(database)
    copy.replace(database)


def remove(database: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
