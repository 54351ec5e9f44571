"""Mutation testing of the contracts: small faults are put into a copy, and the contract tests must notice each one.

python -m scripts.mutate                               every mutant that docs/mutants.json has no result for
python -m scripts.mutate --only Vault.vy               of one source; may be given several times
python -m scripts.mutate --sample 30 --seed 1          thirty of them, drawn at random
python -m scripts.mutate --again open                  survivors without an answer, by every test that runs the line
python -m scripts.mutate --report                      the score by source, and stop; --write: into docs/
python -m scripts.mutate --open                        the survivors that nobody has explained, and stop
python -m scripts.mutate --count                       how many mutants there are, by source and kind, and stop

Owns:     the copy, the choice of mutants. The kinds of fault are in `scripts/mutants.py`.
Promises: a mutant that does not compile, or compiles to the same code, is not counted as tested. A mutant is killed
          when a test fails or the tests take five times as long as they should. The same seed draws the same mutants.
          Each result is in docs/mutants.json before the next mutant is tried, so a run may be stopped at any time.
Never:    writes anything else below the work tree: everything happens in a temporary folder that is gone afterwards.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.artifacts import ROOT, load_artifacts
from scripts.mutants import Mutant
from scripts.mutation import LEFT_OUT
from scripts.mutation.record import (
    LETTERS,
    OPEN,
    SCORE_PAGE,
    SURVIVORS_PAGE,
    UNTRIED,
    Record,
    Spot,
    all_spots,
    survivors_page,
    table,
    with_table,
)

COPIED = ("contracts", "cxdex", "relayer", "scripts", "tests/contracts", "tests/cxdex/order_strategies.py",
          "tests/relayer/engine/trading_desk.py", "pyproject.toml", ".cache/contracts",
          ".cache/reach.json")  # fmt: skip
Spotted = tuple[Spot, Mutant]


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, help="how many mutants are tried, drawn at random (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    parser.add_argument("--only", action="append", default=[], help="sources, like Vault.vy or modules/erc20.vy")
    parser.add_argument(
        "--again", choices=("open", "survived", "killed", "all"), help="which known results are tried again"
    )
    parser.add_argument("--without-long", action="store_true", help="leaves out the seconds of random play")
    parser.add_argument("--count", action="store_true", help="counts the mutants and stops")
    parser.add_argument("--report", action="store_true", help="prints the score by source and stops")
    parser.add_argument("--write", action="store_true", help="with --report: also into docs/security.md and mutants.md")
    parser.add_argument("--open", action="store_true", help="prints the survivors without an answer and stops")
    arguments = parser.parse_args()
    everything = [one for one in all_spots() if not arguments.only or one[0].source in arguments.only]
    if arguments.only:
        everything.sort(key=lambda one: arguments.only.index(one[0].source))
    if not everything:
        print(f"no such source below contracts/: {', '.join(arguments.only)}", file=sys.stderr)
        return 2
    record = Record.read().tidied()
    if arguments.count:
        print_counts([mutant for _, mutant in everything])
    elif arguments.report:
        print(table(record))
        print_untried(record, everything)
        if arguments.write:
            record.write()
            SURVIVORS_PAGE.write_text(survivors_page(record))
            SCORE_PAGE.write_text(with_table(SCORE_PAGE.read_text(), record))
    elif arguments.open:
        print_open(record, everything)
    else:
        wanted = [one for one in everything if is_wanted(record, one[0], arguments.again)]
        if arguments.sample is not None:
            random.Random(arguments.seed).shuffle(wanted)
            wanted = wanted[: arguments.sample]
        return try_all(record, wanted, arguments.without_long, arguments.again is not None)
    return 0


def is_wanted(record: Record, spot: Spot, again: str | None) -> bool:
    letter = record.letter(spot)
    if again == "open":
        return letter == LETTERS["survived"] and record.answer(spot) == OPEN
    return letter == UNTRIED if again is None else again == "all" or letter == LETTERS[again]


def try_all(record: Record, wanted: list[Spotted], without_long: bool, thorough: bool) -> int:
    os.nice(10)
    tried: Counter[str] = Counter()
    for verdict in verdicts([mutant for _, mutant in wanted], without_long, thorough):
        if "failed" in verdict:
            print(f"this test fails without any mutant: {verdict['failed']}; mend that first", file=sys.stderr)
            return 1
        spot, mutant = wanted[verdict["index"]]
        record.note(spot, mutant, verdict["outcome"])
        record.write()
        tried[verdict["outcome"]] += 1
        by = verdict.get("by", "").removeprefix("tests/contracts/")
        print(f"{tried.total():4} {verdict['outcome']:8} {verdict['seconds']:5.1f} s  {mutant}  {by}", flush=True)
    tested = tried["killed"] + tried["survived"]
    print(f"{tried['killed']} of {tested} killed; {tried['same']} the same code; {tried['invalid']} do not compile")
    return 0 if tried.total() == len(wanted) else 1


def verdicts(mutants: list[Mutant], without_long: bool, thorough: bool) -> Iterator[dict[str, Any]]:
    """Of each mutant in turn, from a process that runs the tests in a copy of the project."""
    load_artifacts()  # compiled once, for the copy to find
    with copied() as folder:
        work = folder / "work.json"
        told = [dataclasses.astuple(one) for one in mutants]
        work.write_text(json.dumps({"mutants": told, "without_long": without_long, "thorough": thorough}))
        reader, writer = os.pipe()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:ape_test", "-p", "no:cacheprovider"]
        command += ["-p", "scripts.mutation.plugin", "tests/contracts"]
        command += [f"--ignore=tests/contracts/{name}" for name in LEFT_OUT]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(folder)}
        environment |= {"MUTANTS": str(work), "VERDICTS": str(writer)}
        with (folder / "output.txt").open("w") as output:
            tests = subprocess.Popen(
                command, cwd=folder, env=environment, pass_fds=[writer], stdout=output, stderr=subprocess.STDOUT
            )
            os.close(writer)
            try:
                with os.fdopen(reader) as lines:
                    yield from map(json.loads, lines)
            finally:
                tests.terminate()
                tests.wait()
        if tests.returncode > 0:
            print((folder / "output.txt").read_text()[-4000:], file=sys.stderr)


@contextmanager
def copied() -> Iterator[Path]:
    """The parts of the project that the contract tests need, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        for part in COPIED:
            source, target = ROOT / part, folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
            elif source.exists():
                shutil.copy(source, target)
        yield folder


def print_counts(mutants: list[Mutant]) -> None:
    kinds = sorted({mutant.kind for mutant in mutants})
    print(f"{'source':28}" + "".join(f"{kind:>12}" for kind in kinds))
    for source in sorted({mutant.source for mutant in mutants}):
        counts = Counter(mutant.kind for mutant in mutants if mutant.source == source)
        print(f"{source:28}" + "".join(f"{counts[kind]:12}" for kind in kinds))
    print(f"{len(mutants)} mutants")


def print_untried(record: Record, everything: list[Spotted]) -> None:
    counts = Counter(spot.source for spot, _ in everything if record.letter(spot) == UNTRIED)
    print(f"\n{counts.total()} of {len(everything)} not tried yet: " + ", ".join(f"{s} {n}" for s, n in counts.items()))


def print_open(record: Record, everything: list[Spotted]) -> None:
    for spot, mutant in everything:
        if record.letter(spot) == LETTERS["survived"] and record.answer(spot) == OPEN:
            print(f"{spot.line}.{spot.number}  {mutant}\n    {mutant.line}")


if __name__ == "__main__":
    sys.exit(main())
