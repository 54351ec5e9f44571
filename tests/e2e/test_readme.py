"""The README's examples, run as they stand against a running exchange (only the port differs)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.stack.layout import Layout
from scripts.stack.run import Stack

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
PRINTED_API = "http://127.0.0.1:8000"


def test_the_quick_starts_key_for_a_bot_trades_and_is_revoked(stack: Stack, layout: Layout) -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / "docs/quickstart.md").read_text(), re.DOTALL | re.MULTILINE)
    (script,) = [block for block in blocks if "session set" in block]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "CXDEX_API": layout.api_url,
        "CXDEX_RPC_URL": layout.rpc_url,
        "CXDEX_PRIVATE_KEY": layout.keys["bob"],
    }
    command = f'cxdex() {{ "{sys.executable}" -m cxdex "$@"; }}\n{script}'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0.01 of 0.01" in done.stdout
    assert "is revoked in block" in done.stdout


def example(language: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    assert PRINTED_API in blocks[0]
    return str(blocks[0])


def test_the_python_example_settles_a_fill(stack: Stack, layout: Layout) -> None:
    code = example("python").replace(PRINTED_API, layout.api_url)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"BUY 0\.01 at [0-9.]+ settled in 0x[0-9a-f]{64}", done.stdout), done.stdout


def test_the_curl_example_settles_a_fill(stack: Stack, layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    script = example("sh").replace(PRINTED_API, layout.api_url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"status":"FILLED"' in done.stdout
    assert re.search(r'"status":"(mined|final)"', done.stdout), done.stdout
