"""How the contracts refer to one another and who holds which role: written down once, checked after deploying.

Owns:     the table of what each contract must answer.
Promises: `check_wiring` reads every address and role back from the chain and fails on the first difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cxdex.abi import load_abi
from cxdex.deployment import Deployment
from cxdex.eip712 import to_checksum
from cxdex.market import USDC_DECIMALS
from cxdex.problem import Problem
from scripts.chain import Chain, Contract

ROLES = ("admin", "guardian", "core", "gateway")
ROLE_CONTRACTS = ("MarketRegistry", "SynthFactory")
ABI_OF = {"USDC": "MockUSDC"}  # the part of the mock that scripts use is what the real token has too


def open_contracts(chain: Chain, deployment: Deployment) -> dict[str, Contract]:
    """Every contract of the deployment by name. Raises Problem when the node is on another chain."""
    if chain.chain_id != deployment.chain_id:
        raise Problem(
            "DEPLOYMENT_INVALID",
            f"the deployment is for chain {deployment.chain_id}, the node is on chain {chain.chain_id}",
        )
    return {
        name: Contract(chain, name, address, load_abi(ABI_OF.get(name, name)))
        for name, address in deployment.contracts.items()
    }


def check_wiring(contracts: Mapping[str, Contract], roles: Mapping[str, bytes], settings: Mapping[str, int]) -> int:
    """Number of facts that were checked. Raises Problem WIRING_WRONG naming contract, getter and both values.

    settings: withdrawal_delay, oracle_quorum and oracle_staleness.
    """
    checked = 0
    for name, contract in contracts.items():
        if not contract.chain.code(contract.address):
            raise Problem("WIRING_WRONG", f"there is no {name} at {to_checksum(contract.address)}")
    for name, getter, wanted in expected(contracts, roles, settings):
        found = contracts[name].call(getter)
        if found != wanted:
            raise Problem("WIRING_WRONG", f"{name}.{getter}() is {_show(found)}", allowed=_show(wanted))
        checked += 1
    return checked


def expected(
    contracts: Mapping[str, Contract], roles: Mapping[str, bytes], settings: Mapping[str, int]
) -> Iterator[tuple[str, str, bytes | int]]:
    """(contract, getter, value) of everything that a constructor fixed, and of what they take for granted."""
    at = {name: contract.address for name, contract in contracts.items()}
    yield "USDC", "decimals", USDC_DECIMALS
    yield "Vault", "USDC", at["USDC"]
    yield "Vault", "CXPT", at["CXPT"]
    yield "Vault", "SETTLEMENT", at["Settlement"]
    yield "Vault", "SYNTH_FACTORY", at["SynthFactory"]
    yield "Vault", "SYNTH_ENGINE", at["SynthEngine"]
    yield "Vault", "ADMIN", roles["admin"]
    yield "Vault", "GUARDIAN", roles["guardian"]
    yield "Vault", "COSIGNER", roles["cosigner"]
    yield "Vault", "withdrawalDelay", settings["withdrawal_delay"]
    yield "CXPT", "VAULT", at["Vault"]
    yield "Settlement", "VAULT", at["Vault"]
    yield "Settlement", "REGISTRY", at["MarketRegistry"]
    yield "Settlement", "CORE", roles["core"]
    yield "Settlement", "SYNTH_ENGINE", at["SynthEngine"]
    yield "Timelock", "ADMIN", roles["admin"]
    yield "Timelock", "GUARDIAN", roles["guardian"]
    yield "Timelock", "DELAY", settings["upgrade_delay"]
    yield "MarketRegistry", "SETTLEMENT", at["Settlement"]
    yield "MarketRegistry", "VAULT", at["Vault"]
    yield "MarketRegistry", "TIMELOCK", at["Timelock"]
    yield "SynthFactory", "VAULT", at["Vault"]
    yield "SynthEngine", "VAULT", at["Vault"]
    yield "SynthEngine", "ORACLE", at["Oracle"]
    yield "SynthEngine", "SETTLEMENT", at["Settlement"]
    yield "SynthEngine", "GATEWAY", roles["gateway"]
    yield "SynthEngine", "GUARDIAN", roles["guardian"]
    yield "SynthEngine", "TIMELOCK", at["Timelock"]
    yield "SynthEngine", "RELEASER", at["Timelock"]
    yield "Oracle", "quorum", settings["oracle_quorum"]
    yield "Oracle", "STALENESS", settings["oracle_staleness"]
    yield "Oracle", "TIMELOCK", at["Timelock"]
    yield "Oracle", "GUARDIAN", roles["guardian"]
    for name in ROLE_CONTRACTS:
        for role in ROLES:
            yield name, role.upper(), roles[role]


def _show(value: object) -> str:
    return to_checksum(value) if isinstance(value, bytes) and len(value) == 20 else repr(value)
