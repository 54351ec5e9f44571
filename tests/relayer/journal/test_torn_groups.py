"""A loss of power tears the write that was under way in any of its pages; what was acknowledged before is never cut."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.problem import Problem
from cxdex.storage import open_database
from relayer.engine.commands import Expire
from relayer.journal.journal import Journal
from relayer.journal.record import encode_command
from relayer.journal.segment import HEADER_BYTES, segment_name
from relayer.journal.snapshot import Snapshot, write_snapshot
from relayer.order_table import OrderTables
from relayer.recovery import recover

FIRST = segment_name(1)
ACKNOWLEDGED = [[b"one"], [b"two", b"three " * 9, b"four"], [b"five" * 30], [b"six", b"seven"]]
LAST = [b"a" * 700, b"b", b"c" * 6_000, b"d" * 90, b"e" * 3_000, b"f" * 500, b"", b"g" * 4_100]
TOLD = [payload for group in ACKNOWLEDGED for payload in group]


class Written:
    """A journal of one file as it is when the last group is on disk."""

    def __init__(self, directory: Path) -> None:
        journal = Journal(directory)
        assert list(journal.recover()) == []
        self.path = journal.path
        self.ends = [HEADER_BYTES]  # of the groups
        for group in [*ACKNOWLEDGED, LAST]:
            journal.append(group)
            self.ends.append(HEADER_BYTES + journal.end)
        journal.close()
        self.bytes = self.path.read_bytes()
        self.start_of_last, self.end = self.ends[-2:]

    def pages(self, size: int) -> list[range]:
        """Of the file, those in which the last group lies."""
        first = self.start_of_last // size
        return [range(number * size, (number + 1) * size) for number in range(first, -(-self.end // size))]

    def lose(self, pages: Iterable[range], filler: bytes = b"\0") -> bytes:
        """The file when these were not written: what was on disk before stays, the rest is anything."""
        torn = bytearray(self.bytes)
        for page in pages:
            start, end = max(page.start, self.start_of_last), min(page.stop, self.end)
            torn[start:end] = filler * (end - start)
        return bytes(torn)


def start(directory: Path, applied: int = 0) -> tuple[list[bytes], int]:
    """What a start reads, and how much it cuts."""
    journal = Journal(directory)
    try:
        return [record.payload for record in journal.recover(applied=applied)], journal.cut_bytes
    finally:
        journal.close()


def require_only_the_last_group_gone(directory: Path, written: Written) -> None:
    size = written.path.stat().st_size
    assert start(directory) == (TOLD, size - written.start_of_last)
    assert written.path.read_bytes() == written.bytes[: written.start_of_last]


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"C"], ids=["zeros", "ones", "letters"])
@pytest.mark.parametrize("size", [512, 4_096])
def test_any_lost_page_any_lone_page_and_any_part_of_the_pages_in_order(
    tmp_path: Path, size: int, filler: bytes
) -> None:
    written = Written(tmp_path)
    pages = written.pages(size)
    assert len(pages) > 3
    lost: list[list[range]] = []
    for number in range(len(pages)):
        others = pages[:number] + pages[number + 1 :]
        lost += [[pages[number]], others, pages[number:], pages[: number + 1]]
    for some in lost:
        torn = written.lose(some, filler)
        if torn == written.bytes:
            continue  # nothing of it was in those pages
        written.path.write_bytes(torn)
        require_only_the_last_group_gone(tmp_path, written)


def test_cut_off_after_any_byte(tmp_path: Path) -> None:
    written = Written(tmp_path)
    for size in {*range(written.start_of_last + 1, written.end, 61), *range(written.end - 200, written.end)}:
        written.path.write_bytes(written.bytes[:size])
        require_only_the_last_group_gone(tmp_path, written)


def test_a_group_without_its_last_records_is_cut_although_the_others_are_whole(tmp_path: Path) -> None:
    written = Written(tmp_path)
    size = written.start_of_last
    for payload in LAST[:-1]:
        size += Journal.record_bytes(payload)
        written.path.write_bytes(written.bytes[:size])
        require_only_the_last_group_gone(tmp_path, written)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_tear_of_the_last_group_loses_nothing_else_and_the_journal_goes_on(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    written = Written(directory)
    pages = written.pages(data.draw(st.sampled_from([512, 4_096])))
    lost = data.draw(st.lists(st.sampled_from(pages), unique=True))
    torn = written.lose(lost, data.draw(st.binary(min_size=1, max_size=1)))
    torn = torn[: data.draw(st.integers(written.start_of_last, written.end) | st.just(written.end))]
    written.path.write_bytes(torn)
    found, _ = start(directory)
    assert found == (TOLD + LAST if torn == written.bytes else TOLD)
    journal = Journal(directory)
    found = [record.payload for record in journal.recover()]
    journal.append([b"and on", b"it goes"])
    journal.close()
    assert start(directory) == ([*found, b"and on", b"it goes"], 0)


@pytest.mark.parametrize("last", ["whole", "torn", "gone", "zeros"])
def test_a_flipped_bit_in_what_was_acknowledged_is_refused_however_the_last_group_is(tmp_path: Path, last: str) -> None:
    written = Written(tmp_path)
    data = {
        "whole": written.bytes,
        "torn": written.lose(written.pages(512)[3:5]),
        "gone": written.bytes[: written.start_of_last],
        "zeros": written.lose(written.pages(512)),
    }[last]
    # Where nothing of a later group is there, the newest one may be a write that never finished.
    known_until = written.ends[-3] if last == "gone" else written.start_of_last
    for offset in range(HEADER_BYTES, known_until):
        damaged = bytearray(data)
        damaged[offset] ^= 0x10
        written.path.write_bytes(damaged)
        with pytest.raises(Problem, match="JOURNAL_DAMAGED") as refused:
            start(tmp_path)
        assert f"{written.path} is damaged at byte" in refused.value.detail
        assert written.path.read_bytes() == damaged, "a refusal changes nothing"


def test_damage_in_a_group_is_told_from_a_tear_by_what_was_written_behind_its_end(tmp_path: Path) -> None:
    """The group behind it left nothing whole, but it began, so this one was acknowledged."""
    written = Written(tmp_path)
    start_of_seven = written.start_of_last - Journal.record_bytes(b"seven")
    for offset in range(start_of_seven, written.start_of_last):
        damaged = bytearray(written.lose(written.pages(512)))
        damaged[offset] ^= 0x10
        written.path.write_bytes(damaged)
        with pytest.raises(Problem, match="more was written behind it") as refused:
            start(tmp_path)
        assert f"damaged at byte {start_of_seven}: record 7 is bad" in refused.value.detail


def test_a_torn_group_that_somebody_has_applied_is_refused(tmp_path: Path) -> None:
    written = Written(tmp_path)
    told = len(TOLD)
    torn = written.lose(written.pages(512)[4:5])
    written.path.write_bytes(torn)
    with pytest.raises(Problem, match=f"JOURNAL_DAMAGED.*record {told + 1} has been applied already"):
        start(tmp_path, applied=told + 1)
    assert written.path.read_bytes() == torn, "a refusal changes nothing"
    assert start(tmp_path, applied=told)[0] == TOLD


# ------------------------------------------------------------------ a start of the engine


class Folder:
    """A journal of two groups of three commands, the second torn in its middle, and tables."""

    def __init__(self, folder: Path, stored: int) -> None:
        self.directory = folder / "journal"
        self.directory.mkdir()
        journal = Journal(self.directory)
        assert list(journal.recover()) == []
        for first in (1_000, 2_000):
            journal.append([encode_command(Expire(first + number)) for number in range(3)])
        journal.close()
        self.path = journal.path
        data = bytearray(self.path.read_bytes())
        data[-100] ^= 1
        self.path.write_bytes(data)
        self.torn = bytes(data)
        self.tables = OrderTables(open_database(f"sqlite:///{folder / 'x.db'}"))
        self.tables.open()
        if stored:
            self.tables.store(self.tables.no_changes(), stored)

    def refusal(self) -> Problem:
        with pytest.raises(Problem) as refused:
            recover(self.directory, self.tables)
        assert self.path.read_bytes() == self.torn, "a refusal changes nothing"
        return refused.value


@pytest.mark.parametrize("stored", [0, 1, 3])
def test_a_start_cuts_a_torn_group_that_the_tables_have_nothing_of(tmp_path: Path, stored: int) -> None:
    folder = Folder(tmp_path, stored)
    recovered = recover(folder.directory, folder.tables)
    recovered.journal.close()
    assert (recovered.journal.sequence, recovered.last_time_ms, folder.tables.cursor) == (3, 1_002, 3)


@pytest.mark.parametrize("stored", [4, 6])
def test_a_start_refuses_to_cut_what_the_tables_have(tmp_path: Path, stored: int) -> None:
    problem = Folder(tmp_path, stored).refusal()
    assert problem.code == "JOURNAL_DAMAGED"
    assert f"record {stored} has been applied already" in problem.detail


def test_a_start_refuses_to_cut_what_a_snapshot_has_although_the_tables_are_older(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 0)
    write_snapshot(folder.directory, Snapshot(5, 0, b"of another time"))
    assert "record 5 has been applied already" in folder.refusal().detail


def test_a_journal_that_ends_before_a_snapshot_is_refused_although_the_tables_are_older(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 0)
    folder.torn = folder.torn[: HEADER_BYTES + 3 * Journal.record_bytes(encode_command(Expire(1_000)))]
    folder.path.write_bytes(folder.torn)
    write_snapshot(folder.directory, Snapshot(5, 0, b"of another time"))
    problem = folder.refusal()
    assert problem.code == "JOURNAL_DAMAGED"
    assert "it ends with record 3, and there is a snapshot of record 5" in problem.detail
