"""The compiled contracts, compiled at most once for each state of the sources.

Owns:     the compiler settings and the cache below `.cache/contracts`.
Promises: what it returns belongs to the sources as they are now, imported modules included: the cache key is a
          hash of every source, the compiler's version and the settings.
Never:    touches the network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
CACHE = ROOT / ".cache" / "contracts"
EVM_VERSION = "prague"
# Hands every call that it has no function for to the second, by delegatecall: its ABI has both.
PARTS = {"Settlement": "TraderControls"}

_MODULE_IMPORT = re.compile(r"^from contracts\.(modules|mocks) import (\w+)", re.MULTILINE)

Abi = list[dict[str, Any]]
Compiled = dict[str, dict[str, Any]]  # by contract: abi, init_code


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract. `init_code` is without constructor arguments."""

    name: str
    abi: Abi
    init_code: bytes


def load_artifacts() -> dict[str, Artifact]:
    """Every deployable contract by name, compiled if the sources have changed since the last time."""
    found = compiled_contracts()
    for whole, part in PARTS.items():
        found[whole]["abi"] = _with_part(found[whole]["abi"], found[part]["abi"])
    return {name: Artifact(name, one["abi"], bytes.fromhex(one["init_code"])) for name, one in found.items()}


def compiled_contracts() -> Compiled:
    """The same as the compiler gave it: each ABI is of one contract."""
    path = CACHE / f"{source_hash()}.json"
    if not path.exists():
        _store(path, compile_sources(_deployable()))
    found: Compiled = json.loads(path.read_text())
    return found


def contracts_with(changed: str) -> list[Path]:
    """The deployable contracts that a source (below `contracts/`) is part of."""
    return [path for path in _deployable() if CONTRACTS / changed in _sources_of(path)]


def source_hash() -> str:
    digest = hashlib.sha256(f"{version('vyper')} {EVM_VERSION}".encode())
    for path in sorted([*CONTRACTS.rglob("*.vy"), *CONTRACTS.rglob("*.vyi")]):
        digest.update(f"\n{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return digest.hexdigest()[:32]


def _with_part(whole: Abi, part: Abi) -> Abi:
    """What may be called at the address of `whole`, and the events that come from there."""
    functions = [entry for entry in part if entry["type"] == "function"]
    return whole + functions + [entry for entry in part if entry["type"] == "event" and entry not in whole]


def _store(path: Path, compiled: Compiled) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(compiled))
    partial.replace(path)


def _deployable() -> list[Path]:
    return sorted([*CONTRACTS.glob("*.vy"), *(CONTRACTS / "mocks").glob("*.vy")])


def _sources_of(path: Path) -> set[Path]:
    """The source and all that it imports, and they in turn."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        source = waiting.pop()
        if source not in found:
            found.add(source)
            waiting += [
                CONTRACTS / folder / f"{name}.vy" for folder, name in _MODULE_IMPORT.findall(source.read_text())
            ]
    return found


def compile_sources(paths: list[Path]) -> Compiled:
    # Imported here: a warm cache needs no compiler.
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import Settings

    compiled = {}
    for path in paths:
        bundle = FilesystemInputBundle([ROOT])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = compile_from_file_input(
                bundle.load_file(path),
                input_bundle=bundle,
                settings=Settings(evm_version=EVM_VERSION),
                output_formats=["abi", "bytecode"],
            )
        compiled[path.stem] = {"abi": output["abi"], "init_code": output["bytecode"][2:]}
    return compiled
