"""The process dies by SIGKILL before each single system call of writing, rotation, snapshots and retention."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relayer.journal.journal import Journal
from relayer.journal.retention import Retention, retire
from relayer.journal.segment import HEADER_BYTES, segment_paths
from relayer.journal.snapshot import Snapshot, snapshots, write_snapshot
from tests.relayer.journal.older_journals import write_version_1

SMALL = HEADER_BYTES + 300
CALLS = ("open", "pwrite", "fsync", "fdatasync", "ftruncate", "rename", "unlink", "fchmod")


def payload(sequence: int) -> bytes:
    return b"command %d, " % sequence + b"x" * (sequence % 7)


def work(directory: Path, archive: Path | None, told: int, groups: int) -> None:
    """What an engine does: groups of commands, said to `told` once they are acknowledged; snapshots; retention."""
    journal = Journal(directory, SMALL)
    for _ in _recover(directory, journal):
        pass
    for _ in range(groups):
        count = 1 + journal.sequence % 3
        journal.append([payload(journal.sequence + 1 + number) for number in range(count)])
        os.write(told, b"%d\n" % journal.sequence)
        if journal.sequence % 4 == 0:
            write_snapshot(directory, Snapshot(journal.sequence, journal.end, b"state %d" % journal.sequence))
            retire(directory, Retention(0, archive))


def _recover(directory: Path, journal: Journal) -> Iterator[bytes]:
    newest = next((one for _, one in snapshots(directory) if one is not None), None)
    records = journal.recover(newest.sequence, newest.position) if newest else journal.recover()
    for record in records:
        yield record.payload


def in_a_child(action: Callable[[int], None]) -> tuple[bool, int]:
    """Whether it was killed, and the last number it told."""
    reading, told = os.pipe()
    child = os.fork()
    if child == 0:  # no test machinery may run in here
        try:
            os.close(reading)
            action(told)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(told)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().split()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    assert killed or os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return killed, int(lines[-1]) if lines else 0


def die_before_call(number: int) -> None:
    """Arms this process: the `number`th call that touches the disk does not happen any more."""
    left = number

    def armed(call: Callable[..., object]) -> Callable[..., object]:
        def instead(*arguments: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return instead

    for name in CALLS:
        setattr(os, name, armed(getattr(os, name)))


def check(directory: Path, archive: Path | None, acknowledged: int) -> int:
    """A start finds everything acknowledged, in order, from any snapshot that is kept. Returns the last record."""
    journal = Journal(directory, SMALL)
    newest = next((one.sequence for _, one in snapshots(directory) if one is not None), 0)
    found = list(_recover(directory, journal))
    last = journal.sequence
    journal.close()
    assert found == [payload(number) for number in range(newest + 1, last + 1)]
    assert last >= acknowledged, "an acknowledged command is lost"
    for _, older in snapshots(directory):
        assert older is not None
        journal = Journal(directory, SMALL)
        assert sum(1 for _ in journal.recover(older.sequence, older.position)) == last - older.sequence
        journal.close()
    if archive is not None and archive.exists():
        names = {path.name for path in archive.glob("*.log")} | {path.name for path in segment_paths(directory)}
        firsts = sorted(int(name[-24:-4]) for name in names)
        assert firsts[0] == 1, "archive and folder together have the whole journal"
    return last


@pytest.mark.parametrize("archived", [False, True], ids=["removed", "archived"])
def test_killed_before_every_system_call(tmp_path: Path, archived: bool) -> None:
    rotated = retired = 0
    for number in range(1, 10_000):
        directory = tmp_path / str(number)
        directory.mkdir()
        archive = tmp_path / f"archive of {number}" if archived else None

        def action(told: int, at: int = number, where: Path = directory, to: Path | None = archive) -> None:
            die_before_call(at)
            work(where, to, told, groups=22)

        killed, acknowledged = in_a_child(action)
        last = check(directory, archive, acknowledged)
        rotated += len(segment_paths(directory)) > 1
        retired += segment_paths(directory)[0].name[-5:] != "1.log"
        if not killed:
            assert last == acknowledged
            break
        work(directory, archive, os.open(os.devnull, os.O_WRONLY), groups=3)
        check(directory, archive, last + 1)
    assert rotated > 5, "it died with several files"
    assert retired > 5, "and with files already taken away"


def test_killed_at_random_moments_again_and_again_in_one_folder(tmp_path: Path) -> None:
    dice, acknowledged = random.Random(5), 0

    def action(told: int) -> None:
        work(tmp_path, None, told, groups=1_000_000)

    kills, patience = 0, 1.0
    while kills < 40 or acknowledged <= 30:  # it gets somewhere, on a slow disk too
        before = acknowledged
        acknowledged = max(acknowledged, _killed_after(patience * dice.uniform(0.002, 0.03), action))
        acknowledged = check(tmp_path, None, acknowledged)
        kills, patience = kills + 1, patience * (1.0 if acknowledged > before else 1.1)


def _killed_after(seconds: float, action: Callable[[int], None]) -> int:
    def timed(told: int) -> None:
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, seconds)
        action(told)

    killed, told = in_a_child(timed)
    assert killed
    return told


def test_killed_during_the_migration_of_a_single_file(tmp_path: Path) -> None:
    for number in range(1, 50):
        directory = tmp_path / str(number)
        directory.mkdir()
        write_version_1(directory, [payload(one) for one in range(1, 21)])

        def action(told: int, at: int = number, where: Path = directory) -> None:
            die_before_call(at)
            work(where, None, told, groups=1)

        killed, _ = in_a_child(action)
        assert check(directory, None, 20) >= 20
        if not killed:
            return
    raise AssertionError("it never finished")
