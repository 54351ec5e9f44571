"""Random commands of `python -m relayer match` through the exchange's book and through the tests' naive matcher.

python -m scripts.fuzz_matching --commands 1000000 --seed 1        (or `make fuzz-matching COMMANDS=1000000 SEED=1`)

Every command goes as one JSON line through both; the events must be the same after each, the resting orders after every
hundredth. Then two processes with different hash seeds play all lines again, and must print what this one saw, byte
for byte. Lines that are no commands are tried beside them: each must be refused by its number.

Promises: the same seed is the same flow on every machine. What never happened is named, whatever the counts.
Exit code 0 when all agree, 1 with the command that does not and the seed, 2 when something never happened.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from relayer.match import BadLine, Matcher, read_commands
from scripts.fuzz_flow import Flow, expected_kinds, kind_of, spoilt
from scripts.tests_folder import TESTS, open_tests_folder

if TYPE_CHECKING:
    from tests.relayer.engine.naive_matcher import NaiveMatcher

BOOK_EVERY = 100  # commands
SPOILT_EVERY = 20  # commands
HASH_SEEDS = ("1", "20261121")
EXPECTED_EVENTS = (
    "accepted", "reduced", "replaced", "trade",
    *(f"rejected {code}" for code in ("ID_USED", "NOT_OPEN", "QUANTITY", "PRICE", "REDUCE", "POST_ONLY", "FOK")),
    *(f"canceled {reason}" for reason in ("USER", "IOC", "MARKET", "STP")),
    *(f"stp {mode}" for mode in ("CANCEL_TAKER", "CANCEL_MAKER", "CANCEL_BOTH", "DECREMENT")),
    "a bad line, refused",
)  # fmt: skip

_encoder = msgspec.json.Encoder()


class Disagreement(Exception):
    """The two matchers differ, or one did what it must not."""


@dataclass
class Run:
    """One run's matchers and counts."""

    naive: NaiveMatcher
    as_tuple: Callable[[dict[str, Any]], tuple[object, ...]]
    matcher: Matcher = field(default_factory=Matcher)
    kinds: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    deepest: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def play(self, number: int, line: bytes) -> None:
        """One command through both. Raises Disagreement."""
        (command,) = read_commands([line])
        decoded = msgspec.json.decode(line)
        events = self.matcher.apply(command)
        expected = self.naive.apply(decoded)
        if [self.as_tuple(event) for event in events] != expected:
            raise Disagreement(f"command {number}: {line.decode()}\n  book:  {events}\n  naive: {expected}")
        self.kinds.update(kind_of(decoded))
        for event in events:
            self.events[event_kind(event)] += 1
            self.digest.update(_encoder.encode({"seq": number, **event}) + b"\n")
        if number % BOOK_EVERY == 0:
            self.compare_books(number)

    def compare_books(self, number: int) -> None:
        orders = [order for is_bid in (True, False) for order in self.matcher.book.orders(is_bid)]
        ours = [("buy" if o.is_buy else "sell", o.price, o.key, o.remaining) for o in orders]
        if ours != self.naive.book():
            raise Disagreement(f"resting orders after command {number}\n  book:  {ours}\n  naive: {self.naive.book()}")
        self.deepest = max(self.deepest, len(ours))

    def refuse(self, line: bytes) -> None:
        """A line that is no command. Raises Disagreement when it is taken for one."""
        try:
            commands = list(read_commands([line]))
        except BadLine as error:
            if "line 1 " not in str(error):
                raise Disagreement(f"the number of a bad line is not named: {error}") from None
            self.events["a bad line, refused"] += 1
        else:
            if commands:
                raise Disagreement(f"taken for a command: {line!r}")


def event_kind(event: dict[str, Any]) -> str:
    detail = event.get("code") or event.get("reason") or event.get("mode")
    return f"{event['event']} {detail}" if detail else str(event["event"])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="fuzz_matching", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--commands", type=int, default=1_000_000, help="how many (default 1,000,000)")
    parser.add_argument("--seed", type=int, help="of the flow; without it, a new one each time")
    arguments = parser.parse_args()
    if arguments.commands < 1:
        parser.error("--commands must be at least 1")
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(2**32)
    os.nice(10)
    print(f"seed {seed}, {arguments.commands:,} commands", flush=True)
    with tempfile.TemporaryDirectory(prefix="cxdex-fuzz-") as folder:
        path = Path(folder) / "commands.jsonl"
        try:
            run = compare(arguments.commands, seed, path)
            replay(path, run.digest.hexdigest())
        except Disagreement as problem:
            print(f"\nDISAGREEMENT, seed {seed}; repeat it with: make fuzz-matching SEED={seed}\n{problem}")
            return 1
    return report(run)


def compare(count: int, seed: int, path: Path) -> Run:
    """All commands through both matchers; leaves them in the file. Raises Disagreement."""
    open_tests_folder()
    from tests.relayer.engine.naive_matcher import NaiveMatcher, as_tuple

    flow, run = Flow(random.Random(seed)), Run(NaiveMatcher(), as_tuple)
    dice = random.Random(seed + 1)
    started = time.monotonic()
    with path.open("wb") as file:
        for number in range(count):
            line = _encoder.encode(flow.next(run.naive.resting))
            file.write(line + b"\n")
            run.play(number, line)
            if number % SPOILT_EVERY == 0:
                run.refuse(spoilt(dice, line))
    run.compare_books(count)
    seconds = time.monotonic() - started
    print(f"events and books are the same; {seconds:.0f} s, at most {run.deepest} resting orders")
    return run


def replay(path: Path, seen: str) -> None:
    """Two more processes print the same. Raises Disagreement."""
    children = [start(path, hash_seed) for hash_seed in HASH_SEEDS]
    for child, hash_seed in zip(children, HASH_SEEDS, strict=True):
        assert child.stdout is not None
        found = hash_of(child.stdout)
        if child.wait() or found != seen:
            raise Disagreement(f"a process with PYTHONHASHSEED={hash_seed} printed other events: {found}, here {seen}")
    print(f"two processes with PYTHONHASHSEED={' and '.join(HASH_SEEDS)} print the same events\n  sha256 {seen}")


def start(path: Path, hash_seed: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "relayer", "match", str(path)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=TESTS.parent)


def hash_of(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def report(run: Run) -> int:
    for title, counts in (("commands by kind", run.kinds), ("events", run.events)):
        print(f"\n{title}")
        for name, count in sorted(counts.items()):
            print(f"  {count:>10,}  {name}")
    silent = [kind for kind in expected_kinds() if not run.kinds[kind]]
    silent += [kind for kind in EXPECTED_EVENTS if not run.events[kind]]
    print("\n" + (f"NEVER HAPPENED: {', '.join(silent)}" if silent else "everything that can happen did"))
    return 2 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
