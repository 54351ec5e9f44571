"""Writes cxdex/abi from the compiled contracts, so that the client installs without a compiler.

python -m scripts.export_abi            writes the files
python -m scripts.export_abi --check    exits 1 and names the files that are stale
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cxdex.abi import INIT_CODE_HASHES
from cxdex.keccak import keccak
from scripts.artifacts import ROOT, load_artifacts

FOLDER = ROOT / "cxdex" / "abi"
# Contracts that somebody outside may call; what Settlement hands on is in Settlement's ABI. Hostile test tokens are
# nobody's business.
PUBLISHED = (
    "CXPT",
    "MarketRegistry",
    "MockUSDC",
    "Oracle",
    "Proxy",
    "Settlement",
    "Synth",
    "SynthEngine",
    "SynthFactory",
    "Timelock",
    "Triggers",
    "Vault",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="export_abi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    if parser.parse_args().check:
        stale = stale_files(FOLDER)
        for name in stale:
            print(f"{name} is stale: run `make abi`", file=sys.stderr)
        return 1 if stale else 0
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)
    return 0


def stale_files(folder: Path) -> list[str]:
    """Names of the files that differ from the sources, are missing, or should not be there."""
    wanted = rendered()
    found = {path.name: path.read_text() for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def rendered() -> dict[str, str]:
    """File name to text: sorted by kind and name, so that a change of the order in a source is no change here."""
    artifacts = load_artifacts()
    texts = {}
    for name in PUBLISHED:
        abi = sorted(artifacts[name].abi, key=lambda entry: (entry["type"], entry.get("name", "")))
        texts[f"{name}.json"] = json.dumps(abi, indent=1) + "\n"
    hashes = {"Synth": "0x" + keccak(artifacts["Synth"].init_code).hex()}
    texts[f"{INIT_CODE_HASHES}.json"] = json.dumps(hashes, indent=1) + "\n"
    return texts


if __name__ == "__main__":
    sys.exit(main())
