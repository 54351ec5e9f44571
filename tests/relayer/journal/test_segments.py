"""A journal of several files: rotation, migration, retention, and each kind of damage in each of them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxdex.problem import Problem
from relayer.journal.journal import Journal
from relayer.journal.retention import Retention, retire
from relayer.journal.segment import (
    HEADER_BYTES,
    SINGLE_FILE,
    SINGLE_FILE_MAGIC,
    create_segment,
    segment_name,
    segment_paths,
)
from relayer.journal.snapshot import Snapshot, write_snapshot
from tests.relayer.journal import older_journals

ROOT = Path(__file__).parents[3]
SMALL = 100 + HEADER_BYTES
NOTHING_KEPT = Retention(keep_bytes=0)


def payload(sequence: int) -> bytes:
    return b"command %d, " % sequence + b"x" * (sequence % 7)


def write(directory: Path, count: int, segment_bytes: int = SMALL) -> Journal:
    """`count` more records, each synced on its own."""
    journal = Journal(directory, segment_bytes)
    for _ in journal.recover():
        pass
    for _ in range(count):
        journal.append([payload(journal.sequence + 1)])
    return journal


def read(directory: Path, sequence: int = 0, position: int | None = None) -> list[bytes]:
    journal = Journal(directory, SMALL)
    try:
        return [record.payload for record in journal.recover(sequence, position)]
    finally:
        journal.close()


def position_after(sequence: int) -> int:
    return sum(Journal.record_bytes(payload(number)) for number in range(1, sequence + 1))


def snapshot(directory: Path, sequence: int) -> Path:
    return write_snapshot(directory, Snapshot(sequence, position_after(sequence), b"state after %d" % sequence))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def refusal(directory: Path, sequence: int = 0, position: int | None = None) -> Problem:
    """The start is refused, and nothing was changed."""
    before = contents(directory)
    with pytest.raises(Problem) as refused:
        read(directory, sequence, position)
    assert contents(directory) == before
    return refused.value


# ------------------------------------------------------------------ rotation


def test_a_full_file_is_followed_by_another(tmp_path: Path) -> None:
    write(tmp_path, 20).close()
    paths = segment_paths(tmp_path)
    assert len(paths) > 3
    assert read(tmp_path) == [payload(number) for number in range(1, 21)]
    for path in paths[:-1]:
        assert SMALL <= path.stat().st_size < SMALL + 60, "filled to the size, by whole groups"


def test_a_group_is_never_split(tmp_path: Path) -> None:
    journal = write(tmp_path, 0)
    journal.append([payload(number) for number in range(1, 31)])
    journal.append([payload(31)])
    journal.close()
    assert [path.name for path in segment_paths(tmp_path)] == [segment_name(1), segment_name(31)]
    assert read(tmp_path) == [payload(number) for number in range(1, 32)]


def test_reading_may_begin_after_any_record(tmp_path: Path) -> None:
    write(tmp_path, 20).close()
    for start in range(21):
        assert read(tmp_path, start, position_after(start)) == [payload(number) for number in range(start + 1, 21)]


def test_a_restart_goes_on_in_the_newest_file_and_rotates_again(tmp_path: Path) -> None:
    for round_number in range(6):
        assert len(read(tmp_path)) == round_number * 3
        write(tmp_path, 3).close()
    assert read(tmp_path) == [payload(number) for number in range(1, 19)]


def test_a_crash_between_a_new_file_and_its_first_record_is_nothing(tmp_path: Path) -> None:
    journal = write(tmp_path, 5, 1 << 20)
    end = journal.end
    journal.close()

    create_segment(tmp_path, 6, end)
    (tmp_path / "journal-00000000000000000009.tmp").write_bytes(b"half")
    assert len(read(tmp_path)) == 5
    write(tmp_path, 2).close()
    assert read(tmp_path) == [payload(number) for number in range(1, 8)]
    assert not list(tmp_path.glob("*.tmp"))


# ------------------------------------------------------------------ version 1


def single_file(directory: Path, count: int) -> bytes:
    return older_journals.write_version_1(directory, [payload(number) for number in range(1, count + 1)])


def test_a_journal_of_one_file_becomes_the_first_segment(tmp_path: Path) -> None:
    data = single_file(tmp_path, 8)
    after_three = len(SINGLE_FILE_MAGIC + older_journals.records([payload(number) for number in range(1, 4)]))
    assert read(tmp_path, 3, after_three) == [payload(number) for number in range(4, 9)], "its snapshots stay good"
    assert contents(tmp_path) == {segment_name(1): data}
    write(tmp_path, 4).close()
    assert read(tmp_path) == [payload(number) for number in range(1, 13)]
    assert len(segment_paths(tmp_path)) == 3


def test_a_single_file_that_died_at_birth_is_an_empty_journal(tmp_path: Path) -> None:
    (tmp_path / SINGLE_FILE).write_bytes(SINGLE_FILE_MAGIC[:3])
    assert read(tmp_path) == []
    assert [path.name for path in segment_paths(tmp_path)] == [segment_name(1)]


def test_an_older_version_that_ran_after_a_newer_one_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, 5).close()
    single_file(tmp_path, 0)
    assert len(read(tmp_path)) == 5, "it wrote nothing"
    single_file(tmp_path, 2)
    assert refusal(tmp_path).code == "JOURNAL_TWICE"


# ------------------------------------------------------------------ version 2


def test_a_journal_without_groups_is_read_and_goes_on_in_a_new_file(tmp_path: Path) -> None:
    first = older_journals.write_version_2(tmp_path, [payload(number) for number in range(1, 4)])
    position = len(first) - HEADER_BYTES
    second = older_journals.write_version_2(tmp_path, [payload(number) for number in range(4, 9)], 4, position)
    assert read(tmp_path, 3, position) == [payload(number) for number in range(4, 9)], "its snapshots stay good"
    assert len(read(tmp_path)) == 8
    assert contents(tmp_path) == {segment_name(1): first, segment_name(4): second}, "a start alone changes nothing"
    write(tmp_path, 2, 1 << 20).close()
    assert contents(tmp_path).keys() == {segment_name(1), segment_name(4), segment_name(9)}
    assert contents(tmp_path)[segment_name(4)] == second, "the older version refuses what it cannot read"
    assert read(tmp_path) == [payload(number) for number in range(1, 11)]


def test_a_journal_without_groups_and_without_records_begins_anew(tmp_path: Path) -> None:
    older_journals.write_version_2(tmp_path, [])
    write(tmp_path, 2, 1 << 20).close()
    assert segment_paths(tmp_path) == [tmp_path / segment_name(1)]
    assert read(tmp_path) == [payload(1), payload(2)]


def test_a_torn_record_of_version_2_is_cut_and_a_damaged_one_refused(tmp_path: Path) -> None:
    data = older_journals.write_version_2(tmp_path, [payload(number) for number in range(1, 9)])
    (tmp_path / segment_name(1)).write_bytes(data[:-1])
    assert read(tmp_path) == [payload(number) for number in range(1, 8)]
    damaged = bytearray(data)
    damaged[HEADER_BYTES + 40] ^= 1
    (tmp_path / segment_name(1)).write_bytes(damaged)
    assert refusal(tmp_path).code == "JOURNAL_DAMAGED"


# ------------------------------------------------------------------ damage


def test_a_missing_middle_file_is_refused_wherever_the_start_begins(tmp_path: Path) -> None:
    write(tmp_path, 20).close()
    gone = segment_paths(tmp_path)[2]
    gone.unlink()
    for start in (0, 20):
        problem = refusal(tmp_path, start, position_after(start) if start else None)
        assert problem.code == "JOURNAL_DAMAGED"
        assert "bytes are missing before record" in problem.detail


def test_a_missing_first_file_is_refused_unless_a_snapshot_leads_past_it(tmp_path: Path) -> None:
    write(tmp_path, 20).close()
    first, second = segment_paths(tmp_path)[:2]
    first.unlink()
    assert refusal(tmp_path).code == "JOURNAL_INCOMPLETE"
    start = int(second.stem[-20:]) - 1
    assert read(tmp_path, start, position_after(start)) == [payload(number) for number in range(start + 1, 21)]


def test_a_missing_newest_file_is_refused_when_a_snapshot_knows_better(tmp_path: Path) -> None:
    write(tmp_path, 20).close()
    segment_paths(tmp_path)[-1].unlink()
    problem = refusal(tmp_path, 20, position_after(20))
    assert (problem.code, "shorter than the snapshot" in problem.detail) == ("JOURNAL_DAMAGED", True)


def test_all_files_missing_is_refused_while_a_snapshot_remembers_them(tmp_path: Path) -> None:
    snapshot(tmp_path, 3)
    assert "has no records" in refusal(tmp_path).detail


def test_a_shortened_middle_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 20).close()
    path = segment_paths(tmp_path)[1]
    os.truncate(path, path.stat().st_size - 1)
    assert "was shortened" in refusal(tmp_path).detail


def test_two_files_in_each_others_place_are_refused(tmp_path: Path) -> None:
    write(tmp_path, 20).close()
    second, third = segment_paths(tmp_path)[1:3]
    data = second.read_bytes()
    second.write_bytes(third.read_bytes())
    third.write_bytes(data)
    assert "the file was renamed" in refusal(tmp_path).detail


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_in_any_file_is_refused_or_is_the_last_record(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    write(directory, 20).close()
    paths = segment_paths(directory)
    path = data.draw(st.sampled_from(paths))
    damaged = bytearray(path.read_bytes())
    last_start = len(damaged) - (Journal.record_bytes(payload(20)) if path == paths[-1] else 0)
    damaged[data.draw(st.integers(0, last_start - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    problem = refusal(directory)
    assert problem.code == "JOURNAL_DAMAGED"
    assert str(path) in problem.detail


def test_a_torn_record_is_cut_from_the_newest_file_only(tmp_path: Path) -> None:
    write(tmp_path, 20).close()
    paths = segment_paths(tmp_path)
    os.truncate(paths[-1], paths[-1].stat().st_size - 1)
    assert read(tmp_path) == [payload(number) for number in range(1, 20)]


# ------------------------------------------------------------------ disk


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """A file system of its own, with real limits."""
    directory.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)], capture_output=True)
    if mount.returncode:
        pytest.skip("this user cannot mount a small disk")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(journal: Journal) -> int:
    """How many records found room."""
    for written in range(1_000):
        try:
            journal.append([b"y" * 1_000])
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return written
            raise
    raise AssertionError("the disk is not small")


def test_a_full_disk_refuses_the_next_file_and_nothing_is_lost(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        journal = write(disk, 0, 8_000)
        written = fill(journal)
        assert written > 40
        for _ in range(3):
            with pytest.raises(OSError, match="No space left"):
                journal.append([b"y" * 5_000])
        assert not list(disk.glob("*.tmp"))
        assert len(read(disk)) == written, "what was refused does not come back"
        segment_paths(disk)[0].unlink()
        journal.append([b"there is room again"])
        journal.close()
        start = journal.sequence - 1
        position = journal.end - Journal.record_bytes(b"there is room again")
        assert read(disk, start, position) == [b"there is room again"]


def test_a_disk_that_is_full_from_the_beginning_is_one_clear_refusal(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4k") as disk:
        (disk / "filler").write_bytes(bytes(4_096))
        problem = refusal(disk)
        assert problem.code == "JOURNAL_UNWRITABLE"
        assert "No space left" in problem.detail


def test_a_folder_that_cannot_be_written_is_one_clear_refusal(tmp_path: Path) -> None:
    """As a user without rights, because root has them all."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    write(tmp_path, 3).close()
    script = (
        "import os, sys; from pathlib import Path; from cxdex.problem import Problem\n"
        "from relayer.journal.journal import Journal\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: Journal(Path(sys.argv[1]))\n"
        "except Problem as problem: print(problem.code, problem.detail)\n"
    )
    if os.getuid() != 0:
        (tmp_path / segment_name(1)).chmod(0o400)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("JOURNAL_UNWRITABLE"), done.stderr
    assert "Permission denied" in done.stdout
    assert str(tmp_path) in done.stdout


# ------------------------------------------------------------------ retention


def test_files_that_both_snapshots_cover_are_removed(tmp_path: Path) -> None:
    write(tmp_path, 30).close()
    snapshot(tmp_path, 12)
    snapshot(tmp_path, 25)
    before = segment_paths(tmp_path)
    retired = retire(tmp_path, NOTHING_KEPT)
    assert retired == before[: len(retired)]
    assert retired
    assert retire(tmp_path, NOTHING_KEPT) == []
    for start in (12, 25):
        assert read(tmp_path, start, position_after(start)) == [payload(number) for number in range(start + 1, 31)]
    first_kept = int(segment_paths(tmp_path)[0].stem[-20:])
    next_kept = int(segment_paths(tmp_path)[1].stem[-20:])
    assert first_kept <= 13 < next_kept + 1, "one file more, and record 13 would be gone"
    assert refusal(tmp_path).code == "JOURNAL_INCOMPLETE"


def test_the_newest_file_always_stays(tmp_path: Path) -> None:
    write(tmp_path, 20).close()
    snapshot(tmp_path, 19)
    snapshot(tmp_path, 20)
    retire(tmp_path, NOTHING_KEPT)
    assert len(segment_paths(tmp_path)) == 1
    assert read(tmp_path, 20, position_after(20)) == []
    write_more = Journal(tmp_path, SMALL)
    assert list(write_more.recover(20, position_after(20))) == []
    write_more.append([payload(21)])
    write_more.close()
    assert read(tmp_path, 20, position_after(20)) == [payload(21)]


def test_files_stay_while_together_they_are_small(tmp_path: Path) -> None:
    write(tmp_path, 30).close()
    snapshot(tmp_path, 29)
    snapshot(tmp_path, 30)
    sizes = [path.stat().st_size for path in segment_paths(tmp_path)]
    assert len(retire(tmp_path, Retention(keep_bytes=sum(sizes) - 1))) == 1
    assert retire(tmp_path, Retention(keep_bytes=sum(sizes))) == []


@pytest.mark.parametrize("trouble", ["one snapshot", "a damaged snapshot"])
def test_without_two_whole_snapshots_everything_stays(tmp_path: Path, trouble: str) -> None:
    write(tmp_path, 30).close()
    kept = snapshot(tmp_path, 25)
    if trouble == "a damaged snapshot":
        snapshot(tmp_path, 26)
        kept.write_bytes(kept.read_bytes()[:-1])
    assert retire(tmp_path, NOTHING_KEPT) == []
    assert len(read(tmp_path)) == 30


def test_an_archive_has_every_file_that_left_and_restores_the_journal(tmp_path: Path) -> None:
    journal, archive = tmp_path / "journal", tmp_path / "archive"
    journal.mkdir()
    write(journal, 30).close()
    snapshot(journal, 25)
    snapshot(journal, 26)
    whole = {path.name: path.read_bytes() for path in segment_paths(journal)}
    retired = retire(journal, Retention(0, archive))
    assert {path.name: whole[path.name] for path in retired} == contents(archive)
    for path in archive.iterdir():
        path.rename(journal / path.name)
    assert read(journal) == [payload(number) for number in range(1, 31)]


def test_an_archive_on_another_disk_gets_whole_files_or_the_journal_keeps_them(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    write(journal, 60, 6_000).close()
    write(journal, 400, 6_000).close()
    snapshot(journal, 455)
    snapshot(journal, 456)
    whole = {path.name: path.read_bytes() for path in segment_paths(journal)}
    with small_disk(tmp_path / "disk", "12k") as disk:
        with pytest.raises(OSError, match="No space left"):
            retire(journal, Retention(0, disk / "archive"))
        archived = contents(disk / "archive")
        kept = {path.name: path.read_bytes() for path in segment_paths(journal)}
        assert archived
        assert archived | kept == whole
    assert read(journal, 456, position_after(456)) == [payload(number) for number in range(457, 461)]
