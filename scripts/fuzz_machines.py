"""The state machines of the contract tests, on EVMs that count their calls.

Owns:     where the machines are found, and the names that their calls get in the table.
Never:    changes what a machine does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from cxdex.keccak import keccak
from scripts.artifacts import load_artifacts
from scripts.fuzz_coverage import Coverage
from scripts.tests_folder import open_tests_folder

QUIET = ("Debt.time_passes", "RandomTrading.time_passes")  # they call nothing

Function = tuple[str, bool]  # name, whether it only reads


def machines(coverage: Coverage) -> list[type[RuleBasedStateMachine]]:
    """The exchange among thieves, synth debt against its reference, and random trading against the second ledger."""
    open_tests_folder("contracts/custody")
    from custody_evm import Evm, Refused
    from test_debt_machine import Debt
    from test_hostile_machine import HostileCustody

    from tests.contracts.settlement_desk import Desk, RevertedError
    from tests.contracts.test_settlement_reference import trading_machine

    functions = functions_by_selector()
    count_calls(Evm, "send", Refused, lambda values: values[2], functions, coverage)
    count_calls(Evm, "call", Refused, lambda values: values[1], functions, coverage)
    count_calls(Desk, "send", RevertedError, lambda values: values[1], functions, coverage)

    artifacts = load_artifacts()
    trading = trading_machine(lambda name: artifacts[name].init_code)
    coverage.quiet.update(QUIET)
    return [HostileCustody, Debt, trading]


def functions_by_selector() -> dict[bytes, Function]:
    found: dict[bytes, Function] = {}
    for name, artifact in load_artifacts().items():
        for entry in artifact.abi:
            if entry["type"] == "function":
                types = ",".join(_type(item) for item in entry["inputs"])
                selector = keccak(f"{entry['name']}({types})".encode())[:4]
                title = f"{name}.{entry['name']}" if selector not in found else entry["name"]
                found[selector] = (title, entry["stateMutability"] in ("view", "pure"))
    return found


def count_calls(
    owner: type[Any],
    method: str,
    refusal: type[Exception],
    calldata: Callable[[tuple[Any, ...]], bytes],
    functions: dict[bytes, Function],
    coverage: Coverage,
) -> None:
    """Makes each call of `owner.method` count; `calldata` finds the data among its arguments."""
    original = getattr(owner, method)

    @functools.wraps(original)
    def counted(self: Any, *values: Any, **named: Any) -> Any:
        name, reads = functions.get(calldata(values)[:4], ("no function", False))
        (coverage.views if reads else coverage.calls)[name] += 1
        try:
            return original(self, *values, **named)
        except refusal as error:
            coverage.reverts[f"{name} {getattr(error, 'code', '') or '(no code)'}"] += 1
            raise

    setattr(owner, method, counted)


def _type(item: dict[str, Any]) -> str:
    if not item["type"].startswith("tuple"):
        return str(item["type"])
    return "(" + ",".join(_type(part) for part in item["components"]) + ")" + item["type"][5:]
