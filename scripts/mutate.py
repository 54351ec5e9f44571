"""Mutation testing of the contracts: small faults are put into a copy, and the contract tests must notice each one.

python -m scripts.mutate --sample 30 --seed 1          thirty mutants drawn from all of them
python -m scripts.mutate --only Vault.vy --sample 10   of one source
python -m scripts.mutate --count                       how many candidates there are, by source and kind

Owns:     the kinds of fault (see `scripts/mutants.py`), the copy, the table of the result.
Promises: a mutant that does not compile, or compiles to the same code, is not counted. A mutant is killed when a
          test fails or the tests take five times as long as they should. The same seed draws the same mutants.
Never:    writes below the work tree: everything happens in a temporary folder that is gone afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from scripts.mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("contracts", "cxdex", "scripts", "tests/contracts", "tests/cxdex/order_strategies.py", "pyproject.toml",
          ".cache/contracts")  # fmt: skip
# Tests that would notice any change of a source, or need a node: they would say nothing about the other tests.
LEFT_OUT = ("test_gas.py", "test_settlement_node.py", "custody/test_deploy.py", "custody/test_abi.py",
            "custody/test_snapshots.py", "custody/test_security_page.py", "custody/test_custody_gas.py",
            "custody/test_debt_gas.py", "upgrade/test_proxy_gas.py", "upgrade/test_storage_layout.py")  # fmt: skip
SETTLEMENT_SOURCES = ("Settlement.vy", "TraderControls.vy", "Triggers.vy", *(f"modules/{name}.vy" for name in (
    "cancels", "ledger", "order_hash", "packing", "sessions", "signatures")))  # fmt: skip
TIMEOUT_FACTOR, TIMEOUT_SLACK = 5, 30  # seconds

# The copy's tests take the bytecode from the compiler's cache instead of ape, and report a failure without
# looking for the smallest example of it.
CONFTEST = """

import hypothesis as _hypothesis

_hypothesis.settings.register_profile(
    "mutant", phases=[_hypothesis.Phase.explicit, _hypothesis.Phase.generate], database=None
)
_hypothesis.settings.load_profile("mutant")


@pytest.fixture(scope="session")
def settlement_bytecode() -> bytes:
    from scripts.artifacts import load_artifacts

    return load_artifacts()["Settlement"].init_code


@pytest.fixture(scope="session")
def bytecode_of() -> Callable[[str], bytes]:
    from scripts.artifacts import load_artifacts

    return lambda name: load_artifacts()[name].init_code
"""
COMPILE = """
import json, sys
from scripts.artifacts import compile_again, compiled_contracts
if len(sys.argv) == 1:
    found = compiled_contracts()
else:
    found = compile_again(json.load(open(sys.argv[2])), sys.argv[1])
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`outcome`: killed, survived, invalid (does not compile) or same (the same code)."""

    mutant: Mutant
    outcome: str
    seconds: float


class Copy:
    """The parts of the project that the contract tests need, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
            elif source.exists():
                shutil.copy(source, target)
        with (folder / "tests" / "contracts" / "conftest.py").open("a") as conftest:
            conftest.write(CONFTEST)
        started = time.monotonic()
        self.known = folder / "unchanged.json"
        self.code = self.compiled()
        if self.code is None or not self.passes(None, timeout=600):
            raise SystemExit("the contract tests fail without any mutant: mend that first")
        self.timeout = TIMEOUT_FACTOR * (time.monotonic() - started) + TIMEOUT_SLACK

    def judge(self, mutant: Mutant) -> Verdict:
        started = time.monotonic()
        path = self.folder / "contracts" / mutant.source
        before = path.read_text()
        path.write_text(mutant.applied(before))
        try:
            code = self.compiled(mutant.source)
            if code is None:
                outcome = "invalid"
            elif code == self.code:
                outcome = "same"
            else:
                outcome = "survived" if self.passes(mutant.source, self.timeout) else "killed"
        finally:
            path.write_text(before)
        return Verdict(mutant, outcome, time.monotonic() - started)

    def compiled(self, changed: str | None = None) -> dict[str, bytes] | None:
        """Creation code by contract, without the compiler's note on the sources; None when it does not compile."""
        known = [] if changed is None else [changed, str(self.known)]
        done = self._run([sys.executable, "-c", COMPILE, *known], timeout=300)
        if done is None or done.returncode:
            return None
        if changed is None:
            self.known.write_text(done.stdout)
        found = {name: bytes.fromhex(one["init_code"]) for name, one in json.loads(done.stdout).items()}
        return {name: code[: -int.from_bytes(code[-2:], "big")] for name, code in found.items()}

    def passes(self, source: str | None, timeout: float) -> bool:
        """Whether all contract tests pass; those nearest to the source run first."""
        tests = self.folder / "tests" / "contracts"
        settlement = sorted(str(path.relative_to(self.folder)) for path in tests.glob("test_*.py"))
        custody = ["tests/contracts/upgrade", "tests/contracts/custody"]
        order = settlement + custody if source in SETTLEMENT_SOURCES else custody + settlement
        ignored = [f"--ignore=tests/contracts/{name}" for name in LEFT_OUT]
        order = [name for name in order if name.removeprefix("tests/contracts/") not in LEFT_OUT]
        command = [sys.executable, "-m", "pytest", "-p", "no:ape_test", "-p", "no:cacheprovider", "-x", "-q"]
        done = self._run([*command, *ignored, *order], timeout)
        return done is not None and done.returncode == 0

    def _run(self, command: list[str], timeout: float) -> subprocess.CompletedProcess[str] | None:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(self.folder)}
        try:
            return subprocess.run(
                command, cwd=self.folder, env=environment, timeout=timeout, capture_output=True, text=True, check=False
            )
        except subprocess.TimeoutExpired:
            return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, default=20, help="how many mutants are tested (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    parser.add_argument("--only", action="append", default=[], help="sources, like Vault.vy or modules/erc20.vy")
    parser.add_argument("--count", action="store_true", help="count the candidates and stop")
    arguments = parser.parse_args()
    candidates = [m for m in all_mutants() if not arguments.only or m.source in arguments.only]
    if not candidates:
        print(f"no such source below contracts/: {', '.join(arguments.only)}", file=sys.stderr)
        return 2
    if arguments.count:
        print_counts(candidates)
        return 0
    os.nice(10)
    random.Random(arguments.seed).shuffle(candidates)
    print_result(judged(candidates, arguments.sample), arguments.seed, len(candidates))
    return 0


def all_mutants() -> list[Mutant]:
    contracts = ROOT / "contracts"
    sources = [p for p in sorted(contracts.rglob("*.vy")) if "mocks" not in p.parts]
    return [m for path in sources for m in mutants_of(str(path.relative_to(contracts)), path.read_text())]


def judged(candidates: list[Mutant], wanted: int) -> list[Verdict]:
    """Verdicts in the order of the candidates, until `wanted` mutants were tested."""
    verdicts: list[Verdict] = []
    tested = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Copy(Path(folder))
        for mutant in candidates:
            if tested == wanted:
                break
            verdict = copy.judge(mutant)
            verdicts.append(verdict)
            tested += verdict.outcome in ("killed", "survived")
            print(f"{tested:4} {verdict.outcome:8} {verdict.seconds:5.1f} s  {mutant}", file=sys.stderr, flush=True)
    return verdicts


def print_counts(candidates: list[Mutant]) -> None:
    kinds = sorted({mutant.kind for mutant in candidates})
    print(f"{'source':28}" + "".join(f"{kind:>12}" for kind in kinds))
    for source in sorted({mutant.source for mutant in candidates}):
        counts = Counter(mutant.kind for mutant in candidates if mutant.source == source)
        print(f"{source:28}" + "".join(f"{counts[kind]:12}" for kind in kinds))
    print(f"{len(candidates)} candidates")


def print_result(verdicts: list[Verdict], seed: int, candidates: int) -> None:
    print(f"\nseed {seed}, {len(verdicts)} of {candidates:,} candidates drawn\n")
    print("| Source | killed | survived | same code | does not compile |\n|---|---|---|---|---|")
    outcomes = ("killed", "survived", "same", "invalid")
    total: Counter[str] = Counter(verdict.outcome for verdict in verdicts)
    for source in sorted({verdict.mutant.source for verdict in verdicts}):
        counts = Counter(v.outcome for v in verdicts if v.mutant.source == source)
        print(f"| {source} | " + " | ".join(str(counts[outcome]) for outcome in outcomes) + " |")
    print("| all | " + " | ".join(str(total[outcome]) for outcome in outcomes) + " |\n")
    tested = total["killed"] + total["survived"]
    print(f"score: {total['killed']} of {tested} killed ({100 * total['killed'] / max(tested, 1):.1f} %)")
    for verdict in verdicts:
        if verdict.outcome == "survived":
            print(f"survivor: {verdict.mutant}")


if __name__ == "__main__":
    sys.exit(main())
