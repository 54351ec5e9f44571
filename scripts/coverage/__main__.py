"""Statement coverage of the contracts: the contract tests that need no node run on py-evm, which notes what it runs.

python -m scripts.coverage                 all of them, two files at a time; some minutes
python -m scripts.coverage --missing       also each statement that no test ran
python -m scripts.coverage TEST_FILE ...   these alone

Owns:     which tests run, the table.
Promises: a statement counts as run when an instruction of it ran in any contract that contains it. A test that fails
          here fails the command: the traced EVM must be as good as the one it stands in for.
Never:    counts what the fuzz machines reach by chance: all random play is left out, so that the figure is the same
          every time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from scripts.artifacts import ROOT, load_artifacts
from scripts.coverage.statements import Statement, TracedCode, all_statements, deployable_sources, traced_codes

TESTS = ROOT / "tests" / "contracts"
NEEDS_A_NODE = ("test_gas.py", "test_settlement_node.py", "custody/test_deploy.py", "custody/test_custody_gas.py",
                "custody/test_debt_gas.py", "upgrade/test_proxy_gas.py")  # fmt: skip
# Seconds of random play: what they reach by chance proves nothing about the other tests.
RANDOM_PLAY = ("test_engine_proofs.py", "test_engine_settles.py", "test_settlement_long_day.py",
               "test_settlement_reference.py", "custody/test_debt_machine.py", "custody/test_hostile_machine.py",
               "custody/test_oracle_reference.py", "custody/test_solvency_machine.py")  # fmt: skip
ABOUT_APE = "tests/contracts/custody/test_abi.py::test_ape_compiles_the_same_bytecode"
PROCESSES = 2


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="coverage", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tests", nargs="*", help="test files; none: all that need no node and are no random play")
    parser.add_argument("--missing", action="store_true", help="lists the statements that no test ran")
    arguments = parser.parse_args()
    load_artifacts()  # compiled once, before several processes would
    tests = arguments.tests or default_tests()
    visited, failed = run(tests)
    compiled: set[Statement] = set()
    reached: set[Statement] = set()
    for path in deployable_sources():
        for code in traced_codes(path):
            compiled |= set(code.statements.values())
            reached |= reached_by(code, visited)
    print_table(compiled, reached)
    silent = all_statements() - compiled
    if arguments.missing:
        print_list("no test ran", compiled - reached)
        print_list("no instruction of its own (the compiler has folded or left it out)", silent)
    if failed:
        print(f"{failed} test files failed: the table is not of a whole run", file=sys.stderr)
    return 1 if failed else 0


def default_tests() -> list[str]:
    left_out = {TESTS / name for name in (*NEEDS_A_NODE, *RANDOM_PLAY)}
    return [str(path.relative_to(ROOT)) for path in sorted(TESTS.rglob("test_*.py")) if path not in left_out]


def run(tests: list[str]) -> tuple[dict[bytes, set[int]], int]:
    """What the tests ran, and how many files of them failed. Each file is a process of its own, two at a time."""
    visited: dict[bytes, set[int]] = {}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="coverage-") as folder, ThreadPoolExecutor(PROCESSES) as pool:
        notes = [Path(folder) / str(i) for i in range(len(tests))]
        for test, note, passed in zip(tests, notes, pool.map(run_file, tests, notes), strict=True):
            print(f"{'passed' if passed else 'FAILED'}  {test}", file=sys.stderr, flush=True)
            failed += not passed
            for code, positions in read_notes(note).items():
                visited.setdefault(code, set()).update(positions)
    return visited, failed


def run_file(test: str, note: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:ape_test", "-p", "no:cacheprovider"]
    environment = {**os.environ, "COVERAGE_FILE": str(note)}
    command += ["--deselect", ABOUT_APE, "-p", "scripts.coverage.plugin", test]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
    return done.returncode == 0


def read_notes(note: Path) -> dict[bytes, set[int]]:
    return msgspec.msgpack.decode(note.read_bytes(), type=dict[bytes, set[int]]) if note.exists() else {}


def reached_by(code: TracedCode, visited: dict[bytes, set[int]]) -> set[Statement]:
    positions: set[int] = set()
    for deployed, seen in visited.items():
        if deployed.startswith(code.code):
            positions |= seen
    return {statement for position, statement in code.statements.items() if position in positions}


def print_table(compiled: set[Statement], reached: set[Statement]) -> None:
    all_of = Counter(statement.source for statement in compiled)
    run_of = Counter(statement.source for statement in reached)
    print("\n| Source | statements | run | not run |\n|---|---:|---:|---:|")
    for source in sorted(all_of):
        print(f"| {source} | {all_of[source]} | {run_of[source]} | {all_of[source] - run_of[source]} |")
    total, done = len(compiled), len(reached)
    print(
        f"| all | {total} | {done} | {total - done} |\n\n{100 * done / max(total, 1):.2f} % of {total} statements run"
    )


def print_list(title: str, statements: set[Statement]) -> None:
    print(f"\n{title}: {len(statements)}")
    for statement in sorted(statements):
        print(f"  {statement.source}:{statement.line}  {statement.function}")


if __name__ == "__main__":
    sys.exit(main())
