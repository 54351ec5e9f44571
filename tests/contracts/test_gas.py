"""Gas of settleBatch and of single calls, from a real node's receipts, against the snapshots beside this file:
gas.json for a fill of each shape, calls_gas.json for a cancel and the like.

A figure that gets worse by more than 0.5 % fails. To accept new figures on purpose, run the test with
GAS_SNAPSHOT=write and commit the file with the reason.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.gas_report import LOG, PAGE, SLOT, SNAPSHOTS, break_down, orders_loaded, slots
from tests.contracts.gas_scenarios import SHAPES, WITH_A_LANE_AN_ORDER, GasNode, running_anvil

SNAPSHOT = Path(__file__).with_name("gas.json")
CALLS = Path(__file__).with_name("calls_gas.json")
TOLERANCE = 1.005
TARGETS = dict(zip(SHAPES, (72_000, 26_000, 40_000, 21_000, 14_500, 12_300), strict=True))
# W, the walk through the book, is a goal of ours that is not met yet.
# Measured here is the bare contract. Behind its Proxy a transaction costs some 5,000 more: see docs/gas.md.
MISSED = [name for name in SHAPES if name.split(":")[0] in ("W",)]


@pytest.fixture(scope="module")
def node(settlement_bytecode: bytes) -> Iterator[GasNode]:
    with running_anvil() as url:
        yield GasNode(url, settlement_bytecode)


@pytest.fixture(scope="module")
def measured(node: GasNode) -> dict[str, int]:
    gas = {name: node.gas_per_fill(shape()) for name, shape in SHAPES.items()}
    gas |= {name: node.gas_per_fill(shape(), lane_an_order=True) for name, shape in WITH_A_LANE_AN_ORDER.items()}
    return gas


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(strict=True, reason="see MISSED")) if name in MISSED else name
        for name in SHAPES
    ],
)
def test_gas_per_fill_meets_the_target(measured: dict[str, int], name: str) -> None:
    assert measured[name] <= TARGETS[name]


def test_gas_per_fill_is_no_worse_than_the_snapshot(measured: dict[str, int]) -> None:
    assert_no_worse(measured, SNAPSHOT)


def test_cancels_session_keys_and_what_core_calls_are_no_worse_than_the_snapshot(settlement_bytecode: bytes) -> None:
    with running_anvil() as url:
        assert_no_worse(GasNode(url, settlement_bytecode).single_calls(), CALLS)


def assert_no_worse(measured: dict[str, int], snapshot: Path) -> None:
    if os.environ.get("GAS_SNAPSHOT") == "write":
        snapshot.write_text(json.dumps(measured, indent=2) + "\n")
    known = json.loads(snapshot.read_text())
    worse = {name: (known[name], gas) for name, gas in measured.items() if gas > known[name] * TOLERANCE}
    assert not worse, "gas (snapshot, now)"
    assert known.keys() == measured.keys()


@pytest.mark.parametrize("lane_an_order", [False, True])
def test_the_breakdown_of_a_batch_is_what_the_node_did(settlement_bytecode: bytes, lane_an_order: bool) -> None:
    """Cold reads, first writes, logs and recoveries of the report, against the operations of a trace."""
    shape = SHAPES["B: 1 taker x 10 makers"]()
    with running_anvil("--steps-tracing") as url:
        node = GasNode(url, settlement_bytecode)
        node.run(shape, lane_an_order)
        fills = node.next_fills(shape, lane_an_order)
        steps = node.trace(fills)
    cold = sum(step["gasCost"] for step in steps if step["op"] == "SLOAD" and step["gasCost"] == 2_100)
    first = sum(step["gasCost"] for step in steps if step["op"] == "SSTORE" and step["gasCost"] == 2_900)
    counted = break_down("B", 0, fills)
    assert cold + first == counted.storage * len(fills) == len(slots(fills)) * SLOT
    assert sum(step["op"] == "STATICCALL" for step in steps) == orders_loaded(fills) == 11
    # a log also pays for memory that it is the first to touch
    assert [step["gasCost"] for step in steps if step["op"] == "LOG1"][1:] == [LOG] * (len(fills) - 1)


def test_the_page_says_what_the_snapshot_says() -> None:
    """To the hundredth: `python -m scripts.gas_report --write` after accepting new figures."""
    known = json.loads(SNAPSHOT.read_text())
    fills = PAGE.read_text().split("## ")[1].split("Behind")[0]
    shown = {name: int(total.replace(",", "")) for name, total in re.findall(r"\| ([^|]+) \| ([\d,]+) \|", fills)}
    assert {name: shown[name] for name in known} == pytest.approx(known, rel=0.01)


@pytest.mark.parametrize(("title", "snapshot"), {"Single calls": CALLS, **SNAPSHOTS}.items())
def test_the_page_says_what_the_snapshot_of_calls_says(title: str, snapshot: Path) -> None:
    known = json.loads(snapshot.read_text())
    section = PAGE.read_text().split(f"## {title}\n")[1].split("## ")[0]
    shown = {name: int(gas.replace(",", "")) for name, gas in re.findall(r"\| ([^|]+) \| ([\d,]+) \|", section)}
    assert {name: shown[name] for name in known} == pytest.approx(known, rel=0.01)
