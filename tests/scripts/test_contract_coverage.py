"""The statement coverage of the contracts says what ran, and what did not."""

from __future__ import annotations

from scripts.artifacts import CONTRACTS
from scripts.coverage.__main__ import reached_by, run
from scripts.coverage.statements import Statement, all_statements, traced_codes


def test_what_one_file_of_tests_runs() -> None:
    visited, failed = run(["tests/contracts/custody/test_cxpt.py"])
    assert failed == 0
    of_cxpt = [reached_by(code, visited) for code in traced_codes(CONTRACTS / "CXPT.vy")]
    functions = {statement.function for reached in of_cxpt for statement in reached if statement.source == "CXPT.vy"}
    assert {"__init__", "transfer", "mint"} <= functions
    of_timelock = [reached_by(code, visited) for code in traced_codes(CONTRACTS / "Timelock.vy")]
    functions = {statement.function for reached in of_timelock for statement in reached}
    assert "execute" not in functions


def test_a_test_that_fails_is_counted() -> None:
    assert run(["tests/contracts/custody/test_no_such_file.py"]) == ({}, 1)


def test_every_statement_is_known_by_its_place() -> None:
    source = (CONTRACTS / "CXPT.vy").read_text().splitlines()
    found = {s for s in all_statements() if s.source == "CXPT.vy"}
    line = next(n for n, text in enumerate(source, 1) if "_mint(" in text and "def " not in text)
    assert Statement("CXPT.vy", line, "mint") in found
    assert len({s.source for s in all_statements()}) >= 30
