"""Guards on the contract sources and their bytecode that the compiler does not give.

Sources:  printable ASCII only (several parser faults need other bytes), one pinned pragma, no form that
          triggers a known code-generation fault of Vyper 0.4.3.
Bytecode: at most 22,000 bytes of runtime code a contract (the chain's limit is 24,576; the compiler only warns).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
MAX_RUNTIME_BYTES = 22_000
PRAGMA = "# pragma version 0.4.3"

# (what the pattern finds, why it is refused)
REFUSED = (
    (re.compile(r"\(\s*(?:msg\.value|len\(msg\.data\))[^()]*\)\s*if\b"), "CVE-2026-114117: a ternary over such an "
     "expression compiles to 1; use a local variable"),
    (re.compile(r"\bcode_offset\s*="), "GHSA (114118): a chosen code_offset wraps; do not pass one"),
    (re.compile(r"#\s*pragma\s+experimental-codegen"), "experimental code generation is outside the security bounty"),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="check_contracts", description=__doc__)
    parser.add_argument("--sizes", action="store_true", help="check the compiled sizes instead of the sources")
    arguments = parser.parse_args()
    faults = list(size_faults() if arguments.sizes else source_faults())
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def source_faults() -> Iterator[str]:
    sources = sorted([*CONTRACTS.rglob("*.vy"), *CONTRACTS.rglob("*.vyi")])
    if not sources:
        yield f"no contract sources below {CONTRACTS}"
    for path in sources:
        name = path.relative_to(ROOT)
        data = path.read_bytes()
        for number, line in enumerate(data.split(b"\n"), 1):
            if any(byte != 9 and not 32 <= byte < 127 for byte in line):
                yield f"{name}:{number}: not printable ASCII"
        text = data.decode(errors="replace")
        if PRAGMA not in text:
            yield f"{name}: must say `{PRAGMA}`: another compiler is another contract"
        for pattern, reason in REFUSED:
            for found in pattern.finditer(text):
                yield f"{name}:{text.count(chr(10), 0, found.start()) + 1}: {reason}"


def size_faults() -> Iterator[str]:
    manifest = ROOT / ".build" / "__local__.json"
    if not manifest.exists():
        yield f"{manifest} is missing: run `make compile`"
        return
    types = json.loads(manifest.read_text())["contractTypes"]
    for name, contract in sorted(types.items()):
        code = (contract.get("runtimeBytecode") or {}).get("bytecode", "0x")
        size = (len(code) - 2) // 2
        if size:
            print(f"  {size:6,} bytes  {name}")
        if size > MAX_RUNTIME_BYTES:
            yield f"{name}: {size:,} bytes of runtime code, {MAX_RUNTIME_BYTES:,} allowed"


if __name__ == "__main__":
    sys.exit(main())
