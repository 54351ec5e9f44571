"""The ABIs that the client ships are those of the contracts, and the contracts are those that ape compiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxdex.abi import load_abi, synth_init_code_hash
from cxdex.keccak import keccak
from scripts.artifacts import CONTRACTS, PARTS, load_artifacts
from scripts.export_abi import FOLDER, PUBLISHED, stale_files

# interface: the contract that must answer to it
INTERFACES = {
    "ICXPT": "CXPT",
    "IOracle": "Oracle",
    "ISettlement": "Settlement",
    "ITriggers": "Triggers",
    "ISynth": "Synth",
    "ISynthEngine": "SynthEngine",
    "ISynthFactory": "SynthFactory",
    "IVault": "Vault",
}


def test_the_checked_in_abis_are_fresh() -> None:
    assert stale_files(FOLDER) == [], "run `make abi`"


def test_a_stale_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    for name in PUBLISHED:
        (tmp_path / f"{name}.json").write_text((FOLDER / f"{name}.json").read_text())
    (tmp_path / "Vault.json").write_text("[]\n")
    (tmp_path / "Stranger.json").write_text("[]\n")
    assert stale_files(tmp_path) == ["Stranger.json", "Vault.json", "init_code_hashes.json"]


def test_every_contract_that_is_not_a_mock_is_published() -> None:
    deployable = {path.stem for path in CONTRACTS.glob("*.vy")}
    assert deployable == {*PUBLISHED, *PARTS.values()} - {"MockUSDC"}
    assert all(load_abi(name) for name in PUBLISHED)


def test_the_synths_hash_is_the_one_of_its_init_code() -> None:
    assert synth_init_code_hash() == keccak(load_artifacts()["Synth"].init_code)


@pytest.mark.parametrize(("interface", "contract"), INTERFACES.items())
def test_each_contract_answers_its_interface_in_full(interface: str, contract: str) -> None:
    """The compiler accepts an implementation that lacks a return value, so the ABIs are compared."""
    found = {shape(entry) for entry in load_artifacts()[contract].abi if entry["type"] == "function"}
    assert interface_shapes(interface) <= found


def test_ape_compiles_the_same_bytecode(project) -> None:
    artifacts = load_artifacts()
    for name in (*PUBLISHED, *PARTS.values()):
        compiled = bytes(getattr(project, name).contract_type.get_deployment_bytecode())
        assert compiled == artifacts[name].init_code, f"{name}: run `ape compile --force`"


def shape(entry: dict) -> tuple:
    types = [tuple(item["type"] for item in entry[side]) for side in ("inputs", "outputs")]
    return entry["name"], *types, entry["stateMutability"]


def interface_shapes(interface: str) -> set[tuple]:
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle

    bundle = FilesystemInputBundle([CONTRACTS.parent])
    source = bundle.load_file(CONTRACTS / "interfaces" / f"{interface}.vyi")
    abi = compile_from_file_input(source, input_bundle=bundle, output_formats=["abi"])["abi"]
    return {shape(entry) for entry in abi if entry["type"] == "function"}
