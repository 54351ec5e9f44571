"""The journal's file: what is acknowledged comes back, what never finished is cut, what is damaged is refused."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.problem import Problem
from relayer.engine.commands import CancelAll, Expire
from relayer.journal.journal import Journal
from relayer.journal.lock import JournalLock
from relayer.journal.record import MARKER, MAX_PAYLOAD_BYTES, decode_command, encode_command, read_record
from relayer.journal.segment import HEADER_BYTES, SINGLE_FILE, segment_name

FIRST = segment_name(1)
PAYLOADS = [b"first", b"second, " + MARKER + b" inside", b"", b"x" * 1000]


def written(directory: Path) -> Path:
    """PAYLOADS in three groups."""
    journal = Journal(directory)
    assert list(journal.recover()) == []
    journal.append(PAYLOADS[:1])
    journal.append(PAYLOADS[1:3])
    journal.append(PAYLOADS[3:])
    journal.close()
    return directory / FIRST


def read(directory: Path) -> tuple[Journal, list[bytes]]:
    journal = Journal(directory)
    found = [record.payload for record in journal.recover()]
    journal.close()
    return journal, found


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """The kernel refuses to let any file grow beyond this, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_commands_come_back_in_order(tmp_path: Path) -> None:
    written(tmp_path)
    journal, found = read(tmp_path)
    assert found == PAYLOADS
    assert journal.sequence == 4
    assert journal.cut_bytes == 0
    assert journal.end == (tmp_path / FIRST).stat().st_size - HEADER_BYTES


def test_a_command_is_the_same_after_the_journal() -> None:
    for command in (Expire(5), CancelAll(7, b"\x01" * 20, None)):
        assert decode_command(encode_command(command)) == command


def test_a_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    written(tmp_path)
    journal = Journal(tmp_path)
    middle = [record for record in journal.recover() if record.sequence <= 2]
    journal.append([b"fifth"])
    journal.close()
    assert read(tmp_path)[1] == [*PAYLOADS, b"fifth"]
    position = sum(Journal.record_bytes(record.payload) for record in middle)
    again = Journal(tmp_path)
    assert [record.payload for record in again.recover(2, position)] == [*PAYLOADS[2:], b"fifth"]
    again.close()


def test_a_tail_torn_anywhere_is_cut(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    last = len(whole) - Journal.record_bytes(PAYLOADS[3])
    for size in range(last + 1, len(whole), 97):
        path.write_bytes(whole[:size])
        journal, found = read(tmp_path)
        assert found == PAYLOADS[:3]
        assert journal.cut_bytes == size - last
        assert path.read_bytes() == whole[:last]


def test_a_tail_of_zeros_is_cut(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(4096))
    journal, found = read(tmp_path)
    assert found == PAYLOADS
    assert journal.cut_bytes == 4096
    assert path.read_bytes() == whole


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_before_the_last_record_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    path = written(directory)
    damaged = bytearray(path.read_bytes())
    last = len(damaged) - Journal.record_bytes(PAYLOADS[3])
    position = data.draw(st.integers(HEADER_BYTES, last - 1))
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    with pytest.raises(Problem, match="JOURNAL_DAMAGED") as refusal:
        read(directory)
    assert str(path) in refusal.value.detail
    start = HEADER_BYTES
    while (record := read_record(bytes(damaged), start)) is not None:
        start = record.end
    assert f"byte {start}:" in refusal.value.detail
    assert path.read_bytes() == damaged, "a refusal changes nothing"


@pytest.mark.parametrize("name", [FIRST, SINGLE_FILE])
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"SQLite format 3\x00" * 4)
    with pytest.raises(Problem, match="not a journal"):
        Journal(tmp_path)


def test_a_journal_shorter_than_its_snapshot_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    journal = Journal(tmp_path)
    with pytest.raises(Problem, match="shorter than the snapshot"):
        list(journal.recover(9, 100_000))
    journal.close()


def test_a_full_disk_refuses_the_batch_and_keeps_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = path.read_bytes()
    journal = Journal(tmp_path)
    list(journal.recover())
    with file_size_limit(len(before) + 100), pytest.raises(OSError, match="too large"):
        journal.append([b"a" * 40, b"b" * 400])
    assert path.read_bytes() == before
    journal.append([b"after the disk was tidied"])
    journal.close()
    assert read(tmp_path)[1] == [*PAYLOADS, b"after the disk was tidied"]


def test_a_second_engine_is_refused_and_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    lock = JournalLock(tmp_path)
    with pytest.raises(Problem, match="JOURNAL_LOCKED"):
        JournalLock(tmp_path)
    lock.release()
    JournalLock(tmp_path).release()


def test_removing_the_locks_file_lets_no_second_engine_in(tmp_path: Path) -> None:
    lock = JournalLock(tmp_path)
    (tmp_path / "lock").unlink()
    with pytest.raises(Problem, match="JOURNAL_LOCKED"):
        JournalLock(tmp_path)
    lock.release()
    JournalLock(tmp_path).release()


def test_a_command_too_large_to_be_read_back_is_not_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    list(journal.recover())
    with pytest.raises(ValueError, match="no reader"):
        journal.append([b"{}", bytes(MAX_PAYLOAD_BYTES + 1)])
    journal.append([b"[1]"])
    assert (journal.sequence, [record.payload for record in Journal(tmp_path).recover()]) == (1, [b"[1]"])
