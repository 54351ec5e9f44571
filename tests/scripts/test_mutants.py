"""The faults that mutation testing puts into a source: the right ones, in the right places."""

from __future__ import annotations

import pytest

from scripts.mutants import Mutant, mutants_of

SOURCE = '''# pragma version 0.4.3
"""
@notice Adds 1 + 1.
"""

LIMIT: constant(uint256) = 10_000
total: public(HashMap[address, uint256])


@external
def add(account: address, amount: uint256):
    assert amount < LIMIT, "X:LIMIT"  # 1 < 2
    self.total[account] = unsafe_add(self.total[account], amount)
    self._tell(account, amount)
    log Added(account=account, amount=amount)
'''


def found(kind: str) -> list[Mutant]:
    return [mutant for mutant in mutants_of("Adder.vy", SOURCE) if mutant.kind == kind]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("assert", [('assert amount < LIMIT, "X:LIMIT"', "pass")]),
        ("boundary", [("<", "<=")]),
        ("constant", [("10_000", "10001"), ("10_000", "9999")]),
        ("operator", [("unsafe_add", "unsafe_sub")]),
        ("write", [("self.total[account] = unsafe_add(self.total[account], amount)", "pass")]),
        ("call", [("self._tell(account, amount)", "pass"), ("log Added(account=account, amount=amount)", "pass")]),
        ("arguments", [("account, amount", "amount, account")]),
    ],
)
def test_each_kind_changes_what_it_says(kind: str, changes: list[tuple[str, str]]) -> None:
    assert [(mutant.before, mutant.after) for mutant in found(kind)] == changes


def test_a_mutant_changes_one_place_of_the_source() -> None:
    for mutant in mutants_of("Adder.vy", SOURCE):
        changed = mutant.applied(SOURCE)
        assert changed != SOURCE
        differing = [
            number
            for number, (old, new) in enumerate(zip(SOURCE.splitlines(), changed.splitlines(), strict=True), 1)
            if old != new
        ]
        assert differing == [mutant.start[0]]


def test_words_between_quotes_and_behind_a_hash_are_left_alone() -> None:
    assert {mutant.start[0] for mutant in mutants_of("Adder.vy", SOURCE)} == {6, 12, 13, 14, 15}
