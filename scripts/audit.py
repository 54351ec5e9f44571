"""`make audit`: compares the running exchange's database with the contracts, and its engine with both."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import psutil


def main() -> int:
    parser = argparse.ArgumentParser(prog="audit", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".state"))
    state = parser.parse_args().state.resolve()
    rpc_url = running_node(state)
    if rpc_url is None:
        print(f"  no exchange is running on {state}: start it with `make up`", file=sys.stderr)
        return 2
    command = [sys.executable, "-m", "indexer", "audit"]
    command += ["--database", f"sqlite:///{state / 'exchange.db'}", "--rpc", rpc_url]
    command += ["--deployment", str(state / "deployment.json")]
    audited = subprocess.run(command, check=False).returncode
    reconciled = subprocess.run(
        [sys.executable, "-m", "scripts.reconcile", "--state", str(state)], check=False
    ).returncode
    return max(audited, reconciled)


def running_node(state: Path) -> str | None:
    """The RPC URL of the node that keeps its state in this folder, from its command line."""
    wanted = str(state / "anvil.json")
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if wanted in words and "--port" in words:
            return f"http://127.0.0.1:{words[words.index('--port') + 1]}"
    return None


if __name__ == "__main__":
    sys.exit(main())
