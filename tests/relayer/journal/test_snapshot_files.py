"""Snapshot files: whole or not there, the newest two kept, a damaged one never used."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from relayer.journal.snapshot import Snapshot, snapshots, write_snapshot


def test_newest_first_and_only_two_are_kept(tmp_path: Path) -> None:
    for sequence in (5, 90, 1000):
        write_snapshot(tmp_path, Snapshot(sequence, sequence * 10, b"state %d" % sequence))
    found = [snapshot for _, snapshot in snapshots(tmp_path)]
    assert found == [Snapshot(1000, 10_000, b"state 1000"), Snapshot(90, 900, b"state 90")]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-3] + b"!" + data[-2:], lambda _: b""])
def test_a_damaged_one_is_told_apart(tmp_path: Path, damage) -> None:
    write_snapshot(tmp_path, Snapshot(1, 10, b"older"))
    newest = write_snapshot(tmp_path, Snapshot(2, 20, b"newest"))
    newest.write_bytes(damage(newest.read_bytes()))
    assert [snapshot for _, snapshot in snapshots(tmp_path)] == [None, Snapshot(1, 10, b"older")]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    write_snapshot(tmp_path, Snapshot(1, 10, b"small"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_snapshot(tmp_path, Snapshot(2, 20, b"x" * 10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [snapshot for _, snapshot in snapshots(tmp_path)] == [Snapshot(1, 10, b"small")]
    assert len(list(tmp_path.iterdir())) == 1
