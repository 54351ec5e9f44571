"""How the contracts refer to one another and who holds which role: written down once, checked after deploying.

Owns:     the table of what each contract must answer, and of what lies on the two slots of each Proxy.
Promises: every address that a contract of ours names is in the table; `scripts.self_check` fails on one that is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cxdex.abi import load_abi
from cxdex.deployment import Deployment
from cxdex.keccak import keccak
from cxdex.market import USDC_DECIMALS
from cxdex.nonce import CANCEL_DELAY_SECONDS
from cxdex.problem import Problem
from scripts.chain import Chain, Contract

PROXIED = ("Vault", "Settlement", "SynthEngine")  # behind a Proxy; everything else is as it is for ever
ROLES = ("admin", "guardian", "core", "gateway")
ROLE_CONTRACTS = ("MarketRegistry", "SynthFactory")
ABI_OF = {"USDC": "MockUSDC"}  # the part of the mock that scripts use is what the real token has too

# ERC-1967
IMPLEMENTATION_SLOT = int.from_bytes(keccak(b"eip1967.proxy.implementation"), "big") - 1
ADMIN_SLOT = int.from_bytes(keccak(b"eip1967.proxy.admin"), "big") - 1


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


@dataclass(frozen=True)
class Settings:
    """What a deployment was told besides addresses. Seconds; `caps` in 1e-18 by the synth's symbol."""

    upgrade_delay: int
    withdrawal_delay: int
    oracle_quorum: int
    oracle_staleness: int
    caps: Mapping[str, int]


def expected(
    at: Mapping[str, bytes], roles: Mapping[str, bytes], settings: Settings
) -> Iterator[tuple[str, str, bytes | int]]:
    """(contract, getter, value) of everything that a constructor fixed, and of what they take for granted.

    `at`: address by contract; `roles`: address by role.
    """
    yield "USDC", "decimals", USDC_DECIMALS
    yield "Timelock", "ADMIN", roles["admin"]
    yield "Timelock", "GUARDIAN", roles["guardian"]
    yield "Timelock", "DELAY", settings.upgrade_delay
    yield from _vault(at, roles)
    yield "Vault", "withdrawalDelay", settings.withdrawal_delay
    yield "CXPT", "VAULT", at["Vault"]
    yield "Settlement", "VAULT", at["Vault"]
    yield "Settlement", "REGISTRY", at["MarketRegistry"]
    yield "Settlement", "CORE", roles["core"]
    yield "Settlement", "SYNTH_ENGINE", at["SynthEngine"]
    yield "Settlement", "TRIGGERS", at["Triggers"]
    yield "Triggers", "ORACLE", at["Oracle"]
    yield "Settlement", "CANCEL_DELAY", CANCEL_DELAY_SECONDS  # answered by TraderControls
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
    yield "Oracle", "quorum", settings.oracle_quorum
    yield "Oracle", "STALENESS", settings.oracle_staleness
    yield "Oracle", "TIMELOCK", at["Timelock"]
    yield "Oracle", "GUARDIAN", roles["guardian"]
    for name in ROLE_CONTRACTS:
        for role in ROLES:
            yield name, role.upper(), roles[role]


def _vault(at: Mapping[str, bytes], roles: Mapping[str, bytes]) -> Iterator[tuple[str, str, bytes]]:
    yield "Vault", "USDC", at["USDC"]
    yield "Vault", "CXPT", at["CXPT"]
    yield "Vault", "SETTLEMENT", at["Settlement"]
    yield "Vault", "SYNTH_FACTORY", at["SynthFactory"]
    yield "Vault", "SYNTH_ENGINE", at["SynthEngine"]
    yield "Vault", "ADMIN", roles["admin"]
    yield "Vault", "RELEASER", roles["admin"]
    yield "Vault", "GUARDIAN", roles["guardian"]
    yield "Vault", "COSIGNER", roles["cosigner"]
