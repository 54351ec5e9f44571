"""A pytest plug-in: in the place of one run of the tests, one run for each mutant, in a child of the process.

Owns:     the order of the tests, the children, their limits.
Promises: tests are imported once, so a mutant costs its compilation and the tests up to the first that fails. First
          come the tests that noticed a change nearby, then those that run most lines of the source. A test that is
          known never to run the changed line is not asked, and of those that run just the same lines of its source
          ALIKE are, unless the work is thorough. A mutant that makes the tests take five times their time is killed.
Never:    runs unless a command names it (`-p scripts.mutation.plugin`); changes sources outside the working folder.

Reads MUTANTS (a file, see `Work`), writes to the descriptor VERDICTS one line of JSON for each mutant:
{"index", "outcome", "by", "seconds"}. A line with "failed" instead says that a test fails without any mutant.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest

from scripts import artifacts
from scripts.mutants import Mutant
from scripts.mutation import LONG_TESTS, compiler
from scripts.mutation.reach import known_reach

FILES_OF_SETTLEMENT = "tests/contracts/test_settlement_"
SETTLEMENT = {"Settlement", "TraderControls", "Triggers"}
LONG_PATHS = tuple(f"tests/contracts/{name}" for name in LONG_TESTS)
NEARBY = 12  # tests that are asked before all others
NEW = 1_000_000  # lines; a test that nobody has looked at yet may have been written for just this mutant
ALIKE = 25  # so many tests that run just the same lines of the source are asked
TIMES, SLACK = 5, 30  # of the tests' time, and seconds of it


@dataclass(frozen=True, slots=True)
class Work:
    mutants: list[Mutant]
    without_long: bool  # LONG_TESTS are left out
    thorough: bool  # every test that runs the changed line is asked

    @staticmethod
    def read(path: Path) -> Work:
        found = json.loads(path.read_text())
        mutants = [Mutant(s, k, tuple(a), tuple(b), x, y, w, tuple(c)) for s, k, a, b, x, y, w, c in found["mutants"]]
        return Work(mutants, found["without_long"], found["thorough"])


def of_work(items: list[Any], work: Work) -> list[Any]:
    return [item for item in items if not (work.without_long and item.nodeid.startswith(LONG_PATHS))]


@dataclass(slots=True)
class Bench:
    """The tests, and what they found so far. `reach`: see `scripts/mutation/reach.py`."""

    items: list[Any]
    seconds: dict[str, float]
    reach: dict[str, dict[str, list[int]]]
    thorough: bool
    deaths: dict[str, list[tuple[int, str]]] = field(default_factory=dict)  # by source: line, the test that noticed

    def order(self, mutant: Mutant, changed: set[str]) -> list[Any]:
        deaths = sorted(self.deaths.get(mutant.source, []), key=lambda death: abs(death[0] - mutant.start[0]))
        near = list(dict.fromkeys(test for _, test in deaths))[:NEARBY]
        files = Counter(test.split("::")[0] for _, test in deaths)
        line = mutant.line_start[0]
        lines = {test: of.get(mutant.source, []) for test, of in self.reach.items()}
        is_reached = any(line in run for run in lines.values())

        def may_notice(item: Any) -> bool:
            if is_reached and item.nodeid in lines:
                return line in lines[item.nodeid]
            return bool(changed & SETTLEMENT) or not item.nodeid.startswith(FILES_OF_SETTLEMENT)

        def place(item: Any) -> tuple[bool, int, int, int, float]:
            test = item.nodeid
            first = near.index(test) if test in near else NEARBY
            more = len(lines[test]) if test in lines else NEW
            return test.startswith(LONG_PATHS), first, -more, -files[test.split("::")[0]], self.seconds[test]

        alike: Counter[tuple[int, ...]] = Counter()
        chosen = []
        for item in sorted(filter(may_notice, self.items), key=place):
            kind = tuple(lines.get(item.nodeid, ()))
            alike[kind] += 1
            if self.thorough or not kind or alike[kind] <= ALIKE:
                chosen.append(item)
        return chosen


class Contracts:
    """What the tests find in the place of ape's `project`."""

    def __getattr__(self, name: str) -> Any:
        code = artifacts.load_artifacts()[name].init_code
        return SimpleNamespace(contract_type=SimpleNamespace(get_deployment_bytecode=lambda: code))


@pytest.fixture(scope="session")
def project() -> Contracts:
    return Contracts()


def pytest_configure() -> None:
    """A failure is reported without looking for the smallest example of it."""
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("mutant", phases=phases, database=None)
    hypothesis.settings.load_profile("mutant")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: Any) -> bool:
    work = Work.read(Path(os.environ["MUTANTS"]))
    verdicts = os.fdopen(int(os.environ["VERDICTS"]), "w", buffering=1)
    known = artifacts.compiled_contracts()
    compiler.take_shortcut()
    users = compiler.users({mutant.source for mutant in work.mutants})
    compiler.check(known)
    gc.collect()
    gc.freeze()
    measured = in_child(lambda: run(of_work(session.items, work), known), 3_600)
    if measured is None or "by" in measured:
        print(json.dumps({"failed": measured and measured["by"]}), file=verdicts)
        return True
    bench = Bench(of_work(session.items, work), measured["seconds"], known_reach(), work.thorough)
    seen: dict[str, dict[str, Any]] = {}
    for index, mutant in enumerate(work.mutants):
        started = time.monotonic()
        verdict = judged(mutant, known, users, bench, seen)
        if verdict.get("by"):
            bench.deaths.setdefault(mutant.source, []).append((mutant.start[0], verdict["by"]))
        print(json.dumps({"index": index, **verdict, "seconds": time.monotonic() - started}), file=verdicts)
    return True


def judged(
    mutant: Mutant, known: artifacts.Compiled, users: compiler.Users, bench: Bench, seen: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """`seen`: verdicts by the changed code; two mutants may be one."""
    path = artifacts.CONTRACTS / mutant.source
    before = path.read_text()
    path.write_text(mutant.applied(before))
    try:
        made = in_child(lambda: compiled(known, users, mutant), 300)
    finally:
        path.write_text(before)
    if made is None or made["contracts"] is None:
        return {"outcome": "invalid"}
    changed = set(made["changed"])
    if not changed:
        return {"outcome": "same"}
    contracts = {**known, **made["contracts"]}
    code = " ".join(contracts[name]["init_code"] for name in sorted(changed))
    if code not in seen:
        items = bench.order(mutant, changed)
        limit = TIMES * sum(bench.seconds[item.nodeid] for item in items) + SLACK
        ended = in_child(lambda: run(items, contracts), round(limit))
        if ended is None:
            seen[code] = {"outcome": "killed"}
        elif "by" in ended:
            seen[code] = {"outcome": "killed", "by": ended["by"]}
        else:
            seen[code] = {"outcome": "survived"}
    return seen[code]


def compiled(known: artifacts.Compiled, users: compiler.Users, mutant: Mutant) -> dict[str, Any]:
    gc.disable()
    found = compiler.compiled_with(known, users, mutant.source, mutant.line_start[0])
    if found is None:
        return {"contracts": None}
    contracts, changed = found
    return {"contracts": {name: contracts[name] for name in changed}, "changed": sorted(changed)}


def run(items: list[Any], contracts: artifacts.Compiled) -> dict[str, Any]:
    """The tests, up to the first that fails: {"by"}, or {"seconds"} by test."""
    artifacts.compiled_contracts = lambda: {name: dict(one) for name, one in contracts.items()}
    seconds: dict[str, float] = {}
    session = items[0].session
    for item, following in zip(items, [*items[1:], None], strict=True):
        started = time.process_time()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        seconds[item.nodeid] = time.process_time() - started
        if session.testsfailed:
            return {"by": item.nodeid}
    return {"seconds": seconds}


def in_child(act: Callable[[], dict[str, Any]], limit: int) -> dict[str, Any] | None:
    """What `act` returns in a child of this process; None when the child dies or takes `limit` seconds of CPU time."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
            silence = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(silence, descriptor)
            answer = json.dumps(act()).encode()
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(answer)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as pipe:
            answer = pipe.read()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.waitpid(child, 0)
    return json.loads(answer) if answer else None
