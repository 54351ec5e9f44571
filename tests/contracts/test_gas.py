"""Gas of settleBatch, from a real node's receipts, against the checked-in snapshot tests/contracts/gas.json.

A figure that gets worse by more than 0.5 % fails. To accept new figures on purpose, run the test with
GAS_SNAPSHOT=write and commit the file with the reason.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.gas_scenarios import SHAPES, GasNode, running_anvil

SNAPSHOT = Path(__file__).with_name("gas.json")
TOLERANCE = 1.005
TARGETS = dict(zip(SHAPES, (72_000, 26_000, 40_000, 21_000, 14_500), strict=True))


@pytest.fixture(scope="module")
def measured(settlement_bytecode: bytes) -> Iterator[dict[str, int]]:
    with running_anvil() as url:
        node = GasNode(url, settlement_bytecode)
        yield {name: node.gas_per_fill(shape()) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("name", SHAPES)
def test_gas_per_fill_meets_the_target(measured: dict[str, int], name: str) -> None:
    assert measured[name] <= TARGETS[name]


def test_gas_per_fill_is_no_worse_than_the_snapshot(measured: dict[str, int]) -> None:
    if os.environ.get("GAS_SNAPSHOT") == "write":
        SNAPSHOT.write_text(json.dumps(measured, indent=2) + "\n")
    known = json.loads(SNAPSHOT.read_text())
    worse = {name: (known[name], gas) for name, gas in measured.items() if gas > known[name] * TOLERANCE}
    assert not worse, "gas per fill (snapshot, now)"
    assert known.keys() == measured.keys()
