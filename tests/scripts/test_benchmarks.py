"""The benchmarks that need no node run, and count only right answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 180


def benchmark(name: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, f"benchmarks/{name}.py", *options], cwd=ROOT, capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_signed_orders_are_accepted_every_way_and_the_processes_are_gone() -> None:
    said = benchmark("signed_orders", "--orders", "200", "--rate", "50", "--seconds", "1", "--connections", "4")
    for row in ("floor", "eth-account", "single", "batches of 50", "WebSocket, single", "open loop", "ms: p50"):
        assert row in said
    assert "limited by" in said or "no process is at its limit" in said


def test_our_rows_trade_as_the_reference_does() -> None:
    for row in ("our book", "our engine, all included"):
        found = json.loads(benchmark("matching", "--row", row, "--events", "5000"))
        assert found["agrees"]
        assert found["seconds"] > 0
