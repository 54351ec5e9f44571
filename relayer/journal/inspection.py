"""What an operator can learn about a journal's folder: records, snapshots, damage, who works on it.

Promises: reads only. What it calls undamaged, the engine starts from; what it calls damage names file and byte.
Never:    repairs.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from cxdex.problem import Problem
from relayer.engine.core import Engine
from relayer.journal.lock import LOCK_NAME
from relayer.journal.record import decode_command
from relayer.journal.scan import Damage, Found, scan
from relayer.journal.segment import FILE_NAME, MAGIC
from relayer.journal.snapshot import Snapshot, snapshots


@dataclass
class Inspection:
    """Of the file journal.log: what is in it. Times in unix milliseconds, 0 without records.

    end: the byte behind the last whole record. damage: without a tail that an engine may be writing just now.
    """

    path: Path
    size: int = 0
    records: int = 0
    first: int = 0
    last: int = 0
    first_ms: int = 0
    last_ms: int = 0
    end: int = len(MAGIC)
    kinds: Counter[str] = field(default_factory=Counter)
    damage: list[Damage] = field(default_factory=list)
    snapshots: list[SnapshotView] = field(default_factory=list)
    being_written: int = 0

    @property
    def sound(self) -> bool:
        return not self.damage and all(view.trouble is None for view in self.snapshots)


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """trouble: why a start cannot use it, None when it can. promises: last record that the journal must hold."""

    path: Path
    promises: int
    trouble: str | None


def inspect(directory: Path, *, alone: bool = False) -> Inspection:
    """Reads every record and snapshot. alone: the caller holds the lock. Raises JOURNAL_MISSING or OSError."""
    stored = list(snapshots(directory))
    wanted = {snapshot.sequence for _, snapshot in stored if snapshot is not None}
    ends = {0: len(MAGIC)}
    running = not alone and engine_of(directory) is not None
    with open_journal(directory) as (path, descriptor):
        seen = Inspection(path, os.fstat(descriptor).st_size)
        for part in scan(descriptor, seen.size):
            if isinstance(part, Found):
                _count(seen, part)
                if part.sequence in wanted:
                    ends[part.sequence] = part.end
            elif part.tail and running:
                seen.being_written = part.size
            else:
                seen.damage.append(part)
    seen.snapshots = [_view(path, snapshot, ends, seen.last) for path, snapshot in stored]
    return seen


@contextmanager
def open_journal(directory: Path) -> Iterator[tuple[Path, int]]:
    """The file, open for reading. Raises JOURNAL_MISSING or OSError."""
    path = directory / FILE_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Problem(
            "JOURNAL_MISSING", f"there is no journal at {path}", allowed="--state names the folder that has journal/"
        ) from None
    try:
        yield path, descriptor
    finally:
        os.close(descriptor)


def engine_of(directory: Path) -> str | None:
    """The process that works on this journal now, or None. Leaves the lock as it is."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
    else:
        return None
    finally:
        os.close(descriptor)


def _count(seen: Inspection, record: Found) -> None:
    seen.records += 1
    seen.first = seen.first or record.sequence
    seen.last, seen.end = record.sequence, record.end
    try:
        command = decode_command(record.payload)
    except (msgspec.MsgspecError, Problem) as error:
        why = f"record {record.sequence} is whole, but no command of this version ({error})"
        seen.damage.append(Damage(record.offset, record.end - record.offset, why))
        return
    seen.kinds[type(command).__name__] += 1
    seen.first_ms = seen.first_ms or command.time_ms
    seen.last_ms = command.time_ms


def _view(path: Path, snapshot: Snapshot | None, ends: dict[int, int], last: int) -> SnapshotView:
    if snapshot is None:
        return SnapshotView(path, 0, "is damaged: its checksum is wrong")
    trouble = None
    if snapshot.sequence > last:
        trouble = f"is of record {snapshot.sequence}, but the journal ends at {last}: acknowledged records are missing"
    elif ends.get(snapshot.sequence) != snapshot.offset:
        trouble = f"says that record {snapshot.sequence} ends at byte {snapshot.offset}, where none does"
    else:
        try:
            Engine.restore(snapshot.state)
        except ValueError as error:
            trouble = f"cannot be used by this version ({error})"
    return SnapshotView(path, snapshot.sequence, trouble)
