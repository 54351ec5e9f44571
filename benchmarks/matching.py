"""How many order-book events one core matches in a second: our book, our whole engine, and peers from PyPI.

    python benchmarks/matching.py [--events 200000] [--rounds 3]

The flow, drawn from a fixed seed and played to everyone: 70 % limit orders 1 to 30 ticks behind a middle that walks at
random, 20 % cancels of resting orders, 10 % orders of 5 to 60 lots that cross the spread. Every row is a process of its
own; the rounds take turns, so that a noisy machine is noisy for all, and the best counts. CPU time. The list of trades
(lots and price, in order) must be that of a plain reference matcher, or the row says so. Python's cycle collector is
off for everyone, as it is in our engine's process.

p99 is of one event, in a second pass with a clock around each. Our rows run twice: from the Python sources, and
compiled from them (`make compiled`; skipped where there is no C compiler). No peer keeps balances, lanes and fees, so
the whole engine is compared with none.

The peers are pinned in requirements/benchmarks.txt and installed into .cache/peers on the first run; no part of this
project needs them. (matching-engine, another good one, wants Python 3.12, so it cannot take part in a run on 3.11.)
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from matching_rows import OURS, PEERS, OurEngine, Reference, Trades  # noqa: E402

from relayer.build import BUILDS, COMPILED, OFF, PYTHON, SETTING, builds_folder, running  # noqa: E402
from scripts.compile_engine import CannotCompile, compile_into  # noqa: E402

SEED = 7
PINS = ROOT / "requirements" / "benchmarks.txt"
PEERS_FOLDER = ROOT / ".cache" / "peers"
NO_PEER = next(name for name, make in OURS.items() if make is OurEngine)
Event = tuple[int, bool, int, int]
"""(id, is_buy, price, quantity); a quantity of 0 cancels the id."""


def draw_flow(count: int) -> tuple[list[Event], Trades]:
    rng = random.Random(SEED)
    reference, middle = Reference(), 100_000
    flow: list[Event] = []
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
    return flow, reference.trades


def measure(name: str, count: int) -> None:
    """One row, in this process. Prints one line of JSON for `main`."""
    sys.path.append(str(PEERS_FOLDER))
    flow, expected = draw_flow(count)
    make = {**OURS, **PEERS}[name]
    taken, agrees = [], True
    for is_timed in (False, True):
        matcher = make()
        if isinstance(matcher, OurEngine):
            matcher.prepare(flow)
        gc.collect()
        gc.freeze()
        gc.disable()  # it would walk this program's own lists in everybody's time; our engine process runs so too
        began = time.process_time()
        if is_timed:
            times = play_timed(matcher.place, matcher.cancel, flow)
        else:
            play(matcher.place, matcher.cancel, flow)
            taken.append(time.process_time() - began)
        agrees = agrees and matcher.trades == expected
    p99 = sorted(times)[int(count * 0.99)] / 1000
    build = running() if name in OURS else ""
    print(json.dumps({"seconds": taken[0], "p99": p99, "agrees": agrees, "build": build}))


def play(place, cancel, flow: list[Event]) -> None:  # type: ignore[no-untyped-def]
    for number, is_buy, price, quantity in flow:
        if quantity:
            place(number, is_buy, price, quantity)
        else:
            cancel(number)


def play_timed(place, cancel, flow: list[Event]) -> list[int]:  # type: ignore[no-untyped-def]
    """Nanoseconds of this thread's CPU for each event."""
    clock, times = time.thread_time_ns, []
    for number, is_buy, price, quantity in flow:
        began = clock()
        if quantity:
            place(number, is_buy, price, quantity)
        else:
            cancel(number)
        times.append(clock() - began)
    return times


def install_peers() -> str | None:
    """Installs what is pinned, once. Returns why it could not."""
    stamp = PEERS_FOLDER / ".installed"
    wanted = f"{hashlib.sha256(PINS.read_bytes()).hexdigest()} {sys.version.split()[0]}"
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    shutil.rmtree(PEERS_FOLDER, ignore_errors=True)
    print(f"installing the peers into {PEERS_FOLDER.relative_to(ROOT)}", flush=True)
    uv = Path(sys.executable).with_name("uv")
    install = [str(uv), "pip", "install"] if uv.exists() else [sys.executable, "-m", "pip", "install"]
    command = [*install, "-q", "--no-deps", "--target", str(PEERS_FOLDER), "-r", str(PINS)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "VIRTUAL_ENV": sys.prefix})
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    stamp.write_text(wanted)
    return None


def row(name: str, setting: str, events: int) -> dict[str, object] | None:
    command = [sys.executable, str(Path(__file__)), "--row", name, "--events", str(events)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, SETTING: setting})
    if done.returncode:
        print(f"{name} failed: {(done.stderr.strip().splitlines() or ['it was killed'])[-1]}")
        return None
    found: dict[str, object] = json.loads(done.stdout)
    return found


def rows() -> list[tuple[str, str, str]]:
    """(what is shown, row, which build)."""
    shown = [(f"{name}, {PYTHON}", name, OFF) for name in OURS]
    try:
        folder = builds_folder() or BUILDS
        compile_into(folder)
        shown += [(f"{name}, {COMPILED}", name, str(folder)) for name in OURS]
    except CannotCompile as problem:
        print(f"not compiled: {problem}")
    why = install_peers()
    if why is not None:
        print(f"the peers cannot be installed: {why}")
        return shown
    return shown + [(name, name, OFF) for name in PEERS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        measure(options.row, options.events)
        return 0
    wanted = rows()
    flow, expected = draw_flow(options.events)
    cancels, crossing = sum(not quantity for *_, quantity in flow), options.events // 10
    print(
        f"{len(flow):,} events ({100 * cancels / len(flow):.0f} % cancels, about {100 * crossing / len(flow):.0f} % "
        f"crossing), {len(expected):,} trades, seed {SEED}, Python {sys.version.split()[0]}, CPU time of one core"
    )
    best: dict[str, float] = {}
    p99: dict[str, float] = {}
    wrong: set[str] = set()
    for _ in range(options.rounds):
        for shown, name, setting in wanted:
            found = row(name, setting, options.events)
            if found is None or not found["agrees"]:
                wrong.add(shown)
            if found is not None:
                best[shown] = min(float(str(found["seconds"])), best.get(shown, 1e9))
                p99[shown] = min(float(str(found["p99"])), p99.get(shown, 1e9))
    peer = min((best[name] for name in PEERS if name in best and name not in wrong), default=None)
    for shown, name, _ in wanted:
        if shown not in best:
            continue
        ratio = f"{peer / best[shown]:8.2f} x the best peer" if peer and name != NO_PEER else ""
        says = "   other trades than the reference!" if shown in wrong else ""
        print(f"{shown:36}{len(flow) / best[shown]:12,.0f} events/s   p99 {p99[shown]:6.1f} us{ratio}{says}")
    return 1 if any(shown in wrong for shown, name, _ in wanted if name in OURS) else 0


if __name__ == "__main__":
    sys.exit(main())
