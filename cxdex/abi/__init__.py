"""The contracts' ABIs, as the compiler wrote them. `python -m scripts.export_abi` renews the files."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

INIT_CODE_HASHES = "init_code_hashes"


def load_abi(name: str) -> list[dict[str, Any]]:
    """ABI of one contract, for example ``load_abi("Vault")``. Raises FileNotFoundError for an unknown name."""
    abi: list[dict[str, Any]] = json.loads(files(__name__).joinpath(f"{name}.json").read_text())
    return abi


def synth_init_code_hash() -> bytes:
    """Keccak of the init code that every synth is created from; see `cxdex.synth_address`."""
    hashes: dict[str, str] = json.loads(files(__name__).joinpath(f"{INIT_CODE_HASHES}.json").read_text())
    return bytes.fromhex(hashes["Synth"][2:])
