"""What the Proxy adds to a call: the same batches settled by the same Settlement, bare and behind a Proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts.gas_scenarios import SHAPES, GasNode, running_anvil

# Gas of the whole transaction: a cold implementation and its slot, and the calldata copied and kept in memory.
MOST = {"A: 1 taker x 1 maker": 5_500, "C: 50 matches, 100 accounts": 9_000}


def code(project: Any, name: str) -> bytes:
    return bytes(getattr(project, name).contract_type.get_deployment_bytecode())


@pytest.fixture(scope="module")
def bare(settlement_bytecode: bytes) -> Iterator[GasNode]:
    with running_anvil() as url:
        yield GasNode(url, settlement_bytecode)


@pytest.fixture(scope="module")
def proxied(project: Any, settlement_bytecode: bytes) -> Iterator[GasNode]:
    with running_anvil() as url:
        yield GasNode(url, settlement_bytecode, code(project, "Proxy"))


def gas(node: GasNode, name: str) -> int:
    shape = SHAPES[name]()
    node.run(shape)  # so that no slot is fresh in what is measured
    receipt = node.run(shape)
    assert len(receipt["logs"]) == len(shape[1])
    return int(receipt["gasUsed"], 16)


@pytest.mark.parametrize("name", MOST)
def test_overhead_of_a_batch(bare: GasNode, proxied: GasNode, name: str) -> None:
    overhead = gas(proxied, name) - gas(bare, name)
    print(f"\n{name}: {overhead:,} gas more behind the Proxy, {overhead / len(SHAPES[name]()[1]):,.0f} a fill")
    assert 0 < overhead <= MOST[name]
