"""What the Proxy adds to a call: the same batches settled by the same Settlement, bare and behind a Proxy.

Settlement has no initialiser yet, so the Proxy is made with another implementation and Settlement is put on its
ERC-1967 slot by the node. Its immutables belong to the implementation's code and work as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_abi import encode

from tests.contracts.gas_scenarios import SHAPES, GasNode, running_anvil
from tests.contracts.settlement_desk import DEPLOYER, calldata

IMPLEMENTATION_SLOT = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
# Gas of the whole transaction: a cold implementation and its slot, and the calldata copied and kept in memory.
MOST = {"A: 1 taker x 1 maker": 5_500, "C: 50 matches, 100 accounts": 9_000}


class ProxyNode(GasNode):
    """Like GasNode, with the Settlement that it deploys behind a Proxy."""

    def __init__(self, url: str, bytecode: bytes, proxy_code: bytes, placeholder_code: bytes) -> None:
        self.proxy_code, self.placeholder_code = proxy_code, placeholder_code
        super().__init__(url, bytecode)

    def send(self, sender: str, data: bytes, to: str | None = "contract") -> Any:
        receipt = super().send(sender, data, to)
        if to is not None:
            return receipt
        settlement = receipt["contractAddress"]
        placeholder = super().send(DEPLOYER, self.placeholder_code, to=None)["contractAddress"]
        initialiser = calldata("initialize(address)", settlement)
        arguments = encode(["address", "address", "bytes"], [placeholder, settlement, initialiser])
        proxy = super().send(DEPLOYER, self.proxy_code + arguments, to=None)
        word = "0x" + bytes.fromhex(settlement[2:]).rjust(32, b"\0").hex()
        self.rpc("anvil_setStorageAt", proxy["contractAddress"], IMPLEMENTATION_SLOT, word)
        return proxy


def code(project: Any, name: str) -> bytes:
    return bytes(getattr(project, name).contract_type.get_deployment_bytecode())


@pytest.fixture(scope="module")
def bare(settlement_bytecode: bytes) -> Iterator[GasNode]:
    with running_anvil() as url:
        yield GasNode(url, settlement_bytecode)


@pytest.fixture(scope="module")
def proxied(project: Any, settlement_bytecode: bytes) -> Iterator[GasNode]:
    with running_anvil() as url:
        yield ProxyNode(url, settlement_bytecode, code(project, "Proxy"), code(project, "SavingsOne"))


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
