"""The fuzz command of the matching rules: it covers everything, and it finds what is wrong."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from relayer.engine.book import Book
from scripts import fuzz_matching
from scripts.fuzz_flow import Flow

ROOT = Path(__file__).resolve().parents[2]


def test_a_short_run_meets_every_rule_and_says_so() -> None:
    command = [sys.executable, "-m", "scripts.fuzz_matching", "--commands", "20000", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything that can happen did" in done.stdout
    assert "print the same events" in done.stdout


def test_the_same_seed_is_the_same_flow() -> None:
    first, second = ([flow.next([]) for _ in range(1_000)] for flow in (Flow(random.Random(7)), Flow(random.Random(7))))
    assert first == second


def test_a_wrong_rule_is_found_and_its_command_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Book, "can_fill", lambda *_: True)
    with pytest.raises(fuzz_matching.Disagreement, match=r'command \d+: .*"FOK"'):
        fuzz_matching.compare(2_000, 1, tmp_path / "commands.jsonl")


def test_other_output_of_another_process_is_found(tmp_path: Path) -> None:
    path = tmp_path / "commands.jsonl"
    path.write_bytes(b'{"op":"cancel","id":"1"}\n')
    with pytest.raises(fuzz_matching.Disagreement, match="PYTHONHASHSEED=1 printed other events"):
        fuzz_matching.replay(path, "00" * 32)
