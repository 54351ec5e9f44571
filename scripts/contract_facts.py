"""Writes docs/contracts.json: the size of each contract's code and the error codes that it can revert with.

python -m scripts.contract_facts            writes the file
python -m scripts.contract_facts --check    exits 1 and says what is different

Both are read from the compiled code, so that what the optimiser left out is not listed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

import cbor2

from scripts.artifacts import CONTRACTS, ROOT, load_artifacts

FILE = ROOT / "docs" / "contracts.json"
CODE = re.compile(r'"([A-Z]:[A-Z]+)"')


def main() -> int:
    parser = argparse.ArgumentParser(prog="contract_facts", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    if parser.parse_args().check:
        changes = differences(json.loads(FILE.read_text()), facts())
        for change in changes:
            print(f"{change}: run `python -m scripts.contract_facts`", file=sys.stderr)
        return 1 if changes else 0
    FILE.write_text(json.dumps(facts(), indent=1) + "\n")
    return 0


def facts() -> dict[str, dict[str, Any]]:
    """By contract, without the mocks: `deployedBytes` with immutables, `initBytes` without arguments, `errors`."""
    artifacts = load_artifacts()
    known = source_codes()
    found = {}
    for name in sorted(path.stem for path in CONTRACTS.glob("*.vy")):
        code = artifacts[name].init_code
        found[name] = {
            "deployedBytes": deployed_bytes(code),
            "initBytes": len(code),
            "errors": sorted(one for one in known if one.encode() in code),
        }
    return found


def source_codes() -> set[str]:
    """Every error code that is written in a source."""
    sources = [path for path in CONTRACTS.rglob("*.vy") if "mocks" not in path.parts]
    return {code for path in sources for code in CODE.findall(path.read_text())}


def deployed_bytes(init_code: bytes) -> int:
    """Bytes of code on the chain, from the note that the compiler leaves behind the creation code."""
    note_length = int.from_bytes(init_code[-2:], "big")
    _sources, runtime, _data_sections, immutables, _compiler = cbor2.loads(init_code[-note_length:-2])
    size: int = runtime + immutables
    return size


def differences(written: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One line for each fact that is not the one in the file."""
    changes = []
    for name in sorted(written.keys() | now.keys()):
        old, new = written.get(name, {}), now.get(name, {})
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                changes.append(f"{name} {key}: {old.get(key)} in the file, {new.get(key)} compiled")
    return changes


if __name__ == "__main__":
    sys.exit(main())
