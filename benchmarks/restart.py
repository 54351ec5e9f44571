"""How long the engine takes to start again with a long journal, from the command to "ready".

    python benchmarks/restart.py [--records 1000000] [--accounts 100]

The journal is written by the code that the engine uses, with what an engine that trades would have: 70 % limit orders
around a walking middle, 20 % cancels, 10 % orders that cross, and one fact for each fill once its block has settled.
Each start is a fresh `python -m relayer engine` on the same folder:

  killed just before a snapshot   the newest snapshot is as old as it can be: 50,000 commands are replayed
  both snapshots gone             every command is replayed
  verify                          `journal verify`: every checksum of every file, and every command decoded

The tables are up to date in all of them, as after any kill but one that comes with a database that is far behind.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from cxdex.facts import Credited, FillSettled, MarketListed, MarketStatusChanged  # noqa: E402
from cxdex.market import MarketStatus  # noqa: E402
from cxdex.nonce import pack_nonce  # noqa: E402
from cxdex.order import Order, OrderType, Side, TimeInForce  # noqa: E402
from cxdex.storage import open_database  # noqa: E402
from relayer.engine.commands import AnyCommand, ApplyFact, Cancel, Place  # noqa: E402
from relayer.engine.core import Engine  # noqa: E402
from relayer.engine.events import AnyEvent, OrderAccepted, OrderClosed, Traded  # noqa: E402
from relayer.journal.journal import Journal  # noqa: E402
from relayer.journal.record import encode_command  # noqa: E402
from relayer.journal.snapshot import Snapshot, fork_writer, write_snapshot  # noqa: E402
from relayer.order_table import OrderTables  # noqa: E402
from relayer.service import SNAPSHOT_EVERY  # noqa: E402

T = TypeVar("T")
MARKET, BASE = "sBTC-USDC", 2
GROUP = 1_000
OPEN_OF_AN_ACCOUNT = 64
COMMANDS_A_BLOCK = 5_000
TARGET_SECONDS = 10.0


class Flow:
    """Draws commands one by one; told what each caused, so that cancels name open orders and lanes are used again."""

    def __init__(self, accounts: int) -> None:
        self._dice = random.Random(7)
        self._accounts = [bytes((0xA0 + number // 256, number % 256)) * 10 for number in range(accounts)]
        self._lanes: dict[bytes, tuple[bytes, int, int]] = {}  # open order: account, lane, seq
        self._free = {account: deque((lane, 1) for lane in range(OPEN_OF_AN_ACCOUNT)) for account in self._accounts}
        self._open: list[bytes] = []
        self._filled: deque[int] = deque()
        self._middle = 100_000
        self._drawn = 0
        self._block = 1
        self._facts = 0

    def beginning(self) -> Iterator[AnyCommand]:
        listed = MarketListed(MARKET, 1, 0, BASE, "sBTC", 14, 1, 1, 25, 25)
        yield self._fact(listed)
        yield self._fact(MarketStatusChanged(MARKET, MarketStatus.ACTIVE, MarketStatus.PAUSED))
        for account in self._accounts:
            yield self._fact(Credited(account, 0, 10**15))
            yield self._fact(Credited(account, BASE, 10**26))

    def next(self) -> AnyCommand:
        self._drawn += 1
        if self._drawn % COMMANDS_A_BLOCK == 0:
            self._block += 1
        if len(self._filled) > COMMANDS_A_BLOCK:
            return self._fact(FillSettled(MARKET, self._filled.popleft()))
        kind = self._dice.random()
        full = len(self._lanes) > OPEN_OF_AN_ACCOUNT * len(self._accounts) // 2
        if (kind < 0.2 or full) and (victim := self._victim()) is not None:
            return Cancel(self._time(), self._lanes[victim][0], [victim])
        return self._place(crossing=kind >= 0.9)

    def caused(self, events: Iterator[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, Traded):
                self._filled.append(event.sequence)
            elif isinstance(event, OrderClosed):
                account, lane, seq = self._lanes.pop(event.digest)
                self._free[account].append((lane, seq + 1))
            elif isinstance(event, OrderAccepted):
                self._open.append(event.digest)

    def _place(self, crossing: bool) -> Place:
        account = next(one for one in self._dice.sample(self._accounts, len(self._accounts)) if self._free[one])
        lane, seq = self._free[account].popleft()
        is_buy = self._dice.random() < 0.5
        toward = 1 if is_buy else -1
        self._middle += self._dice.choice((-1, 0, 1))
        away = self._dice.randint(1, 30)
        price, quantity = self._middle - toward * away, self._dice.randint(1, 10)
        if crossing:
            price, quantity = self._middle + toward * 10, self._dice.randint(5, 60)
        digest = self._drawn.to_bytes(32, "big")
        side = Side.BUY if is_buy else Side.SELL
        nonce = pack_nonce(0, lane, seq)
        order = Order(account, MARKET, side, OrderType.LIMIT, TimeInForce.GTC, quantity, price, 50, 4 * 10**9, nonce)
        self._lanes[digest] = account, lane, seq
        return Place(self._time(), order, self._dice.randbytes(64) + b"\x1b", digest, f"client-{self._drawn}")

    def _victim(self) -> bytes | None:
        while self._open:
            number = self._dice.randrange(len(self._open))
            self._open[number], self._open[-1] = self._open[-1], self._open[number]
            digest = self._open.pop()
            if digest in self._lanes:
                return digest
        return None

    def _fact(self, fact: object) -> ApplyFact:
        self._facts += 1
        return ApplyFact(self._time(), self._block, self._facts, self._facts, False, fact)  # type: ignore[arg-type]

    def _time(self) -> int:
        return 1_790_000_000_000 + self._drawn


def write_state(state: Path, records: int, accounts: int) -> Engine:
    """A journal of so many records, its two snapshots, and tables whose cursor is at its end."""
    (state / "journal").mkdir(parents=True)
    journal, engine, flow = Journal(state / "journal"), Engine(), Flow(accounts)
    assert list(journal.recover()) == []
    beginning = flow.beginning()
    group: list[bytes] = []
    snapshots_at = {records - SNAPSHOT_EVERY, records - 2 * SNAPSHOT_EVERY}
    for number in range(1, records + 1):
        command = next(beginning, None) or flow.next()
        flow.caused(iter(engine.apply(command)))
        group.append(encode_command(command))
        if len(group) == GROUP or number in snapshots_at or number == records:
            journal.append(group)
            group.clear()
        if number in snapshots_at:
            write_snapshot(state / "journal", Snapshot(number, journal.end, engine.snapshot()))
    journal.close()
    tables = OrderTables(open_database(f"sqlite:///{state / 'exchange.db'}"))
    tables.open()
    tables.store(tables.no_changes(), records)
    return engine


def start(state: Path) -> tuple[float, float, float]:
    """(seconds from the command to "ready", of them CPU, memory in MB). It is killed: the folder stays as it is."""
    command = [sys.executable, "-m", "relayer", "engine", "--state", str(state)]
    command += ["--database", f"sqlite:///{state / 'exchange.db'}", "--limits", "off"]
    began = time.perf_counter()
    with (state / "engine.log").open("a") as log:
        engine = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log)
    assert engine.stdout is not None
    try:
        if engine.stdout.readline() != b"ready\n":
            raise SystemExit((state / "engine.log").read_text())
        taken = time.perf_counter() - began
        fields = Path(f"/proc/{engine.pid}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        pages = int(Path(f"/proc/{engine.pid}/statm").read_text().split()[1])
    finally:
        engine.send_signal(signal.SIGKILL)
        engine.wait()
    return taken, cpu, pages * resource.getpagesize() / 2**20


def parts(state: Path) -> Iterator[tuple[str, float, int]]:
    """What a start is made of, in this process: name, seconds, bytes or commands."""
    from relayer.journal.record import decode_command
    from relayer.journal.snapshot import snapshots

    newest = next(one for _, one in snapshots(state / "journal") if one is not None)
    engine, seconds = timed(lambda: Engine.restore(newest.state))
    yield "restore the snapshot", seconds, len(newest.state)
    journal = Journal(state / "journal")
    records, seconds = timed(lambda: list(journal.recover(newest.sequence, newest.position)))
    journal.close()
    yield "read and check", seconds, len(records)
    commands, seconds = timed(lambda: [decode_command(record.payload) for record in records])
    yield "decode", seconds, len(commands)
    _, seconds = timed(lambda: [engine.apply(command) for command in commands])
    yield "apply", seconds, len(commands)
    began = time.perf_counter()
    child = fork_writer(state, journal.sequence, journal.end, 0, engine.snapshot)
    pause = time.perf_counter() - began
    os.waitpid(child, 0)
    written = time.perf_counter() - began
    print(f"a snapshot holds the engine up for {pause * 1000:.0f} ms; the child needs {written:.1f} s")


def timed(action: Callable[[], T]) -> tuple[T, float]:
    """CPU seconds: other processes of the machine do not count."""
    began = time.process_time()
    result = action()
    return result, time.process_time() - began


def report(state: Path, records: int) -> None:
    snapshots = sorted((state / "journal").glob("snapshot-*"))
    size = sum(path.stat().st_size for path in (state / "journal").glob("journal-*.log"))
    print(f"{records:,} records, {size / 2**20:,.0f} MiB; snapshot of {snapshots[-1].stat().st_size / 2**20:.1f} MiB")
    seconds, cpu, memory = start(state)
    verdict = (
        ""
        if records < 10**6
        else f"   target < {TARGET_SECONDS:.0f} s: {'met' if seconds < TARGET_SECONDS else 'MISSED'}"
    )
    print(f"killed just before a snapshot   {seconds:6.1f} s, {cpu:.1f} of CPU, {memory:,.0f} MB{verdict}")
    for name, taken, count in parts(state):
        print(f"    {name:24}    {taken:6.2f} s, {taken / count * 1e6:6.2f} us each of {count:,}")
    aside = state / "aside"
    aside.mkdir()
    for path in snapshots:
        shutil.move(path, aside)
    seconds, cpu, memory = start(state)
    each = cpu / records * 1e6
    print(
        f"both snapshots gone             {seconds:6.1f} s, {cpu:.1f} of CPU, {memory:,.0f} MB, {each:.1f} us a command"
    )
    for path in aside.iterdir():
        shutil.move(path, state / "journal")
    command = [sys.executable, "-m", "relayer", "journal", "verify", "--state", str(state)]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    print(f"verify                          {seconds:6.1f} s: {done.stdout.splitlines()[-1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--accounts", type=int, default=100)
    options = parser.parse_args()
    if options.records <= 2 * SNAPSHOT_EVERY + 1_000:
        parser.error(f"--records must be above {2 * SNAPSHOT_EVERY + 1_000}")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        state = Path(folder)
        gc.disable()  # as the engine does while it loads
        engine, seconds = timed(lambda: write_state(state, options.records, options.accounts))
        print(f"written in {seconds:.0f} s, state {engine.state_hash().hex()[:16]}")
        report(state, options.records)


if __name__ == "__main__":
    main()
