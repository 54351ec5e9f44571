"""Where the contracts are: one JSON file a chain, written by the deploy script and read by everything else.

The package carries the files of the chains it knows (`known_deployment`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cxdex.eip712 import Domain
from cxdex.problem import Problem

PACKAGED = Path(__file__).parent / "deployments"
CONTRACTS = (
    "USDC",
    "Timelock",
    "Vault",
    "Settlement",
    "MarketRegistry",
    "SynthFactory",
    "SynthEngine",
    "Oracle",
    "CXPT",
    "Triggers",
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """chain_id, the first block that can hold our events, and each contract's 20-byte address by name."""

    chain_id: int
    deployed_block: int
    contracts: dict[str, bytes]

    @property
    def domain(self) -> Domain:
        return Domain(self.chain_id, self.contracts["Settlement"])


def known_deployment(chain_id: int) -> Deployment:
    """The exchange on a chain this package knows, from ``cxdex/deployments``; 31337 is what `make up` deploys.

    Raises Problem DEPLOYMENT_UNKNOWN naming the chains that are known.
    """
    path = PACKAGED / f"{chain_id}.json"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in PACKAGED.glob("*.json")))
        raise Problem("DEPLOYMENT_UNKNOWN", f"no exchange is known on chain {chain_id}", allowed=f"chains {known}")
    return load_deployment(path)


def load_deployment(path: Path) -> Deployment:
    """Reads ``deployment.json``. Raises Problem DEPLOYMENT_MISSING or DEPLOYMENT_INVALID."""
    try:
        raw = json.loads(path.read_text())
        contracts = {name: bytes.fromhex(raw["contracts"][name][2:]) for name in CONTRACTS}
        return Deployment(int(raw["chainId"]), int(raw["deployedBlock"]), contracts)
    except FileNotFoundError:
        raise Problem(
            "DEPLOYMENT_MISSING", f"no deployment file at {path}", allowed="run `make up`, or pass --deployment FILE"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise Problem("DEPLOYMENT_INVALID", f"{path} is not a deployment file: {error!r}") from error
