"""The compiled engine: made from the sources as they are, used only with them, and equal to them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from relayer.build import COMPILED, OFF, PYTHON, ROOT, SETTING, fingerprint

COMPILER = sysconfig.get_config_var("CC").split()[0]
needs_a_compiler = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"there is no C compiler ({COMPILER})")
PATIENCE_SECONDS = 600


def run(*command: str, setting: str, more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, SETTING: setting, **(more or {})}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a compiled build of the present sources."""
    folder = tmp_path_factory.mktemp("builds")
    made = run("scripts.compile_engine", setting=str(folder))
    assert made.returncode == 0, made.stderr
    assert [path.name for path in folder.iterdir()] == [fingerprint()]
    return folder


@needs_a_compiler
def test_both_builds_do_the_same_with_random_commands(builds: Path) -> None:
    done = run("scripts.compare_builds", "--commands", "20000", "--seed", "1", setting=str(builds))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same events, the same states" in done.stdout
    for kind in ("Traded", "OrderReduced", "GuardChanged", "WithdrawalSetAside", "FillVoided"):
        assert f"  {kind}\n" in done.stdout + "\n", "the flows are too tame to show anything"


@needs_a_compiler
def test_a_run_says_which_build_it_is(builds: Path) -> None:
    assert run("relayer", "build", setting=str(builds)).stdout.split()[0] == COMPILED
    assert run("relayer", "build", setting=OFF).stdout.split()[0] == PYTHON


@needs_a_compiler
def test_a_build_of_other_sources_is_not_used(builds: Path, tmp_path: Path) -> None:
    (tmp_path / "0123456789abcdef").symlink_to(builds / fingerprint())
    done = run("relayer", "build", setting=str(tmp_path))
    assert done.stdout.split()[0] == PYTHON
    assert "make compiled" in done.stdout


def test_without_a_compiler_the_sources_run_and_the_reason_is_said(tmp_path: Path) -> None:
    done = run("scripts.compile_engine", setting=str(tmp_path), more={"CC": "no-such-compiler"})
    assert done.returncode == 2
    assert "no-such-compiler" in done.stderr
    assert "apt-get install gcc" in done.stderr
    assert run("relayer", "build", setting=str(tmp_path)).stdout.split()[0] == PYTHON
