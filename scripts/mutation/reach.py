"""Which tests run which line of the contracts: `python -m scripts.mutation.reach`, five minutes.

Owns:     .cache/reach.json, {"sources": {source: hash}, "tests": {test: {source: [lines]}}}.
Promises: only tests that need no node and take less than a second are in it: one that is not may run any line. What is
          known of a source that has changed since is forgotten.
Never:    is needed: without it each survivor meets every test.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

from scripts.artifacts import CONTRACTS, ROOT, load_artifacts
from scripts.mutation import LEFT_OUT, LONG_TESTS

PATH = ROOT / ".cache" / "reach.json"


def hashes() -> dict[str, str]:
    """Of every source, as it is."""
    paths = sorted(path for path in CONTRACTS.rglob("*.vy") if "mocks" not in path.parts)
    return {str(path.relative_to(CONTRACTS)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def known_reach() -> dict[str, dict[str, list[int]]]:
    """By test, for the sources that have not changed since; empty when nobody has looked."""
    if not PATH.exists():
        return {}
    found = json.loads(PATH.read_text())
    now = hashes()
    same = {source for source, digest in found["sources"].items() if now.get(source) == digest}
    return {test: {s: lines for s, lines in of.items() if s in same} for test, of in found["tests"].items()}


def main() -> int:
    load_artifacts()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:ape_test", "-p", "no:cacheprovider"]
    command += ["-p", "scripts.mutation.reach_plugin", "tests/contracts"]
    command += [f"--ignore=tests/contracts/{name}" for name in (*LEFT_OUT, *LONG_TESTS)]
    os.nice(10)
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "REACH": str(PATH)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
