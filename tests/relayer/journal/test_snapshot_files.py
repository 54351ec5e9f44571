"""Snapshot files: whole or not there, the newest two kept, a damaged one never used."""

from __future__ import annotations

import errno
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from relayer.journal.journal import Journal
from relayer.journal.snapshot import Snapshot, fork_writer, publish, snapshots, write_snapshot


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


def test_a_child_writes_the_state_as_it_was_when_it_was_forked(tmp_path: Path) -> None:
    state = [b"before"]

    def dump() -> bytes:
        time.sleep(0.1)
        return state[0]

    child = fork_writer(tmp_path, 7, 70, 700, dump)
    state[0] = b"after"
    assert os.waitpid(child, 0)[1] == 0
    assert list(snapshots(tmp_path)) == [], "it is none before it is published"
    path = publish(tmp_path, 7)
    assert list(snapshots(tmp_path)) == [(path, Snapshot(7, 70, b"before", 700))]


def test_a_child_that_finds_the_disk_full_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        child = fork_writer(tmp_path, 7, 70, 700, lambda: b"x" * 10_000)
        status = os.waitpid(child, 0)[1]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.WEXITSTATUS(status) == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_a_child_keeps_nothing_of_its_parent_open(tmp_path: Path) -> None:
    """Otherwise a lock, a port or a client's connection would outlive an engine that was killed."""
    reading, writing = os.pipe()
    child = fork_writer(tmp_path, 7, 70, 700, lambda: time.sleep(30) or b"")
    os.close(writing)
    assert os.read(reading, 1) == b"", "the other end is closed although the child lives"
    os.close(reading)
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert list(snapshots(tmp_path)) == []


def test_what_a_killed_writer_left_is_removed_by_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "snapshot-00000000000000000007.tmp").write_bytes(b"half")
    Journal(tmp_path).close()
    assert not list(tmp_path.glob("*.tmp"))
