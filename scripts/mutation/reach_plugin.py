"""A pytest plug-in: which test runs which line of the contracts, written to the file that REACH names.

Owns:     what each test and each shared fixture visited.
Promises: a line that a shared fixture runs counts for every test that asks for the fixture.
Never:    runs unless a command names it (`-p scripts.mutation.reach_plugin`): it puts a slow EVM into the place of the
          tests' own.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.coverage import traced_evm
from scripts.coverage.plugin import project  # noqa: F401  puts the EVM there; the fixture stands in for ape's
from scripts.coverage.statements import TracedCode, deployable_sources, traced_codes
from scripts.mutation.reach import hashes

Positions = dict[bytes, set[int]]
Lines = dict[str, set[int]]

by_fixture: dict[str, Positions] = {}
by_test: dict[str, tuple[list[str], Positions]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Iterator[None]:
    if fixturedef.scope == "function":
        return (yield)
    before = taken()
    result = yield
    by_fixture[fixturedef.argname] = taken()
    merge(traced_evm.visited, before)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: Any) -> Iterator[None]:
    taken()
    result = yield
    by_test[item.nodeid] = (list(item.fixturenames), taken())
    return result


def pytest_sessionfinish() -> None:
    codes = [code for path in deployable_sources() for code in traced_codes(path)]
    memo: dict[bytes, list[TracedCode]] = {}
    found: dict[str, dict[str, list[int]]] = {}
    for test, (fixtures, positions) in by_test.items():
        for name in fixtures:
            merge(positions, by_fixture.get(name, {}))
        lines: Lines = defaultdict(set)
        for deployed, seen in positions.items():
            if deployed not in memo:
                memo[deployed] = [code for code in codes if deployed.startswith(code.code)]
            for code in memo[deployed]:
                for position in seen & code.statements.keys():
                    statement = code.statements[position]
                    lines[statement.source].add(statement.line)
        found[test] = {source: sorted(numbers) for source, numbers in lines.items()}
    Path(os.environ["REACH"]).write_text(json.dumps({"sources": hashes(), "tests": found}))


def taken() -> Positions:
    """What was visited since the last time."""
    found = dict(traced_evm.visited)
    traced_evm.visited.clear()
    return found


def merge(into: Positions, more: Positions) -> None:
    for code, positions in more.items():
        into[code] = into.get(code, set()) | positions
