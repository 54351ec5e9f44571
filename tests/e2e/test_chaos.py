"""A short storm over the whole stack ends well; and each question about it can be answered badly."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from scripts.chaos import verdict
from scripts.chaos.replay import Replay
from scripts.chaos.told import Told
from scripts.stack.layout import Layout, free_port

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    state: Path = tmp_path_factory.mktemp("chaos") / "state"
    command = [sys.executable, "-m", "scripts.chaos", "--seconds", "20", "--seed", "6", "--state", str(state)]
    return state, subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def layout(ended: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> Layout:
    """A copy of what was left, to spoil."""
    shutil.copytree(ended[0], tmp_path / "copy", ignore=shutil.ignore_patterns("engine.sock", "fresh.db*"))
    return Layout(tmp_path / "copy", free_port(), free_port())


def test_a_short_storm_ends_well(ended: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    state, done = ended
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all is well; seed 6" in done.stdout
    written = json.loads((state / "chaos.json").read_text())
    assert len(written["questions"]) == 13
    assert any(line.startswith("kills ") and not line.startswith("kills 0") for line in written["summary"])
    assert any(line.startswith("reorgs ") and not line.startswith("reorgs 0") for line in written["summary"])


def test_what_was_left_answers_well_offline_too(layout: Layout) -> None:
    replay = Replay(layout)
    assert (replay.tables(), replay.state_hash(), verdict.fills(layout, Told())) == ([], [], [])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("DELETE FROM trade WHERE match_id = 1", "trade 1 is not in both"),
        ("UPDATE \"order\" SET status = 'OPEN' WHERE status = 'FILLED'", "stored {'status': 'OPEN'"),
        ("UPDATE projector_cursor SET journal_sequence = journal_sequence - 1", "the tables are at command"),
    ],
)
def test_a_row_that_no_replay_makes_is_found(layout: Layout, change: str, why: str) -> None:
    spoil(layout, change)
    assert any(why in line for line in Replay(layout).tables())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("DELETE FROM trade WHERE match_id = 1", "and the last one has"),
        ("DELETE FROM trade WHERE match_id = 1", "settled, and nobody matched it"),
        ("DELETE FROM settled_fill WHERE sequence = 0", "has not settled"),
        ("UPDATE settled_fill SET quantity = quantity + 1 WHERE sequence = 0", "other terms on chain"),
        ("UPDATE \"order\" SET filled = quantity + 1 WHERE status = 'FILLED'", "is filled beyond its quantity"),
    ],
)
def test_a_fill_that_is_missing_or_repeated_is_found(layout: Layout, change: str, why: str) -> None:
    spoil(layout, change)
    assert any(why in line for line in verdict.fills(layout, Told()))


def test_a_journal_that_lost_a_command_is_found(layout: Layout) -> None:
    (newest,) = (layout.state / "journal").glob("journal-*.log")
    newest.write_bytes(newest.read_bytes()[:-1])
    replay = Replay(layout)
    assert any("the tables are at command" in line for line in replay.tables())
    assert replay.state_hash() != []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("dear")
    command = [sys.executable, "-m", "scripts.chaos", "--seconds", "1", "--state", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is not the state of an earlier run" in done.stdout
    assert (tmp_path / "letters").exists()


def spoil(layout: Layout, change: str) -> None:
    with closing(sqlite3.connect(layout.state / "exchange.db")) as connection:
        assert connection.execute(change).rowcount > 0
        connection.commit()
