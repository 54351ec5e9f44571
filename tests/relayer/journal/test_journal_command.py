"""`python -m relayer journal`: what an operator sees of real files, whole and damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cxdex.facts import Credited
from cxdex.storage import open_database
from relayer.__main__ import main
from relayer.engine.commands import AnyCommand, ApplyFact, CancelAll, Expire
from relayer.engine.core import Engine
from relayer.journal.journal import Journal
from relayer.journal.lock import JournalLock
from relayer.journal.record import encode_command, encode_group
from relayer.journal.segment import HEADER_BYTES, segment_name, segment_paths
from relayer.journal.snapshot import Snapshot, write_snapshot
from relayer.order_table import OrderTables
from tests.relayer.journal.older_journals import write_version_1

FIRST = segment_name(1)
ALICE = b"\xa1" * 20
NOON = 1_790_000_000_000
COMMANDS: list[AnyCommand] = [
    ApplyFact(NOON, 7, 0, 1, False, Credited(ALICE, 0, 2**80)),
    Expire(NOON + 1),
    CancelAll(NOON + 2, ALICE, "sBTC-USDC"),
    *(Expire(NOON + 3 + number) for number in range(40)),
]


class Said:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Operator:
    """A state folder with a journal, and somebody who looks after it."""

    def __init__(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.state = state
        self.journal = state / "journal"
        self.journal.mkdir()
        self.path = self.journal / FIRST
        self._capsys = capsys

    def write(self, commands: list[AnyCommand] = COMMANDS, together: int = 1) -> None:
        """So many with each sync."""
        journal = Journal(self.journal)
        assert list(journal.recover()) == []
        for start in range(0, len(commands), together):
            journal.append([encode_command(command) for command in commands[start : start + together]])
        journal.close()

    def write_in_files(self) -> list[Path]:
        """Ten records a file."""
        journal = Journal(self.journal, 1)
        assert list(journal.recover()) == []
        for start in range(0, len(COMMANDS), 10):
            journal.append([encode_command(command) for command in COMMANDS[start : start + 10]])
        journal.close()
        return segment_paths(self.journal)

    def write_snapshot(self, sequence: int) -> Path:
        engine = Engine()
        for command in COMMANDS[:sequence]:
            engine.apply(command)
        return write_snapshot(
            self.journal, Snapshot(sequence, self.start_of(sequence + 1) - HEADER_BYTES, engine.snapshot())
        )

    def start_of(self, sequence: int) -> int:
        sizes = [Journal.record_bytes(encode_command(command)) for command in COMMANDS]
        return HEADER_BYTES + sum(sizes[: sequence - 1])

    def flip(self, offset: int) -> None:
        data = bytearray(self.path.read_bytes())
        data[offset] ^= 4
        self.path.write_bytes(data)

    def run(self, *words: str) -> Said:
        code = main(["journal", words[0], "--state", str(self.state), *words[1:]])
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    def engine_accepts(self) -> int:
        """The last record, as a start of the engine reads it."""
        journal = Journal(self.journal)
        for _ in journal.recover():
            pass
        journal.close()
        assert journal.cut_bytes == 0
        return journal.sequence


@pytest.fixture
def operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(tmp_path, capsys)


def files(operator: Operator) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in operator.journal.iterdir() if path.name != "lock"}


def test_a_whole_journal_is_counted(operator: Operator) -> None:
    operator.write()
    snapshot = operator.write_snapshot(30)
    before = files(operator)
    said = operator.run("verify")
    assert said.code == 0
    assert f"1 file, {operator.path.stat().st_size} bytes, 43 records, sequence 1 to 43" in said.out
    assert "2026-09-21T14:13:20.000+00:00 to 2026-09-21T14:13:20.042+00:00" in said.out
    assert "Expire 41, ApplyFact 1, CancelAll 1" in said.out
    assert f"{snapshot}: whole" in said.out
    assert said.out.endswith("no damage\n")
    assert files(operator) == before


def test_a_missing_snapshot_is_no_damage(operator: Operator) -> None:
    operator.write()
    said = operator.run("verify")
    assert (said.code, said.err) == (0, "")
    assert "a start replays every record" in said.out


def test_an_empty_journal_is_whole(operator: Operator) -> None:
    operator.write([])
    assert operator.run("verify").code == 0
    assert operator.run("show").out == ""


def test_a_torn_tail_is_named_and_cut_only_with_a_copy(operator: Operator) -> None:
    operator.write()
    whole = operator.path.read_bytes()
    last = operator.start_of(43)
    operator.path.write_bytes(whole[:-3])
    torn = operator.path.read_bytes()

    said = operator.run("verify")
    assert said.code == 1
    assert f"DAMAGE {operator.path} at byte {last}, {len(torn) - last} bytes: record 43 is not whole" in said.out

    asked = operator.run("repair")
    assert asked.code == 1
    assert "repeat with --yes" in asked.out
    assert operator.path.read_bytes() == torn

    done = operator.run("repair", "--yes")
    copy = operator.journal / f"{FIRST}.cut-at-{last}"
    assert done.code == 0
    assert str(copy) in done.out
    assert copy.read_bytes() == torn[last:]
    assert operator.path.read_bytes() == whole[:last]
    assert operator.run("verify").code == 0
    assert operator.engine_accepts() == 42
    assert operator.run("repair", "--yes").out == "nothing to repair\n"


def test_a_torn_write_of_several_records_is_cut_whole_with_a_copy(operator: Operator) -> None:
    operator.write(together=10)
    start, bad = operator.start_of(41), operator.start_of(42)
    operator.flip(bad + 30)
    torn = operator.path.read_bytes()
    said = operator.run("verify")
    assert said.code == 1
    assert "40 records, sequence 1 to 40" in said.out
    damage = f"DAMAGE {operator.path} at byte {start}, {len(torn) - start} bytes: record 42 is not whole, and record 41"
    assert f"{damage} before it came with the same write: the last write, which never finished" in said.out
    assert [line["sequence"] for line in operator.run("show").lines] == [*range(1, 41)]
    assert operator.run("repair", "--yes").code == 0
    assert (operator.journal / f"{FIRST}.cut-at-{start}").read_bytes() == torn[start:]
    assert operator.engine_accepts() == 40


def test_repair_asks_the_tables_and_never_cuts_what_they_have(operator: Operator, tmp_path: Path) -> None:
    operator.write(together=10)
    operator.flip(operator.start_of(42) + 30)
    before = files(operator)
    url = f"sqlite:///{tmp_path / 'x.db'}"
    assert operator.run("repair", "--yes", "--database", url).err.startswith("journal: DATABASE_EMPTY")
    tables = OrderTables(open_database(url))
    tables.open()
    tables.store(tables.no_changes(), 41)
    refused = operator.run("repair", "--yes", "--database", url)
    assert (refused.code, files(operator)) == (1, before)
    assert "JOURNAL_NOT_REPAIRABLE: the journal would end at record 40, but the database has what record 41" in (
        refused.err
    )
    assert "cannot be used" in operator.run("repair", "--database", "sqlite:////nowhere/at/all.db").err
    assert "with --database to make sure" in operator.run("repair").out
    with open_database(url).begin() as connection:
        connection.execute(text("UPDATE projector_cursor SET journal_sequence = 40"))
    assert operator.run("repair", "--yes", "--database", url).code == 0
    assert operator.engine_accepts() == 40


def test_a_second_copy_does_not_replace_the_first(operator: Operator) -> None:
    operator.write()
    whole, last = operator.path.read_bytes(), operator.start_of(43)
    for size in (5, 9):
        operator.path.write_bytes(whole[: last + size])
        assert operator.run("repair", "--yes").code == 0
    copies = sorted(path for path in operator.journal.iterdir() if ".cut-at-" in path.name)
    assert [copy.stat().st_size for copy in copies] == [5, 9]


@pytest.mark.parametrize("place", [0, 5, 10, 14, 25])
def test_a_flipped_bit_in_the_middle_is_found_and_never_cut(operator: Operator, place: int) -> None:
    """In the marker, the length, the checksum, the sequence, the payload."""
    operator.write()
    start, following = operator.start_of(20), operator.start_of(21)
    operator.flip(start + place)
    before = files(operator)
    said = operator.run("verify")
    assert said.code == 1
    assert "42 records, sequence 1 to 43" in said.out
    assert f"DAMAGE {operator.path} at byte {start}, {following - start} bytes: record 20 is not whole" in said.out
    refused = operator.run("repair", "--yes")
    assert refused.code == 1
    assert refused.err.startswith("journal: JOURNAL_NOT_REPAIRABLE")
    assert f"byte {start}" in refused.err
    assert files(operator) == before
    shown = operator.run("show")
    assert shown.code == 1
    assert [line["sequence"] for line in shown.lines] == [*range(1, 20), *range(21, 44)]
    assert f"damaged at byte {start}" in shown.err


def test_a_missing_record_is_damage_although_its_neighbours_are_whole(operator: Operator) -> None:
    operator.write()
    data, start, end = operator.path.read_bytes(), operator.start_of(20), operator.start_of(21)
    operator.path.write_bytes(data[:start] + data[end:])
    said = operator.run("verify")
    assert said.code == 1
    assert f"at byte {start}, 0 bytes: record 21 follows record 19" in said.out
    assert operator.run("repair", "--yes").code == 1


def test_a_record_that_is_no_command_is_not_cut(operator: Operator) -> None:
    operator.write()
    whole = operator.path.read_bytes()
    operator.path.write_bytes(whole + encode_group(44, [b'["Rename",5]']))
    assert operator.run("verify").code == 1
    assert "no command of this version" in operator.run("repair", "--yes").err
    assert operator.path.stat().st_size > len(whole)


def test_large_records_are_read_across_what_fits_into_memory_at_once(operator: Operator) -> None:
    market = "x" * 3_000_000
    operator.write([CancelAll(NOON, ALICE, market) for _ in range(5)])
    assert operator.run("verify").code == 0
    size = Journal.record_bytes(encode_command(CancelAll(NOON, ALICE, market)))
    operator.flip(HEADER_BYTES + 2 * size + 2_000_000)
    said = operator.run("verify")
    assert f"at byte {HEADER_BYTES + 2 * size}, {size} bytes: record 3 is not whole" in said.out
    assert "4 records, sequence 1 to 5" in said.out


def test_a_damaged_snapshot_is_named(operator: Operator) -> None:
    operator.write()
    operator.write_snapshot(10)
    bad = operator.write_snapshot(20)
    data = bytearray(bad.read_bytes())
    data[-1] ^= 1
    bad.write_bytes(data)
    said = operator.run("verify")
    assert said.code == 1
    assert f"{bad}: DAMAGE is damaged: its checksum is wrong" in said.out
    assert operator.run("repair", "--yes").out == "nothing to repair\n"


def test_a_journal_that_ends_before_its_snapshot_has_lost_records(operator: Operator) -> None:
    operator.write()
    operator.write_snapshot(43)
    operator.path.write_bytes(operator.path.read_bytes()[:-3])
    said = operator.run("verify")
    assert said.code == 1
    assert "is of record 43, but the journal ends at 42: acknowledged records are missing" in said.out
    refused = operator.run("repair", "--yes")
    assert refused.code == 1
    assert "snapshot of record 43" in refused.err


def test_a_snapshot_of_another_journal_is_named(operator: Operator) -> None:
    operator.write()
    write_snapshot(operator.journal, Snapshot(5, operator.start_of(5) - HEADER_BYTES, Engine().snapshot()))
    assert "says that record 5 ends at position" in operator.run("verify").out


def test_repair_refuses_while_an_engine_holds_the_lock_and_verify_does_not_mind(operator: Operator) -> None:
    operator.write()
    operator.path.write_bytes(operator.path.read_bytes()[:-3])
    before = operator.path.read_bytes()
    lock = JournalLock(operator.journal)
    try:
        refused = operator.run("repair", "--yes")
        assert refused.code == 1
        assert refused.err.startswith("journal: JOURNAL_LOCKED: another engine (process ")
        seen = operator.run("verify")
        assert seen.code == 0, "beside an engine, an unfinished end is a write under way"
        assert "in use by the engine" in seen.out
        assert "are being written" in seen.out
        assert operator.run("show").code == 0
    finally:
        lock.release()
    assert operator.path.read_bytes() == before
    assert operator.run("verify").code == 1


def test_show_prints_commands_with_exact_numbers(operator: Operator) -> None:
    operator.write()
    first, _, third = operator.run("show", "--to", "3").lines
    assert first == {
        "sequence": 1, "kind": "ApplyFact", "time_ms": NOON, "block": 7, "log_index": 0, "outbox_seq": 1,
        "reverted": False, "block_hash": "0x",
        "fact": {"kind": "Credited", "account": "0x" + "a1" * 20, "asset": 0, "amount": 2**80},
    }  # fmt: skip
    assert third["account"] == "0x" + "a1" * 20
    assert [line["sequence"] for line in operator.run("show", "--from", "42").lines] == [42, 43]
    assert [line["sequence"] for line in operator.run("show", "--kind", "CancelAll").lines] == [3]


@pytest.mark.parametrize("words", [("verify",), ("show",), ("repair", "--yes")])
def test_a_wrong_folder_is_one_clear_line(operator: Operator, words: tuple[str, ...]) -> None:
    said = operator.run(*words)
    assert said.code == 1
    assert said.err.startswith(f"journal: JOURNAL_MISSING: there is no journal in {operator.journal}")
    assert said.err.count("\n") == 1
    assert list(operator.journal.iterdir()) == [], "and nothing is left behind"


def test_a_file_of_something_else_is_refused(operator: Operator) -> None:
    operator.path.write_bytes(b"SQLite format 3\x00")
    assert "this is not a journal of this version" in operator.run("verify").out
    assert operator.run("repair", "--yes").code == 1


def test_a_reader_that_has_seen_enough_is_no_error(operator: Operator) -> None:
    operator.write([CancelAll(NOON, ALICE, "m" * 1000) for _ in range(2_000)])
    command = [sys.executable, "-m", "relayer", "journal", "show", "--state", str(operator.state)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert json.loads(child.stdout.readline())["sequence"] == 1
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait(10) == 0


# ------------------------------------------------------------------ several files


def test_every_file_is_counted_and_shown(operator: Operator) -> None:
    paths = operator.write_in_files()
    assert len(paths) == 5
    operator.write_snapshot(25)
    said = operator.run("verify")
    assert said.code == 0
    assert said.out.startswith("5 files, ")
    assert "43 records, sequence 1 to 43" in said.out
    assert f"{paths[1]}: {paths[1].stat().st_size} bytes, records 11 to 20" in said.out
    assert [line["sequence"] for line in operator.run("show", "--from", "9", "--to", "22").lines] == [*range(9, 23)]


def test_a_missing_file_in_the_middle_is_named_and_cannot_be_repaired(operator: Operator) -> None:
    paths = operator.write_in_files()
    paths[1].unlink()
    said = operator.run("verify")
    assert said.code == 1
    assert "33 records, sequence 1 to 43" in said.out
    assert f"DAMAGE {paths[2]} at byte 0, 0 bytes: " in said.out
    assert "are missing before record 21" in said.out
    assert operator.run("repair", "--yes").err.startswith("journal: JOURNAL_NOT_REPAIRABLE")
    shown = operator.run("show")
    assert shown.code == 1
    assert [line["sequence"] for line in shown.lines] == [*range(1, 11), *range(21, 44)]


@pytest.mark.parametrize("which", [0, 2, 4])
def test_a_torn_end_is_a_tail_in_the_newest_file_only(operator: Operator, which: int) -> None:
    paths = operator.write_in_files()
    paths[which].write_bytes(paths[which].read_bytes()[:-3])
    said = operator.run("verify")
    assert said.code == 1
    assert f"DAMAGE {paths[which]} at byte" in said.out
    assert ("`repair` cuts it" in said.out) == (which == 4)
    done = operator.run("repair", "--yes")
    assert done.code == (0 if which == 4 else 1)
    assert operator.run("verify").code == done.code


def test_a_damaged_header_is_named(operator: Operator) -> None:
    paths = operator.write_in_files()
    data = bytearray(paths[2].read_bytes())
    data[15] ^= 1
    paths[2].write_bytes(data)
    said = operator.run("verify")
    assert said.code == 1
    assert f"DAMAGE {paths[2]} at byte 0, {len(data)} bytes: its header is damaged" in said.out
    assert operator.run("repair", "--yes").code == 1


def test_what_retention_took_away_must_be_covered_by_a_snapshot(operator: Operator) -> None:
    paths = operator.write_in_files()
    snapshot = operator.write_snapshot(25)
    for path in paths[:2]:
        path.unlink()
    said = operator.run("verify")
    assert said.code == 0
    assert "sequence 21 to 43" in said.out
    snapshot.unlink()
    said = operator.run("verify")
    assert said.code == 1
    assert "records 1 to 20 are not here, and no usable snapshot covers them" in said.out
    assert operator.run("repair", "--yes").code == 1


def test_a_journal_of_version_1_is_read_as_it_is(operator: Operator) -> None:
    write_version_1(operator.journal, [encode_command(one) for one in COMMANDS])
    before = files(operator)
    assert "43 records, sequence 1 to 43" in operator.run("verify").out
    assert len(operator.run("show").lines) == 43
    assert files(operator) == before
