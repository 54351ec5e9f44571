"""The deployment file: read, or one clear problem with a remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cxdex.deployment import CONTRACTS, load_deployment
from cxdex.problem import Problem


def test_a_deployment_file_gives_addresses_and_the_signing_domain(tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    contracts = {name: "0x" + f"{number:040x}" for number, name in enumerate(CONTRACTS, start=1)}
    path.write_text(json.dumps({"chainId": 31337, "deployedBlock": 3, "contracts": contracts}))
    deployment = load_deployment(path)
    assert (deployment.chain_id, deployment.deployed_block) == (31337, 3)
    assert deployment.domain.verifying_contract == deployment.contracts["Settlement"]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"chainId": 1}', '{"chainId": 1, "deployedBlock": 1, "contracts": {}}']
)
def test_a_damaged_file_is_a_problem(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(text)
    with pytest.raises(Problem) as caught:
        load_deployment(path)
    assert caught.value.code == "DEPLOYMENT_INVALID"


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        load_deployment(tmp_path / "none.json")
    assert caught.value.code == "DEPLOYMENT_MISSING"
    assert "make up" in (caught.value.allowed or "")
