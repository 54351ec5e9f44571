"""Which contracts a mutant is compiled into: those that have code of the function that it is in."""

from __future__ import annotations

from scripts.artifacts import CONTRACTS
from scripts.mutation.compiler import users

SESSIONS = "modules/sessions.vy"


def line_of(text: str) -> int:
    return (CONTRACTS / SESSIONS).read_text().split("\n").index(text) + 1


def test_a_function_of_a_module_is_in_the_contracts_that_call_it_and_a_constant_in_none() -> None:
    found = {
        line: {path.stem for path in paths} for (source, line), paths in users({SESSIONS}).items() if source == SESSIONS
    }
    assert found[line_of('    assert notional != 0 and notional <= MAX_NOTIONAL, "S:LIMIT"')] == {"TraderControls"}
    assert found[line_of("    if notional > word & MAX_NOTIONAL:")] == {"Settlement"}
    assert line_of("MAX_NOTIONAL: constant(uint256) = 2**96 - 1") not in found
