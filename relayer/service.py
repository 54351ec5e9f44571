"""The engine process: socket in front, journal and engine in the middle, tables and feeds behind.

Owns:     the order in which the parts start and stop, and the timers.
Promises: prints "ready" when it serves. SIGTERM or SIGINT: takes no more, finishes what it took, stores it,
          writes a snapshot, exits 0. A broken journal ends the process at once with status 1: going on without
          one would acknowledge orders that nobody remembers.
Never:    decides anything about orders. Only this process reads the clock; the engine gets times in commands.

    api ──socket──► request_handler ──► sequencer (journal, then engine) ──┬──► projector ──► tables
                       outbox table ──► chain_feed ──►┘                    ├──► feeds ──► subscribed gateways
                                                                           └──► snapshotter
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import secrets
import signal
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import Engine as Database
from sqlalchemy.exc import SQLAlchemyError

from cxdex import logs, metrics
from cxdex.deployment import load_deployment
from cxdex.problem import Problem
from cxdex.storage import open_database
from relayer import build
from relayer.chain_feed import ChainFeed
from relayer.cosigner import Cosigner
from relayer.engine.commands import Expire, SetLimits
from relayer.engine.events import MarketChanged
from relayer.engine.limit_terms import NO_LIMITS, LimitTable
from relayer.feeds import Feeds
from relayer.gateway_server import GatewayServer
from relayer.journal.lock import JournalLock
from relayer.journal.retention import KEEP_BYTES, Retention
from relayer.limits_file import OFF, load_limits
from relayer.metrics import EngineMetrics
from relayer.order_log import OrderLog
from relayer.order_table import OrderTables
from relayer.projector import Projector
from relayer.recovery import Recovered, recover
from relayer.request_handler import RequestHandler
from relayer.sequencer import Applied, Sequencer
from relayer.settlement_watch import SettlementWatch
from relayer.snapshotter import Snapshotter
from relayer.ticker import DAY_MINUTES, MINUTE_MS
from relayer.wire import SOCKET_NAME, Feed

log = logging.getLogger("relayer")

DEPLOYMENT_NAME = "deployment.json"
SNAPSHOT_EVERY = 50_000
TICK_SECONDS = 1.0
FULL_COLLECTION_TICKS = 60
LONGEST_FAREWELL_SECONDS = 5.0
WHOLE_BOOK = 1 << 40


class Service:
    """One running engine process, after recovery."""

    def __init__(
        self,
        state: Path,
        database: Database,
        tables: OrderTables,
        recovered: Recovered,
        every: int,
        measures: EngineMetrics | None = None,
        retention: Retention | None = None,
        cosigner: Cosigner | None = None,
        limits: LimitTable = NO_LIMITS,
        order_log: OrderLog | None = None,
    ) -> None:
        self._limits = limits
        self._order_log = order_log
        self._socket = state / SOCKET_NAME
        self._writer = ThreadPoolExecutor(1, "journal")
        self._storer = ThreadPoolExecutor(1, "projector")
        self._readers = ThreadPoolExecutor(2, "readers")  # for requests: anybody can keep these busy
        self._helpers_thread = ThreadPoolExecutor(3, "helpers")  # the chain's facts, the settler's word, snapshots
        self.engine = recovered.engine
        self._measures = measures
        on_synced = measures.synced if measures is not None else None
        self.sequencer = Sequencer(self.engine, recovered.journal, self._writer, self._publish, on_synced)
        self.sequencer.start_clock_at(recovered.last_time_ms)
        self.projector = Projector(tables, self._storer)
        self.feeds = Feeds(epoch=secrets.token_hex(4))
        self.snapshotter = Snapshotter(
            state / "journal", every, self.sequencer, self.projector, self._helpers_thread, retention
        )
        self.chain_feed = ChainFeed(database, self.sequencer, self._helpers_thread)
        self.settlement = SettlementWatch(database, self._helpers_thread, self.sequencer.now_ms)
        handler = RequestHandler(
            self.sequencer,
            self.projector,
            tables,
            self._readers,
            self.feeds.epoch,
            cosigner=cosigner,
            settlement_refusal=self.settlement.refusal,
            on_refused=measures.refused if measures is not None else lambda _code: None,
        )
        self.gateways = GatewayServer(handler, self._book_snapshots)
        self.feeds.show_index(self.engine.index)
        self.feeds.load_tapes(tables.minutes_since(self.sequencer.now_ms() // MINUTE_MS - DAY_MINUTES))
        self._open_books()
        if measures is not None:
            measures.watch(self.sequencer, self.projector, self.gateways)

    async def run(self) -> None:
        """Serves until a signal. Raises when the journal or the tables fail for good."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        sequencing = loop.create_task(self.sequencer.run())
        projecting = loop.create_task(self.projector.run())
        if self.engine.limits != self._limits:  # in the journal before the first order, so that a replay has them too
            await self.sequencer.submit([SetLimits(self.sequencer.now_ms(), self._limits)])
        helpers = [loop.create_task(part) for part in self._helpers()]
        server = await self._listen()
        print("ready", flush=True)
        stopping = loop.create_task(stop.wait())
        try:
            await asyncio.wait({stopping, sequencing, projecting, *helpers}, return_when=asyncio.FIRST_COMPLETED)
            server.close()
            for task in (sequencing, projecting, *helpers):
                if task.done():
                    task.result()
            await self._finish(helpers, sequencing, projecting)
        finally:
            self._socket.unlink(missing_ok=True)

    async def _finish(
        self, helpers: list[asyncio.Task[None]], sequencing: asyncio.Task[None], projecting: asyncio.Task[None]
    ) -> None:
        log.info("stopping: finishing %d commands", self.sequencer.waiting)
        for helper in helpers:
            helper.cancel()
        self.sequencer.close()
        await sequencing
        await self.gateways.finish()
        self.projector.close()
        done, _ = await asyncio.wait({projecting}, timeout=LONGEST_FAREWELL_SECONDS)
        if not done:
            log.warning("the database still refuses; the next start stores %d commands", self.projector.backlog)
            projecting.cancel()
            return
        projecting.result()
        await self.snapshotter.finish()

    async def _listen(self) -> asyncio.Server:
        self._socket.unlink(missing_ok=True)  # a left-over: we hold the journal's lock
        mask = os.umask(0o177)
        try:
            return await asyncio.get_running_loop().create_unix_server(self.gateways.connect, str(self._socket))
        except (OSError, ValueError) as error:
            raise Problem("SOCKET_UNUSABLE", f"cannot listen on {self._socket}: {error}") from None
        finally:
            os.umask(mask)

    def _publish(self, batch: list[Applied]) -> None:
        """Everything in here is on disk: it may leave the process."""
        for applied in batch:
            if any(isinstance(event, MarketChanged) for event in applied.events):
                self._open_books()
            self.projector.enqueue(applied.sequence, applied.events)
        self.gateways.broadcast(self.feeds.messages((one.command.time_ms, one.events, one.states) for one in batch))
        if self._measures is not None:
            self._measures.count(batch, self.sequencer.now_ms())
        if self._order_log is not None:
            self._order_log.write(applied.events for applied in batch)
        self.snapshotter.consider()

    def _open_books(self) -> None:
        for market in self.engine.markets():
            bids, asks = self.engine.levels(market.terms.symbol, WHOLE_BOOK)
            levels = [(True, *level) for level in bids] + [(False, *level) for level in asks]
            self.feeds.open_book(market.terms, levels)

    def _book_snapshots(self) -> list[Feed]:
        return self.feeds.snapshots(self.sequencer.now_ms())

    def _helpers(self) -> list[Coroutine[Any, Any, None]]:
        return [self._tick(), self.chain_feed.run(), self.settlement.run(), self.gateways.handler.safety.run()]

    async def _tick(self) -> None:
        """At once and then once a second: expire what is due, send tickers, collect garbage if idle, forget leases."""
        ticks, seen = -1, -1
        while True:
            ticks += 1
            if ticks:
                await asyncio.sleep(TICK_SECONDS)
            now = self.sequencer.now_ms()
            expiry, countdown = self.engine.next_expiry(), self.engine.next_countdown()
            if (expiry is not None and expiry * 1000 <= now) or (countdown is not None and countdown <= now):
                try:
                    await self.sequencer.submit([Expire(now)])
                except Problem as problem:
                    log.warning("orders are expired later: %s", problem.detail)
            if self.sequencer.sequence == seen or ticks % FULL_COLLECTION_TICKS == 0:
                gc.collect(2 if ticks % FULL_COLLECTION_TICKS == 0 else 0)
            seen = self.sequencer.sequence
            self.gateways.handler.sweep()
            self.gateways.broadcast(self.feeds.tickers(self.sequencer.now_ms()))


def main(argv: list[str]) -> int:
    """`python -m relayer engine --state DIR --database URL [--cosigner-key-file FILE] [--snapshot-every N] ...`"""
    options = _parse(argv)
    logs.configure(options.log_format)
    try:
        _serve(Path(options.state), options)
    except Problem as problem:
        return _refuse(f"{problem.code}: {problem.detail}")
    except OSError as error:
        return _refuse(f"{error.strerror}: {error.filename}" if error.filename else str(error))
    except ModuleNotFoundError as error:  # a database driver that is named in the URL
        return _refuse(f"--database needs the package {error.name}, which is not installed")
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        return _refuse(f"the database cannot be used: {reason}")
    return 0


def _serve(state: Path, options: argparse.Namespace) -> None:
    directory = state / "journal"
    directory.mkdir(parents=True, exist_ok=True)
    lock = JournalLock(directory)
    database = open_database(options.database, is_busy_writer=True)
    try:
        cosigner = _load_cosigner(state, options)
        limits = load_limits(options.limits)
        measures = _serve_measures(options)
        tables = OrderTables(database)
        # What is loaded lives as long as the process; scanning it again and again would only cost time and pauses.
        gc.disable()
        log.info("the engine is %s", build.describe())
        recovered = recover(directory, tables)
        gc.collect()
        gc.freeze()
        uvloop.run(_run(state, database, tables, recovered, options, measures, cosigner, limits))
        recovered.journal.close()
    finally:
        database.dispose()
        lock.release()


def _run(
    state: Path,
    database: Database,
    tables: OrderTables,
    recovered: Recovered,
    options: argparse.Namespace,
    measures: EngineMetrics | None,
    cosigner: Cosigner | None,
    limits: LimitTable,
) -> Coroutine[Any, Any, None]:
    retention = Retention(options.keep_journal_mb << 20, options.archive_journal)

    async def run() -> None:
        every = options.snapshot_every
        order_log = OrderLog() if options.log_orders else None
        await Service(state, database, tables, recovered, every, measures, retention, cosigner, limits, order_log).run()
        if order_log is not None:
            order_log.close()

    return run()


def _load_cosigner(state: Path, options: argparse.Namespace) -> Cosigner | None:
    """Raises Problem when the key or the deployment cannot be read."""
    if options.cosigner_key_file is None:
        log.info("no --cosigner-key-file: withdrawals take the delay")
        return None
    deployment = load_deployment(options.deployment or state / DEPLOYMENT_NAME)
    cosigner = Cosigner.from_file(options.cosigner_key_file, deployment)
    log.info("co-signing instant withdrawals as %s", cosigner.address)
    return cosigner


def _serve_measures(options: argparse.Namespace) -> EngineMetrics | None:
    """Nothing is counted unless somebody asks for it. Raises PORT_UNAVAILABLE."""
    if options.metrics_port is None:
        return None
    registry = metrics.new_registry()
    metrics.serve(registry, options.metrics_host, options.metrics_port)
    return EngineMetrics(registry)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m relayer engine", description="The matching engine's process.")
    state, url = os.environ.get("CXDEX_STATE"), os.environ.get("CXDEX_DATABASE_URL")
    parser.add_argument("--state", default=state, required=state is None, help="folder of journal/ and engine.sock")
    parser.add_argument("--database", default=url, required=url is None, help="sqlite:///path or postgresql+psycopg://")
    parser.add_argument("--snapshot-every", type=int, default=SNAPSHOT_EVERY, metavar="N", help="commands")
    parser.add_argument("--keep-journal-mb", type=int, default=KEEP_BYTES >> 20, metavar="MB", help="of older files")
    parser.add_argument("--archive-journal", type=Path, metavar="DIR", help="where older files go; else removed")
    parser.add_argument(
        "--cosigner-key-file",
        type=Path,
        metavar="FILE",
        help="key of COSIGNER; without it nothing is withdrawn at once",
    )
    parser.add_argument("--deployment", type=Path, help="for the Vault's address; default: deployment.json in --state")
    parser.add_argument(
        "--limits", metavar="FILE", help=f"what accounts may trade, as JSON; '{OFF}': no limits; default: built in"
    )
    parser.add_argument("--log-orders", action="store_true", help="a line in the log for whatever becomes of an order")
    logs.add_options(parser)
    metrics.add_options(parser)
    options = parser.parse_args(argv)
    if options.snapshot_every < 1:
        parser.error("--snapshot-every must be at least 1")
    return options


def _refuse(reason: str) -> int:
    print(f"engine: {reason}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
